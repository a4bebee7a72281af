//! Ranges of numbers: two scatters by the upper bits in which their ranks differ, the second one
//! back to the data, and what is left by insertion.

use super::vectors::Vectors;
use super::{Scratch, survey_by};
use crate::journal::{Area, Field, Phase, crash};
use crate::shape::Shape;

/// Bits of a scatter, at most: so many streams the nearest caches serve.
const DIGIT_BITS_MAX: u32 = 10;

/// Numbers of a small bucket, on the average, and more where they are many: four to eight buckets
/// are a window.
const SMALL_LEN: usize = 4;

/// Bits of the digit of a small bucket, at most.
const SMALL_BITS_MAX: u32 = 13;

/// How long a range of numbers is best at most: its small buckets hold ten, and a half of what is
/// about twice as long as 64 Ki is not longer.
pub(super) const LEN_MAX: usize = 72 << 10;

/// Moves of an insertion sort for each element, until it is given up.
const MOVES_MAX: usize = 8;

/// How many numbers have which lower, and which upper digit; then where the next one goes.
pub(super) struct Counts {
    lower: Box<[u32; 1 << DIGIT_BITS_MAX]>,
    upper: Box<[u32; 1 << DIGIT_BITS_MAX]>,
    small: Box<[u32; 1 << SMALL_BITS_MAX]>,
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            lower: Box::new([0; 1 << DIGIT_BITS_MAX]),
            upper: Box::new([0; 1 << DIGIT_BITS_MAX]),
            small: Box::new([0; 1 << SMALL_BITS_MAX]),
        }
    }
}

/// The two digits of a rank: the bits from `shift` on of its distance from the lowest one.
#[derive(Clone, Copy)]
struct Digits {
    low: u64,
    shift: u32,
    lower_bits: u32,
    upper_bits: u32,
}

impl Digits {
    fn new(low: u64, high: u64, len: usize) -> Self {
        let bits = 64 - (high - low).leading_zeros();
        // Four places for each element: few share one.
        let wanted = len.ilog2() + 3;
        let used = bits.min(wanted).min(2 * DIGIT_BITS_MAX);
        Digits { low, shift: bits - used, lower_bits: used / 2, upper_bits: used - used / 2 }
    }

    /// Both digits, the upper one above the lower one.
    #[inline(always)]
    fn both(&self, rank: u64) -> usize {
        ((rank - self.low) >> self.shift) as usize
    }

    #[inline(always)]
    fn lower(&self, rank: u64) -> usize {
        self.both(rank) & ((1 << self.lower_bits) - 1)
    }

    #[inline(always)]
    fn upper(&self, rank: u64) -> usize {
        self.both(rank) >> self.lower_bits
    }
}

pub(super) fn sort<S: Shape, const W: usize>(
    data: &mut [u8],
    base: usize,
    shape: &S,
    area: &mut Area<'_>,
    scratch: &mut Scratch,
) {
    let (low, high, is_sorted) = survey_by(data, shape, scratch.instructions);
    let (data, _) = data.as_chunks_mut::<W>();
    if is_sorted || low == high {
        return;
    }
    area.set(Field::Base, base as u64);
    area.set(Field::Len, data.len() as u64);
    match Vectors::of(shape, scratch.instructions) {
        Some(vectors) => by_windows(data, shape, (low, high), area, &mut scratch.counts, vectors),
        None => by_scatters(data, shape, (low, high), area, &mut scratch.counts),
    }
    area.enter(Phase::Idle);
}

/// By two scatters, and insertions.
fn by_scatters<S: Shape, const W: usize>(
    data: &mut [[u8; W]],
    shape: &S,
    (low, high): (u64, u64),
    area: &mut Area<'_>,
    counts: &mut Counts,
) {
    let digits = Digits::new(low, high, data.len());
    let Counts { lower, upper, .. } = counts;
    count(data, shape, digits, lower, upper);
    let (room, _) = area.room.as_chunks_mut::<W>();
    let room = &mut room[..data.len()];
    scatter(data, room, &mut lower[..], |element| digits.lower(shape.rank(element)));
    area.enter(Phase::WriteBack);
    let (room, _) = area.room.as_chunks::<W>();
    crash::point();
    scatter(&room[..data.len()], data, &mut upper[..], |element| digits.upper(shape.rank(element)));
    crash::point();
    if digits.shift > 0 && !insert(data, |element| shape.rank(element)) {
        data.sort_unstable_by_key(|element| shape.rank(element));
    }
}

/// By a scatter to small buckets, and a network for a few of them at a time.
fn by_windows<S: Shape, const W: usize>(
    data: &mut [[u8; W]],
    shape: &S,
    (low, high): (u64, u64),
    area: &mut Area<'_>,
    counts: &mut Counts,
    vectors: Vectors,
) {
    let bits = 64 - (high - low).leading_zeros();
    let wanted = (data.len() / SMALL_LEN).max(2).ilog2();
    let used = bits.min(wanted).min(SMALL_BITS_MAX);
    let digit = |element: &[u8; W]| ((shape.rank(element) - low) >> (bits - used)) as usize;
    let next = &mut counts.small[..1 << used];
    next.fill(0);
    for element in &*data {
        next[digit(element)] += 1;
    }
    turn_into_starts(next);
    let (room, _) = area.room.as_chunks_mut::<W>();
    scatter(data, &mut room[..data.len()], next, digit);
    area.enter(Phase::WriteBack);
    let (room, _) = area.room.as_chunks::<W>();
    crash::point();
    let sort_long =
        |bucket: &mut [[u8; W]]| bucket.sort_unstable_by_key(|element| shape.rank(element));
    vectors.sort_buckets((&room[..data.len()], data), next, &sort_long);
    crash::point();
}

/// Counts the digits, and turns the counts into the places of the first ones.
fn count<S: Shape, const W: usize>(
    data: &[[u8; W]],
    shape: &S,
    digits: Digits,
    lower: &mut [u32; 1 << DIGIT_BITS_MAX],
    upper: &mut [u32; 1 << DIGIT_BITS_MAX],
) {
    let lower = &mut lower[..1 << digits.lower_bits];
    let upper = &mut upper[..1 << digits.upper_bits];
    lower.fill(0);
    upper.fill(0);
    for element in data {
        let rank = shape.rank(element);
        lower[digits.lower(rank)] += 1;
        upper[digits.upper(rank)] += 1;
    }
    turn_into_starts(lower);
    turn_into_starts(upper);
}

/// From how many there are to where the first one is.
fn turn_into_starts(counts: &mut [u32]) {
    let mut before = 0;
    for count in counts {
        before += core::mem::replace(count, before);
    }
}

/// Each element goes to the next place of its digit.
#[inline(always)]
fn scatter<const W: usize>(
    from: &[[u8; W]],
    to: &mut [[u8; W]],
    next: &mut [u32],
    digit: impl Fn(&[u8; W]) -> usize,
) {
    for element in from {
        let place = &mut next[digit(element)];
        to[*place as usize] = *element;
        *place += 1;
    }
}

/// Sorts what is nearly sorted. False: it is not, and was left as it came to be.
fn insert<const W: usize>(data: &mut [[u8; W]], rank: impl Fn(&[u8; W]) -> u64) -> bool {
    let mut left = data.len() * MOVES_MAX;
    for place in 1..data.len() {
        let element = data[place];
        let own = rank(&element);
        if rank(&data[place - 1]) <= own {
            continue;
        }
        let mut hole = place;
        while hole > 0 && rank(&data[hole - 1]) > own {
            data[hole] = data[hole - 1];
            hole -= 1;
        }
        data[hole] = element;
        let moves = place - hole;
        if moves > left {
            return false;
        }
        left -= moves;
    }
    true
}
