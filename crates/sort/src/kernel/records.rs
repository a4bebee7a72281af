//! Ranges of records: ranks and places are sorted, and the records follow.

use crate::journal::{Area, Field, Phase, copy};
use crate::shape::Shape;

pub(super) fn sort<S: Shape>(
    data: &mut [u8],
    base: usize,
    shape: &S,
    area: &mut Area<'_>,
    order: &mut Vec<(u64, u32)>,
) {
    let width = shape.width();
    let record = |place: u32| &data[place as usize * width..][..width];
    order.clear();
    order.extend((0..).zip(data.chunks_exact(width)).map(|(place, one)| (shape.rank(one), place)));
    if shape.rank_decides() {
        order.sort_unstable();
    } else {
        order.sort_unstable_by(|left, right| {
            left.0.cmp(&right.0).then_with(|| shape.compare(record(left.1), record(right.1)))
        });
    }
    if order.iter().zip(0..).all(|(&(_, from), to)| from == to) {
        return;
    }
    for (target, &(_, place)) in area.room.chunks_exact_mut(width).zip(&*order) {
        target.copy_from_slice(record(place));
    }
    area.set(Field::Base, base as u64);
    area.set(Field::Len, order.len() as u64);
    area.enter(Phase::WriteBack);
    copy(&area.room[..data.len()], data);
    area.enter(Phase::Idle);
}
