//! Floor 4, uses floors 0 to 2. What all heaps stand on: one range of addresses, given out in
//! granules of 64 KiB, and the tables that say whose they are.
//!
//! ```text
//!   addresses  | granule 0 | granule 1 | granule 2 | ...        reserved once, 1 TiB if it can be
//!   slabs      | record 0  | record 1  | record 2  | ...        128 bytes each
//!   taken, dirty, ready    one bit each
//!   pool       words for the bits of slabs
//!   cores      what a heap knows of itself
//! ```
//! What was never needed is only reserved; the rest is committed in steps. Where the system counts
//! what is committed before it is touched (Windows; Linux under `vm.overcommit_memory=2`), the
//! ground is smaller and granules are committed one by one, when they are taken for the first time:
//! `ready` says which are.
//!
//! # Invariants
//! 1. A granule is taken by one owner at a time (`ds::runs`), and its record is his until he gives
//!    it back. A record of a free granule says so before its bit does.
//! 2. A granule whose `dirty` bit is clear reads zero. The bit belongs to whoever has the granule.
//! 3. `idle` is about the number of granules that are dirty and not taken, never less. Above the
//!    limit they are emptied, at once, by whoever gave the last one: nobody has to come again for
//!    that.
//!
//! # What stays
//! At most 16 MiB of free memory or an eighth of what is taken, whichever is more, stays with the
//! process, and an allowance; above that memory goes back until three quarters of it are left. No
//! clock, no thread.
//!
//! The allowance is for programs that take the same memory again and again, as those that work with
//! a few long blocks: a page that was given back and is touched again costs the system ten times
//! what it costs to keep it. It begins with nothing, grows by every granule that was given back
//! and is taken again, to at most half of the ground that was ever used. Whenever memory goes back
//! it loses half, but no more than is still away from the times before: a program that takes
//! everything again keeps it all, one that frees what it has and does not come again has none.
//! For huge pages see `huge`.

use super::class::GRANULE_LEN;
use super::core::Core;
use super::huge::{CHUNK, Huge};
use super::slab::Slab;
use super::table::{Books, Table};
use crate::ds::bits::{self, BITS};
use crate::ds::once::Once;
use crate::ds::primitive::Ordering::Relaxed;
use crate::ds::primitive::{AtomicU64, AtomicUsize};
use crate::ds::ready_stack::ReadyStack;
use crate::ds::runs::Runs;
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use crate::vm::{CommitPolicy, GuardKind, Protection, Reservation};
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::NonNull;

/// Granules of the ground: 1 TiB, less where the system does not give so much.
const GRANULES: usize = 1 << 24;
/// The same where all that is committed counts.
const COUNTED_GRANULES: usize = 1 << 20;
const GRANULES_MIN: usize = 1 << 12;
/// The part of a program's addresses that it takes at most, and how much smaller the next try is:
/// others want addresses, too.
const ADDRESSES_PART: usize = 64;
const SMALLER: usize = 16;

/// Free memory that stays in any case, in granules.
const KEPT_MIN: usize = (16 << 20) / GRANULE_LEN;
/// The part of what is taken that may stay as well.
const KEPT_PART: usize = 8;

/// Granules that resting cores keep, all together.
const SPARES_MAX: usize = 64;

/// Words of bits, and of the pool, that are committed at a time.
const WORDS_STEP: usize = 512;

/// Cores that are committed at a time, where that is not counted.
const CORES_STEP: usize = 4;

/// Cores there can be, and for how many granules each.
const CORES: usize = 1 << 14;
const GRANULES_OF_CORE: usize = 16;

/// Words of bits for each granule, at most: a slab of the smallest class has two times 128, and a
/// granule that came to it by all powers of two before has left as many behind.
const POOL_WORDS: usize = 2 * 2 * 128;

/// See the module.
pub(super) struct Ground {
    base: NonNull<u8>,
    memory: ManuallyDrop<Reservation>,
    books: ManuallyDrop<Books>,
    slabs: Table<Slab, true>,
    cores: Table<Core, true>,
    pool: Table<AtomicU64>,
    taken: Runs<'static>,
    dirty: &'static [AtomicU64],
    /// Those that are committed, where that is counted; else all are that have a record.
    ready: Option<&'static [AtomicU64]>,
    pub(super) huge: Huge,
    pool_used: AtomicUsize,
    cores_used: AtomicUsize,
    resting: ReadyStack,
    taken_count: AtomicUsize,
    idle: AtomicUsize,
    /// Granules that were emptied and not taken since, about.
    missed: AtomicUsize,
    /// See the module.
    allowance: AtomicUsize,
    spares: AtomicUsize,
    /// No word of bits at or above was ever used.
    high: AtomicUsize,
}

// SAFETY: it is not tied to a thread: a few ranges of addresses.
unsafe impl Send for Ground {}
// SAFETY: invariant 1: the memory of a granule belongs to whoever has taken it; the tables are of
// atomics, and of cores, which are `Sync` by their own rules.
unsafe impl Sync for Ground {}

/// The ground of the process; made by whoever needs it first.
///
/// # Errors
/// `NoAddressSpace`, `NoMemory`: there is not even room for the smallest. The next call tries
/// again.
pub(super) fn ground() -> Result<&'static Ground, Error> {
    GROUND.get_or_try_make(Ground::largest)
}

static GROUND: Once<Ground> = Once::new();

/// The ground, which somebody has made.
///
/// # Safety
/// 1. [`ground`] has given it, which happened before.
#[inline]
pub(super) unsafe fn ground_made() -> &'static Ground {
    // SAFETY: (1).
    unsafe { GROUND.get_made() }
}

impl Ground {
    fn largest() -> Result<Self, Error> {
        let fair = sys::limits().address_max / ADDRESSES_PART / GRANULE_LEN;
        let most = if sys::COMMITS_LAZILY { GRANULES } else { COUNTED_GRANULES };
        let mut count = most.min(1 << fair.max(GRANULES_MIN).ilog2());
        loop {
            // What is committed at once is refused where it counts.
            let is_counted = count <= COUNTED_GRANULES;
            match Self::new(count, is_counted) {
                Err(error) if count <= GRANULES_MIN => return Err(error),
                Err(_) => count /= SMALLER,
                made => return made,
            }
        }
    }

    fn new(count: usize, is_counted: bool) -> Result<Self, Error> {
        let len = count * GRANULE_LEN;
        let builder = Reservation::builder().len(len).align(CHUNK * GRANULE_LEN);
        let builder = builder.policy(CommitPolicy::Lazy).untracked();
        // Without guards, as the books are.
        let memory = builder.guard_kind(GuardKind::Split).reserve()?;
        let base = NonNull::new(memory.as_ptr()).expect("a reservation is not at address 0");
        let step = if is_counted { BITS / 2 } else { CHUNK };
        let (core_count, pool_count) = (CORES.min(count / GRANULES_OF_CORE), count * POOL_WORDS);
        let words = count / BITS;
        let more_words = if is_counted { words } else { (count / CHUNK).div_ceil(BITS) };
        let all_words = 2 * words + more_words;
        let mut books = Books::reserve(
            Books::len_of::<Slab>(count)
                + Books::len_of::<AtomicU64>(all_words)
                + Books::len_of::<Core>(core_count)
                + Books::len_of::<AtomicU64>(pool_count),
        )?;
        // SAFETY: (1) zero is a record of a free granule; (2) `take` prepares what it gives, and
        // `granule_of` knows no other; (3) the ground is never dropped.
        let slabs = unsafe { books.table(count, step) };
        // SAFETY: (1) words; (2) below; (3) as above.
        let bits = unsafe { books.table::<AtomicU64, false>(all_words, all_words) };
        bits.prepare(&books, all_words)?;
        // SAFETY: (1) zero is an empty core; (2) `take_core` prepares it; (3) as above.
        let cores = unsafe { books.table(core_count, if is_counted { 1 } else { CORES_STEP }) };
        // SAFETY: (1) words; (2) `words_for` prepares them; (3) as above.
        let pool = unsafe { books.table(pool_count, WORDS_STEP) };
        // From here on nothing can fail, and nothing is dropped.
        let (taken, bits) = bits.range(0..all_words).split_at(words);
        // The first page of a table that is read before it is written costs two faults.
        taken[0].store(0, Relaxed);
        let (dirty, bits) = bits.split_at(words);
        let (ready, asked) = if is_counted { (Some(bits), None) } else { (None, Some(bits)) };
        Ok(Ground {
            base,
            huge: Huge::new(asked, &memory),
            memory: ManuallyDrop::new(memory),
            books: ManuallyDrop::new(books),
            slabs,
            cores,
            pool,
            taken: Runs::new(taken),
            dirty,
            ready,
            pool_used: AtomicUsize::new(0),
            cores_used: AtomicUsize::new(0),
            resting: ReadyStack::new(),
            taken_count: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            missed: AtomicUsize::new(0),
            allowance: AtomicUsize::new(0),
            spares: AtomicUsize::new(0),
            high: AtomicUsize::new(0),
        })
    }

    /// The granule that an address lies in, if it is one of ours and has a record.
    #[inline]
    pub(super) fn granule_of(&self, block: NonNull<u8>) -> Option<usize> {
        let granule = self.granule_at(block.addr().get());
        (granule < self.slabs.prepared()).then_some(granule)
    }

    #[inline(always)]
    fn granule_at(&self, addr: usize) -> usize {
        addr.wrapping_sub(self.base.addr().get()) / GRANULE_LEN
    }

    /// The record of the granule that an address lies in, which may be any address.
    #[inline(always)]
    pub(super) fn slab_at(&self, block: *mut u8) -> Option<&'static Slab> {
        self.slabs.get_if_there(self.granule_at(block.addr()))
    }

    /// How far an address lies behind the beginning of a granule.
    #[inline]
    pub(super) fn offset_in(&self, granule: usize, block: NonNull<u8>) -> usize {
        block.addr().get() - self.base.addr().get() - granule * GRANULE_LEN
    }

    /// The first byte of a granule.
    #[inline]
    pub(super) const fn place(&self, granule: usize) -> *mut u8 {
        self.base.as_ptr().wrapping_add(granule * GRANULE_LEN)
    }

    /// The record of a granule.
    #[inline]
    pub(super) fn slab(&self, granule: usize) -> &'static Slab {
        self.slabs.get(granule)
    }

    /// Granules that are free and have memory, about.
    pub(super) fn idle(&self) -> usize {
        self.idle.load(Relaxed)
    }

    /// The granules that were ever used, about.
    pub(super) fn used(&self) -> Range<usize> {
        0..(self.high.load(Relaxed) * BITS).min(self.slabs.prepared())
    }

    /// The cores that were ever used.
    pub(super) fn cores(&self) -> impl Iterator<Item = &'static Core> + '_ {
        let count = self.cores_used.load(Relaxed).min(self.cores.count());
        (0..count).map(|number| self.cores.get(number))
    }

    /// The record of a core.
    pub(super) fn core(&self, number: u32) -> &'static Core {
        self.cores.get(number as usize)
    }

    /// The bits of a slab's free blocks, and those of the blocks that others return.
    #[inline]
    pub(super) fn bits(&self, slab: &Slab) -> (&'static [AtomicU64], &'static [AtomicU64]) {
        let (start, count) =
            (slab.bits.get() as usize, (slab.blocks.get() as usize).div_ceil(BITS));
        self.pool.range(start..start + 2 * count).split_at(count)
    }

    /// The bits of the blocks that others return, for who only looks while the slab may become
    /// another one: words that are there, if not always the right ones.
    pub(super) fn returned_bits(&self, slab: &Slab) -> &'static [AtomicU64] {
        let room = slab.room.get() as usize;
        let (start, count) =
            (slab.bits.get() as usize, (slab.blocks.get() as usize).div_ceil(BITS).min(room));
        self.pool.range(start + count..start + 2 * count)
    }

    /// One word of the bits of a slab's free blocks.
    #[inline]
    pub(super) fn word(&self, slab: &Slab, word: usize) -> &'static AtomicU64 {
        self.pool.get(slab.bits.get() as usize + word)
    }

    /// Takes `count` granules in a row, at an address that is a multiple of `align` granules; and
    /// says whether they read zero.
    ///
    /// # Errors
    /// - `NoAddressSpace`: all of the ground is in use, or no such run is left; near that also
    ///   while another thread tries.
    /// - `NoMemory`: the system refuses to commit.
    pub(super) fn take(&self, count: usize, align: usize) -> Result<(usize, bool), Error> {
        let phase = self.base.addr().get() / GRANULE_LEN % align;
        let Some(first) = self.taken.take(count, align, phase) else {
            let (addr, len) = (self.base.addr().get(), count.saturating_mul(GRANULE_LEN));
            return Err(Error::new(Op::Allocate, ErrorKind::NoAddressSpace, addr, len, 0));
        };
        let dirty = self.receive(first..first + count)?;
        Ok((first, dirty == 0))
    }

    /// Takes the granules right behind a run of the caller's; false if they are not free.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses to commit.
    pub(super) fn take_behind(&self, run: Range<usize>) -> Result<bool, Error> {
        if run.end > self.slabs.count() || !self.taken.take_at(run.clone()) {
            return Ok(false);
        }
        self.receive(run).map(|_| true)
    }

    /// Makes a run that was just taken ready to be used, or gives it back; says how many granules
    /// of it are dirty.
    fn receive(&self, run: Range<usize>) -> Result<usize, Error> {
        let fresh = self.make_ready(&run).inspect_err(|_| self.taken.give(run.clone()))?;
        self.high.fetch_max(run.end.div_ceil(BITS), Relaxed);
        self.taken_count.fetch_add(run.len(), Relaxed);
        let dirty = self.clear_dirty(&run);
        if dirty < run.len() && self.missed.load(Relaxed) > 0 {
            self.regret(run.len() - dirty);
        }
        if !fresh.is_empty() || dirty == 0 && run.len() >= CHUNK {
            let clean = if fresh.is_empty() { run } else { fresh };
            self.huge.consider(self, clean);
        }
        Ok(dirty)
    }

    /// Clears the dirty bits of granules that were just taken, and says how many were set. While
    /// nothing is idle none is: whoever gave one of them counted it before.
    fn clear_dirty(&self, run: &Range<usize>) -> usize {
        if self.idle.load(Relaxed) == 0 {
            return 0;
        }
        let dirty = bits::clear(self.dirty, run);
        if dirty > 0 {
            self.idle.fetch_sub(dirty, Relaxed);
        }
        dirty
    }

    /// Some of what was emptied is taken again: it should have been kept. The numbers need not be
    /// exact.
    #[cold]
    fn regret(&self, clean: usize) {
        let missed = self.missed.load(Relaxed);
        let count = clean.min(missed);
        self.missed.store(missed - count, Relaxed);
        let most = self.high.load(Relaxed) * BITS / 2;
        let allowance = self.allowance.load(Relaxed) + count;
        self.allowance.store(allowance.min(most), Relaxed);
    }

    /// Gives granules of the caller's back, whose records are his last word on them.
    pub(super) fn give(&self, run: Range<usize>) {
        for granule in run.clone() {
            self.slab(granule).become_free();
        }
        bits::set(self.dirty, &run);
        let idle = self.idle.fetch_add(run.len(), Relaxed) + run.len();
        let taken = self.taken_count.fetch_sub(run.len(), Relaxed) - run.len();
        self.taken.give(run);
        let allowance = self.allowance.load(Relaxed);
        let kept = KEPT_MIN.max(taken / KEPT_PART) + allowance;
        if idle > kept {
            let lost = (allowance / 2).min(self.missed.load(Relaxed));
            self.allowance.store(allowance - lost, Relaxed);
            self.empty_idle(kept / 4 * 3);
        }
    }

    /// Gives the memory of free granules back to the system until `kept` of them still have some;
    /// from the top, because the lowest are the next to be used.
    pub(super) fn empty_idle(&self, kept: usize) {
        for word in (0..self.high.load(Relaxed).min(self.dirty.len())).rev() {
            while self.idle.load(Relaxed) > kept {
                let dirty = self.dirty[word].load(Relaxed);
                let Some(run) = self.take_idle(word, dirty) else { break };
                if !self.empty(run) {
                    return;
                }
            }
        }
    }

    /// Takes the highest run of granules of a word that are dirty and free.
    fn take_idle(&self, word: usize, mut dirty: u64) -> Option<Range<usize>> {
        while dirty != 0 {
            let end = BITS - dirty.leading_zeros() as usize;
            let len = (dirty << (BITS - end)).leading_ones() as usize;
            let run = word * BITS + end - len..word * BITS + end;
            if self.taken.take_at(run.clone()) {
                return Some(run);
            }
            // A part of it is somebody's: one by one.
            let single = run.end - 1..run.end;
            if self.taken.take_at(single.clone()) {
                return Some(single);
            }
            dirty &= !(1 << (end - 1));
        }
        None
    }

    /// Empties granules that were taken for that, and gives them back; false if the system does not
    /// take their memory. Then they stay dirty, and are committed again before they are used.
    fn empty(&self, run: Range<usize>) -> bool {
        let is_done = self.memory.empty(Self::bytes(&run)).is_ok();
        if is_done {
            self.huge.forget(&self.memory, &run);
            let count = bits::clear(self.dirty, &run);
            self.idle.fetch_sub(count, Relaxed);
            self.missed.fetch_add(count, Relaxed);
        } else if let Some(ready) = self.ready {
            bits::clear(ready, &run);
        }
        self.taken.give(run);
        is_done
    }

    /// Says which granules are new, if all that have a record are committed.
    fn make_ready(&self, run: &Range<usize>) -> Result<Range<usize>, Error> {
        let none = run.end..run.end;
        let Some(ready) = self.ready else {
            let old = self.slabs.prepared();
            if run.end <= old {
                return Ok(none);
            }
            let end = run.end.next_multiple_of(CHUNK);
            self.commit(old..end)?;
            self.slabs.prepare(&self.books, end)?;
            return Ok(old..end);
        };
        if bits::count(ready, run) < run.len() {
            self.slabs.prepare(&self.books, run.end)?;
            self.commit(run.clone())?;
            bits::set(ready, run);
        }
        Ok(none)
    }

    fn commit(&self, run: Range<usize>) -> Result<(), Error> {
        self.memory.commit(Self::bytes(&run), Protection::ReadWrite)
    }

    const fn bytes(run: &Range<usize>) -> Range<usize> {
        run.start * GRANULE_LEN..run.end * GRANULE_LEN
    }

    /// The memory of all granules.
    pub(super) fn memory(&self) -> &Reservation {
        &self.memory
    }

    /// Which granules somebody has, of those in a range.
    pub(super) fn taken_in(&self, range: &Range<usize>) -> usize {
        self.taken.count(range)
    }

    /// Words for the bits of a slab, two times `count`; they are the granule's for ever.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses to commit them.
    pub(super) fn words_for(&self, slab: &Slab, count: u32) -> Result<(), Error> {
        if slab.room.get() >= count {
            return Ok(());
        }
        let count = count.next_power_of_two();
        let len = 2 * count as usize;
        let more = |used: usize| used.checked_add(len).filter(|&end| end <= self.pool.count());
        let Ok(start) = self.pool_used.fetch_update(Relaxed, Relaxed, more) else {
            let bytes = len * size_of::<u64>();
            return Err(Error::new(Op::Allocate, ErrorKind::NoMemory, 0, bytes, 0));
        };
        self.pool.prepare(&self.books, start + len).inspect_err(|_| {
            // Unless somebody has taken more meanwhile; then these are lost.
            let _ = self.pool_used.compare_exchange(start + len, start, Relaxed, Relaxed);
        })?;
        slab.bits.set(start as u32);
        slab.room.set(count);
        Ok(())
    }

    /// A core that nobody has: a rested one or a new one.
    ///
    /// # Errors
    /// `NoMemory`: there are as many as there can be, or the system refuses to commit one.
    pub(super) fn take_core(&self) -> Result<&'static Core, Error> {
        if let Some(number) = self.resting.pop(|number| self.core(number).link()) {
            return Ok(self.core(number));
        }
        loop {
            let number = self.cores_used.load(Relaxed);
            if number == self.cores.count() {
                let len = size_of::<Core>();
                return Err(Error::new(Op::Allocate, ErrorKind::NoMemory, 0, len, 0));
            }
            self.cores.prepare(&self.books, number + 1)?;
            let (old, new) = (number, number + 1);
            if self.cores_used.compare_exchange(old, new, Relaxed, Relaxed).is_ok() {
                let core = self.cores.get(number);
                core.name_it(number as u32);
                return Ok(core);
            }
        }
    }

    /// True if a core may keep one more granule for its next heap.
    pub(super) fn may_keep_spare(&self) -> bool {
        let more = |count: usize| (count < SPARES_MAX).then_some(count + 1);
        self.spares.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// A core uses the granule that it kept.
    pub(super) fn take_spare(&self) {
        self.spares.fetch_sub(1, Relaxed);
    }

    /// Takes a core back that has nothing any more but a spare granule.
    pub(super) fn rest(&self, core: &Core) {
        self.resting.push(core.number(), core.link());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::class::Class;
    use super::super::held::Held;
    use super::*;
    use crate::sys::inject::{Plan, Session};
    use std::vec::Vec;

    /// Twice of what is kept, and little to look at for who reads all mappings of a process.
    const SMALL_LEN: usize = 4 * KEPT_MIN;

    /// A small one, which stays for ever.
    pub(in super::super) fn small(is_counted: bool) -> &'static Ground {
        let ground = Ground::new(SMALL_LEN, is_counted).expect("64 MiB of addresses");
        std::boxed::Box::leak(std::boxed::Box::new(ground))
    }

    fn held(ground: &'static Ground) -> Result<Held, Error> {
        let core = ground.take_core()?;
        core.begin(core.number(), usize::MAX);
        // SAFETY: (1) nobody else has it.
        Ok(unsafe { Held::new(ground, core) })
    }

    /// Blocks of three sizes, and what they stand on.
    fn story(ground: &'static Ground) -> Result<(), Error> {
        let heap = held(ground)?;
        let blocks = [16, 3000, 20_000].map(|size| heap.allocate(Class::of(size)));
        let long = heap.allocate_run(1 << 20, 1);
        let told = blocks.iter().map(|block| block.map(drop)).chain([long.map(drop)]);
        let told = told.collect::<Result<Vec<_>, _>>().map(drop);
        for (block, size) in blocks.iter().zip([16, 3000, 20_000]) {
            if let Ok(block) = *block {
                // SAFETY: in use and that long: it has to be there.
                unsafe { block.write_bytes(1, size) };
                heap.free(Class::of(size), block);
            }
        }
        assert_eq!(heap.validate(), Ok(()));
        heap.drop_all();
        ground.rest(heap.core);
        assert_eq!(ground.taken_count.load(Relaxed), ground.spares.load(Relaxed));
        told
    }

    #[test]
    fn where_commits_count_each_may_be_refused() {
        let count = {
            let ground = small(true);
            let session = Session::open(Plan::NOTHING);
            story(ground).expect("memory");
            session.counted()
        };
        assert!(count >= 6, "{count} calls: the core, words, slabs and granules");
        for nth in 1..=count {
            let ground = small(true);
            let session = Session::open(Plan { nth, count: 1, choice: 0 });
            let error = story(ground).expect_err("a call was refused");
            assert_ne!(error.code(), 0, "{error}");
            story(ground).expect("memory again");
            drop(session);
        }
    }

    #[test]
    fn free_memory_goes_back_above_what_is_kept() {
        let ground = small(false);
        let all = SMALL_LEN - 64;
        let (first, is_zero) = ground.take(all, 1).expect("room");
        assert!(is_zero);
        for granule in first..first + all {
            // SAFETY: ours, committed, and 64 KiB long.
            unsafe { ground.place(granule).write(1) };
        }
        ground.give(first..first + all / 2);
        assert!(ground.idle.load(Relaxed) <= KEPT_MIN, "{}", ground.idle.load(Relaxed));
        ground.give(first + all / 2..first + all);
        assert!(ground.idle.load(Relaxed) <= KEPT_MIN);
        ground.empty_idle(0);
        assert_eq!(ground.idle.load(Relaxed), 0);
        let (again, is_zero) = ground.take(all, 1).expect("room");
        assert!(
            is_zero
                && (0..all).all(|granule| {
                    // SAFETY: ours and committed.
                    unsafe { ground.place(again + granule).read() == 0 }
                })
        );
    }

    #[test]
    fn what_is_taken_again_and_again_is_kept_after_a_while() {
        let ground = small(false);
        let part = SMALL_LEN / 4;
        let turn = || {
            let runs = [0; 2].map(|_| ground.take(part, 1).expect("room"));
            runs.iter().for_each(|&(first, _)| ground.give(first..first + part));
            ground.idle.load(Relaxed) < 2 * part
        };
        assert!(turn() && ground.allowance.load(Relaxed) == 0, "nothing was missed yet");
        let emptied = (0..20).filter(|_| turn()).count();
        assert!(emptied < 10 && !turn(), "{emptied} turns of 20 gave memory back");
        assert!(ground.allowance.load(Relaxed) <= SMALL_LEN / 2);
    }

    #[test]
    fn memory_that_the_system_does_not_take_stays_in_use() {
        for is_counted in [false, true] {
            refuse_to_be_emptied(small(is_counted));
        }
    }

    fn refuse_to_be_emptied(ground: &'static Ground) {
        let (first, _) = ground.take(10, 1).expect("room");
        // SAFETY: ours, committed, and 64 KiB long.
        unsafe { ground.place(first).write(1) };
        ground.give(first..first + 10);
        let session = Session::open(Plan { nth: 1, count: usize::MAX, choice: 0 });
        ground.empty_idle(0);
        drop(session);
        assert_eq!(ground.idle.load(Relaxed), 10);
        let (first, is_zero) = ground.take(10, 1).expect("room");
        assert!(!is_zero, "granule {first} was not emptied");
        // SAFETY: ours, committed, and 64 KiB long.
        unsafe { ground.place(first).write(2) };
    }

    #[test]
    fn when_all_is_taken_it_says_so() {
        let ground = small(false);
        let error = ground.take(SMALL_LEN + 1, 1).expect_err("there are fewer");
        assert_eq!(error.kind(), ErrorKind::NoAddressSpace);
        let (first, _) = ground.take(SMALL_LEN, 1).expect("room");
        assert!(ground.take(1, 1).is_err());
        ground.give(first..first + SMALL_LEN);
    }
}
