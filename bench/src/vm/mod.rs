//! The page verbs against the bare system calls and against other crates, side by side.

mod bare;
pub(crate) mod contest;
mod pages;
mod questions;
mod watch;

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::results::{Table, nanoseconds, publish, ratio};
pub(crate) use bare::thread_time;
use contest::{Line, Target};
use serde::Serialize;

const GRANULE: &str = "granule";
const BARE: &str = "bare";
const REGION: &str = "region";
const MMAP_RS: &str = "mmap-rs";
const MEMMAP2: &str = "memmap2";
const VIRTUAL_BUFFER: &str = "virtual-buffer";
const PEERS: [&str; 4] = [REGION, MMAP_RS, MEMMAP2, VIRTUAL_BUFFER];

/// Rounds unless they are given: a sample is two milliseconds.
pub(crate) const ROUNDS: usize = 41;
const MAPPINGS: [usize; 3] = [35, 1_000, 60_000];

/// What a result file has of contests.
#[derive(Serialize)]
pub(crate) struct Measured<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) rounds: usize,
    pub(crate) lines: &'a [Line],
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let mut random = machine.random();
    let rounds = flags.rounds;
    let mut lines = Vec::new();
    if flags.wants_program("pages") {
        eprintln!("pages");
        lines.extend(pages::run(rounds, &mut random)?);
    }
    if flags.wants_program("query") {
        for mappings in MAPPINGS {
            eprintln!("questions, {mappings} mappings");
            lines.extend(questions::run(mappings, rounds, &mut random)?);
        }
    }
    if flags.wants_program("watch") {
        eprintln!("write watch");
        lines.extend(watch::run(rounds, &mut random)?);
    }
    if lines.is_empty() {
        return Err("--only is pages, query or watch".into());
    }
    let text = describe(&machine, rounds, &lines);
    let measured = Measured { machine: &machine, rounds, lines: &lines };
    publish(flags.result_name("vm").as_deref(), &text, &measured)
}

fn describe(machine: &Machine, rounds: usize, lines: &[Line]) -> String {
    let text = format!(
        "# Page verbs and questions\n\n{}- median of {rounds} rounds, a sample is at least 2 ms of \
         processor time\n\nProcessor time of a call. `bare` is the system call alone: mmap and \
         munmap, mprotect, mmap over,\nmadvise, ioctl(PROCMAP_QUERY), ioctl(PAGEMAP_SCAN). The \
         ratio is granule / bare, the median over the\nrounds. Commits and decommits of \
         both are made at the same addresses, by turns: what a call costs the\nkernel depends on \
         the mappings beside it.\n\n",
        machine.markdown()
    );
    let names = ["call", GRANULE, BARE, "ratio", "goal", "reached"];
    let mut table = Table::new(names.into_iter().chain(PEERS));
    for line in lines {
        let median = |name| line.medians.get(name).copied();
        let shown = |name| median(name).map_or("-".to_string(), nanoseconds);
        let times = line.times(GRANULE, BARE);
        let (goal, reached) = match line.target {
            Target::Nanoseconds(most) => (nanoseconds(most), median(GRANULE).map(|t| t <= most)),
            Target::None => ("-".to_string(), None),
            Target::TimesBare(most) => (ratio(most), times.map(|times| times <= most)),
        };
        let reached = reached.map_or("-", |reached| if reached { "yes" } else { "no" });
        let first = [line.call.clone(), shown(GRANULE), shown(BARE)];
        let second = [times.map_or("-".to_string(), two_places), goal, reached.to_string()];
        table.row(first.into_iter().chain(second).chain(PEERS.map(shown)));
    }
    text + &table.markdown()
}

/// A ratio near 1, as people read it: `1.07x`.
fn two_places(value: f64) -> String {
    if value < 9.95 { format!("{value:.2}x") } else { ratio(value) }
}
