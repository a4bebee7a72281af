//! Floor 4. How an array with wishes is asked for.

use super::StableVec;
use crate::vm::CommitPolicy;
use core::fmt;
use core::marker::PhantomData;

/// A request for a [`StableVec`]; [`build`](Builder::build) makes it.
///
/// ```
/// use granule::array::StableVec;
/// use granule::vm::CommitPolicy;
/// let builder = StableVec::builder().max(1 << 20).policy(CommitPolicy::Lazy).guard_spare();
/// let mut array: StableVec<u16> = builder.build();
/// array.push(7);
/// assert_eq!(array.max_len(), 1 << 20);
/// ```
#[must_use = "a request does nothing until `build` is called"]
pub struct Builder<T> {
    max: usize,
    policy: CommitPolicy,
    guard: bool,
    elements: PhantomData<fn() -> T>,
}

impl<T> Builder<T> {
    pub(super) const fn new() -> Self {
        let max = StableVec::<T>::USUAL_MAX;
        Builder { max, policy: CommitPolicy::Strict, guard: false, elements: PhantomData }
    }

    /// How many elements there can ever be. Usually 64 GiB of them.
    pub const fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// When the system's promise of memory is taken. The default is [`CommitPolicy::Strict`].
    pub const fn policy(mut self, policy: CommitPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Commits page by page, and gives every page back that the last element has left: a touch of
    /// what is no element faults, from the next page on. What that catches is told in the
    /// [module](super).
    #[doc(alias("guard", "use after free", "stale"))]
    pub const fn guard_spare(mut self) -> Self {
        self.guard = true;
        self
    }

    /// An empty array. Takes nothing; addresses are reserved at the first element.
    #[must_use]
    pub const fn build(self) -> StableVec<T> {
        StableVec::with_wishes(self.max, self.policy, self.guard)
    }
}

impl<T> Clone for Builder<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Builder<T> {}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Builder")
            .field("max", &self.max)
            .field("policy", &self.policy)
            .field("guard_spare", &self.guard)
            .finish()
    }
}
