//! From ranks to buckets.

/// Cuts a range of ranks into buckets of equal width; what is below it and above it has a bucket
/// of its own each. A lower rank never has a higher bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits {
    low: u64,
    high: u64,
    shift: u32,
    factor: u64,
    /// The bucket above all.
    last: usize,
    /// The first bucket that is looked at, and how many are.
    first: usize,
    buckets: usize,
}

impl Digits {
    /// Buckets for ranks around `low..=high`; at least 3.
    pub(crate) fn new(low: u64, high: u64, buckets: usize) -> Self {
        assert!(low <= high && buckets >= 3, "a range, and a bucket below, inside and above");
        let width = high - low;
        let shift = width.leading_zeros().min(63);
        // The widest distance, shifted, times the factor is just below `buckets - 2` times 2^64.
        let widest = u128::from(width << shift);
        let factor = (((buckets - 2) as u128) << 64) / (widest + 1);
        let factor = u64::try_from(factor).unwrap_or(u64::MAX);
        Digits { low, high, shift, factor, last: buckets - 1, first: 0, buckets }
    }

    /// The same for elements that are in the buckets `first..end` of these, which count from 0.
    pub(crate) fn part(&self, first: usize, end: usize) -> Self {
        Digits { first: self.first + first, buckets: end - first, ..*self }
    }

    /// Buckets that are looked at.
    pub(crate) const fn buckets(&self) -> usize {
        self.buckets
    }

    #[inline(always)]
    pub(crate) fn of(&self, rank: u64) -> usize {
        let distance = rank.wrapping_sub(self.low) << self.shift;
        let inside = 1 + ((u128::from(distance) * u128::from(self.factor)) >> 64) as usize;
        let bucket = if rank < self.low {
            0
        } else if rank > self.high {
            self.last
        } else {
            inside
        };
        bucket.wrapping_sub(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lower_ranks_have_no_higher_bucket(
            ends: (u64, u64), narrow in 0u32..64, buckets in 3usize..5000, ranks: [u64; 8]
        ) {
            let (low, high) = (ends.0.min(ends.1), ends.0.max(ends.1));
            let high = low + ((high - low) >> narrow);
            let digits = Digits::new(low, high, buckets);
            let mut ranks: Vec<u64> =
                ranks.iter().map(|rank| low.wrapping_add(rank >> narrow)).collect();
            ranks.extend([0, low.saturating_sub(1), low, high, high.saturating_add(1), u64::MAX]);
            ranks.sort_unstable();
            let found: Vec<usize> = ranks.iter().map(|&rank| digits.of(rank)).collect();
            prop_assert!(found.is_sorted());
            prop_assert!(found.iter().all(|&digit| digit < buckets));
            prop_assert_eq!(digits.of(low), 1);
            prop_assert!(digits.of(high) < buckets - 1);
        }
    }
}
