//! Floor 0, pure. Runs of equal places, taken and given back by any number of threads.
//!
//! One bit for each place; a set bit is a place that somebody has. The numbered rules:
//! 1. A place is owned by whoever changed its bit from 0 to 1, until he changes it back.
//! 2. A run is taken word by word, upwards. Whoever finds a place of it taken gives back what he
//!    has of it, and goes on looking behind that place.
//! 3. `low` is a hint: no place below its word was free when it was written. It is never trusted: a
//!    search that finds nothing from there begins again at the first word.
//! 4. No call waits: it repeats only what another thread's success made void. A process that is
//!    forked in the middle of a call has lost at most the places of that call.
//!
//! The lowest run that fits is taken, so that what is in use stays together.
#![forbid(unsafe_code)]

use super::bits::{self, BITS, masks};
use super::primitive::{AtomicU64, AtomicUsize, Ordering};
use core::ops::Range;

/// Places 0.. of a number that is fixed when it is made.
#[derive(Debug)]
pub(crate) struct Runs<'a> {
    taken: &'a [AtomicU64],
    low: AtomicUsize,
}

impl<'a> Runs<'a> {
    /// Over words that read 0: all places are free.
    pub(crate) fn new(taken: &'a [AtomicU64]) -> Self {
        Runs { taken, low: AtomicUsize::new(0) }
    }

    /// Takes the lowest `len` places in a row whose first is, `phase` added, a multiple of `align`;
    /// `None` if there are none, or if another thread has some of them just now.
    pub(crate) fn take(&self, len: usize, align: usize, phase: usize) -> Option<usize> {
        debug_assert!(len > 0 && align.is_power_of_two(), "{len} places, aligned to {align}");
        debug_assert!(phase < align, "{phase} of {align}");
        let low = self.low.load(Ordering::Relaxed);
        let found = self.take_from(low, len, align, phase);
        if found.is_some() || low == 0 {
            return found;
        }
        self.low.store(0, Ordering::Relaxed);
        self.take_from(0, len, align, phase)
    }

    fn take_from(&self, word: usize, len: usize, align: usize, phase: usize) -> Option<usize> {
        let all = self.taken.len() * BITS;
        let mut first = word * BITS;
        loop {
            let free = self.next_free(first)?;
            first = (free + phase).checked_next_multiple_of(align)? - phase;
            let run = first..first.checked_add(len).filter(|&end| end <= all)?;
            match self.claim(&run) {
                Ok(()) => {
                    self.remember(word, &run, align);
                    return Some(first);
                }
                Err(taken) => first = taken + 1,
            }
        }
    }

    /// The first free place at or above `place`.
    fn next_free(&self, place: usize) -> Option<usize> {
        let first = place / BITS;
        let free_above = !self.taken.get(first)?.load(Ordering::Relaxed) >> (place % BITS);
        if free_above != 0 {
            return Some(place + free_above.trailing_zeros() as usize);
        }
        let mut rest = self.taken.iter().enumerate().skip(first + 1);
        rest.find_map(|(word, taken)| {
            let free = !taken.load(Ordering::Relaxed);
            (free != 0).then(|| word * BITS + free.trailing_zeros() as usize)
        })
    }

    /// Takes all of a run, or nothing: then it says which of its places somebody has, the highest
    /// one known.
    fn claim(&self, run: &Range<usize>) -> Result<(), usize> {
        for (word, wanted) in masks(run) {
            if let Err(in_the_way) = self.claim_in(word, wanted) {
                if word * BITS > run.start {
                    self.give(run.start..word * BITS);
                }
                let highest = u64::BITS - 1 - in_the_way.leading_zeros();
                return Err(word * BITS + highest as usize);
            }
        }
        Ok(())
    }

    /// The same within a word.
    fn claim_in(&self, word: usize, wanted: u64) -> Result<(), u64> {
        let place = &self.taken[word];
        let mut old = place.load(Ordering::Relaxed);
        loop {
            if old & wanted != 0 {
                return Err(old & wanted);
            }
            let (done, failed) = (Ordering::Acquire, Ordering::Relaxed);
            match place.compare_exchange_weak(old, old | wanted, done, failed) {
                Ok(_) => return Ok(()),
                Err(now) => old = now,
            }
        }
    }

    /// Takes exactly this run, if all of it is free.
    pub(crate) fn take_at(&self, run: Range<usize>) -> bool {
        run.end <= self.taken.len() * BITS && self.claim(&run).is_ok()
    }

    /// How many places of a range somebody has.
    pub(crate) fn count(&self, range: &Range<usize>) -> usize {
        bits::count(self.taken, range)
    }

    /// Gives back places of the caller's, any part of what was taken at once.
    pub(crate) fn give(&self, run: Range<usize>) {
        for (word, mine) in masks(&run) {
            let old = self.taken[word].fetch_and(!mine, Ordering::Release);
            debug_assert_eq!(old & mine, mine, "places that were not taken, in word {word}");
        }
        self.low.fetch_min(run.start / BITS, Ordering::Relaxed);
    }

    /// Moves the hint up, past words that are full; a place given back meanwhile keeps it down.
    fn remember(&self, searched_from: usize, run: &Range<usize>, align: usize) {
        let word = run.start / BITS;
        let passed_none = run.len() == 1 && align == 1;
        if passed_none && word > searched_from {
            let (from, order) = (searched_from, Ordering::Relaxed);
            let _ = self.low.compare_exchange(from, word, order, order);
        }
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

    fn words_of(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    /// The lowest run, by looking at every one.
    fn lowest(model: &[bool], len: usize, align: usize, phase: usize) -> Option<usize> {
        let mut firsts = 0..=model.len().checked_sub(len)?;
        firsts.find(|&first| {
            let is_aligned = (first + phase).is_multiple_of(align);
            is_aligned && model[first..first + len].iter().all(|taken| !taken)
        })
    }

    proptest! {
        #[test]
        fn takes_the_lowest_run_that_fits(
            moves in prop::collection::vec(
                (1_usize..150, 0_u32..8, any::<bool>(), 0_usize..128), 1..60),
        ) {
            let words = words_of(8);
            let (runs, mut model, mut held) = (Runs::new(&words), vec![false; 512], Vec::new());
            for (len, align, give, phase) in moves {
                if give && !held.is_empty() {
                    let run: Range<usize> = held.swap_remove(len % held.len());
                    model[run.clone()].fill(false);
                    runs.give(run);
                    continue;
                }
                let (align, phase) = (1 << align, phase % (1 << align));
                let found = runs.take(len, align, phase);
                prop_assert_eq!(found, lowest(&model, len, align, phase));
                if let Some(first) = found {
                    model[first..first + len].fill(true);
                    held.push(first..first + len);
                }
            }
            for run in held {
                prop_assert!(!runs.take_at(run.clone()));
                runs.give(run.clone());
                prop_assert!(runs.take_at(run.clone()));
                runs.give(run);
            }
            prop_assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_kept() {
        let words = words_of(2);
        let runs = Runs::new(&words);
        assert_eq!(runs.take(129, 1, 0), None);
        assert_eq!(runs.take(1, 1 << 63, 7), None);
        assert_eq!(runs.take(1, 1 << 20, 0), Some(0));
        assert_eq!(runs.take(128, 1, 0), None);
        assert_eq!(runs.take(127, 1, 0), Some(1));
        assert_eq!(runs.take(1, 1, 0), None);
        assert!(!runs.take_at(100..200));
        runs.give(64..128);
        assert_eq!(runs.take(64, 64, 0), Some(64));
    }

    #[test]
    fn threads_never_hold_one_place_twice() {
        let words = words_of(3);
        let runs = Runs::new(&words);
        let held: Vec<_> = (0..192).map(|_| AtomicBool::new(false)).collect();
        let work = |lens: [usize; 3]| {
            for round in 0..20_000 {
                let len = lens[round % 3];
                let Some(first) = runs.take(len, 1, 0) else { continue };
                let mine = &held[first..first + len];
                assert!(mine.iter().all(|place| !place.swap(true, Ordering::Relaxed)));
                mine.iter().for_each(|place| place.store(false, Ordering::Relaxed));
                runs.give(first..first + len);
            }
        };
        std::thread::scope(|scope| {
            for lens in [[1, 2, 3], [70, 1, 130], [5, 64, 65]] {
                scope.spawn(move || work(lens));
            }
        });
        assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
    }
}
