//! A range in two, in place: what is low stays, what is high waits in the journal's room.
//!
//! ```text
//!   range   | low | stale | not read yet |      room   | high |
//!           0     low     read           end           0      read - low
//! ```
//! Each element is written both to the end of the low ones and to the end of the high ones, and one
//! store says for which of them it counts: there is no branch to guess wrong.

use crate::journal::{Area, Field, Phase, commit, copy, split_word};
use crate::kernel::begin_split;
use crate::shape::Shape;

/// Brings the elements whose rank is below `border` to the left, and says how many they are. `None`
/// if the room is too short for the others: all are there, in some order.
///
/// `base` is where `data` begins in the file, in elements.
pub(crate) fn split<S: Shape>(
    data: &mut [u8],
    base: usize,
    shape: &S,
    border: u64,
    area: &mut Area<'_>,
) -> Option<usize> {
    match shape.width() {
        1 => split_as::<S, 1>(data, base, shape, border, area),
        2 => split_as::<S, 2>(data, base, shape, border, area),
        4 => split_as::<S, 4>(data, base, shape, border, area),
        8 => split_as::<S, 8>(data, base, shape, border, area),
        _ => split_as::<S, 16>(data, base, shape, border, area),
    }
}

fn split_as<S: Shape, const W: usize>(
    data: &mut [u8],
    base: usize,
    shape: &S,
    border: u64,
    area: &mut Area<'_>,
) -> Option<usize> {
    let len = data.len() / W;
    area.set(Field::Base, base as u64);
    area.set(Field::Len, len as u64);
    area.set(Field::Split, split_word(0, 0));
    area.enter(Phase::Split);
    let state = area.word(Field::Split);
    let (mut low, mut read) = begin_split((&mut *data, &mut *area.room), shape, border, state);
    let (numbers, room) = (data.as_chunks_mut::<W>().0, area.room.as_chunks_mut::<W>().0);
    while read < len && read - low < room.len() {
        let element = numbers[read];
        room[read - low] = element;
        numbers[low] = element;
        low += usize::from(shape.rank(&element) < border);
        read += 1;
        commit(state, split_word(low, read));
    }
    copy(&area.room[..(read - low) * W], &mut data[low * W..read * W]);
    area.enter(Phase::Idle);
    (read == len).then_some(low)
}
