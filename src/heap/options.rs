//! Floor 4, uses floor 2. What a heap is asked to be.

use super::class::GRANULE_LEN;
use super::{Heap, LocalHeap};
use crate::error::Error;
use crate::vm::Name;

/// How a heap is made; as `HeapCreate` takes it, and more.
///
/// ```
/// use granule::heap::HeapOptions;
/// use std::alloc::Layout;
/// let heap = HeapOptions::new().max_len(1 << 20).local()?;
/// let error = heap.allocate(Layout::from_size_align(2 << 20, 8)?).unwrap_err();
/// assert_eq!(error.kind(), granule::ErrorKind::LimitReached);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapOptions {
    pub(super) granules_initial: usize,
    pub(super) granules_max: usize,
    pub(super) name: Option<Name>,
    pub(super) is_zeroed: bool,
    pub(super) is_checked: bool,
    pub(super) is_short: bool,
    pub(super) is_wiped: bool,
}

impl HeapOptions {
    /// Nothing to begin with, no limit, no name, blocks with any content.
    pub const fn new() -> Self {
        HeapOptions {
            granules_initial: 0,
            granules_max: usize::MAX,
            name: None,
            is_zeroed: false,
            is_checked: false,
            is_short: false,
            is_wiped: false,
        }
    }

    /// What the heap begins with, in bytes, rounded up to granules of 64 KiB: one piece of memory
    /// that is committed when it is made, and its own until it is dropped. Slabs and long blocks
    /// take what they need there first, so that this much cannot be refused later. It counts
    /// against [`max_len`](Self::max_len) from the beginning.
    ///
    /// Where the system counts what is committed (Windows; Linux under `vm.overcommit_memory=2`)
    /// it is refused at once if there is not so much; elsewhere nobody can promise memory before
    /// it is touched, and what is certain are the addresses and the part of the limit.
    ///
    /// ```
    /// use granule::heap::HeapOptions;
    /// use std::alloc::Layout;
    /// let heap = HeapOptions::new().initial_len(1 << 20).max_len(1 << 20).local()?;
    /// assert_eq!((heap.stats().len, heap.stats().initial_left), (1 << 20, 1 << 20));
    /// heap.allocate(Layout::from_size_align(300_000, 8)?)?;
    /// assert_eq!((heap.stats().len, heap.stats().initial_left), (1 << 20, 11 << 16));
    /// let error = HeapOptions::new().initial_len(2 << 20).max_len(1 << 20).local().unwrap_err();
    /// assert_eq!(error.kind(), granule::ErrorKind::OutOfRange);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "dwInitialSize")]
    pub const fn initial_len(mut self, bytes: usize) -> Self {
        self.granules_initial = bytes.div_ceil(GRANULE_LEN);
        self
    }

    /// The most memory, in bytes, that slabs and long blocks may take, counted in granules of 64
    /// KiB and rounded up to them. What does not fit is [`LimitReached`] and leaves the heap as it
    /// was.
    ///
    /// [`LimitReached`]: crate::ErrorKind::LimitReached
    #[doc(alias = "dwMaximumSize")]
    pub const fn max_len(mut self, bytes: usize) -> Self {
        self.granules_max = bytes.div_ceil(GRANULE_LEN);
        self
    }

    /// What it is called.
    pub const fn name(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// Every block reads zero when it is given out.
    #[doc(alias = "HEAP_ZERO_MEMORY")]
    pub const fn zeroed(mut self) -> Self {
        self.is_zeroed = true;
        self
    }

    /// Every block that is given back is looked up first, so that one that was given back before is
    /// reported at once; without this it is as soon as the cache of its size is emptied. A free
    /// costs a look through that cache then, and threads wait for each other.
    #[doc(alias = "HEAP_TAIL_CHECKING_ENABLED")]
    pub const fn checked(mut self) -> Self {
        self.is_checked = true;
        self.short_caches()
    }

    /// Caches of a few blocks, for who looks through them at each free.
    pub(crate) const fn short_caches(mut self) -> Self {
        self.is_short = true;
        self
    }

    /// What a block held is overwritten with zeros when it is given back, and frees are
    /// [checked](Self::checked): for keys, and for what came from elsewhere. Blocks that go with
    /// the whole heap are not overwritten.
    pub const fn secure(mut self) -> Self {
        self.is_wiped = true;
        self.checked()
    }

    /// A heap for one thread at a time.
    ///
    /// # Errors
    /// - As for [`LocalHeap::new`].
    /// - `OutOfRange`: it would begin with more than it may have.
    /// - `NoMemory`, `NoAddressSpace`: there is not as much as it would begin with, in one piece.
    pub fn local(self) -> Result<LocalHeap, Error> {
        LocalHeap::with(self)
    }

    /// A heap for all threads.
    ///
    /// # Errors
    /// As for [`local`](Self::local).
    pub fn shared(self) -> Result<Heap, Error> {
        Heap::with(self)
    }
}

impl Default for HeapOptions {
    fn default() -> Self {
        Self::new()
    }
}
