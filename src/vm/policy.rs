//! Floor 2, uses floor 1. When the system's promise of memory is taken.

use crate::sys;

/// When the system's promise of memory is taken.
///
/// ```
/// use granule::vm::{CommitPolicy, Reservation};
/// assert_eq!(Reservation::reserve(1)?.policy(), CommitPolicy::Strict);
/// let lazy = Reservation::builder().len(1 << 40).policy(CommitPolicy::Lazy).reserve()?;
/// assert_ne!(lazy.policy(), CommitPolicy::Auto); // resolved when it was reserved
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitPolicy {
    /// At commit: the system's charge (Linux: `Committed_AS`) grows by exactly what is committed
    /// for writing, and a commit that cannot be kept fails at the call.
    Strict,
    /// At first touch: commits nearly always succeed, and a promise that cannot be kept ends in the
    /// out-of-memory killer.
    Lazy,
    /// As the machine is set up, looked up when the reservation is made: `Lazy` where the kernel
    /// promises without counting (`vm.overcommit_memory=1`), else `Strict`.
    Auto,
}

impl CommitPolicy {
    /// The policy that it means on this machine. Linux, for `Auto`: openat, read, close.
    pub(super) fn resolved(self) -> sys::CommitPolicy {
        match self {
            CommitPolicy::Lazy => sys::CommitPolicy::Lazy,
            CommitPolicy::Auto if sys::overcommits_always() => sys::CommitPolicy::Lazy,
            CommitPolicy::Strict | CommitPolicy::Auto => sys::CommitPolicy::Strict,
        }
    }
}

impl From<sys::CommitPolicy> for CommitPolicy {
    fn from(policy: sys::CommitPolicy) -> Self {
        match policy {
            sys::CommitPolicy::Strict => CommitPolicy::Strict,
            sys::CommitPolicy::Lazy => CommitPolicy::Lazy,
        }
    }
}
