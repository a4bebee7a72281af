//! A look at a range before it is sorted.

use super::Found;
use crate::kernel;
use crate::shape::Shape;
use crate::spread::Digits;
use core::cmp::Ordering;

/// Ranks that are looked at to guess where all of them lie.
const SAMPLE_LEN: usize = 1 << 12;

/// Part of the room that a bucket fills on the average, in tenths: few become longer than it.
const FILLING: usize = 8;

/// The ends of the ranks, and whether the elements are in order.
pub(super) struct Survey {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) is_sorted: bool,
}

impl Survey {
    /// Of all elements.
    pub(super) fn of<S: Shape>(data: &[u8], shape: &S) -> Self {
        let width = shape.width();
        let (low, high, is_sorted) = kernel::survey(data, shape);
        let mut survey = Survey { low, high, is_sorted };
        if survey.is_sorted && !shape.rank_decides() {
            survey.is_sorted = run_len(data, shape, Ordering::Greater) == data.len() / width;
        }
        survey
    }

    /// Of a whole file: of numbers exact, since a look at them takes little; of others a guess.
    pub(super) fn of_whole<S: Shape>(data: &[u8], shape: &S) -> Self {
        if kernel::is_number(shape) { Survey::of(data, shape) } else { sample(data, shape) }
    }

    /// Buckets of which each is probably no longer than `len_max`, if so many are possible.
    pub(super) fn digits(&self, len: usize, len_max: usize, buckets_max: usize) -> Digits {
        let wanted = (len * 10 / FILLING).div_ceil(len_max.max(1)) + 2;
        let buckets = wanted.clamp(2, buckets_max.max(2));
        Digits::new(self.low, self.high, buckets)
    }
}

/// A guess at the ends, from elements all over the range.
fn sample<S: Shape>(data: &[u8], shape: &S) -> Survey {
    let width = shape.width();
    let len = data.len() / width;
    let mut survey = Survey { low: u64::MAX, high: 0, is_sorted: false };
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ len as u64;
    for _ in 0..SAMPLE_LEN {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = ((u128::from(state) * len as u128) >> 64) as usize;
        let rank = shape.rank(&data[place * width..][..width]);
        survey.low = survey.low.min(rank);
        survey.high = survey.high.max(rank);
    }
    survey
}

/// How the elements lie.
pub(crate) fn found<S: Shape>(data: &[u8], shape: &S) -> Found {
    let len = data.len() / shape.width();
    if run_len(data, shape, Ordering::Greater) >= len {
        Found::Sorted
    } else if run_len(data, shape, Ordering::Less) >= len {
        Found::Reversed
    } else {
        Found::Unsorted
    }
}

/// The first element that comes before the one in front of it.
pub(crate) fn disorder<S: Shape>(data: &[u8], shape: &S) -> Option<usize> {
    let place = run_len(data, shape, Ordering::Greater);
    Some(place).filter(|&place| place < data.len() / shape.width())
}

/// How many elements there are from the start until one pair of neighbours is in the order
/// `broken`.
fn run_len<S: Shape>(data: &[u8], shape: &S, broken: Ordering) -> usize {
    let width = shape.width();
    let order = |place: usize| {
        let pair = &data[place * width..][..2 * width];
        let (left, right) = pair.split_at(width);
        match shape.rank(left).cmp(&shape.rank(right)) {
            Ordering::Equal if !shape.rank_decides() => shape.compare(left, right),
            order => order,
        }
    };
    let len = data.len() / width;
    (1..len).find(|&place| order(place - 1) == broken).unwrap_or(len)
}
