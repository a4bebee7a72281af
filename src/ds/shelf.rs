//! Floor 0, pure. A shelf: which of at most 32 places are free, full, or in somebody's hands.
//!
//! ```text
//!            take_free          fill
//!    free ------------> held ---------> full
//!     ^                  | ^              |
//!     +------ clear -----+ +- take_full --+
//! ```
//! A place is a bit in one of two words, or in neither while it is held. Who holds a place has it
//! alone, until he puts it back; what he did there is seen by the next one who takes it. A bit says
//! all there is to say of its place, so one that left and came back is as good as one that stayed
//! (no ABA). Neither side waits: a step is repeated only because another thread's succeeded.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, Ordering};

/// The states of some places. Which one is taken, of several, is not said.
#[derive(Debug)]
pub(crate) struct Shelf {
    free: AtomicU32,
    full: AtomicU32,
}

impl Shelf {
    /// `count` free places, at most 32.
    #[cfg(not(all(test, granule_loom)))]
    pub(crate) const fn new(count: u32) -> Self {
        Shelf { free: AtomicU32::new(first_bits(count)), full: AtomicU32::new(0) }
    }

    /// Loom's atomics cannot be made in constants.
    #[cfg(all(test, granule_loom))]
    pub(crate) fn new(count: u32) -> Self {
        Shelf { free: AtomicU32::new(first_bits(count)), full: AtomicU32::new(0) }
    }

    /// Free -> held.
    #[inline]
    pub(crate) fn take_free(&self) -> Option<u32> {
        take(&self.free)
    }

    /// Full -> held.
    #[inline]
    pub(crate) fn take_full(&self) -> Option<u32> {
        take(&self.full)
    }

    /// Held -> full. The caller holds the place.
    #[inline]
    pub(crate) fn fill(&self, place: u32) {
        self.full.fetch_or(1 << place, Ordering::Release);
    }

    /// Held -> free. The caller holds the place.
    #[inline]
    pub(crate) fn clear(&self, place: u32) {
        self.free.fetch_or(1 << place, Ordering::Release);
    }
}

const fn first_bits(count: u32) -> u32 {
    assert!(count <= 32);
    if count == 32 { u32::MAX } else { (1 << count) - 1 }
}

#[inline]
fn take(word: &AtomicU32) -> Option<u32> {
    let mut bits = word.load(Ordering::Relaxed);
    while bits != 0 {
        let without_lowest = bits & (bits - 1);
        match word.compare_exchange_weak(bits, without_lowest, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => return Some(bits.trailing_zeros()),
            Err(now) => bits = now,
        }
    }
    None
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[test]
    fn every_place_is_taken_once() {
        for count in [0, 1, 16, 31, 32] {
            let shelf = Shelf::new(count);
            assert_eq!(shelf.take_full(), None);
            let taken: BTreeSet<u32> = core::iter::from_fn(|| shelf.take_free()).collect();
            assert_eq!(taken, (0..count).collect());
            taken.iter().for_each(|&place| shelf.fill(place));
            assert_eq!(shelf.take_free(), None);
            let full: Vec<u32> = core::iter::from_fn(|| shelf.take_full()).collect();
            assert_eq!(full.len(), taken.len());
            full.iter().for_each(|&place| shelf.clear(place));
            assert_eq!(core::iter::from_fn(|| shelf.take_free()).count(), taken.len());
        }
    }
}
