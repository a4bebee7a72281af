//! Floor 4, uses floors 0 to 2. Where a heap has its granules from: its stock, its spare one, the
//! ground; and how they count against its limit.
//!
//! The stock is what a heap was asked to begin with. It is taken from the ground when the heap is
//! made, and is the heap's own until it is dropped: slabs and long blocks take their granules there
//! first, and give them back there.
//!
//! # Invariants
//! 1. The granules of a stock are taken from the ground, and count against the limit, as long as
//!    the heap lives; whether a slab has them or not.
//! 2. One bit for each of them, set while a slab or a run has it. The record of one that nobody has
//!    is that of a free granule, and says so before its bit does.
//! 3. Where what is committed counts, its granules have all the bits that a slab may need: who
//!    takes one is not refused.
//! 4. It is the first core that has it. Where it lies changes only while nobody else has a core of
//!    the heap.

use super::class::{Class, GRANULE_LEN};
use super::core::Budget;
use super::ground::Ground;
use super::held::Held;
use super::options::HeapOptions;
use super::slab::{Field, Kind, Slab};
use crate::ds::bits::{self, BITS};
use crate::ds::primitive::{AtomicU32, Ordering::Relaxed};
use crate::ds::runs::Runs;
use crate::error::{Error, ErrorKind, Op};
use core::ops::Range;

/// How the ground gives granules.
#[derive(Clone, Copy)]
pub(super) enum Take {
    /// By `Ground::take`.
    Plain,
    /// By `Ground::take_with_room`, for content of which so many granules will be moved there.
    Roomy(usize),
}

/// What a heap was made with. Zero is none.
pub(super) struct Stock {
    first: Field,
    granules: Field,
    /// Granules that nobody has, about.
    left: AtomicU32,
    /// Where its bits lie in the pool, and how many there is room for; they stay with the core.
    words: Field,
    room: Field,
}

impl Stock {
    /// All of its granules.
    fn whole(&self) -> Range<usize> {
        let first = self.first.get() as usize;
        first..first + self.granules.get() as usize
    }

    /// True if a granule is one of it.
    pub(super) fn has(&self, granule: usize) -> bool {
        self.whole().contains(&granule)
    }

    /// Bytes that are in no slab and no run.
    pub(super) fn left(&self) -> usize {
        self.left.load(Relaxed) as usize * GRANULE_LEN
    }

    fn runs(&self, ground: &Ground) -> Runs<'static> {
        let count = (self.granules.get() as usize).div_ceil(BITS);
        Runs::new(ground.words(self.words.get(), count))
    }

    /// Becomes one of granules that were just taken.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses to commit its bits.
    fn begin(&self, ground: &Ground, whole: &Range<usize>) -> Result<(), Error> {
        if ground.is_counted() {
            give_words(ground, whole)?;
        }
        let count = whole.len().div_ceil(BITS);
        if (self.room.get() as usize) < count {
            let room = count.next_power_of_two();
            self.words.set(ground.take_words(room)?);
            self.room.set(room as u32);
        }
        let words = ground.words(self.words.get(), count);
        words.iter().for_each(|word| word.store(0, Relaxed));
        bits::set(words, &(whole.len()..count * BITS));
        self.first.set(whole.start as u32);
        self.granules.set(whole.len() as u32);
        self.left.store(whole.len() as u32, Relaxed);
        Ok(())
    }

    /// Takes granules in a row, at an address that is a multiple of `align` granules.
    fn take(&self, ground: &Ground, count: usize, align: usize) -> Option<usize> {
        if (self.left.load(Relaxed) as usize) < count {
            return None;
        }
        let first = self.first.get() as usize;
        let phase = ground.place(first).addr() / GRANULE_LEN % align;
        let place = self.runs(ground).take(count, align, phase)?;
        self.left.fetch_sub(count as u32, Relaxed);
        Some(first + place)
    }

    /// Takes the granules right behind a run, and says whether they were free; `None` if the run is
    /// not of the stock.
    fn take_behind(&self, ground: &Ground, behind: &Range<usize>) -> Option<bool> {
        let Range { start, end } = self.whole();
        if !(start..end).contains(&(behind.start - 1)) {
            return None;
        }
        let places = behind.start - start..behind.end - start;
        let is_free = behind.end <= end && self.runs(ground).take_at(places);
        if is_free {
            self.left.fetch_sub(behind.len() as u32, Relaxed);
        }
        Some(is_free)
    }

    /// Takes granules back; false if they are not of the stock.
    pub(super) fn give(&self, ground: &Ground, run: &Range<usize>) -> bool {
        let whole = self.whole();
        if !whole.contains(&run.start) {
            return false;
        }
        run.clone().for_each(|granule| ground.slab(granule).become_free());
        // In this order it never says less than nothing.
        self.left.fetch_add(run.len() as u32, Relaxed);
        self.runs(ground).give(run.start - whole.start..run.end - whole.start);
        true
    }

    /// True if the granules are taken here, or are not of the stock.
    pub(super) fn is_sound(&self, ground: &Ground, run: &Range<usize>) -> bool {
        let whole = self.whole();
        let words = ground.words(self.words.get(), whole.len().div_ceil(BITS));
        !whole.contains(&run.start)
            || bits::count(words, &(run.start - whole.start..run.end - whole.start)) == run.len()
    }

    /// Bytes of the longest block that it has room for.
    pub(super) fn longest(&self, ground: &Ground) -> usize {
        let is_free = |granule| ground.slab(granule).kind() == Kind::Free;
        let (mut longest, mut len) = (0, 0);
        for granule in self.whole() {
            len = if is_free(granule) { len + 1 } else { 0 };
            longest = longest.max(len);
        }
        longest * GRANULE_LEN
    }

    /// Gives everything back to the ground; but for what a core has that a fork has left behind.
    fn end(&self, ground: &Ground) {
        let whole = self.whole();
        if whole.is_empty() {
            return;
        }
        match self.take(ground, whole.len(), 1) {
            Some(_) => ground.give(whole),
            None => {
                while let Some(granule) = self.take(ground, 1, 1) {
                    ground.give(granule..granule + 1);
                }
            }
        }
        self.granules.set(0);
        self.left.store(0, Relaxed);
    }
}

/// Gives granules all words of bits that any slab needs. (3)
fn give_words(ground: &Ground, whole: &Range<usize>) -> Result<(), Error> {
    let most = Class::all().map(Slab::words_of).max().unwrap_or_default();
    let needy =
        || whole.clone().map(|granule| ground.slab(granule)).filter(|slab| slab.room.get() < most);
    let count = needy().count();
    if count == 0 {
        return Ok(());
    }
    let mut next = ground.take_words(2 * most as usize * count)?;
    for slab in needy() {
        slab.bits.set(next);
        slab.room.set(most);
        next += 2 * most;
    }
    Ok(())
}

impl Held {
    pub(super) fn stock(&self) -> &'static Stock {
        self.ground.core(self.core.root()).stock()
    }

    fn budget(&self) -> &'static Budget {
        self.ground.core(self.core.root()).budget()
    }

    /// Takes the stock of a heap that is being made, of which this is the first core.
    ///
    /// # Errors
    /// - `OutOfRange`: it is longer than the heap may be.
    /// - `NoAddressSpace`, `NoMemory`: the system gives none.
    pub(super) fn begin_stock(&self, options: &HeapOptions) -> Result<(), Error> {
        let granules = options.granules_initial;
        if granules == 0 {
            return Ok(());
        }
        if !self.budget().take(granules) {
            let len = granules.saturating_mul(GRANULE_LEN);
            return Err(Error::new(Op::Allocate, ErrorKind::OutOfRange, 0, len, 0));
        }
        let (first, _) = self.ground.take(granules, 1)?;
        let whole = first..first + granules;
        let told = self.stock().begin(self.ground, &whole);
        told.inspect_err(|_| self.ground.give(whole))
    }

    /// Gives the stock back, after all cores of the heap have given back what they had of it.
    pub(super) fn end_stock(&self) {
        self.stock().end(self.ground);
    }

    /// Granules in a row for a slab or a run, at a multiple of `align` granules, and whether they
    /// read zero.
    ///
    /// # Errors
    /// - `LimitReached`: the heap would have more than it may, even without what it does not use.
    /// - Those of `Ground::take`.
    pub(super) fn obtain(
        &self,
        count: usize,
        align: usize,
        take: Take,
    ) -> Result<(usize, bool), Error> {
        match self.try_obtain(count, align, take) {
            Err(error) if error.kind() == ErrorKind::LimitReached => {
                self.trim();
                self.try_obtain(count, align, take)
            }
            told => told,
        }
    }

    fn try_obtain(&self, count: usize, align: usize, take: Take) -> Result<(usize, bool), Error> {
        if let Some(first) = self.stock().take(self.ground, count, align) {
            return Ok((first, false));
        }
        self.charge(count)?;
        let taken = match self.take_spare(count, align) {
            Some(spare) => Ok((spare, false)),
            None => match take {
                Take::Plain => self.ground.take(count, align),
                Take::Roomy(moved) => self.ground.take_with_room(count, align, moved),
            },
        };
        taken.inspect_err(|_| self.uncharge(count))
    }

    /// The granule that the core has kept of its last heap, if that will do.
    fn take_spare(&self, count: usize, align: usize) -> Option<usize> {
        let spare = self.core.own.spare.get().checked_sub(1)?;
        if count != 1 || align != 1 {
            return None;
        }
        self.core.own.spare.set(0);
        self.ground.take_spare();
        Some(spare as usize)
    }

    /// The granules right behind a run of ours; false if they are not free.
    ///
    /// # Errors
    /// `LimitReached`: as for `obtain`.
    pub(super) fn obtain_behind(&self, behind: Range<usize>) -> Result<bool, Error> {
        if let Some(is_done) = self.stock().take_behind(self.ground, &behind) {
            return Ok(is_done);
        }
        let count = behind.len();
        if self.charge(count).is_err() {
            self.trim();
            if self.charge(count).is_err() {
                // There may be room elsewhere, in the stock.
                return Ok(false);
            }
        }
        // Where the system refuses, another place may be ready.
        let is_done = self.ground.take_behind(behind).unwrap_or(false);
        if !is_done {
            self.uncharge(count);
        }
        Ok(is_done)
    }

    /// Gives granules back to where they came from.
    pub(super) fn give_granules(&self, run: Range<usize>) {
        if !self.stock().give(self.ground, &run) {
            let count = run.len();
            self.ground.give(run);
            self.uncharge(count);
        }
    }

    /// Counts granules against the limit of the heap.
    fn charge(&self, granules: usize) -> Result<(), Error> {
        if self.budget().take(granules) {
            return Ok(());
        }
        let len = granules.saturating_mul(GRANULE_LEN);
        Err(Error::new(Op::Allocate, ErrorKind::LimitReached, 0, len, 0))
    }

    pub(super) fn uncharge(&self, granules: usize) {
        self.budget().give(granules);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ground::tests::{SMALL_LEN, core_of, small};
    use super::super::{Heap, LocalHeap};
    use super::*;
    use crate::sys::inject::{Plan, Session};
    use core::alloc::Layout;
    use core::ptr::NonNull;

    const PART: usize = 40;

    fn with(granules_initial: usize) -> HeapOptions {
        HeapOptions { granules_initial, ..HeapOptions::new() }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    /// A heap on a ground of its own that begins with some granules.
    fn begun(ground: &'static Ground, granules: usize) -> Result<Held, Error> {
        let held = core_of(ground)?;
        held.begin_stock(&with(granules)).inspect_err(|_| ground.rest(held.core))?;
        Ok(held)
    }

    fn end(held: &Held) {
        assert_eq!(held.validate(), Ok(()));
        held.drop_all();
        held.end_stock();
        held.ground.rest(held.core);
    }

    #[test]
    fn where_commits_count_it_is_refused_when_the_heap_is_made_and_never_later() {
        let count = {
            let ground = small(true);
            let session = Session::open(Plan::NOTHING);
            end(&begun(ground, PART).expect("memory"));
            session.counted()
        };
        assert!(count >= 5, "{count} calls: the core, its granules, their records and bits");
        for nth in 1..=count {
            let ground = small(true);
            let session = Session::open(Plan { nth, count: 1, choice: 0 });
            let error = begun(ground, PART).map(|held| end(&held)).expect_err("a call was refused");
            assert_ne!(error.code(), 0, "{error}");
            drop(session);
            // The second time its records have all they need.
            (0..2).for_each(|_| end(&begun(ground, SMALL_LEN).expect("nothing was lost")));
        }
        let held = begun(small(true), PART).expect("memory");
        let session = Session::open(Plan { nth: 1, count: usize::MAX, choice: 0 });
        held.allocate_run(3 * GRANULE_LEN, 1).expect("committed");
        let small = || held.allocate(Class::of(8)).is_ok();
        let blocks = (PART - 3) * GRANULE_LEN / 8;
        assert!((0..blocks).all(|_| small()), "committed, and its bits, too");
        assert!(!small(), "what is more is refused");
        drop(session);
        assert!(small());
        end(&held);
    }

    #[test]
    fn what_it_began_with_goes_back_when_it_is_dropped() {
        let ground = small(false);
        for _ in 0..3 {
            let held = begun(ground, SMALL_LEN).expect("all of the ground");
            assert!(core_of(ground).expect("a core").allocate(Class::of(8)).is_err());
            held.allocate_run(10 * GRANULE_LEN, 1).expect("there is room");
            end(&held);
        }
    }

    /// Both kinds of heaps, under one limit.
    fn both(initial: usize, most: usize) -> (LocalHeap, Heap) {
        let options = HeapOptions::new().initial_len(initial).max_len(most);
        (options.local().expect("memory"), options.shared().expect("memory"))
    }

    #[test]
    fn it_counts_against_the_limit_once() {
        let (local, shared) = both(1 << 20, 2 << 20);
        let fits = |block: &Result<NonNull<u8>, Error>| block.is_ok();
        for _ in 0..2 {
            let of_local: Vec<_> =
                (0..).map(|_| local.allocate(layout(4000, 8))).take_while(fits).collect();
            let of_shared: Vec<_> =
                (0..).map(|_| shared.allocate(layout(4000, 8))).take_while(fits).collect();
            assert_eq!((of_local.len(), of_shared.len()), (512, 512));
            assert_eq!((local.stats().len, local.stats().initial_left), (2 << 20, 0));
            for block in of_local.into_iter().flatten() {
                // SAFETY: (1) in use, and not used again.
                unsafe { local.deallocate(block) };
            }
            for block in of_shared.into_iter().flatten() {
                // SAFETY: (1) in use, and not used again.
                unsafe { shared.deallocate(block) };
            }
            local.trim();
            shared.trim();
            let (stats, theirs) = (local.stats(), shared.stats());
            assert_eq!((stats.len, stats.initial_left, stats), (1 << 20, 1 << 20, theirs));
            assert_eq!((local.validate(), shared.validate()), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn nobody_else_gets_it() {
        let (heap, other) = both(1 << 20, 1 << 20);
        let all = heap.allocate(layout(1 << 20, 1)).expect("one piece");
        // SAFETY: (1) in use, and not used again.
        unsafe { heap.deallocate(all) };
        heap.trim();
        let theirs =
            [100, 5000, 1 << 19].map(|size| other.allocate(layout(size, 8)).expect("room"));
        let ours = all.addr().get()..all.addr().get() + (1 << 20);
        assert!(theirs.iter().all(|block| !ours.contains(&block.addr().get())));
        let again = heap.allocate(layout(30, 8)).expect("room");
        assert!(ours.contains(&again.addr().get()));
    }

    #[test]
    fn threads_share_it() {
        let (_, heap) = both(64 << 20, 64 << 20);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let heap = &heap;
                scope.spawn(move || {
                    for turn in 0..2000 {
                        let size = 1 + (turn * 37 + thread) % 9000;
                        let block = heap
                            .allocate(layout(size, 8))
                            .expect("room for what all caches keep, too");
                        // SAFETY: in use and that long.
                        unsafe { block.write_bytes(thread as u8, size) };
                        // SAFETY: (1) in use, and not used again.
                        unsafe { heap.deallocate(block) };
                    }
                });
            }
        });
        heap.trim();
        let stats = heap.stats();
        assert_eq!((stats.blocks, stats.initial_left, heap.validate()), (0, 64 << 20, Ok(())));
    }

    #[test]
    fn long_blocks_are_aligned_and_grow_in_it() {
        let (heap, _) = both(4 << 20, 4 << 20);
        let wide = heap.allocate(layout(70_000, 1 << 20)).expect("room");
        assert!(wide.addr().get().is_multiple_of(1 << 20));
        // SAFETY: (1) in use, and not used again.
        unsafe { heap.deallocate(wide) };
        let old = layout(100_000, 8);
        let block = heap.allocate(old).expect("room");
        // SAFETY: (1) (2) of this heap with this layout, and used by its new address only.
        let longer = unsafe { heap.reallocate(block, old, 4 << 20) };
        assert_eq!(longer, Ok(block), "all of it is behind the block");
        // SAFETY: (1) (2) as above.
        let error = unsafe { heap.reallocate(block, layout(4 << 20, 8), 5 << 20) };
        assert_eq!(error.expect_err("the limit").kind(), ErrorKind::LimitReached);
        // SAFETY: (1) (2) as above.
        let shorter = unsafe { heap.reallocate(block, layout(4 << 20, 8), 1 << 20) };
        assert_eq!((shorter, heap.stats().initial_left), (Ok(block), 3 << 20));
        assert_eq!(heap.validate(), Ok(()));
    }

    #[test]
    fn zeroed_blocks_read_zero_the_second_time_too() {
        let (heap, _) = both(1 << 20, 1 << 20);
        for _ in 0..2 {
            let block = heap.allocate_zeroed(layout(1 << 20, 1)).expect("room");
            // SAFETY: in use, that long and initialised.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), 1 << 20) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            // SAFETY: in use and that long.
            unsafe { block.write_bytes(1, 1 << 20) };
            // SAFETY: (1) in use, and not used again.
            unsafe { heap.deallocate(block) };
        }
    }

    #[test]
    fn what_nobody_has_is_refused() {
        let more = HeapOptions::new().initial_len((1 << 20) + 1).max_len(1 << 20);
        let told = [more.local().map(drop), more.shared().map(drop)];
        assert_eq!(told.map(|told| told.map_err(|e| e.kind())), [Err(ErrorKind::OutOfRange); 2]);
        for len in [usize::MAX, isize::MAX as usize, 1 << 62] {
            let error = HeapOptions::new().initial_len(len).local().expect_err("no machine has it");
            assert_eq!(error.kind(), ErrorKind::NoAddressSpace);
        }
        assert_eq!(HeapOptions::new().initial_len(0).local().expect("a heap").stats().len, 0);
    }
}
