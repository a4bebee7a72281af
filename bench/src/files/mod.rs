//! Files as memory against other ways to read and write them.

mod append;
mod bare;
mod contest;
mod copy;
mod flush;
mod place;
mod scan;
mod touch;

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::results::publish;
use crate::statistics::Random;
use contest::Data;
use serde::Serialize;
use std::path::Path;

/// Turns of long work unless they are given.
pub(crate) const ROUNDS: usize = 5;

type Part = fn(usize, &mut Random) -> Result<(String, Data)>;

/// A part, its name, and how many times as many turns as the long ones it gets.
const PARTS: [(&str, usize, Part); 8] = [
    ("append", 1, |turns, random| append::run(&std::env::temp_dir(), turns, random)),
    ("append-memory", 1, |turns, random| append::run(Path::new("/dev/shm"), turns, random)),
    ("flush", 40, flush::run),
    ("scan", 3, scan::run),
    ("racy", 3, scan::racy),
    ("touch", 3, |turns, random| {
        touch::run(&std::env::temp_dir(), &[4 << 10, 64 << 10, 1 << 20, 2 << 20], turns, random)
    }),
    ("touch-memory", 3, |turns, random| {
        touch::run(Path::new("/dev/shm"), &[1 << 20], turns, random)
    }),
    ("copy", 1, copy::run),
];

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    rounds: usize,
    contests: Vec<Data>,
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let mut random = machine.random();
    let mut text = format!("# Files as memory\n\n{}{HOW}", machine.markdown());
    let mut contests = Vec::new();
    for (name, times, part) in PARTS {
        if flags.wants_program(name) {
            let (of_part, data) = part(flags.rounds * times, &mut random)?;
            text += &of_part;
            contests.push(data);
        }
    }
    if contests.is_empty() {
        return Err(
            "--only is append, append-memory, flush, scan, racy, touch, touch-memory or copy"
                .into(),
        );
    }
    text += NOT;
    let measured = Measured { machine: &machine, rounds: flags.rounds, contests };
    publish(flags.result_name("files").as_deref(), &text, &measured)
}

const HOW: &str = "\
- files lie in the folder for temporary files, are in the cache, and clean before each turn
- all ways by turns in one process, in another order each time

`ours / it` is the median over the turns, of processor time, and of wall time where a disk is waited
for; the first row is ours, and the goal is the most that it may be. `least` is the fastest turn of
the clock on the wall, which other programs of the machine slow down. `peak` is what was resident at
the peak, above what was before: pages of the file that are mapped count, and are the cache's, too.

";

const NOT: &str = "\
Do not conclude that maps are faster than calls: a large buffer appends about as fast, and what is
read once from a disk is read as fast by calls. Maps have one copy less in memory, addresses that
stay, and no system call for what is in memory already.
";
