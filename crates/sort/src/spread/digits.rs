//! From ranks to buckets.

/// Cuts a range of ranks into buckets of equal width, a power of two. A lower rank never has a
/// higher bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits {
    low: u64,
    high: u64,
    shift: u32,
    buckets: usize,
}

impl Digits {
    /// At most so many buckets for the ranks `low..=high`, and more than half as many; two are the
    /// fewest, of which the ends of the range have one each, if they differ.
    pub(crate) fn new(low: u64, high: u64, buckets_max: usize) -> Self {
        assert!(low <= high && buckets_max >= 2, "a range, and a bucket for each end");
        let (width, max) = (high - low, buckets_max as u64);
        let bits = 64 - width.leading_zeros();
        let narrow = bits.saturating_sub(max.ilog2() + 1);
        let shift = narrow + u32::from(width >> narrow >= max);
        Digits { low, high, shift, buckets: (width >> shift) as usize + 1 }
    }

    /// The same for elements that are in the buckets `first..end` of these, which count from 0.
    pub(crate) fn part(&self, first: usize, end: usize) -> Self {
        let high = if end == self.buckets { self.high } else { self.start(end) - 1 };
        Digits { low: self.start(first), high, buckets: end - first, ..*self }
    }

    /// The lowest rank of a bucket.
    pub(crate) fn start(&self, bucket: usize) -> u64 {
        self.low + ((bucket as u64) << self.shift)
    }

    /// A rank in the middle of a bucket, and above the lowest one.
    pub(crate) fn middle(&self, bucket: usize) -> u64 {
        self.start(bucket).saturating_add(((1 << self.shift) / 2).max(1))
    }

    /// Buckets that are looked at.
    pub(crate) const fn buckets(&self) -> usize {
        self.buckets
    }

    /// The bucket of a rank in the range.
    #[inline(always)]
    pub(crate) fn of(&self, rank: u64) -> usize {
        (rank.wrapping_sub(self.low) >> self.shift) as usize
    }

    /// The bucket of any rank: what is outside of the range belongs to its ends.
    #[inline(always)]
    pub(crate) fn of_any(&self, rank: u64) -> usize {
        self.of(rank.clamp(self.low, self.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lower_ranks_have_no_higher_bucket(
            ends: (u64, u64), narrow in 0u32..64, buckets in 2usize..5000, ranks: [u64; 8]
        ) {
            let (low, high) = (ends.0.min(ends.1), ends.0.max(ends.1));
            let high = low + ((high - low) >> narrow);
            let digits = Digits::new(low, high, buckets);
            prop_assert!((digits.buckets() <= buckets) && digits.buckets() > 0);
            prop_assert!((digits.buckets() > buckets / 2) || digits.shift == 0);
            let mut ranks: Vec<u64> =
                ranks.iter().map(|rank| low.wrapping_add(rank >> narrow)).collect();
            ranks.extend([0, low.saturating_sub(1), low, high, high.saturating_add(1), u64::MAX]);
            ranks.sort_unstable();
            let found: Vec<usize> = ranks.iter().map(|&rank| digits.of_any(rank)).collect();
            prop_assert!(found.is_sorted());
            prop_assert_eq!(digits.of(low), 0);
            prop_assert_eq!(digits.of(high), digits.buckets() - 1);
            prop_assert!(low == high || digits.buckets() > 1);
            let cut = digits.buckets() / 2;
            let parts = [digits.part(0, cut), digits.part(cut, digits.buckets())];
            for (rank, bucket) in ranks.into_iter().zip(found) {
                let (part, first) = if bucket < cut { (parts[0], 0) } else { (parts[1], cut) };
                prop_assert_eq!(part.of_any(rank) + first, bucket);
            }
        }
    }
}
