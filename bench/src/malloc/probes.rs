//! What a malloc costs and does besides the time of its calls.

use super::child::{Child, Played};
use super::peers::Peer;
use super::tables::mebibytes;
use super::wants;
use crate::Result;
use crate::flags::Flags;
use crate::measure::End;
use crate::results::Table;
use crate::statistics::{Random, median};
use serde::Serialize;
use std::collections::BTreeMap;

/// The name of the group.
const PROBES: &str = "probes";

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Unit {
    /// Bytes, as MiB.
    Memory,
    /// Seconds, as milliseconds.
    Milliseconds,
    /// Seconds, as microseconds.
    Microseconds,
    /// Picoseconds, as nanoseconds.
    Picoseconds,
    /// No figure: that the probe ends well.
    Verdict,
}

/// The name of a figure, as the child prints it, with its title and unit. Every probe also has
/// `cpu`, `wall` and `peak` of the whole process.
type Figure = (&'static str, &'static str, Unit);

struct Probe {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Started so many times in a row; `cpu` is the mean.
    starts: usize,
    /// Whether more than one round would tell nothing new.
    once: bool,
    figures: &'static [Figure],
}

const STARTS: usize = 200;

const ALL: [Probe; 8] = [
    Probe {
        name: "exec",
        arguments: &["one"],
        starts: STARTS,
        once: false,
        figures: &[
            (
                "cpu",
                "start to end of a program with one malloc, processor time",
                Unit::Microseconds,
            ),
            ("peak", "its peak", Unit::Memory),
        ],
    },
    Probe {
        name: "hundred-few",
        arguments: &["hundred-few"],
        starts: 1,
        once: false,
        figures: &[("rss", "100 threads with one block of 64 bytes", Unit::Memory)],
    },
    Probe {
        name: "hundred-many",
        arguments: &["hundred-many"],
        starts: 1,
        once: false,
        figures: &[("rss", "100 threads with 64 blocks, 16 to 1024 bytes", Unit::Memory)],
    },
    Probe {
        name: "freed",
        arguments: &["freed"],
        starts: 1,
        once: true,
        figures: &[
            ("live", "190 MiB of small blocks, resident with them", Unit::Memory),
            ("freed", "... when all are freed", Unit::Memory),
            ("idle", "... after 3 s without a call", Unit::Memory),
            ("traffic", "... after 3 s more with many calls", Unit::Memory),
        ],
    },
    Probe {
        name: "forks",
        arguments: &["forks"],
        starts: 1,
        once: true,
        figures: &[("cpu", "150 forks while 4 threads use malloc", Unit::Verdict)],
    },
    Probe {
        name: "destructors",
        arguments: &["destructors"],
        starts: 1,
        once: true,
        figures: &[
            ("wall", "malloc in destructors of 20,000 threads", Unit::Verdict),
            ("cpu", "... processor time", Unit::Milliseconds),
            ("peak", "... peak", Unit::Memory),
        ],
    },
    Probe {
        name: "short-threads",
        arguments: &["threads", "800"],
        starts: 1,
        once: false,
        figures: &[
            ("cpu", "800 threads of 200 blocks, processor time", Unit::Milliseconds),
            ("peak", "... peak", Unit::Memory),
        ],
    },
    Probe {
        name: "shuffled-list",
        arguments: &["shuffled-list"],
        starts: 1,
        once: false,
        figures: &[
            ("fresh", "a step in a list of 128 MiB in no order", Unit::Picoseconds),
            ("settled", "... when khugepaged has had time", Unit::Picoseconds),
            ("cpu", "... all of it, processor time", Unit::Milliseconds),
            ("peak", "... peak", Unit::Memory),
        ],
    },
];

/// What one probe found under one malloc.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Answer {
    probe: &'static str,
    peer: &'static str,
    figures: BTreeMap<String, Vec<f64>>,
    /// How the run ended that did not finish.
    failure: Option<End>,
}

impl Answer {
    fn add(&mut self, played: Played) {
        if played.run.end != End::Exit(0) {
            self.failure = Some(played.run.end);
        }
        for (name, value) in played.figures {
            self.figures.entry(name).or_default().push(value);
        }
    }

    fn shown(&self, name: &str, unit: Unit) -> String {
        if let Some(end) = self.failure {
            return end.to_string();
        }
        let Some(value) = self.figures.get(name).and_then(|values| median(values)) else {
            return "-".to_string();
        };
        match unit {
            Unit::Memory => mebibytes(value),
            Unit::Milliseconds => format!("{:.0} ms", value * 1e3),
            Unit::Picoseconds => format!("{:.0} ns", value / 1e3),
            Unit::Microseconds => format!("{:.0} us", value * 1e6),
            Unit::Verdict => "ok".to_string(),
        }
    }
}

/// Asks all that was asked for, each under every peer.
pub(crate) fn ask(
    flags: &Flags,
    child: &Child,
    peers: &[Peer],
    random: &mut Random,
) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for probe in ALL.iter().filter(|probe| wants(flags, PROBES, probe.name)) {
        answers.extend(peers.iter().map(|peer| Answer {
            probe: probe.name,
            peer: peer.name,
            figures: BTreeMap::new(),
            failure: None,
        }));
    }
    for round in 1..=flags.rounds {
        let mut order: Vec<&mut Answer> = answers.iter_mut().collect();
        order.retain(|answer| answer.failure.is_none() && (round == 1 || !is_once(answer.probe)));
        random.shuffle(&mut order);
        let count = order.len();
        for (number, answer) in order.into_iter().enumerate() {
            let begin = format!("round {round} of {}, {} of {count}", flags.rounds, number + 1);
            eprint!("{begin}: {} under {}: ", answer.probe, answer.peer);
            let probe = ALL.iter().find(|p| p.name == answer.probe).ok_or("no such probe")?;
            let peer = peers.iter().find(|peer| peer.name == answer.peer).ok_or("no such peer")?;
            let mut played = child.play(peer, probe.arguments, flags.timeout)?;
            eprintln!("{}, {:.2} s", played.run.end, played.run.seconds);
            if probe.starts > 1 && played.run.end == End::Exit(0) {
                let mean = child.start_often(peer, probe.arguments[0], probe.starts)?;
                played.figures.insert("cpu".to_string(), mean);
            }
            answer.add(played);
        }
    }
    Ok(answers)
}

fn is_once(name: &str) -> bool {
    ALL.iter().any(|probe| probe.name == name && probe.once)
}

/// One table of all figures.
pub(crate) fn table(answers: &[Answer], peers: &[Peer]) -> Table {
    let mut table = Table::new(["probe"].into_iter().chain(peers.iter().map(|peer| peer.name)));
    for row in answers.chunks(peers.len()) {
        let figures = ALL.iter().filter(|probe| probe.name == row[0].probe);
        for &(name, title, unit) in figures.flat_map(|probe| probe.figures) {
            let cells = row.iter().map(|answer| answer.shown(name, unit));
            table.row([title.to_string()].into_iter().chain(cells));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_median_or_how_it_failed() {
        let figures = BTreeMap::from([("rss".to_string(), vec![1e6, 3_145_728.0, 9e9])]);
        let mut answer = Answer { probe: "a", peer: "b", figures, failure: None };
        assert_eq!(answer.shown("rss", Unit::Memory), "3.0 MiB");
        assert_eq!(answer.shown("rss", Unit::Verdict), "ok");
        assert_eq!(answer.shown("none", Unit::Memory), "-");
        answer.failure = Some(End::Timeout(5));
        assert_eq!(answer.shown("rss", Unit::Verdict), "over 5 s");
    }
}
