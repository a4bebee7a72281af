//! The sort itself: what is too long is distributed, what is not is sorted in the cache.

mod compared;
mod parallel;
mod survey;

use crate::journal::Area;
use crate::kernel::{self, Scratch};
use crate::shape::Shape;
use crate::spread::{Digits, distribute, reverse};
use crate::watch::{Stopped, Watch};
pub(crate) use survey::found;
use survey::{Survey, sample};

/// How the elements were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In order: nothing was written.
    Sorted,
    /// In the opposite order: they were turned around.
    Reversed,
    /// In none of these.
    Unsorted,
}

/// Sorts the data, which was found so, with one thread for each area.
pub(crate) fn sort<S: Shape>(
    data: &mut [u8],
    shape: &S,
    found: Found,
    areas: &mut [Area<'_>],
    watch: &Watch<'_>,
) -> Result<(), Stopped> {
    match found {
        Found::Sorted => {}
        Found::Reversed => reverse(data, shape.width(), areas, watch)?,
        Found::Unsorted if areas.len() == 1 => {
            let mut worker =
                Worker { shape, watch, area: &mut areas[0], scratch: Scratch::default() };
            worker.sort(data, 0, true)?;
        }
        Found::Unsorted => parallel::sort(data, 0, shape, areas, watch, true)?,
    }
    Ok(())
}

/// A thread and what it works with.
struct Worker<'a, 'b, S> {
    shape: &'a S,
    watch: &'a Watch<'a>,
    area: &'a mut Area<'b>,
    scratch: Scratch,
}

impl<S: Shape> Worker<'_, '_, S> {
    /// Sorts a range that begins at element `base` of the file.
    fn sort(&mut self, data: &mut [u8], base: usize, is_whole: bool) -> Result<(), Stopped> {
        let (shape, width) = (self.shape, self.shape.width());
        let len = data.len() / width;
        let len_max = kernel::len_max(shape, self.area);
        if len <= len_max {
            self.watch.check()?;
            kernel::sort_range(data, base, shape, self.area, &mut self.scratch);
            self.watch.add(data.len() * if is_whole { 2 } else { 1 });
            return Ok(());
        }
        // The buckets of the whole are cut by a sample; theirs by the true ends, so that each cut
        // narrows the ranks.
        let survey = if is_whole { sample(data, shape) } else { Survey::of(data, shape) };
        if !is_whole && (survey.is_sorted || survey.low == survey.high) {
            return if survey.is_sorted || shape.rank_decides() {
                self.watch.add(data.len());
                Ok(())
            } else {
                self.sort_compared(data, base)
            };
        }
        let digits = survey.digits(len, len_max, self.area.buckets_max());
        let starts = starts_of(&count(data, shape, &digits));
        distribute(data, base, (shape, &digits), &starts, self.area, self.watch)?;
        if is_whole {
            self.watch.add(data.len());
        }
        self.sort_buckets(data, base, &starts)
    }

    fn sort_buckets(
        &mut self,
        mut rest: &mut [u8],
        base: usize,
        starts: &[usize],
    ) -> Result<(), Stopped> {
        for ends in starts.windows(2) {
            let bucket = rest.split_off_mut(..(ends[1] - ends[0]) * self.shape.width());
            let bucket = bucket.expect("the buckets are as long as the range");
            self.sort(bucket, base + ends[0], false)?;
        }
        Ok(())
    }
}

/// How many elements have which digit.
fn count<S: Shape>(data: &[u8], shape: &S, digits: &Digits) -> Vec<usize> {
    let mut counts = vec![0; digits.buckets()];
    for element in data.chunks_exact(shape.width()) {
        counts[digits.of(shape.rank(element))] += 1;
    }
    counts
}

/// Where the ranges of the buckets begin, and where the last one ends.
fn starts_of(counts: &[usize]) -> Vec<usize> {
    let ends = counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    core::iter::once(0).chain(ends).collect()
}
