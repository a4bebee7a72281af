//! The sort on several threads.
//!
//! All count, then exchange elements until each thread has a range of the data and a range of the
//! buckets of its own; each distributes its range; and all take buckets until there are none.

use super::survey::Survey;
use super::{BUCKETS_BEST, Worker, count, starts_of};
use crate::journal::Area;
use crate::kernel::{self, Scratch};
use crate::shape::Shape;
use crate::spread::{Digits, Leaving, digit, distribute, exchange_misplaced, split};
use crate::watch::{Stopped, Watch};
use std::sync::{Mutex, PoisonError};

/// Sorts a range that begins at element `base` of the file, with one thread for each area.
pub(super) fn sort<S: Shape>(
    data: &mut [u8],
    base: usize,
    shape: &S,
    areas: &mut [Area<'_>],
    watch: &Watch<'_>,
    is_whole: bool,
) -> Result<(), Stopped> {
    let len = data.len() / shape.width();
    let len_max = kernel::len_max(shape, &areas[0]);
    let survey = if is_whole { Survey::of_whole(data, shape) } else { Survey::of(data, shape) };
    let is_done = !is_whole && (survey.is_sorted || survey.low == survey.high);
    if areas.len() == 1 || is_done || len <= 2 * areas.len() * len_max {
        let mut worker = Worker { shape, watch, area: &mut areas[0], scratch: Scratch::default() };
        return worker.sort(data, base, is_whole);
    }
    let digits =
        survey.digits(len, len_max, areas[0].buckets_max().min(BUCKETS_BEST * areas.len()));
    let starts = starts_of(&count_all(data, shape, &digits, areas.len())?);
    divide(data, base, (shape, &digits), &starts, areas, watch)?;
    if is_whole {
        watch.add(data.len());
    }
    // A bucket that would keep one thread busy while the others have nothing left is for all.
    let is_long = |bucket: &[u8]| bucket.len() / shape.width() > len / areas.len() / 2;
    let (mut long, mut short) = (Vec::new(), Vec::new());
    let mut rest = data;
    for (number, ends) in starts.windows(2).enumerate() {
        let bucket = rest.split_off_mut(..(ends[1] - ends[0]) * shape.width());
        let bucket = bucket.expect("the buckets are as long as the range");
        let list = if is_long(bucket) { &mut long } else { &mut short };
        list.push((bucket, base + ends[0], digits.middle(number)));
    }
    for (bucket, base, _) in long {
        sort(bucket, base, shape, areas, watch, false)?;
    }
    let queue = Mutex::new(short.into_iter());
    crate::threads::each(areas, |area| {
        let mut worker = Worker { shape, watch, area, scratch: Scratch::default() };
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((bucket, base, middle)) = next else { return Ok(()) };
            worker.sort_bucket(bucket, base, middle)?;
        }
    })?;
    Ok(())
}

/// Counts digits on several threads.
fn count_all<S: Shape>(
    data: &[u8],
    shape: &S,
    digits: &Digits,
    threads: usize,
) -> Result<Vec<usize>, Stopped> {
    let width = shape.width();
    let part_len = (data.len() / width).div_ceil(threads) * width;
    let mut parts: Vec<&[u8]> = data.chunks(part_len).collect();
    let counts = crate::threads::each(&mut parts, |part| Ok(count(part, shape, digits)))?;
    let sum = |bucket| counts.iter().map(|counts| counts[bucket]).sum();
    Ok((0..digits.buckets()).map(sum).collect())
}

/// Halves the data at the border of a bucket, and the threads, until each has a part; then each
/// distributes it.
fn divide<S: Shape>(
    data: &mut [u8],
    base: usize,
    (shape, digits): (&S, &Digits),
    starts: &[usize],
    areas: &mut [Area<'_>],
    watch: &Watch<'_>,
) -> Result<(), Stopped> {
    let buckets = starts.len() - 1;
    if areas.len() == 1 || buckets < 2 {
        return distribute(data, base, (shape, digits), starts, &mut areas[0], watch);
    }
    let width = shape.width();
    let first = starts[0];
    let half = areas.len() / 2;
    let ideal = first + (starts[buckets] - first) * half / areas.len();
    let border = (1..buckets).min_by_key(|&bucket| starts[bucket].abs_diff(ideal)).unwrap_or(1);
    let leaving = |piece: &mut [u8], base, is_left, area: &mut Area<'_>| {
        if kernel::is_number(shape)
            && let Some(low) = split(piece, base, shape, digits.start(border), area)
        {
            return Leaving::Run(if is_left { low..piece.len() / width } else { 0..low });
        }
        let goes_left = |element: &[u8]| digit(element, shape, digits) < border;
        Leaving::places(piece, width, |element| goes_left(element) != is_left)
    };
    let left_len = starts[border] - first;
    exchange_misplaced((&mut *data, base, left_len), width, leaving, areas, watch)?;
    let (left, right) = data.split_at_mut(left_len * width);
    let (left_areas, right_areas) = areas.split_at_mut(half);
    let mut sides = [
        (left, base, digits.part(0, border), &starts[..=border], left_areas),
        (right, base + left_len, digits.part(border, buckets), &starts[border..], right_areas),
    ];
    crate::threads::each(&mut sides, |(data, base, digits, starts, areas)| {
        divide(data, *base, (shape, digits), starts, areas, watch)
    })?;
    Ok(())
}
