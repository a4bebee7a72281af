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
//! An owner who sleeps does not collect, and the memory would wait for him. So whoever announces
//! the last block of a slab may lay hands on its memory in the owner's place, between his first
//! step and his second. The word of the count has flags for that:
//! 6. The owner collects while `COLLECTING` is set, another one has the memory while `CLAIMED` is:
//!    one of the two at most. The claim is made of a count that is exact, so none of what is
//!    announced was collected, and what its users did with it happened before.
//! 7. `EMPTIED` stays from the end of a claim until the owner has all bits. He waits for nobody: a
//!    slab that is claimed he hands to himself.
//! 8. Blocks that are free for the owner are no part of the count. He takes none of them out of a
//!    slab that is claimed or emptied: see [`is_shut`].
//!
//! The idea of one message for many blocks is snmalloc's (Lietar et al., ISMM 2019); the bits in
//! place of lists through the blocks are ours: nobody writes into a block that is free.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, AtomicU64, Ordering};

/// The part of the word that counts: blocks of a slab are fewer.
const COUNT: u32 = (1 << 24) - 1;
const COLLECTING: u32 = 1 << 28;
const CLAIMED: u32 = 1 << 29;
/// All blocks were given back, and the memory waits for the owner. It says nothing to the rules.
pub(crate) const WAITING: u32 = 1 << 30;
/// The memory was given back in the owner's place.
pub(crate) const EMPTIED: u32 = 1 << 31;

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

/// What was announced before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before(u32);

impl Before {
    /// How many are announced, with `count` more; `None` if somebody has the slab just now, or has
    /// looked after its memory.
    pub(crate) fn plus(self, count: u32) -> Option<u32> {
        (self.0 & !COUNT == 0).then_some(self.0 + count)
    }
}

/// Announces `count` blocks. Their last users are done with them.
pub(crate) fn announce(announced: &AtomicU32, count: u32) -> Before {
    Before(announced.fetch_add(count, Ordering::AcqRel))
}

/// Returns the blocks of `mask` in word `word`, which were announced.
pub(crate) fn put(words: &[AtomicU64], word: usize, mask: u64, before: Before) -> Told {
    let old = words[word].fetch_or(mask, Ordering::AcqRel);
    if old & mask != 0 {
        return Told::Twice;
    }
    if before.0 & (COUNT | COLLECTING) == 0 { Told::HandOver } else { Told::Nothing }
}

/// Lays hands on a slab of which exactly `count` blocks are announced, unless somebody has it.
pub(crate) fn claim(announced: &AtomicU32, count: u32) -> bool {
    let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
    announced.compare_exchange(count, count | CLAIMED, done, failed).is_ok()
}

/// Ends the claim, with `WAITING`, `EMPTIED` or nothing to tell the owner.
pub(crate) fn end_claim(announced: &AtomicU32, flag: u32) {
    announced.fetch_xor(CLAIMED | flag, Ordering::Release);
}

/// True if the owner must not take blocks out of the slab.
pub(crate) fn is_shut(announced: &AtomicU32) -> bool {
    announced.load(Ordering::Acquire) & (CLAIMED | EMPTIED) != 0
}

/// What the owner found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// More is on its way, or the slab is claimed: the owner has to come again.
    pub(crate) more: bool,
    /// What was told at the end of a claim.
    pub(crate) flags: u32,
}

/// Takes what was returned, word by word; of an emptied slab all or nothing. The owner's.
pub(crate) fn collect(
    announced: &AtomicU32,
    words: &[AtomicU64],
    mut take: impl FnMut(usize, u64),
) -> Found {
    let begin = |word: u32| (word & CLAIMED == 0).then_some(word | COLLECTING);
    let begun = announced.fetch_update(Ordering::Acquire, Ordering::Relaxed, begin);
    let Ok(before) = begun else { return Found { more: true, flags: 0 } };
    let flags = before & (WAITING | EMPTIED);
    if flags & EMPTIED != 0 && returned(words) != before & COUNT {
        announced.fetch_and(!COLLECTING, Ordering::Release);
        return Found { more: true, flags: 0 };
    }
    let mut count = 0;
    for (number, word) in words.iter().enumerate() {
        if word.load(Ordering::Relaxed) != 0 {
            let mask = word.swap(0, Ordering::Acquire);
            count += mask.count_ones();
            take(number, mask);
        }
    }
    let before = announced.fetch_sub(count | COLLECTING | flags, Ordering::Release);
    Found { more: before & COUNT != count, flags }
}

/// Bits that are set.
fn returned(words: &[AtomicU64]) -> u32 {
    words.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;

    fn give(announced: &AtomicU32, words: &[AtomicU64], word: usize, mask: u64) -> Told {
        let before = announce(announced, mask.count_ones());
        put(words, word, mask, before)
    }

    const DONE: Found = Found { more: false, flags: 0 };

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
        assert_eq!(collect(&announced, &words, |word, mask| got.push((word, mask))), DONE);
        assert_eq!(got, [(0, 0b101), (1, 1 << 3)]);
        assert_eq!(collect(&announced, &words, |_, _| panic!("nothing is left")), DONE);
        assert_eq!(give(&announced, &words, 0, 1), Told::HandOver);
    }

    #[test]
    fn what_is_only_announced_brings_the_owner_back() {
        let (announced, words) = (AtomicU32::new(1), [AtomicU64::new(0)]);
        assert!(collect(&announced, &words, |_, _| panic!("nothing is there yet")).more);
        words[0].fetch_or(1, Ordering::Relaxed);
        assert!(!collect(&announced, &words, |_, mask| assert_eq!(mask, 1)).more);
    }

    #[test]
    fn a_claim_keeps_the_owner_out_and_what_was_emptied_comes_whole() {
        let (announced, words) = (AtomicU32::new(0), [AtomicU64::new(0)]);
        give(&announced, &words, 0, 1);
        let before = announce(&announced, 1);
        assert_eq!(before.plus(1), Some(2));
        assert!(!claim(&announced, 1) && claim(&announced, 2) && !claim(&announced, 2));
        assert!(is_shut(&announced));
        assert_eq!(announce(&announced, 0).plus(0), None, "somebody has it");
        let none = |_, _| panic!("it is not the owner's turn");
        assert!(collect(&announced, &words, none).more);
        end_claim(&announced, EMPTIED);
        assert!(collect(&announced, &words, none).more, "a bit is missing");
        assert_eq!(put(&words, 0, 2, before), Told::Nothing);
        assert!(is_shut(&announced));
        let found = collect(&announced, &words, |_, mask| assert_eq!(mask, 3));
        assert_eq!(found, Found { more: false, flags: EMPTIED });
        assert!(!is_shut(&announced));
        assert_eq!(give(&announced, &words, 0, 1), Told::HandOver);
    }

    #[test]
    fn what_waits_is_told_once() {
        let (announced, words) = (AtomicU32::new(0), [AtomicU64::new(0)]);
        give(&announced, &words, 0, 3);
        assert!(claim(&announced, 2));
        end_claim(&announced, WAITING);
        assert!(!is_shut(&announced));
        let mut got = 0;
        let found = collect(&announced, &words, |_, mask| got |= mask);
        assert_eq!((got, found), (3, Found { more: false, flags: WAITING }));
        assert_eq!(collect(&announced, &words, |_, _| panic!("nothing is left")), DONE);
    }
}
