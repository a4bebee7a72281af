//! Floor 4, uses floors 0 to 2. A heap for one thread at a time.

use super::block::{resized, zero_rest};
use super::class::Class;
use super::ground::{Ground, ground};
use super::held::Held;
use super::inspect::{Block, HeapStats, Violation};
use super::options::HeapOptions;
use super::owner::HeapId;
use super::place::Place;
use super::report::{Finding, broken};
use crate::error::Error;
use crate::vm::Name;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A heap for one thread at a time: no lock and no atomic step on its way.
///
/// Dropping it gives all of its blocks back at once. That costs one step for each 64 KiB, not one
/// for each block: "`HeapDestroy` drops all data at once, without frees". Blocks are raw memory, so
/// nobody's `Drop` runs then.
///
/// ```
/// use granule::heap::LocalHeap;
/// use std::alloc::Layout;
/// let heap = LocalHeap::new()?;
/// let block = heap.allocate(Layout::new::<u64>())?.cast::<u64>();
/// // SAFETY: a new block for a u64.
/// unsafe { block.write(5) };
/// // SAFETY: a block of this heap that is not used again.
/// unsafe { heap.deallocate(block.cast()) };
/// for _ in 0..1000 {
///     heap.allocate(Layout::new::<[u64; 4]>())?;
/// }
/// drop(heap); // all of them
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("HeapCreate", "HeapDestroy", "HEAP_NO_SERIALIZE", "arena"))]
pub struct LocalHeap {
    pub(super) held: Held,
    options: HeapOptions,
    /// It may go to another thread, but never be used by two.
    not_sync: PhantomData<core::cell::Cell<()>>,
}

impl LocalHeap {
    /// A heap without a limit.
    ///
    /// The first heap of a process reserves the ground of all: Linux: mmap, mprotect, madvise;
    /// Windows: `VirtualAlloc`. Later ones make no call as a rule. A child that is forked while
    /// another thread makes the first one cannot make any.
    ///
    /// # Errors
    /// - `NoAddressSpace`, `NoMemory`: the system gives none.
    /// - `NoMemory`: there are 16384 heaps already, or one for each MiB of addresses, each core of
    ///   a [`Heap`](super::Heap) counted.
    pub fn new() -> Result<Self, Error> {
        Self::with(HeapOptions::new())
    }

    pub(super) fn with(options: HeapOptions) -> Result<Self, Error> {
        Self::on(ground()?, options)
    }

    /// On a ground.
    pub(super) fn on(ground: &'static Ground, options: HeapOptions) -> Result<Self, Error> {
        let core = ground.take_core()?;
        core.begin(core.number(), options.granules_max, options.is_short);
        core.cut_slabs();
        // SAFETY: (1) the ground has just given it, and nobody else gets it.
        let held = unsafe { Held::new(ground, core) };
        core.set_name(options.name);
        held.begin_stock(&options).inspect_err(|_| ground.rest(core))?;
        Ok(LocalHeap { held, options, not_sync: PhantomData })
    }

    /// A block for a layout. Its content is anything, unless the heap is
    /// [zeroed](HeapOptions::zeroed). A block of 0 bytes has an address of its own, too.
    ///
    /// Linux: as a rule none; mprotect for each 2 MiB of addresses that were never used; above 32
    /// MiB at times mincore, and madvise about huge pages. Windows: as a rule none;
    /// `VirtualAlloc(MEM_COMMIT)` for pages that were never used.
    ///
    /// # Errors
    /// - `LimitReached`: the heap would have more than it [may](HeapOptions::max_len).
    /// - `NoMemory`, `NoAddressSpace`: the system gives none. The heap is as it was.
    #[inline]
    #[doc(alias("HeapAlloc", "malloc"))]
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if self.options.is_zeroed {
            return self.held.allocate_zeroed(layout);
        }
        match Class::of_aligned(layout.size(), layout.align()) {
            Some(class) => self.held.allocate_cutting(class),
            None => self.held.allocate_layout(layout),
        }
    }

    /// A block for a layout that reads zero.
    ///
    /// # Errors
    /// As for [`allocate`](Self::allocate).
    #[doc(alias("HEAP_ZERO_MEMORY", "calloc"))]
    pub fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.held.allocate_zeroed(layout)
    }

    /// Gives a block back.
    ///
    /// A block of another heap, an address that is none and, as soon as the cache of its size is
    /// emptied, a block that was given back twice are reported; the process is aborted then.
    ///
    /// # Safety
    /// 1. `block` came from this heap, has not been given back, and is not used again.
    #[inline]
    #[doc(alias("HeapFree", "free"))]
    pub unsafe fn deallocate(&self, block: NonNull<u8>) {
        let place = self.place_of(block);
        self.free_at(place, block);
    }

    #[inline]
    fn free_at(&self, place: Place, block: NonNull<u8>) {
        if self.options.is_checked {
            self.held.free_checked(place, block, &self.options);
        } else {
            self.held.free_at(place, block);
        }
    }

    /// Gives a block back whose layout is known, which saves looking it up.
    ///
    /// # Safety
    /// 1. As for [`deallocate`](Self::deallocate).
    /// 2. `layout` is the one the block was allocated or last reallocated with.
    #[inline]
    pub unsafe fn deallocate_layout(&self, block: NonNull<u8>, layout: Layout) {
        let place = self.place_of(block);
        match Class::of_aligned(layout.size(), layout.align()) {
            Some(class) if !self.options.is_checked => self.held.free(class, block),
            _ => self.free_at(place, block),
        }
    }

    /// Makes a block longer or shorter; where it stands if it can be, else its content moves to a
    /// new one and this one is given back. What is new has any content, or reads zero in a
    /// [zeroed](HeapOptions::zeroed) heap.
    ///
    /// Linux: mremap for 16 MiB and more, so that nothing is copied; a copy elsewhere.
    ///
    /// # Errors
    /// As for [`allocate`](Self::allocate), and `OutOfRange`: `size` is too long for a layout. The
    /// block is as it was.
    ///
    /// # Safety
    /// 1. `block` came from this heap with `layout`, and has not been given back.
    /// 2. After success it is not used again by its old address.
    #[doc(alias("HeapReAlloc", "realloc"))]
    pub unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        size: usize,
    ) -> Result<NonNull<u8>, Error> {
        let new = resized(block, layout, size)?;
        let place = self.place_of(block);
        let kept = layout.size().min(size);
        let moved = if self.held.resize(place, new)? {
            block
        } else {
            let moved = self.held.allocate_grown(new, kept)?;
            // SAFETY: (1) both are in use and long enough, two blocks; (2) it is given back.
            unsafe { self.held.ground.carry(block, moved, kept) };
            self.free_at(place, block);
            moved
        };
        if self.options.is_zeroed {
            // SAFETY: (1) it was made `size` bytes long.
            unsafe { zero_rest(moved, kept, size) };
        }
        Ok(moved)
    }

    /// Bytes from `block`, where a block of this heap begins, that its user may use: at least what
    /// was asked for. `None` for an address that no block of this heap begins at; a block that was
    /// given back may still be told.
    #[doc(alias("HeapSize", "malloc_usable_size"))]
    pub fn usable_len(&self, block: NonNull<u8>) -> Option<usize> {
        self.owned(block)?.usable_len(self.held.ground, block)
    }

    /// True if the address lies in memory of this heap.
    pub fn owns(&self, address: NonNull<u8>) -> bool {
        self.owned(address).is_some()
    }

    /// Calls `visit` with every block in use, slab by slab.
    #[doc(alias = "HeapWalk")]
    pub fn walk(&mut self, visit: impl FnMut(Block)) {
        self.held.walk(visit);
    }

    /// Checks the books of the heap against each other.
    ///
    /// # Errors
    /// The first rule that is broken, and where.
    #[doc(alias = "HeapValidate")]
    pub fn validate(&self) -> Result<(), Violation> {
        self.held.validate()
    }

    /// What it has, counted now: one step for each slab.
    pub fn stats(&self) -> HeapStats {
        self.held.stats()
    }

    /// Gives back what caches and empty slabs keep, but for what it [began
    /// with](HeapOptions::initial_len). What the process keeps of it goes back to the
    /// system, too, as far as that takes it. Linux: madvise(MADV_DONTNEED). Windows: `VirtualFree`,
    /// `VirtualAlloc`.
    #[doc(alias("HeapCompact", "malloc_trim"))]
    pub fn trim(&self) {
        self.held.trim();
        self.held.ground.empty_idle(0);
    }

    /// What it was called.
    pub const fn name(&self) -> Option<Name> {
        self.options.name
    }

    /// What [`owner_of`](super::owner_of) calls it.
    pub fn id(&self) -> HeapId {
        HeapId(self.held.core.number())
    }

    fn owned(&self, address: NonNull<u8>) -> Option<Place> {
        let place = Place::of(self.held.ground, address)?;
        (place.slab.owner() == self.held.core.mark()).then_some(place)
    }

    /// The place of a block that has to be ours.
    #[inline]
    fn place_of(&self, block: NonNull<u8>) -> Place {
        let place = Place::of_given(self.held.ground, block);
        if place.slab.owner() != self.held.core.mark() {
            broken(Finding::OtherHeap, block);
        }
        place
    }
}

impl Drop for LocalHeap {
    fn drop(&mut self) {
        self.held.drop_all();
        self.held.end_stock();
        self.held.ground.rest(self.held.core);
    }
}

impl fmt::Debug for LocalHeap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = out.debug_struct("LocalHeap");
        said.field("name", &self.options.name).field("stats", &self.stats()).finish()
    }
}
