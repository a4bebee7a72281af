//! Two processes that talk: the library's events and rings against pipes and sockets.

mod line;

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::results::{Table, nanoseconds, publish, ratio};
use crate::statistics::median;
use line::{Kind, Words, join, start};
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// Rounds unless they are given.
pub(crate) const ROUNDS: usize = 7;

/// Round trips in a round, and those before them that are not counted.
const TRIPS: usize = 20_000;
const WARM_UP: usize = 2_000;
/// Bytes of a message of the flow, and how many there are.
const MESSAGE: usize = 64 << 10;
const MESSAGES: usize = 8_000;

const TRIP: &str = "trip";
const FLOW: &str = "flow";

/// What was measured of one kind of line, one number for each round.
#[derive(Clone, Debug, Serialize)]
struct Case {
    kind: Kind,
    /// Nanoseconds of a round trip.
    median: Vec<f64>,
    p99: Vec<f64>,
    /// GiB in a second.
    flow: Vec<f64>,
}

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    rounds: usize,
    cases: &'a [Case],
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let empty = |kind| Case { kind, median: Vec::new(), p99: Vec::new(), flow: Vec::new() };
    let mut cases: Vec<Case> = Kind::ALL.map(empty).into();
    let mut random = machine.random();
    for round in 1..=flags.rounds {
        let mut order: Vec<usize> = (0..cases.len()).collect();
        random.shuffle(&mut order);
        for index in order {
            let case = &mut cases[index];
            if case.kind.has_trips() {
                let mut times = trips(case.kind)?;
                times.sort_by(f64::total_cmp);
                case.median.push(times[times.len() / 2]);
                case.p99.push(times[times.len() * 99 / 100]);
            }
            if case.kind.has_flow() {
                case.flow.push(flow(case.kind)?);
            }
        }
        eprintln!("round {round} of {}", flags.rounds);
    }
    let text = describe(&machine, flags.rounds, &cases);
    let measured = Measured { machine: &machine, rounds: flags.rounds, cases: &cases };
    publish(flags.result_name("shared").as_deref(), &text, &measured)
}

fn name() -> String {
    format!("granule-bench-{}", std::process::id())
}

/// The times of some round trips of 8 bytes, in nanoseconds.
fn trips(kind: Kind) -> Result<Vec<f64>> {
    let name = name();
    let (mut line, mut child) = start(&Words { kind, work: TRIP, name: &name })?;
    let mut times = Vec::with_capacity(TRIPS);
    for trip in 0..WARM_UP + TRIPS {
        let before = Instant::now();
        line.send(&trip.to_ne_bytes())?;
        black_box(line.receive(&mut [0; 8])?);
        if trip >= WARM_UP {
            times.push(before.elapsed().as_nanos() as f64);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("the child of {}: {status}", kind.name()).into());
    }
    Ok(times)
}

/// GiB in a second, in one direction, each message read by the other side.
fn flow(kind: Kind) -> Result<f64> {
    let name = name();
    let (mut line, mut child) = start(&Words { kind, work: FLOW, name: &name })?;
    let mut message = vec![1; MESSAGE];
    line.receive(&mut [0; 8])?; // the child is there
    let before = Instant::now();
    for number in 0..MESSAGES {
        message[..8].copy_from_slice(&number.to_ne_bytes());
        line.send(&message)?;
    }
    let sum = line.receive(&mut [0; 8])?;
    let seconds = before.elapsed().as_secs_f64();
    let rest = u64::from_ne_bytes([1; 8]).wrapping_mul((MESSAGE / 8 - 1) as u64);
    let expected =
        (0..MESSAGES as u64).fold(0u64, |sum, number| sum.wrapping_add(number).wrapping_add(rest));
    let status = child.wait()?;
    if sum != expected || !status.success() {
        return Err(format!("{}: what came is not what was sent", kind.name()).into());
    }
    Ok((MESSAGE * MESSAGES) as f64 / f64::from(1 << 30) / seconds)
}

/// `granule-bench shared-child KIND WORK NAME`: the other end of a line.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [kind, work, name] = arguments else {
        return Err("shared-child KIND WORK NAME".into());
    };
    let kind = *Kind::ALL.get(kind.parse::<usize>()?).ok_or("no such kind")?;
    let mut line = join(&Words { kind, work, name })?;
    let mut word = [0; 8];
    if work == TRIP {
        for _ in 0..WARM_UP + TRIPS {
            line.receive(&mut word)?;
            line.send(&word)?;
        }
        return Ok(());
    }
    line.send(&word)?;
    let mut buffer = vec![0; MESSAGE];
    let mut sum = 0u64;
    for _ in 0..MESSAGES {
        sum = sum.wrapping_add(line.receive(&mut buffer)?);
    }
    line.send(&sum.to_ne_bytes())
}

fn describe(machine: &Machine, rounds: usize, cases: &[Case]) -> String {
    let of = |numbers: &[f64]| median(numbers).unwrap_or(f64::NAN);
    let least = |numbers: &[f64]| numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let pipe = cases.iter().find(|case| case.kind == Kind::Pipe);
    let most = |numbers: &[f64]| numbers.iter().copied().fold(f64::NAN, f64::max);
    let pipe = pipe.map_or([f64::NAN; 2], |case| [least(&case.median), most(&case.flow)]);
    let names =
        ["round trip of 8 bytes", "median", "least", "p99", "least p99", "pipe's least / its"];
    let mut trips = Table::new(names);
    for case in cases.iter().filter(|case| case.kind.has_trips()) {
        trips.row([
            case.kind.name().trim_end_matches(", copied in and out").to_string(),
            nanoseconds(of(&case.median)),
            nanoseconds(least(&case.median)),
            nanoseconds(of(&case.p99)),
            nanoseconds(least(&case.p99)),
            ratio(pipe[0] / least(&case.median)),
        ]);
    }
    let mut flows = Table::new(["messages of 64 KiB", "median", "best", "best / pipe's"]);
    for case in cases.iter().filter(|case| case.kind.has_flow()) {
        flows.row([
            case.kind.name().to_string(),
            format!("{:.1} GiB/s", of(&case.flow)),
            format!("{:.1} GiB/s", most(&case.flow)),
            ratio(most(&case.flow) / pipe[1]),
        ]);
    }
    format!("# Two processes that talk\n\n{}- median of {rounds} rounds: {HOW}", machine.markdown())
        + &trips.markdown()
        + "\n"
        + &flows.markdown()
}

const HOW: &str = "\
in each every line was measured, in random order, between two new processes
- a round trip is one of 20,000; whoever waits looks again for some 20 us and sleeps then
- of the flow every byte is read by the other side, and its sum checked
- on a machine that does other work a process often waits for its processor: the least of the rounds
  is the fairer figure

";
