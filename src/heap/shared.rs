//! Floor 4, uses floors 0 to 2. A heap for all threads: a few cores, each with a lock that nobody
//! waits for.
//!
//! A thread tries the core that its number falls on, then the others; when all are busy and there
//! may be one more it makes it. A block goes back to its core at once if that is free at this
//! moment, else by the slab's bits (`ds::returned`), which takes no lock. So the only wait is for a
//! block when all cores are busy; in the child of a fork cores that other threads held stay busy
//! for ever, and new ones take their place.

use super::block::{resized, zero_rest};
use super::core::Core;
use super::ground::{Ground, ground};
use super::held::{Held, give_back};
use super::inspect::{Block, HeapStats, Violation};
use super::options::HeapOptions;
use super::owner::HeapId;
use super::place::Place;
use super::report::{Finding, broken};
use crate::ds::primitive::{AtomicU32, Ordering};
use crate::error::{Error, ErrorKind};
use crate::sys;
use crate::vm::Name;
use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

/// Cores of a heap, at most.
const CORES_MAX: usize = 16;

/// A heap for all threads: any of them may allocate, and any may give a block back.
///
/// Dropping it gives all of its blocks back at once, at one step for each 64 KiB; nobody's `Drop`
/// runs then.
///
/// ```
/// use granule::heap::Heap;
/// use std::alloc::Layout;
/// let heap = Heap::new()?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| heap.allocate(Layout::new::<[u8; 100]>()).map(|_| ()));
///     }
/// });
/// assert_eq!(heap.stats().blocks, 4);
/// drop(heap); // all of them
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("HeapCreate", "HeapDestroy"))]
pub struct Heap {
    ground: &'static Ground,
    options: HeapOptions,
    /// The numbers of its cores and 1, from the front; the first has the budget.
    cores: [AtomicU32; CORES_MAX],
}

/// A core that is held for one step.
struct Turn {
    held: Held,
}

impl Drop for Turn {
    #[inline]
    fn drop(&mut self) {
        self.held.core.unlock();
    }
}

impl Heap {
    /// A heap without a limit.
    ///
    /// The first heap of a process reserves the ground of all: Linux: mmap, mprotect, madvise;
    /// Windows: `VirtualAlloc`. Later ones make no call as a rule. A child that is forked while
    /// another thread makes the first one cannot make any.
    ///
    /// # Errors
    /// - `NoAddressSpace`, `NoMemory`: the system gives none.
    /// - `NoMemory`: there are 16384 heaps already, or one for each MiB of addresses, each core of
    ///   a [`Heap`] counted.
    pub fn new() -> Result<Self, Error> {
        Self::with(HeapOptions::new())
    }

    pub(super) fn with(options: HeapOptions) -> Result<Self, Error> {
        let ground = ground()?;
        let core = ground.take_core()?;
        core.begin(core.number(), options.granules_max, options.is_short);
        // SAFETY: (1) the ground has just given it, and nobody else gets it.
        let held = unsafe { Held::new(ground, core) };
        core.set_name(options.name);
        held.begin_stock(&options).inspect_err(|_| ground.rest(core))?;
        let cores = [const { AtomicU32::new(0) }; CORES_MAX];
        cores[0].store(core.mark(), Ordering::Relaxed);
        Ok(Heap { ground, options, cores })
    }

    /// The number of its first core.
    pub(super) fn root(&self) -> u32 {
        self.cores[0].load(Ordering::Relaxed) - 1
    }

    fn cores(&self) -> impl Iterator<Item = &'static Core> + '_ {
        let marks = self.cores.iter().map(|mark| mark.load(Ordering::Acquire));
        marks.map_while(|mark| Some(self.ground.core(mark.checked_sub(1)?)))
    }

    /// Takes hold of a core if nobody has.
    #[inline]
    fn try_hold(&self, core: &'static Core) -> Option<Turn> {
        // SAFETY: (1) the lock says so, and orders us behind whoever let go of it.
        core.try_lock().then(|| Turn { held: unsafe { Held::new(self.ground, core) } })
    }

    /// Takes hold of one of the cores.
    #[inline]
    fn turn(&self) -> Turn {
        let first = self.ground.core(self.root());
        if self.cores[1].load(Ordering::Relaxed) == 0
            && let Some(turn) = self.try_hold(first)
        {
            return turn;
        }
        self.turn_slowly()
    }

    #[cold]
    fn turn_slowly(&self) -> Turn {
        loop {
            let count = self.cores().count();
            let start = sys::thread_id() as usize % count;
            let mut in_turn = self.cores().skip(start).chain(self.cores().take(start));
            if let Some(turn) = in_turn.find_map(|core| self.try_hold(core)) {
                return turn;
            }
            let is_made = if count < CORES_MAX {
                self.put_core(count, 0).is_ok()
            } else {
                self.replace_left_core()
            };
            // Without one more the others have to do.
            if !is_made {
                sys::yield_now();
            }
        }
    }

    /// In the child of a fork: makes a core in place of one that a thread of the parent held. What
    /// that has stays its own, and can be freed.
    #[cold]
    fn replace_left_core(&self) -> bool {
        // The first one has the budget.
        let mut left = self.cores().enumerate().skip(1).filter(|(_, core)| core.is_left());
        left.next().is_some_and(|(number, core)| self.put_core(number, core.mark()).is_ok())
    }

    /// Makes a core with that number instead of the one that is there, unless another thread does.
    fn put_core(&self, number: usize, old: u32) -> Result<(), Error> {
        let root = self.root();
        let core = self.ground.take_core()?;
        core.begin(root, 0, self.options.is_short);
        let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        if self.cores[number].compare_exchange(old, core.mark(), done, failed).is_err() {
            self.ground.rest(core);
        }
        Ok(())
    }

    /// A block for a layout. Its content is anything, unless the heap is
    /// [zeroed](HeapOptions::zeroed). A block of 0 bytes has an address of its own, too.
    ///
    /// System calls as for [`LocalHeap::allocate`](super::LocalHeap::allocate).
    ///
    /// # Errors
    /// - `LimitReached`: the heap would have more than it [may](HeapOptions::max_len).
    /// - `NoMemory`, `NoAddressSpace`: the system gives none. The heap is as it was.
    #[inline]
    #[doc(alias("HeapAlloc", "malloc"))]
    pub fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if self.options.is_zeroed {
            return self.allocate_zeroed(layout);
        }
        self.within_limit(|held| held.allocate_layout(layout))
    }

    /// A block for a layout that reads zero.
    ///
    /// # Errors
    /// As for [`allocate`](Self::allocate).
    #[doc(alias("HEAP_ZERO_MEMORY", "calloc"))]
    pub fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.within_limit(|held| held.allocate_zeroed(layout))
    }

    /// Allocates in one of the cores; at the limit once more, after all have given back what is not
    /// in use.
    #[inline]
    fn within_limit(
        &self,
        allocate: impl Fn(&Held) -> Result<NonNull<u8>, Error>,
    ) -> Result<NonNull<u8>, Error> {
        // The turn ends with this line: whoever waits for others must not hold a core.
        let told = allocate(&self.turn().held);
        match told {
            Err(error) if error.kind() == ErrorKind::LimitReached => {
                self.trim_others();
                allocate(&self.turn().held)
            }
            told => told,
        }
    }

    /// Gives a block back, from any thread.
    ///
    /// A block of another heap, an address that is none and, sooner or later, a block that was
    /// given back twice are reported; the process is aborted then.
    ///
    /// # Safety
    /// 1. `block` came from this heap, has not been given back, and is not used again.
    #[doc(alias("HeapFree", "free"))]
    pub unsafe fn deallocate(&self, block: NonNull<u8>) {
        let place = self.place_of(block);
        self.free_at(place, block);
    }

    /// Gives a block back whose layout is known, from any thread. Whose it is has to be looked up
    /// all the same; a layout that is not the block's is found in builds with debug assertions.
    ///
    /// # Safety
    /// 1. As for [`deallocate`](Self::deallocate).
    /// 2. `layout` is the one the block was allocated or last reallocated with.
    ///
    /// ```
    /// use granule::heap::Heap;
    /// use std::alloc::Layout;
    /// let (heap, layout) = (Heap::new()?, Layout::new::<[u64; 4]>());
    /// let block = heap.allocate(layout)?;
    /// // SAFETY: (1), (2): it came from this heap with this layout, and is not used again.
    /// unsafe { heap.deallocate_layout(block, layout) };
    /// assert_eq!(heap.stats().blocks, 0);
    /// # Ok::<(), granule::Error>(())
    /// ```
    pub unsafe fn deallocate_layout(&self, block: NonNull<u8>, layout: Layout) {
        let place = self.place_of(block);
        debug_assert!(
            place.usable_len(self.ground, block).is_none_or(|len| layout.size() <= len),
            "the block at {block:p} is shorter than {layout:?}"
        );
        self.free_at(place, block);
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
        let moved = if self.resize_in_place(place, new)? {
            block
        } else {
            let moved = self.within_limit(|held| held.allocate_grown(new, kept))?;
            // SAFETY: (1) both are in use and long enough, two blocks; (2) it is given back.
            unsafe { self.ground.carry(block, moved, kept) };
            self.free_at(place, block);
            moved
        };
        if self.options.is_zeroed {
            // SAFETY: (1) it was made `size` bytes long.
            unsafe { zero_rest(moved, kept, size) };
        }
        Ok(moved)
    }

    /// Resizes a block where it is, if that can be; at the limit once more, as for a new one.
    fn resize_in_place(&self, place: Place, new: Layout) -> Result<bool, Error> {
        match self.try_resize(place, new) {
            Err(error) if error.kind() == ErrorKind::LimitReached => {
                self.trim_others();
                // If it cannot grow where it is, there may be room elsewhere.
                Ok(self.try_resize(place, new).unwrap_or(false))
            }
            told => told,
        }
    }

    /// Has all cores that nobody holds give back what is not in use.
    fn trim_others(&self) {
        let cores = self.cores().filter_map(|core| self.try_hold(core));
        cores.for_each(|turn| turn.held.trim());
    }

    /// Resizes a block where it is, if its core can be had.
    fn try_resize(&self, place: Place, new: Layout) -> Result<bool, Error> {
        match self.try_hold(self.core_of(place)) {
            Some(turn) => turn.held.resize(place, new),
            None => Ok(false),
        }
    }

    /// Bytes from `block`, where a block of this heap begins, that its user may use: at least what
    /// was asked for. `None` for an address that no block of this heap begins at; a block that was
    /// given back may still be told.
    #[doc(alias("HeapSize", "malloc_usable_size"))]
    pub fn usable_len(&self, block: NonNull<u8>) -> Option<usize> {
        self.owned(block)?.usable_len(self.ground, block)
    }

    /// True if the address lies in memory of this heap.
    pub fn owns(&self, address: NonNull<u8>) -> bool {
        self.owned(address).is_some()
    }

    /// Calls `visit` with every block in use. Each core is held in its turn, so `visit` waits
    /// for ever if it looks at this heap or trims it. Blocks that other threads take and give back
    /// meanwhile may be shown or not.
    #[doc(alias = "HeapWalk")]
    pub fn walk(&self, mut visit: impl FnMut(Block)) {
        self.turns().for_each(|turn| turn.held.walk(&mut visit));
    }

    /// Checks the books of the heap against each other.
    ///
    /// # Errors
    /// The first rule that is broken, and where.
    #[doc(alias = "HeapValidate")]
    pub fn validate(&self) -> Result<(), Violation> {
        self.turns().try_for_each(|turn| turn.held.validate())
    }

    /// What it has, counted now, core by core: exact if no other thread uses it meanwhile.
    pub fn stats(&self) -> HeapStats {
        let of_cores = self.turns().map(|turn| turn.held.stats());
        of_cores.fold(HeapStats::default(), HeapStats::plus)
    }

    /// Gives back what caches and empty slabs keep, but for what it [began
    /// with](HeapOptions::initial_len). What the process keeps of it goes back to the
    /// system, too, as far as that takes it. Linux: madvise(MADV_DONTNEED). Windows: `VirtualFree`,
    /// `VirtualAlloc`.
    #[doc(alias("HeapCompact", "malloc_trim"))]
    pub fn trim(&self) {
        self.turns().for_each(|turn| turn.held.trim());
        self.ground.empty_idle(0);
    }

    /// What it was called.
    pub const fn name(&self) -> Option<Name> {
        self.options.name
    }

    /// What [`owner_of`](super::owner_of) calls it.
    pub fn id(&self) -> HeapId {
        HeapId(self.root())
    }

    /// Takes hold of one core after the other; those that a thread of the parent held when this
    /// process was forked are left out.
    fn turns(&self) -> impl Iterator<Item = Turn> + '_ {
        self.cores().filter_map(|core| {
            loop {
                if let Some(turn) = self.try_hold(core) {
                    return Some(turn);
                }
                if core.is_left() {
                    return None;
                }
                sys::yield_now();
            }
        })
    }

    #[inline]
    fn free_at(&self, place: Place, block: NonNull<u8>) {
        if self.options.is_checked {
            return self.free_checked(place, block);
        }
        match self.try_hold(self.core_of(place)) {
            Some(turn) => turn.held.free_at(place, block),
            None => give_back(self.ground, place, block),
        }
    }

    /// Waits for the core of the block, to look whether it is in use.
    #[cold]
    #[inline(never)]
    fn free_checked(&self, place: Place, block: NonNull<u8>) {
        let core = self.core_of(place);
        loop {
            if let Some(turn) = self.try_hold(core) {
                return turn.held.free_checked(place, block, &self.options);
            }
            if core.is_left() {
                return give_back(self.ground, place, block);
            }
            sys::yield_now();
        }
    }

    fn core_of(&self, place: Place) -> &'static Core {
        place.owner(self.ground)
    }

    fn owned(&self, address: NonNull<u8>) -> Option<Place> {
        let place = Place::of(self.ground, address)?;
        let number = place.slab.owner().checked_sub(1)?;
        (self.ground.core(number).root() == self.root()).then_some(place)
    }

    /// The place of a block that has to be ours.
    #[inline]
    fn place_of(&self, block: NonNull<u8>) -> Place {
        match self.owned(block) {
            Some(place) => place,
            None if self.ground.granule_of(block).is_none() => broken(Finding::Foreign, block),
            None => broken(Finding::OtherHeap, block),
        }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: (1) nobody uses the heap any more.
        let held = |core| unsafe { Held::new(self.ground, core) };
        // The books of others may be half changed: this process keeps them as they are.
        let in_order = || self.cores().filter(|core| !core.is_left());
        in_order().for_each(|core| held(core).drop_all());
        held(self.ground.core(self.root())).end_stock();
        // From here on they are other heaps'.
        in_order().for_each(|core| self.ground.rest(core));
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = out.debug_struct("Heap");
        said.field("name", &self.options.name).field("stats", &self.stats()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_nobody_holds_a_core_while_he_looks_for_room() {
        let heap = HeapOptions::new().max_len(64 << 10).shared().expect("a heap");
        let layout = Layout::from_size_align(64 << 10, 8).expect("a layout");
        heap.allocate(layout).expect("there is room for one");
        for _ in 0..20 {
            let error = heap.allocate(layout).expect_err("there is none for two");
            assert_eq!(error.kind(), ErrorKind::LimitReached);
        }
        assert_eq!(heap.cores().count(), 1, "one thread needs no more");
    }
}
