//! Floor 0, pure. How far the two ends of a ring of bytes have come: one producer, one consumer.
//!
//! ```text
//!   offset 0        consumed          filled        capacity
//!   |     spare     |xxxxx filled xxxxx|     spare   |
//!
//!   a position counts bytes modulo two laps, so that full and empty differ:
//!   empty: filled == consumed            full: filled == consumed + capacity
//! ```
//! 1. `filled` is moved by the producer only, `consumed` by the consumer only; each by a release
//!    store that the other end acquires. So whoever sees bytes change hands sees all that was done
//!    to them before.
//! 2. What one end sees of the other is old at worst: too little is spare, or too little is filled,
//!    never too much.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, AtomicUsize, Ordering};

/// A run of bytes of the ring: its start is below the capacity, its end may lie in the next lap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Producer = 1,
    Consumer = 2,
}

/// On a pair of cache lines of its own: the two ends are on different processors.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// The positions of both ends, and which of them are gone.
#[derive(Debug)]
pub(crate) struct Positions {
    capacity: usize,
    filled: Apart<AtomicUsize>,
    consumed: Apart<AtomicUsize>,
    gone: AtomicU32,
}

impl Positions {
    /// An empty ring of `capacity` bytes: not 0, at most half of all addresses.
    pub(crate) fn new(capacity: usize) -> Self {
        Positions {
            capacity,
            filled: Apart(AtomicUsize::new(0)),
            consumed: Apart(AtomicUsize::new(0)),
            gone: AtomicU32::new(0),
        }
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bytes that are the producer's. For the producer: more may become spare at any time.
    pub(crate) fn spare(&self) -> Extent {
        let consumed = self.consumed.0.load(Ordering::Acquire);
        let filled = self.filled.0.load(Ordering::Relaxed);
        let len = self.capacity - self.distance(consumed, filled);
        Extent { start: self.offset_of(filled), len }
    }

    /// The bytes that are the consumer's. For the consumer: more may become filled at any time.
    pub(crate) fn filled(&self) -> Extent {
        let filled = self.filled.0.load(Ordering::Acquire);
        let consumed = self.consumed.0.load(Ordering::Relaxed);
        Extent { start: self.offset_of(consumed), len: self.distance(consumed, filled) }
    }

    /// Hands the first `len` spare bytes to the consumer. For the producer alone; it has seen that
    /// so many are spare.
    pub(crate) fn fill(&self, len: usize) {
        let position = self.filled.0.load(Ordering::Relaxed);
        self.filled.0.store(self.moved(position, len), Ordering::Release);
    }

    /// Hands the first `len` filled bytes back to the producer. For the consumer alone; it has seen
    /// that so many are filled.
    pub(crate) fn consume(&self, len: usize) {
        let position = self.consumed.0.load(Ordering::Relaxed);
        self.consumed.0.store(self.moved(position, len), Ordering::Release);
    }

    /// Both ends are there.
    pub(crate) fn begin(&mut self) {
        self.gone.store(0, Ordering::Relaxed);
    }

    /// This end will do nothing any more.
    pub(crate) fn leave(&self, end: End) {
        self.gone.fetch_or(end as u32, Ordering::Release);
    }

    /// True when that end is gone. Whatever it did before is seen by whoever asks afterwards.
    pub(crate) fn is_gone(&self, end: End) -> bool {
        self.gone.load(Ordering::Acquire) & end as u32 != 0
    }

    fn offset_of(&self, position: usize) -> usize {
        if position < self.capacity { position } else { position - self.capacity }
    }

    /// Bytes from one position up to a later one.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { 2 * self.capacity - from + to }
    }

    fn moved(&self, position: usize, len: usize) -> usize {
        let moved = position + len;
        if moved < 2 * self.capacity { moved } else { moved - 2 * self.capacity }
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ends_share_every_byte_of_the_ring(
            capacity in 1usize..50,
            steps in prop::collection::vec((any::<bool>(), 0usize..50), 0..100),
        ) {
            let positions = Positions::new(capacity);
            let (mut filled, mut consumed) = (0, 0);
            for (is_fill, len) in steps {
                if is_fill {
                    let len = len.min(positions.spare().len);
                    positions.fill(len);
                    filled += len;
                } else {
                    let len = len.min(positions.filled().len);
                    positions.consume(len);
                    consumed += len;
                }
                let held = filled - consumed;
                let spare = Extent { start: filled % capacity, len: capacity - held };
                prop_assert_eq!(positions.spare(), spare);
                let expected = Extent { start: consumed % capacity, len: held };
                prop_assert_eq!(positions.filled(), expected);
            }
        }
    }

    #[test]
    fn an_end_is_gone_until_both_begin_again() {
        let mut positions = Positions::new(1);
        positions.leave(End::Producer);
        assert!(positions.is_gone(End::Producer) && !positions.is_gone(End::Consumer));
        positions.leave(End::Consumer);
        assert!(positions.is_gone(End::Producer) && positions.is_gone(End::Consumer));
        positions.begin();
        assert!(!positions.is_gone(End::Producer) && !positions.is_gone(End::Consumer));
    }
}
