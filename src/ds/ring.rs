//! Floor 0, pure. A bounded first-in first-out queue for many producers and many consumers.
//!
//! Dmitry Vyukov's bounded MPMC queue: every cell carries a sequence number that says whose turn it
//! is. Here the numbers are kept relative to the cell's index, so that zeroed memory is an empty
//! ring:
//!
//! ```text
//!   word 0   8       16      18      20
//!   | tail | head  | cell 0 | cell 1 | ...      cell: | turn | value |
//!
//!   turn of a cell, in lap n of a ring of L cells:  n * L      free for the push of lap n
//!                                                   n * L + 1  full, for the pop of lap n
//! ```
//! 1. Cells are first touched when the tail reaches them: the storage may be a range of many GiB
//!    that the system fills on demand.
//! 2. Neither call waits. A thread that stops inside one (or was left behind by a fork) makes the
//!    ring look full or empty at its cell, and never blocks anybody.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU64, Ordering};

/// Words before the cells: tail and head have a cache line each.
const CELLS_START: usize = 16;
const TAIL: usize = 0;
const HEAD: usize = 8;

/// Lost races after which a call gives up.
const ATTEMPTS: usize = 128;

/// A queue of 64-bit values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<'a> {
    words: &'a [AtomicU64],
    /// A power of two, at least 2; or 0: always full.
    cells: u64,
}

impl<'a> Ring<'a> {
    /// The ring in `storage`, which is all zeros or was used by a ring of the same length before.
    ///
    /// Holds the largest power of two of values for which 16 + 2 n words are enough.
    pub(crate) fn new(storage: &'a [AtomicU64]) -> Self {
        let room = storage.len().saturating_sub(CELLS_START) as u64 / 2;
        Ring { words: storage, cells: if room < 2 { 0 } else { 1 << room.ilog2() } }
    }

    /// Words of storage for at least `values` values.
    pub(crate) const fn words_for(values: usize) -> usize {
        CELLS_START + 2 * if values < 2 { 2 } else { values.next_power_of_two() }
    }

    /// How many values fit.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.cells as usize
    }

    /// Appends `value`. False if the ring is full, or if the cell still has to wait for a pop.
    pub(crate) fn push(&self, value: u64) -> bool {
        let Some(position) = self.claim(TAIL, 0) else { return false };
        let (turn, slot) = self.cell(position);
        slot.store(value, Ordering::Relaxed);
        turn.store(self.lap(position) + 1, Ordering::Release);
        true
    }

    /// Takes the oldest value. `None` if the ring is empty, or if its push has not ended.
    pub(crate) fn pop(&self) -> Option<u64> {
        let position = self.claim(HEAD, 1)?;
        let (turn, slot) = self.cell(position);
        let value = slot.load(Ordering::Relaxed);
        turn.store(self.lap(position).wrapping_add(self.cells), Ordering::Release);
        Some(value)
    }

    /// Moves the cursor in word `end` on by one, if the turn of the cell it points to is `phase`
    /// after its lap; returns where it was.
    fn claim(&self, end: usize, phase: u64) -> Option<u64> {
        if self.cells == 0 {
            return None;
        }
        let cursor = &self.words[end];
        let mut position = cursor.load(Ordering::Relaxed);
        for _ in 0..ATTEMPTS {
            let turn = self.cell(position).0.load(Ordering::Acquire);
            match turn.wrapping_sub(self.lap(position) + phase) as i64 {
                0 => match cursor.compare_exchange_weak(
                    position,
                    position.wrapping_add(1),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Some(position),
                    Err(current) => position = current,
                },
                ..0 => return None,
                _ => position = cursor.load(Ordering::Relaxed), // another thread was faster
            }
        }
        None
    }

    /// The multiple of the length at or below `position`.
    fn lap(&self, position: u64) -> u64 {
        position & !(self.cells - 1)
    }

    /// The turn and the value.
    fn cell(&self, position: u64) -> (&'a AtomicU64, &'a AtomicU64) {
        let start = CELLS_START + 2 * (position & (self.cells - 1)) as usize;
        (&self.words[start], &self.words[start + 1])
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn storage(words: usize) -> Vec<AtomicU64> {
        (0..words).map(|_| AtomicU64::new(0)).collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_queue(
            words in 0usize..60,
            moves in prop::collection::vec(prop::option::of(any::<u64>()), 0..300),
        ) {
            let storage = storage(words);
            let ring = Ring::new(&storage);
            let mut model = VecDeque::new();
            for step in moves {
                match step {
                    Some(value) => {
                        let fits = model.len() < ring.capacity();
                        prop_assert_eq!(ring.push(value), fits);
                        if fits {
                            model.push_back(value);
                        }
                    }
                    None => prop_assert_eq!(ring.pop(), model.pop_front()),
                }
            }
        }
    }

    #[test]
    fn an_empty_cell_is_not_touched() {
        let storage = storage(16 + 2 * 8);
        let ring = Ring::new(&storage);
        assert_eq!(ring.capacity(), 8);
        for value in 0..3 {
            assert!(ring.push(value));
            assert_eq!(ring.pop(), Some(value));
        }
        assert_eq!(ring.pop(), None);
        assert!(
            storage[CELLS_START + 2 * 3..].iter().all(|word| word.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn threads_lose_and_double_nothing() {
        const COUNT: u64 = 20_000;
        let storage = storage(16 + 2 * 64);
        let ring = Ring::new(&storage);
        let produce = |first: u64| {
            for value in (first..COUNT).step_by(2) {
                while !ring.push(value) {
                    std::thread::yield_now();
                }
            }
        };
        let consume = || {
            let mut values = Vec::new();
            while values.last().is_none_or(|&last| last != u64::MAX) {
                match ring.pop() {
                    Some(value) => values.push(value),
                    None => std::thread::yield_now(),
                }
            }
            values.pop();
            values
        };
        let mut seen = std::thread::scope(|scope| {
            let consumers = [scope.spawn(consume), scope.spawn(consume)];
            let producers = [scope.spawn(|| produce(0)), scope.spawn(|| produce(1))];
            producers.into_iter().for_each(|producer| producer.join().expect("no panic"));
            for _ in 0..2 {
                while !ring.push(u64::MAX) {
                    std::thread::yield_now();
                }
            }
            consumers.into_iter().flat_map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
        });
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..COUNT));
    }
}
