//! Numbers appended to one array by several threads.

use super::SHARED;
use super::case::{Case, Found, Goal, PROCESSOR, WALL};
use super::meter::{Clock, Meter, Spent};
use super::page::{self, Columns};
use crate::Result;
use granule::array::SharedVec;
use std::mem::forget;
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const PART: &str = "shared";

const LARGE_COUNT: usize = 100_000_000;
const SMALL_COUNT: usize = 1_000_000;
const LARGE_ROUNDS: usize = 3;
/// Arrays of one process, in the small work.
const AGAIN: usize = 10;

/// With two threads one push of append-only-vec takes up to a microsecond: only the small work.
const LARGE_BY_2: &str = "1e8 by 2";

/// The works: their names and titles, elements in all, arrays, threads.
const WORKS: [(&str, &str, usize, usize, usize); 4] = [
    ("1e8 by 1", "100,000,000 in all, 1 thread", LARGE_COUNT, 1, 1),
    (LARGE_BY_2, "100,000,000 in all, 2 threads", LARGE_COUNT, 1, 2),
    ("1e6 by 1", "1,000,000 in all, 1 thread", SMALL_COUNT, AGAIN, 1),
    ("1e6 by 2", "1,000,000 in all, 2 threads", SMALL_COUNT, AGAIN, 2),
];

const BOXCAR: &str = "boxcar";
const APPEND_ONLY: &str = "append-only-vec";
const SEGVEC: &str = "segvec in a Mutex";
const VIRTUAL_BUFFER: &str = "virtual-buffer";
const VEC: &str = "Vec in a Mutex";

/// Everybody at everything.
pub(super) fn cases() -> Vec<Case> {
    let arrays = [
        (SHARED, Goal::None, 1.0),
        (BOXCAR, Goal::Ratio(0.33), 2.2),
        (APPEND_ONLY, Goal::None, 1.5),
        (SEGVEC, Goal::None, 1.5),
        (VIRTUAL_BUFFER, Goal::None, 2.2),
        (VEC, Goal::None, 1.0),
    ];
    let mut cases = Vec::new();
    for (work, _, count, _, threads) in WORKS {
        cases.extend(arrays.iter().map(|&(array, goal, factor)| {
            let case = Case::new(PART, work, array).payload((count * 8) as u64, factor);
            let goal = if threads == 2 { goal } else { Goal::None };
            let most_rounds = if count == LARGE_COUNT { LARGE_ROUNDS } else { usize::MAX };
            Case { goal, most_rounds, ..case }
        }));
    }
    cases.retain(|case| !(case.work == LARGE_BY_2 && case.array == APPEND_ONLY));
    cases
}

/// An array that several threads can append to.
trait Append: Sync + Sized {
    /// An empty one. Who must know its greatest length is told it.
    fn new(count: usize) -> Result<Self>;
    fn append(&self, value: u64);
    fn len(&self) -> usize;
}

impl Append for SharedVec<u64> {
    fn new(_: usize) -> Result<Self> {
        Ok(SharedVec::new())
    }

    #[inline]
    fn append(&self, value: u64) {
        self.push(value);
    }

    fn len(&self) -> usize {
        self.len()
    }
}

impl Append for boxcar::Vec<u64> {
    fn new(_: usize) -> Result<Self> {
        Ok(boxcar::Vec::new())
    }

    #[inline]
    fn append(&self, value: u64) {
        self.push(value);
    }

    fn len(&self) -> usize {
        self.count()
    }
}

impl Append for append_only_vec::AppendOnlyVec<u64> {
    fn new(_: usize) -> Result<Self> {
        Ok(append_only_vec::AppendOnlyVec::new())
    }

    #[inline]
    fn append(&self, value: u64) {
        self.push(value);
    }

    fn len(&self) -> usize {
        self.len()
    }
}

impl Append for virtual_buffer::concurrent::vec::Vec<u64> {
    fn new(count: usize) -> Result<Self> {
        Ok(virtual_buffer::concurrent::vec::Vec::new(count))
    }

    #[inline]
    fn append(&self, value: u64) {
        self.push(value);
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// A lock around each push. (A push does not panic: what it holds is good in any case.)
impl Append for Mutex<Vec<u64>> {
    fn new(_: usize) -> Result<Self> {
        Ok(Mutex::new(Vec::new()))
    }

    #[inline]
    fn append(&self, value: u64) {
        self.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    fn len(&self) -> usize {
        self.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Append for Mutex<segvec::SegVec<u64, segvec::Exponential>> {
    fn new(_: usize) -> Result<Self> {
        Ok(Mutex::new(segvec::SegVec::new()))
    }

    #[inline]
    fn append(&self, value: u64) {
        self.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    fn len(&self) -> usize {
        self.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The work of a child.
pub(super) fn child(work: &str, array: &str, warm_up: usize) -> Result<Found> {
    match array {
        SHARED => measure::<SharedVec<u64>>(work, warm_up),
        BOXCAR => measure::<boxcar::Vec<u64>>(work, warm_up),
        APPEND_ONLY => measure::<append_only_vec::AppendOnlyVec<u64>>(work, warm_up),
        SEGVEC => measure::<Mutex<segvec::SegVec<u64, segvec::Exponential>>>(work, warm_up),
        VIRTUAL_BUFFER => measure::<virtual_buffer::concurrent::vec::Vec<u64>>(work, warm_up),
        VEC => measure::<Mutex<Vec<u64>>>(work, warm_up),
        _ => Err(format!("no array is called {array}").into()),
    }
}

fn measure<A: Append>(work: &str, warm_up: usize) -> Result<Found> {
    let known = WORKS.into_iter().find(|known| known.0 == work);
    let (_, _, count, arrays, threads) = known.ok_or("no such work")?;
    let meter = Meter::new(warm_up)?;
    let clock = Clock::now();
    let mut wall = Duration::ZERO;
    for _ in 0..arrays {
        let array = A::new(count)?;
        wall += fill(&array, count / threads, threads)?;
        if array.len() != count {
            return Err(format!("{} of {count} elements are there", array.len()).into());
        }
        // Some look at each element when they are dropped, which takes long and counts nowhere.
        if arrays == 1 { forget(array) } else { drop(array) }
    }
    let spent = Spent { wall, ..clock.spent() };
    meter.found(spent, count * arrays)
}

/// From the moment when the first thread begins to the moment when the last one ends.
fn fill<A: Append>(array: &A, share: usize, threads: usize) -> Result<Duration> {
    let barrier = Barrier::new(threads);
    let work = || {
        barrier.wait();
        let begin = Instant::now();
        append(array, share);
        (begin, Instant::now())
    };
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let begin = times.iter().map(|times| times.0).min().ok_or("no thread ended well")?;
    let end = times.iter().map(|times| times.1).max().ok_or("no thread ended well")?;
    Ok(end - begin)
}

#[inline(never)]
fn append<A: Append>(array: &A, share: usize) {
    for number in 0..share as u64 {
        array.append(number);
    }
}

/// The tables of this part.
pub(super) fn describe(cases: &[Case]) -> String {
    let mut text = format!(
        "## Appends of several threads to one array\n\nWall time from the first thread's begin to \
         the last one's end, for one append of all. The array is\nnew; with 1,000,000 elements \
         {AGAIN} arrays are filled one after the other, and neither making nor\ndropping them \
         counts. Two threads on two processors. append-only-vec is not asked for 100,000,000 \
         by two\nthreads: it would take minutes.\n\n"
    );
    let columns = Columns { other: ("processor", PROCESSOR), memory: true };
    for (work, title, ..) in WORKS {
        let table = page::table(cases, work, WALL, "ns/append", columns, |_, _| {});
        text += &format!("### {title}\n\n{table}\n");
    }
    text + NOT + "\n\n"
}

const NOT: &str = "\
Do not conclude that appending scales: all threads count in one place, and two of them fight for\n\
it. What is worth sharing is an array that threads append to now and then, and read all the time.";
