//! The sort itself: what is too long is distributed, what is not is sorted in the cache.

mod compared;
mod parallel;
mod survey;

use crate::journal::Area;
use crate::kernel::{self, Scratch};
use crate::order::{Numbers, Plain, RankBits, form};
use crate::shape::Shape;
use crate::spread::{Digits, digit, distribute, reverse, split};
use crate::watch::{Stopped, Watch};
use survey::Survey;
pub(crate) use survey::{disorder, found};

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
    match shape.numbers() {
        Some(numbers) => sort_numbers(data, numbers, found, areas, watch),
        None => sort_as(data, shape, found, areas, watch),
    }
}

/// Numbers of all kinds, by as many sorts as there are forms of which the compiler makes a good
/// one.
fn sort_numbers(
    data: &mut [u8],
    numbers: Numbers,
    found: Found,
    areas: &mut [Area<'_>],
    watch: &Watch<'_>,
) -> Result<(), Stopped> {
    let bits = RankBits::of(numbers);
    macro_rules! by {
        ($width:literal, $form:ident) => {
            sort_as(data, &Plain::<$width, { form::$form }>::new(numbers), found, areas, watch)
        };
    }
    match (bits.len, bits.is_big, bits.turned_in_negative != 0) {
        (1, ..) => by!(1, ANY),
        (2, ..) => by!(2, ANY),
        (4, false, false) => by!(4, PLAIN),
        (4, false, true) => by!(4, FLOAT),
        (4, true, _) => by!(4, ANY),
        (_, false, false) => by!(8, PLAIN),
        (_, false, true) => by!(8, FLOAT),
        (_, true, _) => by!(8, ANY),
    }
}

fn sort_as<S: Shape>(
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

/// Buckets that one thread distributes to at a time: their blocks, and where these end, stay in its
/// nearest caches.
const BUCKETS_BEST: usize = 1024;

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
        let survey = if is_whole { Survey::of_whole(data, shape) } else { Survey::of(data, shape) };
        if !is_whole && (survey.is_sorted || survey.low == survey.high) {
            return if survey.is_sorted || shape.rank_decides() {
                self.watch.add(data.len());
                Ok(())
            } else {
                self.sort_compared(data, base)
            };
        }
        let digits = survey.digits(len, len_max, self.area.buckets_max().min(BUCKETS_BEST));
        let starts = starts_of(&count(data, shape, &digits));
        distribute(data, base, (shape, &digits), &starts, self.area, self.watch)?;
        if is_whole {
            self.watch.add(data.len());
        }
        self.sort_buckets(data, base, &starts, &digits)
    }

    fn sort_buckets(
        &mut self,
        mut rest: &mut [u8],
        base: usize,
        starts: &[usize],
        digits: &Digits,
    ) -> Result<(), Stopped> {
        for (number, ends) in starts.windows(2).enumerate() {
            let bucket = rest.split_off_mut(..(ends[1] - ends[0]) * self.shape.width());
            let bucket = bucket.expect("the buckets are as long as the range");
            self.sort_bucket(bucket, base + ends[0], digits.middle(number))?;
        }
        Ok(())
    }

    /// Sorts a bucket with this rank in its middle. Numbers are split there if halves are short
    /// enough.
    fn sort_bucket(&mut self, data: &mut [u8], base: usize, middle: u64) -> Result<(), Stopped> {
        let (width, len_max) = (self.shape.width(), kernel::len_max(self.shape, self.area));
        let len = data.len() / width;
        if kernel::is_number(self.shape)
            && (len_max + 1..=2 * len_max).contains(&len)
            && let Some(low) = split(data, base, self.shape, middle, self.area)
        {
            let (left, right) = data.split_at_mut(low * width);
            self.sort(left, base, false)?;
            return self.sort(right, base + low, false);
        }
        self.sort(data, base, false)
    }
}

/// How many elements have which digit.
///
/// Neighbours are counted in tables of their own: a processor that counts two of the same digit in
/// one table has to wait for the first one.
fn count<S: Shape>(data: &[u8], shape: &S, digits: &Digits) -> Vec<usize> {
    const TABLES: usize = 4;
    let (width, buckets) = (shape.width(), digits.buckets());
    let mut counts = vec![0; buckets];
    let mut tables = vec![0u32; TABLES * buckets];
    // No count of a part overflows.
    for part in data.chunks(width << 24) {
        tables.fill(0);
        let [first, second, third, fourth] = quarters(&mut tables, buckets);
        let mut groups = part.chunks_exact(TABLES * width);
        for group in &mut groups {
            let digit = |place: usize| digit(&group[place * width..][..width], shape, digits);
            first[digit(0)] += 1;
            second[digit(1)] += 1;
            third[digit(2)] += 1;
            fourth[digit(3)] += 1;
        }
        for element in groups.remainder().chunks_exact(width) {
            first[digit(element, shape, digits)] += 1;
        }
        for table in tables.chunks_exact(buckets) {
            counts.iter_mut().zip(table).for_each(|(sum, &count)| *sum += count as usize);
        }
    }
    counts
}

fn quarters(tables: &mut [u32], len: usize) -> [&mut [u32]; 4] {
    let (first, rest) = tables.split_at_mut(len);
    let (second, rest) = rest.split_at_mut(len);
    let (third, fourth) = rest.split_at_mut(len);
    [first, second, third, fourth]
}

/// Where the ranges of the buckets begin, and where the last one ends.
fn starts_of(counts: &[usize]) -> Vec<usize> {
    let ends = counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    core::iter::once(0).chain(ends).collect()
}
