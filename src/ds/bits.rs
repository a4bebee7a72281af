//! Floor 0, pure. Ranges of bits in words that many threads share.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU64, Ordering::Relaxed};
use core::ops::Range;

/// Bits of a word.
pub(crate) const BITS: usize = u64::BITS as usize;

/// The words that a range of bits lies in, and their bits of it.
pub(crate) fn masks(range: &Range<usize>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let Range { start, end } = range.clone();
    (start / BITS..end.div_ceil(BITS)).map(move |word| {
        let below = end - word * BITS;
        let upper = if below >= BITS { u64::MAX } else { (1 << below) - 1 };
        (word, upper & (u64::MAX << start.saturating_sub(word * BITS)))
    })
}

#[inline]
pub(crate) fn is_set(bits: &[AtomicU64], bit: usize) -> bool {
    bits[bit / BITS].load(Relaxed) >> (bit % BITS) & 1 == 1
}

pub(crate) fn set(bits: &[AtomicU64], range: &Range<usize>) {
    for (word, mask) in masks(range) {
        bits[word].fetch_or(mask, Relaxed);
    }
}

/// Clears the bits, and says how many were set.
pub(crate) fn clear(bits: &[AtomicU64], range: &Range<usize>) -> usize {
    let cleared = masks(range).map(|(word, mask)| {
        let set = bits[word].load(Relaxed) & mask;
        if set != 0 {
            bits[word].fetch_and(!mask, Relaxed);
        }
        set.count_ones() as usize
    });
    cleared.sum()
}

/// How many are set.
pub(crate) fn count(bits: &[AtomicU64], range: &Range<usize>) -> usize {
    masks(range).map(|(word, mask)| (bits[word].load(Relaxed) & mask).count_ones() as usize).sum()
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_range_is_its_bits(start in 0_usize..200, len in 1_usize..200) {
            let bits: Vec<_> = (0..7).map(|_| AtomicU64::new(0)).collect();
            let range = start..start + len;
            set(&bits, &range);
            for bit in 0..7 * BITS {
                prop_assert_eq!(is_set(&bits, bit), range.contains(&bit));
            }
            prop_assert_eq!(count(&bits, &(0..7 * BITS)), len);
            prop_assert_eq!(clear(&bits, &(start + len / 2..7 * BITS)), len - len / 2);
            prop_assert_eq!(count(&bits, &range), len / 2);
        }
    }
}
