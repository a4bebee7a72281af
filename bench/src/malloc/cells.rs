//! What is measured of each piece of work under each malloc.

use super::peers::Peer;
use crate::Result;
use crate::measure::{End, Run};
use crate::results::{megabytes, seconds};
use crate::statistics::{Random, median};
use serde::Serialize;

/// All runs of one piece of work under one malloc.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) work: String,
    /// How often it is done, where that is a number.
    pub(crate) ops: Option<usize>,
    pub(crate) peer: &'static str,
    pub(crate) runs: Vec<Run>,
    /// Whether every run wrote what it writes under glibc.
    pub(crate) same_output: bool,
}

/// A figure of one run.
pub(crate) type Figure = fn(&Run) -> f64;

pub(crate) const PROCESSOR: Figure = |run| run.cpu_seconds;
pub(crate) const WALL: Figure = |run| run.seconds;
pub(crate) const PEAK: Figure = |run| run.peak_rss as f64;

impl Cell {
    /// One for each of the peers.
    pub(crate) fn row(work: &str, ops: Option<usize>, peers: &[Peer]) -> Vec<Cell> {
        let cell = |peer: &Peer| Cell {
            work: work.to_string(),
            ops,
            peer: peer.name,
            runs: Vec::new(),
            same_output: true,
        };
        peers.iter().map(cell).collect()
    }

    /// The median of a figure, if all runs finished with the right output.
    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        median(&self.all(figure)?)
    }

    /// The least of the rounds, the same way.
    pub(crate) fn least(&self, figure: Figure) -> Option<f64> {
        self.all(figure)?.into_iter().reduce(f64::min)
    }

    fn all(&self, figure: Figure) -> Option<Vec<f64>> {
        self.failure().is_none().then(|| self.runs.iter().map(figure).collect())
    }

    /// How it went, if not well.
    pub(crate) fn failure(&self) -> Option<String> {
        match self.runs.iter().find(|run| run.end != End::Exit(0)) {
            Some(run) => Some(run.end.to_string()),
            None if !self.same_output => Some("other output".to_string()),
            None => None,
        }
    }

    /// Whether another round would tell more.
    fn is_wanted(&self, rounds: usize) -> bool {
        self.runs.len() < rounds && self.failure().is_none()
    }
}

/// Measures all cells, by rounds, in a new random order in each. `once` is one run of a cell, and
/// whether its output is right.
pub(crate) fn measure(
    cells: &mut [Cell],
    rounds: usize,
    random: &mut Random,
    mut once: impl FnMut(&Cell) -> Result<(Run, bool)>,
) -> Result<()> {
    for round in 1..=rounds {
        let mut order: Vec<&mut Cell> =
            cells.iter_mut().filter(|cell| cell.is_wanted(rounds)).collect();
        random.shuffle(&mut order);
        let count = order.len();
        for (number, cell) in order.into_iter().enumerate() {
            let begin = format!("round {round} of {rounds}, {} of {count}", number + 1);
            eprint!("{begin}: {} under {}: ", cell.work, cell.peer);
            let (run, same_output) = once(cell)?;
            let words = if same_output { "" } else { " with other output" };
            let (cpu, peak) = (seconds(run.cpu_seconds), megabytes(run.peak_rss));
            eprintln!("{}{words}, {cpu} {peak}", run.end);
            cell.same_output &= same_output;
            cell.runs.push(run);
        }
    }
    Ok(())
}
