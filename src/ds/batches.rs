//! Floor 0, pure. Hands out 0, 1, 2, .. once each, a batch at a time, every batch prepared before.
//!
//! ```text
//!   place: | current batch:48 | next of it:16 |   >= batch length: used up
//!   begun: | batches that somebody prepared, or failed to |
//! ```
//! 1. Who finds the current batch used up begins the next, and has its first index before anybody
//!    else knows of it.
//! 2. Nobody waits. Two threads may find the end at once: then each begins a batch, and the slower
//!    one's may never be handed out but for its first index.
//! 3. A place that was seen used up is not counted on any more. So its lower half exceeds the batch
//!    length by no more than the number of threads, and never runs over into the upper.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU64, Ordering};
use core::ops::Range;

/// The longest batch; the rest of 16 bits is room for the threads of invariant 3.
const BATCH_LEN_MAX: usize = 0x4000;

/// The place before any batch: one that has nothing left, whatever the batch length.
const USED_UP: u64 = BATCH_LEN_MAX as u64;

/// A source of indices.
#[derive(Debug)]
pub(crate) struct Batches {
    batch_len: usize,
    place: AtomicU64,
    begun: AtomicU64,
}

impl Batches {
    /// A source whose batches have `batch_len` indices, 1 to 2^14.
    pub(crate) fn new(batch_len: usize) -> Self {
        assert!((1..=BATCH_LEN_MAX).contains(&batch_len), "no such batch length");
        Batches { batch_len, place: AtomicU64::new(USED_UP), begun: AtomicU64::new(0) }
    }

    /// Indices of one batch.
    pub(crate) fn batch_len(&self) -> usize {
        self.batch_len
    }

    /// Every index handed out so far is below this one.
    pub(crate) fn end(&self) -> usize {
        self.begun.load(Ordering::Relaxed) as usize * self.batch_len
    }

    /// An index for the caller alone. At the end of a batch calls `prepare` with the indices of a
    /// new one, which nobody has heard of yet; if that is `None`, so is this, and they are lost.
    pub(crate) fn take(&self, prepare: impl FnOnce(Range<usize>) -> Option<()>) -> Option<usize> {
        if self.has_left(self.place.load(Ordering::Relaxed)) {
            let place = self.place.fetch_add(1, Ordering::Acquire);
            if self.has_left(place) {
                return Some((place >> 16) as usize * self.batch_len + next(place));
            }
        }
        self.begin(prepare)
    }

    /// Prepares a batch, whose first index is the caller's, and makes it the current one, unless
    /// another thread was faster and that one's has indices left.
    fn begin(&self, prepare: impl FnOnce(Range<usize>) -> Option<()>) -> Option<usize> {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        let first = begun as usize * self.batch_len;
        prepare(first..first + self.batch_len)?;
        let mut place = self.place.load(Ordering::Relaxed);
        while !self.has_left(place) {
            let new = begun << 16 | 1;
            match self.place.compare_exchange(place, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => place = now,
            }
        }
        Some(first)
    }

    fn has_left(&self, place: u64) -> bool {
        next(place) < self.batch_len
    }
}

fn next(place: u64) -> usize {
    (place & 0xffff) as usize
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn one_thread_gets_all_in_order() {
        for batch_len in [1, 2, 5, BATCH_LEN_MAX] {
            let batches = Batches::new(batch_len);
            for index in 0..3 * BATCH_LEN_MAX {
                let mut prepared = None;
                let taken = batches.take(|batch| prepared.replace(batch).is_none().then_some(()));
                assert_eq!(taken, Some(index));
                let is_first = index % batch_len == 0;
                assert_eq!(prepared, is_first.then_some(index..index + batch_len));
                assert_eq!(batches.end(), (index / batch_len + 1) * batch_len);
            }
        }
    }

    #[test]
    fn refusals_never_lead_into_another_batch() {
        let batches = Batches::new(3);
        for _ in 0..4 {
            for _ in 0..100_000 {
                assert_eq!(batches.take(|_| None), None);
            }
            let first = batches.end();
            assert_eq!(batches.take(|_| Some(())), Some(first));
            assert_eq!(batches.take(|_| None), Some(first + 1));
            assert_eq!(batches.take(|_| None), Some(first + 2));
        }
    }

    #[test]
    fn threads_get_no_index_twice_and_none_unprepared() {
        let batches = Batches::new(7);
        let prepared = Mutex::new(Vec::new());
        let take_many = || {
            let note = |batch| {
                prepared.lock().expect("no panic").push(batch);
                Some(())
            };
            (0..10_000).map(|_| batches.take(note).expect("prepared")).collect::<Vec<_>>()
        };
        let mut taken: Vec<usize> = std::thread::scope(|scope| {
            let threads = [scope.spawn(take_many), scope.spawn(take_many), scope.spawn(take_many)];
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
        let mut prepared = prepared.into_inner().expect("no panic");
        prepared.sort_unstable_by_key(|batch| batch.start);
        assert!(prepared.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(taken.last() < prepared.last().map(|batch| &batch.end));
    }
}
