//! Numbers pushed one by one into an array that has to grow.

use super::bare::Numbers;
use super::case::{Case, Figure, Found, Goal, PROCESSOR, WALL, allocator};
use super::meter::{Meter, Spent, spent_by};
use super::page::{self, Columns};
use super::{OURS, VEC};
use crate::Result;
use crate::vm::thread_time;
use granule::array::StableVec;
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(super) const PART: &str = "push";

/// One array in a new process.
const LARGE: &str = "1e8";
const SMALL: &str = "1e6";
/// The same with a look at the clocks after every [`BATCH`] pushes.
const LARGE_WATCHED: &str = "1e8, watched";
/// Arrays that are made, filled and dropped one after the other.
const SMALL_AGAIN: &str = "1e6, again and again";

const LARGE_COUNT: usize = 100_000_000;
const SMALL_COUNT: usize = 1_000_000;
/// Arrays of one process, where they are made again and again.
const AGAIN: usize = 30;
/// Pushes between two looks at the clocks: no more than one small page, and few enough looks that
/// the run stays short.
const BATCH: usize = 512;
/// A short run tells little: more of them.
const SMALL_REPEAT: usize = 3;
const WATCHED_ROUNDS: usize = 3;

const JEMALLOC: &str = "Vec (jemalloc)";
const MIMALLOC: &str = "Vec (mimalloc)";
const HUGE_VEC: &str = "Vec (glibc huge pages)";
const WITH_CAPACITY: &str = "Vec::with_capacity";
const VIRTUAL_BUFFER: &str = "virtual-buffer";
const SEGVEC: &str = "segvec";
const BARE: &str = "bare";

/// The most that ours may have resident above its elements.
const PEAK_GOAL: u64 = 4 << 20;

/// Everybody at everything.
pub(super) fn cases() -> Vec<Case> {
    let jemalloc = allocator("libjemalloc.so.2", "libjemalloc2");
    let mimalloc = allocator("libmimalloc.so.2", "libmimalloc2.0");
    let huge = ["env", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"].map(String::from).to_vec();
    let own = || Some(Vec::new());
    let arrays = [
        (OURS, Goal::PeakOverPayload(PEAK_GOAL), own(), 1.0),
        (VEC, Goal::Ratio(0.25), own(), 1.0),
        (JEMALLOC, Goal::Ratio(0.10), jemalloc, 2.0),
        (MIMALLOC, Goal::Ratio(0.10), mimalloc, 2.2),
        (HUGE_VEC, Goal::None, Some(huge), 1.5),
        (WITH_CAPACITY, Goal::None, own(), 1.0),
        (VIRTUAL_BUFFER, Goal::None, own(), 1.0),
        (SEGVEC, Goal::None, own(), 1.5),
        (BARE, Goal::None, own(), 1.0),
    ];
    let works = [
        (LARGE, LARGE_COUNT, 1, usize::MAX),
        (LARGE_WATCHED, LARGE_COUNT, 1, WATCHED_ROUNDS),
        (SMALL, SMALL_COUNT, SMALL_REPEAT, usize::MAX),
        (SMALL_AGAIN, SMALL_COUNT, 1, usize::MAX),
    ];
    let mut cases = Vec::new();
    for (work, count, repeat, most_rounds) in works {
        cases.extend(arrays.iter().map(|(array, goal, wrapper, factor)| {
            let case = Case::new(PART, work, array).payload((count * 8) as u64, *factor);
            Case { goal: *goal, wrapper: wrapper.clone(), repeat, most_rounds, ..case }
        }));
    }
    cases
}

/// An array of numbers that can grow.
trait Grow: Sized {
    /// An empty one. Who must know its greatest length is told it.
    fn new(count: usize) -> Result<Self>;
    fn push(&mut self, value: u64);
    /// Where the first element is; nothing for arrays in pieces, which move none.
    fn place(&self) -> Option<usize>;
}

impl Grow for StableVec<u64> {
    fn new(_: usize) -> Result<Self> {
        Ok(StableVec::new())
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }

    fn place(&self) -> Option<usize> {
        Some(self.as_ptr().addr())
    }
}

impl Grow for Vec<u64> {
    fn new(_: usize) -> Result<Self> {
        Ok(Vec::new())
    }

    #[inline]
    fn push(&mut self, value: u64) {
        Vec::push(self, value);
    }

    fn place(&self) -> Option<usize> {
        Some(self.as_ptr().addr())
    }
}

/// A vector that is told its length.
struct Told(Vec<u64>);

impl Grow for Told {
    fn new(count: usize) -> Result<Self> {
        Ok(Told(Vec::with_capacity(count)))
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.0.push(value);
    }

    fn place(&self) -> Option<usize> {
        Some(self.0.as_ptr().addr())
    }
}

impl Grow for virtual_buffer::vec::Vec<u64> {
    fn new(count: usize) -> Result<Self> {
        Ok(virtual_buffer::vec::Vec::new(count))
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }

    fn place(&self) -> Option<usize> {
        Some(self.as_ptr().addr())
    }
}

/// Pieces that double, which its documentation advises for lengths that vary widely.
type Pieces = segvec::SegVec<u64, segvec::Exponential>;

impl Grow for Pieces {
    fn new(_: usize) -> Result<Self> {
        Ok(segvec::SegVec::new())
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }

    fn place(&self) -> Option<usize> {
        None
    }
}

impl Grow for Numbers {
    fn new(count: usize) -> Result<Self> {
        Ok(Numbers::new(count)?)
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }

    fn place(&self) -> Option<usize> {
        Some(self.place())
    }
}

/// The work of a child.
pub(super) fn child(work: &str, array: &str, warm_up: usize) -> Result<Found> {
    match array {
        OURS => measure::<StableVec<u64>>(work, warm_up),
        VEC | JEMALLOC | MIMALLOC | HUGE_VEC => measure::<Vec<u64>>(work, warm_up),
        WITH_CAPACITY => measure::<Told>(work, warm_up),
        VIRTUAL_BUFFER => measure::<virtual_buffer::vec::Vec<u64>>(work, warm_up),
        SEGVEC => measure::<Pieces>(work, warm_up),
        BARE => measure::<Numbers>(work, warm_up),
        _ => Err(format!("no array is called {array}").into()),
    }
}

fn measure<A: Grow>(work: &str, warm_up: usize) -> Result<Found> {
    let meter = Meter::new(warm_up)?;
    match work {
        LARGE => once::<A>(&meter, LARGE_COUNT),
        SMALL => once::<A>(&meter, SMALL_COUNT),
        LARGE_WATCHED => watched::<A>(&meter, LARGE_COUNT),
        SMALL_AGAIN => again::<A>(&meter, SMALL_COUNT),
        _ => Err(format!("no work is called {work}").into()),
    }
}

/// A function of its own for each array, as in a program that fills one.
#[inline(never)]
fn fill<A: Grow>(array: &mut A, count: usize) {
    for number in 0..count as u64 {
        array.push(number);
    }
}

fn once<A: Grow>(meter: &Meter, count: usize) -> Result<Found> {
    let (array, time) = spent_by(|| {
        let mut array = A::new(count)?;
        fill(&mut array, count);
        Ok(array)
    })?;
    black_box(&array);
    meter.found(time, count)
}

fn again<A: Grow>(meter: &Meter, count: usize) -> Result<Found> {
    let ((), time) = spent_by(|| {
        for _ in 0..AGAIN {
            let mut array = A::new(count)?;
            fill(&mut array, count);
            drop(black_box(array));
        }
        Ok(())
    })?;
    meter.found(time, count * AGAIN)
}

/// The longest batch, and what was moved.
fn watched<A: Grow>(meter: &Meter, count: usize) -> Result<Found> {
    let mut array = A::new(count)?;
    let mut whole = Spent::default();
    let mut worst = [Duration::ZERO; 2];
    let (mut moved, mut place) = (0, array.place());
    for first in (0..count).step_by(BATCH) {
        let (wall, cpu) = (Instant::now(), thread_time());
        for number in first..(first + BATCH).min(count) {
            array.push(number as u64);
        }
        let spent = Spent { cpu: thread_time() - cpu, wall: wall.elapsed() };
        whole = Spent { wall: whole.wall + spent.wall, cpu: whole.cpu + spent.cpu };
        worst = [worst[0].max(spent.cpu), worst[1].max(spent.wall)];
        let now = array.place();
        if now != place {
            // It was full then, or nearly.
            moved += first * size_of::<u64>();
            place = now;
        }
    }
    let moved = black_box(&array).place().map(|_| moved as u64);
    let worst = worst.map(|time| time.as_secs_f64() * 1e9);
    Ok(Found { worst: Some(worst), moved, ..meter.found(whole, count)? })
}

const WORST: Figure = |found| found.worst.map_or(f64::NAN, |worst| worst[0]);

/// The tables of this part.
pub(super) fn describe(cases: &[Case]) -> String {
    let (time, columns) = ("ns/push", Columns { other: ("wall", WALL), memory: true });
    let large = page::table(cases, LARGE, PROCESSOR, time, columns, |names, cells| {
        names.extend(["worst 512 pushes", "moved"]);
        for (array, cells) in cells {
            let watched = page::find(cases, LARGE_WATCHED, array);
            cells.push(page::time(watched.and_then(|case| case.median(WORST))));
            cells.push(page::moved(watched));
        }
    });
    let small = page::table(cases, SMALL, PROCESSOR, time, columns, |_, _| {});
    let again = page::table(cases, SMALL_AGAIN, PROCESSOR, time, columns, |_, _| {});
    format!(
        "## Pushes into one array\n\nProcessor time of one thread: the array is made and filled \
         with u64, in a process that has filled\nnone before. The worst 512 pushes and what moved \
         are of runs of their own, with a look at the clock\nof the thread after every 512 pushes. \
         Moved are bytes whose address changed: glibc moves pages\n(`mremap`), jemalloc and \
         mimalloc copy.\n\n### 100,000,000 pushes, 800 MB\n\n{large}\n{NOT_LARGE}\n\n\
         ### 1,000,000 pushes, 8 MB\n\n{small}\n{NOT_SMALL}\n\n### 1,000,000 pushes, again and \
         again\n\n{AGAIN} arrays, each made, filled and dropped before the next; all of that \
         counts.\n\n{again}\n{NOT_AGAIN}\n\n"
    )
}

const NOT_LARGE: &str = "\
Do not conclude that the push itself is faster: most of the time is the kernel's, for zeroed\n\
pages, and the difference is that of huge pages and of bytes that are not copied. Whoever pushes\n\
into memory that is there already sees none of it.";

const NOT_SMALL: &str = "\
Do not conclude anything about the second array of a process: see the next table.";

const NOT_AGAIN: &str = "\
Do not conclude that one of them is slow: an allocator keeps the memory of the dropped array and\n\
hands it out again without a fault, while an array that is mapped gives it back to the kernel and\n\
fetches zeroed pages the next time. The bare mapping is the least that can be done so.";
