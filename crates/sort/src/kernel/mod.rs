//! Ranges that fit into the cache, and into the journal's room.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod numbers;
mod records;
#[cfg(test)]
mod tests;
mod vectors;

use crate::journal::Area;
use crate::shape::Shape;
use core::sync::atomic::AtomicU64;
use vectors::{Instructions, Vectors};

/// Records of a range that are sorted by their ranks and places: 16 bytes each.
const RECORDS_MAX: usize = 8 << 10;

/// What a thread needs besides the journal.
#[derive(Default)]
pub(crate) struct Scratch {
    instructions: Instructions,
    counts: numbers::Counts,
    order: Vec<(u64, u32)>,
}

/// Numbers are moved by rank alone; the others by the order of their places.
#[inline(always)]
pub(crate) fn is_number<S: Shape>(shape: &S) -> bool {
    shape.rank_decides() && matches!(shape.width(), 1 | 2 | 4 | 8 | 16)
}

/// How long a range may be, in elements, to be sorted here.
pub(crate) fn len_max<S: Shape>(shape: &S, area: &Area<'_>) -> usize {
    let capacity = area.capacity(shape.width());
    capacity.min(if is_number(shape) { numbers::LEN_MAX } else { RECORDS_MAX })
}

/// The lowest and the highest rank, and whether the ranks are in order.
pub(crate) fn survey<S: Shape>(data: &[u8], shape: &S) -> (u64, u64, bool) {
    survey_by(data, shape, Instructions::detect())
}

fn survey_by<S: Shape>(data: &[u8], shape: &S, instructions: Instructions) -> (u64, u64, bool) {
    if let Some(vectors) = Vectors::of(shape, instructions) {
        return vectors.survey(data);
    }
    let (mut low, mut high, mut before, mut is_sorted) = (u64::MAX, 0, 0, true);
    for element in data.chunks_exact(shape.width()) {
        let rank = shape.rank(element);
        low = low.min(rank);
        high = high.max(rank);
        is_sorted &= before <= rank;
        before = rank;
    }
    (low, high, is_sorted)
}

/// The beginning of a split, by vectors: see `Vectors::split`.
pub(crate) fn begin_split<S: Shape>(
    places: (&mut [u8], &mut [u8]),
    shape: &S,
    border: u64,
    state: &AtomicU64,
) -> (usize, usize) {
    let vectors = Vectors::of(shape, Instructions::detect());
    vectors.map_or((0, 0), |vectors| vectors.split(places, border, state))
}

/// Sorts a range of at most [`len_max`] elements that begins at element `base` of the file.
pub(crate) fn sort_range<S: Shape>(
    data: &mut [u8],
    base: usize,
    shape: &S,
    area: &mut Area<'_>,
    scratch: &mut Scratch,
) {
    match shape.width() {
        1 if is_number(shape) => numbers::sort::<S, 1>(data, base, shape, area, scratch),
        2 if is_number(shape) => numbers::sort::<S, 2>(data, base, shape, area, scratch),
        4 if is_number(shape) => numbers::sort::<S, 4>(data, base, shape, area, scratch),
        8 if is_number(shape) => numbers::sort::<S, 8>(data, base, shape, area, scratch),
        16 if is_number(shape) => numbers::sort::<S, 16>(data, base, shape, area, scratch),
        _ => records::sort(data, base, shape, area, &mut scratch.order),
    }
}
