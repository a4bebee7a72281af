//! Floor 0, pure. Blocks that come back from other threads: one bit each, and a count of those on
//! their way.
//!
//! Whoever frees a block of a slab that is another's does three things in this order: he announces
//! it (the count), he returns it (the bit), and, if he was the first to announce, he hands the slab
//! to its owner. The owner collects. The numbered rules:
//! 1. The count is at least the number of bits that are set: it goes up before and down after.
//! 2. A slab is handed over once while its count is not 0: by whoever raised it from 0, and by the
//!    owner to himself while some are announced but not yet returned.
//! 3. Before the owner has collected its bit a block counts as in use, so nobody takes the slab
//!    away under somebody who frees.
//! 4. A bit that is set already is a block that was freed twice.
//! 5. What the owner did with a slab before he took its count to 0 happened before it is handed
//!    over again.
//!
//! The idea of one message for many blocks is snmalloc's (Lietar et al., ISMM 2019); the bits in
//! place of lists through the blocks are ours: nobody writes into a block that is free.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, AtomicU64, Ordering};

/// What the one who returns a block has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing: somebody else hands the slab over, or it lies with its owner already.
    Nothing,
    /// Hand the slab to its owner.
    HandOver,
    /// Report it: the block came back before.
    Twice,
}

/// Returns the blocks of `mask` in word `word`, as many as it has bits.
pub(crate) fn give(announced: &AtomicU32, words: &[AtomicU64], word: usize, mask: u64) -> Told {
    let count = mask.count_ones();
    let before = announced.fetch_add(count, Ordering::Acquire);
    let old = words[word].fetch_or(mask, Ordering::AcqRel);
    if old & mask != 0 {
        return Told::Twice;
    }
    if before == 0 { Told::HandOver } else { Told::Nothing }
}

/// Takes what was returned, word by word, and says whether more is on its way: then the owner has
/// to come again.
pub(crate) fn collect(
    announced: &AtomicU32,
    words: &[AtomicU64],
    mut take: impl FnMut(usize, u64),
) -> bool {
    let mut count = 0;
    for (number, word) in words.iter().enumerate() {
        if word.load(Ordering::Relaxed) != 0 {
            let mask = word.swap(0, Ordering::Acquire);
            count += mask.count_ones();
            take(number, mask);
        }
    }
    announced.fetch_sub(count, Ordering::Release) != count
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_hands_over_and_the_owner_gets_all() {
        let (announced, words) = (AtomicU32::new(0), [AtomicU64::new(0), AtomicU64::new(0)]);
        assert_eq!(give(&announced, &words, 1, 1 << 3), Told::HandOver);
        assert_eq!(give(&announced, &words, 0, 0b101), Told::Nothing);
        assert_eq!(give(&announced, &words, 0, 1 << 2), Told::Twice);
        let (announced, words) = (AtomicU32::new(0), [AtomicU64::new(0), AtomicU64::new(0)]);
        give(&announced, &words, 1, 1 << 3);
        give(&announced, &words, 0, 0b101);
        let mut got = Vec::new();
        assert!(!collect(&announced, &words, |word, mask| got.push((word, mask))));
        assert_eq!(got, [(0, 0b101), (1, 1 << 3)]);
        assert!(!collect(&announced, &words, |_, _| panic!("nothing is left")));
        assert_eq!(give(&announced, &words, 0, 1), Told::HandOver);
    }

    #[test]
    fn what_is_only_announced_brings_the_owner_back() {
        let (announced, words) = (AtomicU32::new(1), [AtomicU64::new(0)]);
        assert!(collect(&announced, &words, |_, _| panic!("nothing is there yet")));
        words[0].fetch_or(1, Ordering::Relaxed);
        assert!(!collect(&announced, &words, |_, mask| assert_eq!(mask, 1)));
    }
}
