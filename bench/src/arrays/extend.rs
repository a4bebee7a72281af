//! Many elements at once.

use super::case::{Case, Found, Goal, PROCESSOR, WALL};
use super::meter::{Meter, spent_by};
use super::page::{self, Columns};
use super::{OURS, VEC};
use crate::Result;
use granule::array::StableVec;
use std::hint::black_box;

pub(super) const PART: &str = "extend";

const FROM_SLICE: &str = "extend_from_slice";
const COLLECT: &str = "collect";

const COUNT: usize = 10_000_000;

/// Everybody at everything.
pub(super) fn cases() -> Vec<Case> {
    let arrays = [(OURS, Goal::None), (VEC, Goal::None)];
    let mut cases = Vec::new();
    for work in [FROM_SLICE, COLLECT] {
        cases.extend(arrays.iter().map(|&(array, goal)| {
            // The slice is there before the warm-up.
            let case = Case::new(PART, work, array).payload((COUNT * 8) as u64, 1.0);
            Case { goal, repeat: 3, ..case }
        }));
    }
    cases
}

/// An array that takes many elements at once.
trait Extend: FromIterator<u64> {
    fn new() -> Result<Self>;
    fn extend_from_slice(&mut self, slice: &[u64]) -> Result<()>;
}

impl Extend for StableVec<u64> {
    fn new() -> Result<Self> {
        Ok(StableVec::new())
    }

    fn extend_from_slice(&mut self, slice: &[u64]) -> Result<()> {
        self.extend_from_slice(slice);
        Ok(())
    }
}

impl Extend for Vec<u64> {
    fn new() -> Result<Self> {
        Ok(Vec::new())
    }

    fn extend_from_slice(&mut self, slice: &[u64]) -> Result<()> {
        self.extend_from_slice(slice);
        Ok(())
    }
}

/// The work of a child.
pub(super) fn child(work: &str, array: &str, warm_up: usize) -> Result<Found> {
    match array {
        OURS => measure::<StableVec<u64>>(work, warm_up),
        VEC => measure::<Vec<u64>>(work, warm_up),
        _ => Err(format!("no array is called {array}").into()),
    }
}

fn measure<A: Extend>(work: &str, warm_up: usize) -> Result<Found> {
    match work {
        FROM_SLICE => {
            let slice: Vec<u64> = (0..COUNT as u64).collect();
            let slice = black_box(slice);
            once(warm_up, || {
                let mut array = A::new()?;
                array.extend_from_slice(&slice)?;
                Ok(array)
            })
        }
        COLLECT => once(warm_up, || Ok((0..black_box(COUNT as u64)).collect::<A>())),
        _ => Err(format!("no work is called {work}").into()),
    }
}

fn once<A: Extend>(warm_up: usize, make: impl FnOnce() -> Result<A>) -> Result<Found> {
    let meter = Meter::new(warm_up)?;
    let (array, time) = spent_by(make)?;
    black_box(&array);
    meter.found(time, COUNT)
}

/// The tables of this part.
pub(super) fn describe(cases: &[Case]) -> String {
    let columns = Columns { other: ("wall", WALL), memory: true };
    let table = |work| page::table(cases, work, PROCESSOR, "ns/element", columns, |_, _| {});
    let (slice, collect) = (table(FROM_SLICE), table(COLLECT));
    format!(
        "## 10,000,000 numbers at once\n\nProcessor time of one thread; the first array of its \
         process.\n\n### extend_from_slice\n\n{slice}\n### collect, from a range\n\n{collect}\n\
         {NOT}\n"
    )
}

const NOT: &str = "\
Do not conclude anything about how fast the copying is: it waits for zeroed pages.";
