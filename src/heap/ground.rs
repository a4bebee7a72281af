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
//! What was never needed is only reserved, but for the bits (4 MiB for 1 TiB); the rest is
//! committed in steps. Where the system counts what is committed before it is touched (Windows;
//! Linux under `vm.overcommit_memory=2`), the ground is smaller and granules are committed one by
//! one, when they are taken for the first time: `ready` says which are.
//!
//! # Invariants
//! 1. A granule is taken by one owner at a time (`ds::runs`), and its record is his until he gives
//!    it back. A record of a free granule says so before its bit does.
//! 2. A granule whose `dirty` bit is clear reads zero. The bit belongs to whoever has the granule.
//! 3. `idle` is about the number of granules that are dirty and not taken, never less. Above the
//!    limit they are emptied, at once, by whoever gave the last one: nobody has to come again.
//! 4. `waiting` is about the number of granules that are somebody's, and of which all blocks were
//!    given back by others: they may be emptied like those that are free. What is emptied so stays
//!    its owner's, and has its `dirty` bit if the system refused. Neither is counted as taken until
//!    the owner has come for it.
//!
//! What of it stays with the process is in `ground::stays`, how blocks get another place in
//! `ground::carried`; for huge pages see `huge`.

mod carried;
mod stays;

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

/// The part of the ground that a block with room to grow takes at most.
const ROOM_PART: usize = 16;

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
    waiting: AtomicUsize,
    /// Slabs that others have emptied, or are about to, in which the owner has free blocks.
    shut: AtomicUsize,
    /// Granules that were emptied and not taken since, about.
    missed: AtomicUsize,
    /// See the module.
    allowance: AtomicUsize,
    spares: AtomicUsize,
    /// See `carried`.
    pieces: AtomicUsize,
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

/// The ground, if somebody has made it.
pub(super) fn ground_if_made() -> Option<&'static Ground> {
    GROUND.get()
}

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
            waiting: AtomicUsize::new(0),
            shut: AtomicUsize::new(0),
            missed: AtomicUsize::new(0),
            allowance: AtomicUsize::new(0),
            spares: AtomicUsize::new(0),
            pieces: AtomicUsize::new(0),
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
        let Some(first) = self.taken.take(count, align, self.phase(align)) else {
            let (addr, len) = (self.base.addr().get(), count.saturating_mul(GRANULE_LEN));
            return Err(Error::new(Op::Allocate, ErrorKind::NoAddressSpace, addr, len, 0));
        };
        let dirty = self.receive(first..first + count, 0)?;
        Ok((first, dirty == 0))
    }

    /// The same in the middle of a place three times as long, if there is one: what is behind is
    /// free at first, and what is before it as well, where the next slabs go. The memory of the
    /// first `moved` granules will come from elsewhere: as a whole, if they lie as huge pages do.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub(super) fn take_with_room(
        &self,
        count: usize,
        align: usize,
        moved: usize,
    ) -> Result<(usize, bool), Error> {
        let wished = if moved > 0 { align.max(CHUNK) } else { align };
        let (room, phase) = (count.next_multiple_of(wished), self.phase(wished));
        let len = count.saturating_add(2 * room);
        // Of a small ground others may need what is taken for this moment.
        let is_small = len <= self.slabs.count() / ROOM_PART;
        let wide = is_small.then(|| self.taken.take(len, wished, phase)).flatten();
        let Some(start) = wide else { return self.take(count, align) };
        let run = start + room..start + room + count;
        self.taken.give(start..run.start);
        self.taken.give(run.end..start + len);
        let dirty = self.receive(run.clone(), moved)?;
        Ok((run.start, dirty == 0))
    }

    /// How far the ground is behind a multiple of so many granules.
    fn phase(&self, align: usize) -> usize {
        self.base.addr().get() / GRANULE_LEN % align
    }

    /// Takes the granules right behind a run of the caller's; false if they are not free.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses to commit.
    pub(super) fn take_behind(&self, run: Range<usize>) -> Result<bool, Error> {
        if run.end > self.slabs.count() || !self.taken.take_at(run.clone()) {
            return Ok(false);
        }
        self.receive(run, 0).map(|_| true)
    }

    /// Makes a run that was just taken ready to be used, or gives it back; says how many granules
    /// of it are dirty. The first `moved` need no huge pages.
    fn receive(&self, run: Range<usize>, moved: usize) -> Result<usize, Error> {
        let fresh = self.make_ready(&run).inspect_err(|_| self.taken.give(run.clone()))?;
        self.high.fetch_max(run.end.div_ceil(BITS), Relaxed);
        self.taken_count.fetch_add(run.len(), Relaxed);
        let dirty = self.clear_dirty(&run);
        if dirty < run.len() && self.missed.load(Relaxed) > 0 {
            self.regret(run.len() - dirty);
        }
        if !fresh.is_empty() || dirty == 0 && run.len() >= CHUNK {
            // What was made ready on the way to a distant run is not in use.
            let begin = match moved {
                0 => fresh.start.max(run.start / CHUNK * CHUNK),
                _ => run.start + moved,
            };
            let clean =
                if fresh.is_empty() { run.start + moved..run.end } else { begin..fresh.end };
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
        let start = self.take_words(2 * count as usize)?;
        slab.bits.set(start);
        slab.room.set(count);
        Ok(())
    }

    /// Words of the pool that are the caller's for ever; they read zero.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses to commit them, or there are no more.
    pub(super) fn take_words(&self, len: usize) -> Result<u32, Error> {
        let more = |used: usize| used.checked_add(len).filter(|&end| end <= self.pool.count());
        let Ok(start) = self.pool_used.fetch_update(Relaxed, Relaxed, more) else {
            let bytes = len * size_of::<u64>();
            return Err(Error::new(Op::Allocate, ErrorKind::NoMemory, 0, bytes, 0));
        };
        self.pool.prepare(&self.books, start + len).inspect_err(|_| {
            // Unless somebody has taken more meanwhile; then these are lost.
            let _ = self.pool_used.compare_exchange(start + len, start, Relaxed, Relaxed);
        })?;
        Ok(start as u32)
    }

    /// Words that `take_words` has given.
    pub(super) fn words(&self, start: u32, len: usize) -> &'static [AtomicU64] {
        self.pool.range(start as usize..start as usize + len)
    }

    /// True where what is committed counts, touched or not.
    pub(super) const fn is_counted(&self) -> bool {
        self.ready.is_some()
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
        core.end();
        self.resting.push(core.number(), core.link());
    }
}

#[cfg(test)]
pub(super) mod tests;
