//! Arrays that never move against arrays that do: growing, shared by threads, touched page by
//! page, small, and filled at once.

mod bare;
mod case;
mod extend;
mod meter;
mod page;
mod push;
mod shared;
mod small;
mod touch;

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::results::publish;
use case::{Case, Found};
use serde::Serialize;

/// Rounds unless they are given: each run is a process of its own.
pub(crate) const ROUNDS: usize = 5;

const OURS: &str = "StableVec";
const SHARED: &str = "SharedVec";
const VEC: &str = "Vec";

fn is_ours(array: &str) -> bool {
    [OURS, SHARED].contains(&array)
}

/// A part of the measurement.
struct Part {
    name: &'static str,
    cases: fn() -> Vec<Case>,
    child: fn(work: &str, array: &str, warm_up: usize) -> Result<Found>,
    describe: fn(&[Case]) -> String,
}

const PARTS: [Part; 5] = [
    Part { name: push::PART, cases: push::cases, child: push::child, describe: push::describe },
    Part {
        name: shared::PART,
        cases: shared::cases,
        child: shared::child,
        describe: shared::describe,
    },
    Part { name: touch::PART, cases: touch::cases, child: touch::child, describe: touch::describe },
    Part { name: small::PART, cases: small::cases, child: small::child, describe: small::describe },
    Part {
        name: extend::PART,
        cases: extend::cases,
        child: extend::child,
        describe: extend::describe,
    },
];

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    rounds: usize,
    cases: &'a [Case],
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let wanted = PARTS.iter().filter(|part| flags.wants_program(part.name));
    let mut cases: Vec<Case> = wanted.flat_map(|part| (part.cases)()).collect();
    cases.retain(|case| flags.wants_tool(case.array));
    if cases.is_empty() {
        return Err("--only is push, shared, touch, small or extend".into());
    }
    case::run(&mut cases, flags, &mut machine.random())?;
    let text = describe(&machine, flags.rounds, &cases);
    let measured = Measured { machine: &machine, rounds: flags.rounds, cases: &cases };
    publish(flags.result_name("arrays").as_deref(), &text, &measured)
}

/// `granule-bench arrays-child PART WORK ARRAY BYTES`: one run; prints one line of JSON.
pub(crate) fn child(words: &[String]) -> Result<()> {
    let [part, work, array, warm_up] = words else {
        return Err("arrays-child PART WORK ARRAY BYTES".into());
    };
    let part = PARTS.iter().find(|known| known.name == part).ok_or("no such part")?;
    let found = (part.child)(work, array, warm_up.parse()?)?;
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

fn describe(machine: &Machine, rounds: usize, cases: &[Case]) -> String {
    let mut text = format!(
        "# Arrays that never move\n\n{}- median of {rounds} rounds: {HOW}",
        machine.markdown()
    );
    for part in &PARTS {
        let of_part: Vec<Case> =
            cases.iter().filter(|case| case.part == part.name).cloned().collect();
        if !of_part.is_empty() {
            text += &(part.describe)(&of_part);
        }
    }
    text
}

const HOW: &str = "\
of short runs three in each, of long runs 3 rounds or one
- each run is a process of its own, which first touches and frees as much memory as its work needs
- after about a second a host takes free memory of its guest back: longer runs pay for some of it
  again, with processor time too, and `least` is the fairer figure

`ours / it` is the median over the runs, in each of which both were measured shortly after one
another; the goal is the most that it may be. `least` is the fastest run. `peak - payload` is what
was resident at the peak, above what was before and above the elements themselves.

";
