//! Ranges that fit into the cache, and into the journal's room.

mod numbers;
mod records;

use crate::journal::Area;
use crate::shape::Shape;

/// Records of a range that are sorted by their ranks and places: 16 bytes each.
const RECORDS_MAX: usize = 8 << 10;

/// What a thread needs besides the journal.
#[derive(Default)]
pub(crate) struct Scratch {
    counts: numbers::Counts,
    order: Vec<(u64, u32)>,
}

/// Numbers are moved by rank alone; the others by the order of their places.
fn is_number<S: Shape>(shape: &S) -> bool {
    shape.rank_decides() && matches!(shape.width(), 1 | 2 | 4 | 8 | 16)
}

/// How long a range may be, in elements, to be sorted here.
pub(crate) fn len_max<S: Shape>(shape: &S, area: &Area<'_>) -> usize {
    let capacity = area.capacity(shape.width());
    if is_number(shape) { capacity } else { capacity.min(RECORDS_MAX) }
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
