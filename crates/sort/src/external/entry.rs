//! What is sorted instead of the elements themselves: their ranks, and where they are.

use super::error::Error;
use super::watch::Watch;
use std::cmp::Ordering;
use std::thread;

/// One element of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Orders as the elements do, as far as it goes.
    pub(crate) rank: u64,
    /// Where the element is: its number, or the offset of the line.
    pub(crate) at: u32,
    /// Bytes of the line; 0 for elements of one width.
    pub(crate) len: u32,
}

/// Bytes that an element costs beside its own.
pub(crate) const ENTRY_LEN: usize = size_of::<Entry>();

/// Entries that the standard sort gets at once; a sort can be stopped between two such parts.
const PART: usize = 1 << 16;
/// Ranks looked at for a pivot.
const SAMPLE: usize = 255;
/// Fewer entries of equal rank are compared as they are.
const FEW: usize = 24;
/// Ranks that an element can have, one behind the other; what is equal in all of them is compared.
const LEVELS: usize = 16;

/// How entries of equal rank are ordered.
pub(crate) trait Ties: Sync {
    /// Whether equal ranks mean equal elements, whose order does not matter.
    fn rank_decides(&self) -> bool;

    /// Which of two elements of equal rank comes first.
    fn compare(&self, left: &Entry, right: &Entry) -> Ordering;

    /// Gives entries whose ranks up to `level - 1` are equal their ranks of `level`. False, and
    /// nothing is changed, if there is only one level.
    fn rerank(&self, entries: &mut [Entry], level: usize) -> bool {
        let _ = (entries, level);
        false
    }
}

/// Sorts by quicksort on ranks; where they are equal, by the next ranks (the idea is the multikey
/// quicksort of Bentley and Sedgewick, 1997, eight bytes at a time) or by comparison.
pub(crate) fn sort(
    entries: &mut [Entry],
    ties: &impl Ties,
    threads: usize,
    watch: &dyn Watch,
) -> Result<(), Error> {
    Sorting { ties, watch }.split(entries, threads, 0, patience(entries.len()))
}

/// Splits before a run of bad pivots is left to the standard sort, which has an answer to them.
fn patience(len: usize) -> u32 {
    2 * (usize::BITS - len.leading_zeros())
}

struct Sorting<'a, T> {
    ties: &'a T,
    watch: &'a dyn Watch,
}

impl<T: Ties> Sorting<'_, T> {
    fn split(
        &self,
        entries: &mut [Entry],
        threads: usize,
        level: usize,
        patience: u32,
    ) -> Result<(), Error> {
        if self.watch.is_stopped() {
            return Err(Error::Stopped);
        }
        let few_for_threads = threads < 2 || entries.len() < 2 * FEW;
        if patience == 0 || (entries.len() <= PART && few_for_threads) {
            return self.sort_part(entries, level);
        }
        let pivot = pivot(entries, threads);
        let below = partition(entries, |rank| rank < pivot);
        if below > 0 {
            let (low, high) = entries.split_at_mut(below);
            return self.both(
                threads,
                |threads| self.split(low, threads, level, patience - 1),
                |threads| self.split(high, threads, level, patience - 1),
            );
        }
        let equal = partition(entries, |rank| rank == pivot);
        let (equal, high) = entries.split_at_mut(equal);
        self.both(
            threads,
            |threads| self.order_equal(equal, threads, level),
            |threads| self.split(high, threads, level, patience - 1),
        )
    }

    /// Does two things, at the same time if there are threads for it.
    fn both(
        &self,
        threads: usize,
        one: impl FnOnce(usize) -> Result<(), Error> + Send,
        other: impl FnOnce(usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if threads < 2 {
            return one(1).and_then(|()| other(1));
        }
        thread::scope(|scope| {
            let one = scope.spawn(move || one(threads / 2));
            let other = other(threads - threads / 2);
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(other)
        })
    }

    fn sort_part(&self, entries: &mut [Entry], level: usize) -> Result<(), Error> {
        entries.sort_unstable_by_key(|entry| entry.rank);
        if self.ties.rank_decides() {
            return Ok(());
        }
        let mut groups = entries.chunk_by_mut(|left, right| left.rank == right.rank);
        groups.try_for_each(|group| self.order_equal(group, 1, level))
    }

    /// Orders entries whose ranks up to this level are equal.
    fn order_equal(
        &self,
        entries: &mut [Entry],
        threads: usize,
        level: usize,
    ) -> Result<(), Error> {
        if entries.len() < 2 || self.ties.rank_decides() {
            return Ok(());
        }
        let next = level + 1;
        if entries.len() > FEW && next < LEVELS && self.ties.rerank(entries, next) {
            return self.split(entries, threads, next, patience(entries.len()));
        }
        entries.sort_unstable_by(|left, right| self.ties.compare(left, right));
        Ok(())
    }
}

/// A rank with about half of the entries on each side; of three threads, a third.
fn pivot(entries: &[Entry], threads: usize) -> u64 {
    let count = SAMPLE.min(entries.len());
    let step = entries.len() / count;
    let mut ranks = [0; SAMPLE];
    for (rank, entry) in ranks.iter_mut().zip(entries.iter().skip(step / 2).step_by(step)) {
        *rank = entry.rank;
    }
    let ranks = &mut ranks[..count];
    ranks.sort_unstable();
    let low = if threads < 2 { count / 2 } else { count * (threads / 2) / threads };
    ranks[low]
}

/// Puts the entries with such ranks first, and says how many they are. No branch depends on a rank.
fn partition(entries: &mut [Entry], is_first: impl Fn(u64) -> bool) -> usize {
    let mut first = 0;
    for index in 0..entries.len() {
        entries.swap(index, first);
        first += usize::from(is_first(entries[first].rank));
    }
    first
}

#[cfg(test)]
mod tests {
    use super::super::watch::Unwatched;
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// Elements of two ranks: the low and the high half of a number.
    struct Halves(Vec<u64>);

    impl Ties for Halves {
        fn rank_decides(&self) -> bool {
            false
        }

        fn compare(&self, left: &Entry, right: &Entry) -> Ordering {
            let number = |entry: &Entry| (self.0[entry.at as usize], entry.at);
            number(left).cmp(&number(right))
        }

        fn rerank(&self, entries: &mut [Entry], level: usize) -> bool {
            for entry in &mut *entries {
                let number = self.0[entry.at as usize];
                entry.rank = if level == 1 { number & 0xffff_ffff } else { 0 };
            }
            true
        }
    }

    fn sorted(numbers: Vec<u64>, threads: usize) {
        let entry =
            |(at, number): (usize, &u64)| Entry { rank: number >> 32, at: at as u32, len: 0 };
        let mut entries: Vec<Entry> = numbers.iter().enumerate().map(entry).collect();
        let ties = Halves(numbers.clone());
        sort(&mut entries, &ties, threads, &Unwatched).expect("nobody stops it");
        let found: Vec<u32> = entries.iter().map(|entry| entry.at).collect();
        let mut expected: Vec<u32> = (0..numbers.len() as u32).collect();
        expected.sort_by_key(|&at| numbers[at as usize]);
        assert!(found == expected, "{} numbers, {threads} threads", numbers.len());
    }

    fn random(seed: u64) -> impl Iterator<Item = u64> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        })
    }

    #[test]
    fn many_and_few_and_equal() {
        for threads in [1, 2, 3] {
            for len in [0, 1, 2, 50, 1000, 3 * PART] {
                sorted(random(1).take(len).collect(), threads);
                sorted(random(2).take(len).map(|n| ((n % 7) << 32) | (n % 5)).collect(), threads);
                sorted(vec![9 << 32; len], threads);
                sorted((0..len as u64).rev().map(|n| n << 32).collect(), threads);
                sorted((0..len as u64).collect(), threads);
            }
        }
    }

    #[test]
    fn bad_pivots_end() {
        let len = 4 * PART;
        let step = len / SAMPLE;
        // Every rank of the first sample is the lowest, or the highest.
        let is_sampled = |n: usize| n % step == step / 2;
        sorted((0..len).map(|n| if is_sampled(n) { 0 } else { n as u64 } << 32).collect(), 2);
        sorted((0..len).map(|n| if is_sampled(n) { 1 << 31 } else { n as u64 } << 32).collect(), 1);
    }

    #[test]
    fn a_sort_can_be_stopped() {
        struct After(AtomicU32);
        impl Watch for After {
            fn is_stopped(&self) -> bool {
                self.0.fetch_add(1, Relaxed) >= 3
            }
        }
        let mut entries: Vec<Entry> =
            random(3).take(8 * PART).map(|rank| Entry { rank, at: 0, len: 0 }).collect();
        let ties = Halves(vec![0]);
        let stopped = sort(&mut entries, &ties, 1, &After(AtomicU32::new(0)));
        assert!(matches!(stopped, Err(Error::Stopped)));
    }
}
