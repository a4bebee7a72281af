//! Floor 4, uses floors 0 to 2. Which parts of the ground are asked for in huge pages, and when.
//!
//! A huge page costs one fault where 512 small ones cost 512, and the processor finds its address
//! sooner; but all of it is memory as soon as one byte is touched, and a kernel that has none at
//! hand may work for milliseconds to make one, or a hypervisor behind it. Allocators that ask for
//! all of their memory in huge pages hold several times what the program uses, and are slow
//! whenever the kernel is. Google's TCMalloc (Hunter et al., OSDI 2021) looks at how dense each of
//! them would be; here what is there is looked at before more is asked for.
//!
//! # The rule
//! 1. The ground begins with small pages, whatever the system's habit is (MADV_NOHUGEPAGE), up to
//!    32 MiB; most programs never need more, and pay one call for this.
//! 2. Above that, whenever memory that was not used before is taken, a chunk of 2 MiB or more of
//!    it at once, some chunks of what has been taken for long are looked at (mincore), two for each
//!    new one, by turns. A chunk is dense if seven of eight pages that are taken are memory. A
//!    program that takes much and touches little of it is never given huge pages.
//! 3. A dense chunk all of which is taken is asked for (MADV_HUGEPAGE). That costs the program
//!    nothing: the kernel's own thread, khugepaged, makes a huge page of it when it comes by. A
//!    long-running program that goes to and fro in its memory gains; a short one has ended before.
//! 4. If four in a row were dense new chunks are asked for, too: at first one, and twice as many
//!    each time that goes well. The first page of them is touched at once, against the clock. If
//!    that took longer than half a millisecond, huge pages are dear at the moment: no new chunk is
//!    asked for while the next 100 MiB are taken, for each half of a millisecond. A chunk of small
//!    pages takes as long, about, so that trials cost at most a fiftieth of what the faults cost
//!    anyway.
//! 5. A chunk of which memory is given back becomes one of small pages again (MADV_NOHUGEPAGE), so
//!    that the kernel does not fill up what is cold. It may be asked for when all of it is taken
//!    anew.
//!
//! Where commits are counted (Windows, `vm.overcommit_memory=2`), and where the system takes no
//! such advice, nothing is done.

use super::class::GRANULE_LEN;
use super::ground::Ground;
use crate::ds::bits;
use crate::ds::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::ds::primitive::{AtomicU32, AtomicU64, AtomicUsize};
use crate::sys;
use crate::vm::{Advice, Reservation};
use core::ops::Range;

/// Granules of a chunk: 2 MiB, a huge page of most processors. Where they are longer the advice is
/// about nothing.
pub(super) const CHUNK: usize = (2 << 20) / GRANULE_LEN;

/// Chunks of the ground that were used before any is asked for.
const SMALL_CHUNKS: usize = 16;
/// Dense chunks in a row.
const DENSE_ENOUGH: usize = 4;
/// Looks for each new chunk, and at most at once; and chunks that are passed by meanwhile.
const LOOKS: usize = 2;
const LOOKS_MAX: usize = 8;
const PASSED_MAX: usize = 256;
/// The part of what was used that is not old: the last chunks.
const YOUNG_PART: usize = 16;
/// Chunks that are asked for without one beside them: each is a mapping of its own.
const ISLANDS_MAX: usize = 1 << 10;
/// The most that is asked for at once.
const TRUST_MAX: usize = 64;
/// Nanoseconds that the first touch may take.
const DEAR: u64 = 500_000;
/// Chunks that pass then, for each time as long.
const PAUSE: u64 = 50;

/// No process is of this generation.
const NOBODY: u32 = 0;

/// What is known of huge pages. Threads that are here at once may disturb each other's numbers,
/// which are guesses.
pub(super) struct Huge {
    /// The chunks that were asked for; `None` if none ever is.
    asked: Option<&'static [AtomicU64]>,
    /// Dense chunks in a row.
    dense: AtomicUsize,
    /// Chunks that may be asked for at once.
    trust: AtomicUsize,
    /// Chunks to let pass.
    skip: AtomicUsize,
    /// Where the next look goes.
    turn: AtomicUsize,
    /// Chunks that were asked for alone.
    islands: AtomicUsize,
    /// The generation of the process while a thread has pages moved, or gives advice about what
    /// others use: see `alone`.
    busy: AtomicU32,
}

impl Huge {
    /// For a ground that is not used yet; `asked` reads zero.
    pub(super) fn new(asked: Option<&'static [AtomicU64]>, memory: &Reservation) -> Self {
        let whole = 0..memory.len();
        // Rule 1. A system that has no huge pages has nothing to say against small ones.
        let is_told = || memory.advise_range(whole, Advice::NoHugePages).is_ok();
        Huge {
            asked: asked.filter(|_| is_told()),
            dense: AtomicUsize::new(0),
            trust: AtomicUsize::new(1),
            skip: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            islands: AtomicUsize::new(0),
            busy: AtomicU32::new(NOBODY),
        }
    }

    /// Granules were taken whose memory was not used since it was committed or given back; more
    /// than that may be new, up to whole chunks.
    #[cold]
    pub(super) fn consider(&self, ground: &Ground, clean: Range<usize>) {
        let chunks = clean.start.div_ceil(CHUNK)..clean.end / CHUNK;
        let Some(asked) = self.asked.filter(|_| !chunks.is_empty()) else { return };
        let used = ground.used().end / CHUNK;
        if used < SMALL_CHUNKS {
            return;
        }
        let old = used - used / YOUNG_PART;
        let looks = (LOOKS * chunks.len()).min(LOOKS_MAX);
        let by_turns = (0..PASSED_MAX).map(|_| self.next_of(old));
        let unasked = by_turns.filter(|&chunk| !is_asked(asked, chunk) && !chunks.contains(&chunk));
        unasked.take(looks).for_each(|chunk| self.look(ground, asked, chunk));
        if !self.passes(chunks.len()) && self.dense.load(Relaxed) >= DENSE_ENOUGH {
            let trust = self.trust.load(Relaxed);
            self.ask(ground.memory(), asked, chunks.start..chunks.end.min(chunks.start + trust));
        }
    }

    /// True while chunks pass after a disappointment.
    fn passes(&self, chunks: usize) -> bool {
        let skip = self.skip.load(Relaxed);
        self.skip.store(skip.saturating_sub(chunks), Relaxed);
        skip > 0
    }

    /// The chunk whose turn it is, of the first `old`.
    fn next_of(&self, old: usize) -> usize {
        let turn = self.turn.load(Relaxed);
        let chunk = if turn < old { turn } else { 0 };
        self.turn.store(chunk + 1, Relaxed);
        chunk
    }

    /// Rule 2: looks at a chunk that is old.
    fn look(&self, ground: &Ground, asked: &[AtomicU64], chunk: usize) {
        let granules = granules(&(chunk..chunk + 1));
        let taken = ground.taken_in(&granules);
        // Of little there is little to learn.
        if taken < CHUNK / 2 {
            return;
        }
        let resident = ground.memory().resident_len(bytes(&granules)).unwrap_or(0);
        let is_dense = resident * 8 >= taken * GRANULE_LEN * 7;
        self.dense.store(if is_dense { self.dense.load(Relaxed) + 1 } else { 0 }, Relaxed);
        if is_dense && taken == CHUNK {
            self.ask_later(ground.memory(), asked, chunk);
        }
    }

    /// Rule 3.
    fn ask_later(&self, memory: &Reservation, asked: &[AtomicU64], chunk: usize) {
        let is_island = !(chunk > 0 && is_asked(asked, chunk - 1) || is_asked(asked, chunk + 1));
        if is_island && self.islands.load(Relaxed) >= ISLANDS_MAX {
            return;
        }
        let chunks = chunk..chunk + 1;
        // If the system refuses, the pages stay small.
        let advise = || memory.advise_range(bytes(&granules(&chunks)), Advice::HugePages).is_ok();
        if self.alone(advise) == Some(true) {
            bits::set(asked, &chunks);
            self.islands.fetch_add(usize::from(is_island), Relaxed);
        }
    }

    /// Rule 4.
    fn ask(&self, memory: &Reservation, asked: &[AtomicU64], chunks: Range<usize>) {
        let whole = bytes(&granules(&chunks));
        match self.alone(|| memory.advise_range(whole.clone(), Advice::HugePages)) {
            Some(Ok(())) => bits::set(asked, &chunks),
            Some(Err(_)) => return self.skip.store(usize::MAX, Relaxed),
            None => return,
        }
        match memory.first_touch_ns(whole.start..whole.start + 1) {
            Ok(..DEAR) => {
                let trust = self.trust.load(Relaxed);
                self.trust.store((2 * trust).min(TRUST_MAX), Relaxed);
            }
            took => {
                self.trust.store(1, Relaxed);
                self.skip.store((took.unwrap_or(DEAR) / DEAR * PAUSE) as usize, Relaxed);
                self.forget_chunks(memory, asked, &(chunks.start + 1..chunks.end));
            }
        }
    }

    /// Rule 5: the memory of a run was given back.
    pub(super) fn forget(&self, memory: &Reservation, run: &Range<usize>) {
        if let Some(asked) = self.asked {
            let chunks = run.start / CHUNK..run.end.div_ceil(CHUNK);
            self.forget_chunks(memory, asked, &chunks);
        }
    }

    /// New memory was laid over a run, of which nothing was advised yet. (1)
    pub(super) fn renewed(&self, memory: &Reservation, run: &Range<usize>) {
        self.forget(memory, run);
        if self.asked.is_some() {
            let _ = memory.advise_range(bytes(run), Advice::NoHugePages);
        }
    }

    fn forget_chunks(&self, memory: &Reservation, asked: &[AtomicU64], chunks: &Range<usize>) {
        if bits::count(asked, chunks) > 0 {
            // If it cannot be, the kernel may fill up what is cold; no more than that.
            self.alone(|| {
                bits::clear(asked, chunks);
                let _ = memory.advise_range(bytes(&granules(chunks)), Advice::NoHugePages);
            });
        }
    }

    /// Does something unless another thread is in here: advice makes several mappings of one, and
    /// whoever moves pages has to know how many there are.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let (busy, now) = (self.busy.load(Relaxed), sys::generation());
        // One of an older generation is a thread that this process, a fork's child, does not have.
        if busy == now || self.busy.compare_exchange(busy, now, Acquire, Relaxed).is_err() {
            return None;
        }
        let done = work();
        self.busy.store(NOBODY, Release);
        Some(done)
    }
}

fn is_asked(asked: &[AtomicU64], chunk: usize) -> bool {
    bits::count(asked, &(chunk..chunk + 1)) > 0
}

const fn granules(chunks: &Range<usize>) -> Range<usize> {
    chunks.start * CHUNK..chunks.end * CHUNK
}

const fn bytes(granules: &Range<usize>) -> Range<usize> {
    granules.start * GRANULE_LEN..granules.end * GRANULE_LEN
}

#[cfg(test)]
mod tests {
    use super::super::ground::tests::small;
    use super::*;

    /// Takes all of a small ground by chunks, writes to one page of `step` in each, and tells how
    /// many chunks were asked for, and how many of the first, which were there before. Gives the
    /// memory back to the system.
    fn asked_for(step: usize) -> Option<(usize, usize)> {
        let ground = small(false);
        let asked = ground.huge.asked?;
        let first_chunk = bytes(&granules(&(0..1)));
        ground.memory().advise_range(first_chunk.clone(), Advice::HugePages).ok()?;
        ground.memory().advise_range(first_chunk, Advice::NoHugePages).ok()?;
        let all = 0..asked.len() * bits::BITS;
        let mut runs = std::vec::Vec::new();
        while let Ok((first, _)) = ground.take(CHUNK, CHUNK) {
            for offset in (0..CHUNK * GRANULE_LEN).step_by(step) {
                // SAFETY: ours, committed, and a chunk long.
                unsafe { ground.place(first).wrapping_add(offset).write(1) };
            }
            runs.push(first..first + CHUNK);
        }
        let count = (bits::count(asked, &all), bits::count(asked, &(0..SMALL_CHUNKS / 2)));
        runs.into_iter().for_each(|run| ground.give(run));
        ground.empty_idle(0);
        assert_eq!(bits::count(asked, &all), 0, "what is cold has small pages");
        Some(count)
    }

    #[test]
    fn only_what_is_dense_gets_huge_pages() {
        let page_len = crate::sys::limits().page_len;
        let Some(sparse) = asked_for(16 * page_len) else {
            std::println!("skipped: this system takes no advice about huge pages");
            return;
        };
        assert_eq!(sparse, (0, 0), "a page of sixteen was touched");
        let (all, old) = asked_for(page_len).expect("as before");
        assert!((SMALL_CHUNKS..=32).contains(&all), "{all} of 32");
        assert_eq!(old, SMALL_CHUNKS / 2, "what is old and dense");
    }
}
