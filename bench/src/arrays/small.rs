//! Small arrays: what it costs that an array has addresses of its own.

use super::case::{Case, Found, Goal, PROCESSOR, WALL};
use super::meter::{Meter, Spent, spent_by};
use super::page::{self, Columns};
use super::{OURS, VEC};
use crate::Result;
use granule::array::StableVec;
use std::hint::black_box;
use std::time::Duration;

pub(super) const PART: &str = "small";

const FILLED: &str = "10 pushes";
const EMPTY: &str = "nothing";
const TOGETHER: &str = "1,000 together";

/// Elements of an array.
const LEN: u64 = 10;
/// Arrays that are alive at once.
const ALIVE: usize = 1000;
/// Arrays of one process: so many, or what the time is enough for.
const MOST: usize = 1_000_000;
const TIME: Duration = Duration::from_millis(500);

const VIRTUAL_BUFFER: &str = "virtual-buffer";

/// Everybody at everything.
pub(super) fn cases() -> Vec<Case> {
    let goal = Goal::Ratio(3.0);
    let arrays = [(OURS, Goal::None), (VEC, goal), (VIRTUAL_BUFFER, Goal::None)];
    let mut cases = Vec::new();
    for work in [FILLED, EMPTY, TOGETHER] {
        cases.extend(arrays.iter().map(|&(array, goal)| {
            let case = Case::new(PART, work, array).payload(0, 1.0);
            // A vector without elements takes no memory: there is nothing to be compared with.
            Case { goal: if work == EMPTY { Goal::None } else { goal }, ..case }
        }));
    }
    cases
}

/// A small array.
trait Small: Sized {
    fn new() -> Result<Self>;
    fn push(&mut self, value: u64);
}

impl Small for StableVec<u64> {
    fn new() -> Result<Self> {
        Ok(StableVec::new())
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }
}

impl Small for Vec<u64> {
    fn new() -> Result<Self> {
        Ok(Vec::new())
    }

    #[inline]
    fn push(&mut self, value: u64) {
        Vec::push(self, value);
    }
}

impl Small for virtual_buffer::vec::Vec<u64> {
    fn new() -> Result<Self> {
        // 1 GiB of addresses: it might have become large.
        Ok(virtual_buffer::vec::Vec::new(1 << 27))
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }
}

/// The work of a child.
pub(super) fn child(work: &str, array: &str, warm_up: usize) -> Result<Found> {
    match array {
        OURS => measure::<StableVec<u64>>(work, warm_up),
        VEC => measure::<Vec<u64>>(work, warm_up),
        VIRTUAL_BUFFER => measure::<virtual_buffer::vec::Vec<u64>>(work, warm_up),
        _ => Err(format!("no array is called {array}").into()),
    }
}

fn measure<A: Small>(work: &str, warm_up: usize) -> Result<Found> {
    let meter = Meter::new(warm_up)?;
    match work {
        FILLED => one_by_one(&meter, || filled::<A>()),
        EMPTY => one_by_one(&meter, || A::new()),
        TOGETHER => together::<A>(&meter),
        _ => Err(format!("no work is called {work}").into()),
    }
}

#[inline]
fn filled<A: Small>() -> Result<A> {
    let mut array = A::new()?;
    (0..LEN).for_each(|number| array.push(black_box(number)));
    Ok(array)
}

/// Arrays, each dropped before the next is made.
fn one_by_one<A: Small>(meter: &Meter, make: impl Fn() -> Result<A>) -> Result<Found> {
    let (mut spent, mut made) = (Spent::default(), 0);
    while made < MOST && spent.wall < TIME {
        let ((), time) = spent_by(|| {
            for _ in 0..ALIVE {
                drop(black_box(make()?));
            }
            Ok(())
        })?;
        spent = Spent { wall: spent.wall + time.wall, cpu: spent.cpu + time.cpu };
        made += ALIVE;
    }
    meter.found(spent, made)
}

/// Arrays that are all dropped when all are made.
fn together<A: Small>(meter: &Meter) -> Result<Found> {
    let (mut spent, mut made, mut mappings) = (Spent::default(), 0, None);
    let mut arrays: Vec<A> = Vec::with_capacity(ALIVE);
    while made < MOST && spent.wall < TIME {
        let ((), making) = spent_by(|| {
            for _ in 0..ALIVE {
                arrays.push(filled()?);
            }
            Ok(())
        })?;
        if mappings.is_none() {
            mappings = Some(meter.new_mappings()?);
        }
        let ((), dropping) = spent_by(|| {
            black_box(&mut arrays).clear();
            Ok(())
        })?;
        let (wall, cpu) = (making.wall + dropping.wall, making.cpu + dropping.cpu);
        spent = Spent { wall: spent.wall + wall, cpu: spent.cpu + cpu };
        made += ALIVE;
    }
    Ok(Found { mappings, ..meter.found(spent, made)? })
}

/// The tables of this part.
pub(super) fn describe(cases: &[Case]) -> String {
    let (time, columns) = ("ns/array", Columns { other: ("wall", WALL), memory: false });
    let filled = page::table(cases, FILLED, PROCESSOR, time, columns, |_, _| {});
    let empty = page::table(cases, EMPTY, PROCESSOR, time, columns, |_, _| {});
    let together = page::table(cases, TOGETHER, PROCESSOR, time, columns, |names, cells| {
        names.extend(["bytes/array", "mappings"]);
        for (array, cells) in cells {
            let case = page::find(cases, TOGETHER, array);
            let bytes = |case: &Case| case.median(|found| found.peak as f64 / ALIVE as f64);
            let mappings = |case: &Case| case.median(|f| f.mappings.map_or(f64::NAN, |m| m as f64));
            cells.push(page::whole(case.and_then(bytes)));
            cells.push(page::whole(case.and_then(mappings)));
        }
    });
    format!(
        "## Small arrays\n\nProcessor time of one array in a process that makes 1,000,000 of them, \
         or as many as it can in\nhalf a second.\n\n### Made, {LEN} numbers pushed, dropped\n\n\
         {filled}\n### Made and dropped\n\n{empty}\n### {ALIVE} of them at once, {LEN} numbers \
         each\n\nThe bytes are resident, of all of them at their peak; the mappings are those that \
         came with them.\n\n{together}\n{NOT}\n\n"
    )
}

const NOT: &str = "\
Do not conclude that many small arrays should never move: each of them has pages and addresses of\n\
its own. They are the work of an allocator.";
