//! The first touch of every page: the kernel's own demand paging, and what is to be compared with
//! it.

use super::bare::{Mapping, PAGE, Pages};
use super::case::{Case, Found, Goal, PROCESSOR, WALL};
use super::meter::{Meter, spent_by};
use super::page;
use crate::Result;
use crate::results::Table;
use crate::statistics::Random;
use granule::array::{Engine, FaultVec};

pub(super) const PART: &str = "touch";

const LEN: usize = 128 << 20;
const COUNT: usize = LEN / PAGE;

const IN_ORDER: &str = "in order";
const AT_RANDOM: &str = "at random";

/// All ratios are to this one.
const KERNEL: &str = "kernel, 4 KiB pages";
const KERNEL_HUGE: &str = "kernel, huge pages";
const DEMAND: &str = "FaultVec, Demand";
const GUARD: &str = "FaultVec, Guard";
const MPROTECT: &str = "FaultVec, Mprotect";

/// Everybody at everything.
pub(super) fn cases() -> Vec<Case> {
    let ways = [
        (KERNEL, Goal::None),
        (KERNEL_HUGE, Goal::None),
        (DEMAND, Goal::Ratio(1.05)),
        (GUARD, Goal::Ratio(1.3)),
        (MPROTECT, Goal::Ratio(1.3)),
    ];
    let mut cases = Vec::new();
    for work in [IN_ORDER, AT_RANDOM] {
        cases.extend(ways.iter().map(|&(way, goal)| {
            let case = Case::new(PART, work, way).payload(LEN as u64, 1.0);
            Case { goal, repeat: 3, ..case }
        }));
    }
    cases
}

/// The work of a child.
pub(super) fn child(work: &str, way: &str, warm_up: usize) -> Result<Found> {
    let order = order(work)?;
    let meter = Meter::new(warm_up)?;
    match way {
        KERNEL => kernel(&meter, &order, Pages::Small),
        KERNEL_HUGE => kernel(&meter, &order, Pages::Huge),
        DEMAND => ours(&meter, &order, Engine::Demand),
        GUARD => ours(&meter, &order, Engine::Guard),
        MPROTECT => ours(&meter, &order, Engine::Mprotect),
        _ => Err(format!("no way to touch is called {way}").into()),
    }
}

/// Offsets of all pages.
fn order(work: &str) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = (0..COUNT).map(|page| page * PAGE).collect();
    match work {
        IN_ORDER => {}
        // The same order for all.
        AT_RANDOM => Random::new(20_000_003).shuffle(&mut order),
        _ => return Err(format!("no work is called {work}").into()),
    }
    Ok(order)
}

fn kernel(meter: &Meter, order: &[usize], pages: Pages) -> Result<Found> {
    let mut mapping = Mapping::new(LEN, pages)?;
    touch(meter, order, |offset| mapping.write_byte(offset))
}

/// In chunks of 64 KiB, which is what is usual.
fn ours(meter: &Meter, order: &[usize], engine: Engine) -> Result<Found> {
    let mut bytes = FaultVec::<u8>::builder().len(LEN).engine(engine).make()?;
    touch(meter, order, |offset| bytes[offset] = 1)
}

/// Writes to all pages by `write`, which gets an offset, and looks at what that left behind.
fn touch(meter: &Meter, order: &[usize], mut write: impl FnMut(usize)) -> Result<Found> {
    let ((), time) = spent_by(|| {
        order.iter().for_each(|&offset| write(offset));
        Ok(())
    })?;
    let mappings = Some(meter.new_mappings()?);
    Ok(Found { mappings, ..meter.found(time, order.len())? })
}

/// The tables of this part.
pub(super) fn describe(cases: &[Case]) -> String {
    let mut text = "## The first touch of every page of 128 MiB\n\nOne byte is written to each \
                    page, by one thread. Reserving is not in the time. The ratio is to the\n\
                    kernel's zeroed 4 KiB pages, of wall time. The mappings are those that came \
                    with the array, while\nit is there.\n\n"
        .to_string();
    let names = ["way", "ns/page", "least", "processor", "ratio", "goal", "reached"];
    for work in [IN_ORDER, AT_RANDOM] {
        let mut table = Table::new(names.into_iter().chain(["faults", "mappings"]));
        for case in cases.iter().filter(|case| case.work == work) {
            let times = page::find(cases, work, KERNEL).and_then(|kernel| case.times(kernel, WALL));
            let goal = page::goal(case, times);
            let mappings = case.median(|found| found.mappings.map_or(f64::NAN, |m| m as f64));
            table.row([
                case.array.to_string(),
                page::time_or(case, case.median(WALL)),
                page::time(case.least(WALL)),
                page::time(case.median(PROCESSOR)),
                page::times(times),
                goal.0,
                goal.1,
                page::whole(case.median(|found| found.faults as f64)),
                page::whole(mappings),
            ]);
        }
        text += &format!("### Pages {work}\n\n{}\n", table.markdown());
    }
    text + NOT + "\n\n"
}

const NOT: &str = "\
Do not conclude that huge pages are always the better: who touches one byte of each 2 MiB has all\n\
of it zeroed.";
