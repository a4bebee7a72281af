//! Many sorted runs of numbers become one, a block at a time.
//!
//! ```text
//!   what is in memory of run 0   |####......|
//!                     of run 1   |##########|...    the lowest of the last ones looked at:
//!                     of run 2   |#.........|       its rank is the pivot
//! ```
//! What is not above the pivot (`#`) comes before all else that is left. These parts are merged two
//! by two, in memory that the nearest caches hold, by a loop without a branch that depends on the
//! numbers: a tournament would play as many games for every element, and look at more for each.
#![forbid(unsafe_code)]

use super::cursor::{Cursor, RunFile};
use super::error::Error;
use super::form::{Cut, Form};
use super::sink::Sink;
use std::hint::select_unpredictable;
use std::ops::Range;

/// Bytes of a block: two of them have room in the cache of a core.
const BLOCK_LEN: usize = 256 << 10;
/// With fewer elements of a run in a block, looking for them takes longer than merging them.
const SHARE_MIN: usize = 64;

/// Bytes that are looked at of every run for a block; `None` if there is no use in blocks: elements
/// have an order even if they are equal, or runs are many.
pub(super) fn share_of<F: Form>(form: &F, runs: usize, buffer_len: usize) -> Option<usize> {
    let Cut::Width(width) = form.cut() else { return None };
    let elements = BLOCK_LEN.min(buffer_len) / runs.max(1) / width;
    let are_numbers = form.entry_len() == 0 && matches!(width, 1 | 2 | 4 | 8 | 16);
    (are_numbers && elements >= SHARE_MIN).then_some(elements * width)
}

/// Merges the runs in `ranges` into `sink`. Returns how many elements there were.
pub(super) fn merge<F: Form>(
    form: &F,
    source: RunFile<'_>,
    ranges: &[Range<u64>],
    (buffer_len, share): (usize, usize),
    sink: &mut Sink<'_>,
) -> Result<u64, Error> {
    let cursor = |range: &Range<u64>| Cursor::new(source, range.clone(), buffer_len);
    let mut cursors: Vec<Cursor<'_>> = ranges.iter().map(cursor).collect();
    let (mut block, mut spare) = (vec![0; ranges.len() * share], vec![0; ranges.len() * share]);
    let mut done = 0;
    loop {
        let parts = next_parts(form, &mut cursors, share)?;
        let lens: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [] => return Ok(done / width_of(form) as u64),
            [part] => sink.push(part)?,
            _ => {
                let len = lens.iter().sum();
                merge_parts(form, &parts, &mut block[..len], &mut spare[..len]);
                sink.push(&block[..len])?;
            }
        }
        for (cursor, len) in cursors.iter_mut().zip(lens) {
            cursor.skip(len);
            done += len as u64;
        }
    }
}

/// Of every run the elements that come before all else that is left.
fn next_parts<'a, F: Form>(
    form: &F,
    cursors: &'a mut [Cursor<'_>],
    share: usize,
) -> Result<Vec<&'a [u8]>, Error> {
    let width = width_of(form);
    let mut pivot = None::<u64>;
    for cursor in &mut *cursors {
        let look = cursor.look(share)?;
        if cursor.has_behind(look) {
            let last = form.rank(&cursor.ahead()[look - width..look]);
            pivot = Some(pivot.map_or(last, |pivot| pivot.min(last)));
        }
    }
    let part = |cursor: &'a Cursor<'_>| {
        let looked = &cursor.ahead()[..share.min(cursor.ahead().len())];
        pivot.map_or(looked, |pivot| &looked[..len_not_above(form, looked, width, pivot)])
    };
    Ok(cursors.iter().map(part).collect())
}

fn width_of<F: Form>(form: &F) -> usize {
    match form.cut() {
        Cut::Width(width) => width,
        Cut::Separator(_) => unreachable!("only elements of one width are merged in blocks"),
    }
}

/// Bytes of the elements whose rank is not above the pivot.
fn len_not_above<F: Form>(form: &F, sorted: &[u8], width: usize, pivot: u64) -> usize {
    let (mut low, mut high) = (0, sorted.len() / width);
    while low < high {
        let middle = usize::midpoint(low, high);
        match form.rank(&sorted[middle * width..][..width]) <= pivot {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low * width
}

/// Merges all parts into `out`; `spare` has the same length.
fn merge_parts<F: Form>(form: &F, parts: &[&[u8]], out: &mut [u8], spare: &mut [u8]) {
    match parts {
        [] => {}
        [part] => out.copy_from_slice(part),
        [left, right] => form.merge_two(left, right, out),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            let left_len = left.iter().map(|part| part.len()).sum();
            let (left_spare, right_spare) = spare.split_at_mut(left_len);
            let (left_out, right_out) = out.split_at_mut(left_len);
            merge_parts(form, left, left_spare, left_out);
            merge_parts(form, right, right_spare, right_out);
            form.merge_two(left_spare, right_spare, out);
        }
    }
}

/// Merges two sorted lists of elements of `W` bytes, from both ends at once: two chains of
/// comparisons that do not wait for each other. Of equal elements those on the left come first.
pub(super) fn merge_two<const W: usize>(
    mut left: &[[u8; W]],
    mut right: &[[u8; W]],
    mut out: &mut [[u8; W]],
    rank: impl Fn(&[u8]) -> u64,
) {
    while !left.is_empty() && !right.is_empty() {
        // So many from each end are there for certain, and the ends do not meet.
        let both = (out.len() / 2).min(left.len()).min(right.len());
        let (front, rest) = out.split_at_mut(both);
        let (middle, back) = rest.split_at_mut(rest.len() - both);
        let (low, high) = merge_ends(left, right, front, back, &rank);
        left = &left[both - low..left.len() - (both - high)];
        right = &right[low..right.len() - high];
        out = middle;
    }
    let (from_left, from_right) = out.split_at_mut(left.len());
    from_left.copy_from_slice(left);
    from_right.copy_from_slice(right);
}

/// Fills `front` with the first elements of both lists, and `back` with the last ones. Both are as
/// long as each other, and not longer than either list. Says how many came from the right.
#[inline(always)]
fn merge_ends<const W: usize>(
    left: &[[u8; W]],
    right: &[[u8; W]],
    front: &mut [[u8; W]],
    back: &mut [[u8; W]],
    rank: &impl Fn(&[u8]) -> u64,
) -> (usize, usize) {
    let (mut low, mut high) = (0, 0);
    let (left_last, right_last) = (left.len() - 1, right.len() - 1);
    for (done, (first, last)) in front.iter_mut().zip(back.iter_mut().rev()).enumerate() {
        let (one, other) = (left[done - low], right[low]);
        let takes_right = rank(&other) < rank(&one);
        *first = select_unpredictable(takes_right, other, one);
        low += usize::from(takes_right);
        let (one, other) = (left[left_last - (done - high)], right[right_last - high]);
        let takes_right = rank(&other) >= rank(&one);
        *last = select_unpredictable(takes_right, other, one);
        high += usize::from(takes_right);
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::super::Fixed;
    use super::*;
    use crate::shape::Native;
    use proptest::prelude::*;

    fn lists() -> impl Strategy<Value = Vec<Vec<u16>>> {
        let number = prop_oneof![0_u16..20, any::<u16>()];
        let list = prop::collection::vec(number, 0..40).prop_map(|mut list| {
            list.sort_unstable();
            list
        });
        prop::collection::vec(list, 0..12)
    }

    proptest! {
        #[test]
        fn parts_are_merged_as_a_sort_does(lists in lists()) {
            let bytes = |list: &[u16]| -> Vec<u8> {
                list.iter().flat_map(|number| number.to_ne_bytes()).collect()
            };
            let mut expected = lists.concat();
            expected.sort_unstable();
            let form = Fixed::plain(Native::<u16>::new());
            let parts: Vec<Vec<u8>> = lists.iter().map(|list| bytes(list)).collect();
            let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            let (mut out, mut spare) = (bytes(&expected), bytes(&expected));
            out.fill(0xaa);
            merge_parts(&form, &parts, &mut out, &mut spare);
            prop_assert_eq!(out, bytes(&expected));
        }

        #[test]
        fn what_is_not_above_is_counted(lists in lists(), pivot in 0_u16..25) {
            let form = Fixed::plain(Native::<u16>::new());
            for list in lists {
                let bytes: Vec<u8> = list.iter().flat_map(|number| number.to_ne_bytes()).collect();
                let expected = 2 * list.iter().filter(|number| **number <= pivot).count();
                prop_assert_eq!(len_not_above(&form, &bytes, 2, pivot.into()), expected);
            }
        }
    }

    #[test]
    fn blocks_are_for_numbers_and_few_runs() {
        let form = Fixed::plain(Native::<u64>::new());
        assert_eq!(share_of(&form, 16, 1 << 20), Some(16 << 10));
        assert_eq!(share_of(&form, 8, 32 << 10), Some(4 << 10));
        assert_eq!(share_of(&form, 1000, 1 << 20), None);
        assert_eq!(share_of(&Fixed::new(Native::<u64>::new()), 4, 1 << 20), None);
        assert_eq!(share_of(&crate::lines::Lines::new(), 4, 1 << 20), None);
    }
}
