//! What was done, in a sentence or in JSON.
#![forbid(unsafe_code)]

use super::SortArguments;
use super::order::Order;
use crate::exit_code::Failure;
use crate::info::size;
use granule_sort::check::Disorder;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// How a file was sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    /// Where it is.
    InPlace,
    /// Into a new file.
    NewFile,
    /// Not at all: it was looked at.
    Check,
}

/// What was done, as `--json` prints it: one object, lengths in bytes.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) version: u32,
    pub(super) file: String,
    pub(super) output: Option<String>,
    /// "u64", "records", "lines" ..
    pub(super) kind: String,
    pub(super) mode: Mode,
    pub(super) elements: u64,
    pub(super) bytes: u64,
    /// Parts that were sorted one by one, and how often all was merged; of a new file only.
    pub(super) runs: usize,
    pub(super) merges: usize,
    pub(super) seconds: f64,
    pub(super) threads: usize,
    /// What might be used.
    pub(super) memory: Option<usize>,
    /// Elements that were put back first, because another sort had been killed.
    pub(super) recovered: Option<u64>,
    /// The first element that is out of order, if that was asked.
    #[serde(serialize_with = "place")]
    pub(super) disorder: Option<Disorder>,
}

/// An element and where it begins.
#[derive(Serialize)]
struct Place {
    element: u64,
    offset: u64,
}

fn place<S: serde::Serializer>(disorder: &Option<Disorder>, to: S) -> Result<S::Ok, S::Error> {
    let place = disorder.map(|found| Place { element: found.element, offset: found.offset });
    place.serialize(to)
}

impl Report {
    /// A report without figures.
    pub(super) fn new(
        arguments: &SortArguments,
        order: &Order,
        mode: Mode,
        time: Duration,
    ) -> Report {
        let text = |path: &std::path::Path| path.display().to_string();
        Report {
            version: 1,
            file: text(&arguments.file),
            output: arguments.output.as_deref().map(text),
            kind: order.elements(),
            mode,
            elements: 0,
            bytes: 0,
            runs: 0,
            merges: 0,
            seconds: time.as_secs_f64(),
            threads: 0,
            memory: None,
            recovered: None,
            disorder: None,
        }
    }

    /// Prints it as it was asked for: JSON to standard output, a sentence to standard error. That a
    /// file is not sorted is said in any case.
    pub(super) fn print(&self, arguments: &SortArguments, order: &Order) -> Result<(), Failure> {
        if arguments.json {
            let json = serde_json::to_string(self);
            let json = json.map_err(|error| Failure::cannot(format!("no JSON: {error}")))? + "\n";
            return match io::stdout().write_all(json.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    Err(Failure::cannot(format!("standard output cannot be written: {error}")))
                }
                _ => Ok(()),
            };
        }
        if let Some(disorder) = self.disorder {
            eprintln!("granule: {}: {}", self.file, place_of(disorder, order));
        } else if !arguments.quiet {
            eprintln!("{}", self.sentence());
        }
        Ok(())
    }

    fn sentence(&self) -> String {
        let mut text = self.file.clone();
        if let Some(output) = &self.output {
            text += &format!(" to {output}");
        }
        text += &format!(": {} {}, {}, ", self.elements, self.kind, size(self.bytes as usize));
        text += &match (self.mode, self.runs, self.merges) {
            (Mode::Check, ..) => "sorted".to_owned(),
            (Mode::InPlace, ..) => "sorted in place".to_owned(),
            (Mode::NewFile, _, 0) => "sorted into a new file".to_owned(),
            (Mode::NewFile, runs, _) => format!("sorted into a new file by way of {runs} runs"),
        };
        if self.mode != Mode::Check {
            let rate = self.bytes as f64 / 1e6 / self.seconds.max(1e-9);
            text += &format!(" in {:.2} s ({rate:.0} MB/s)", self.seconds);
        }
        if let Some(elements) = self.recovered {
            text += &format!("; a killed sort had left {elements} elements, which were put back");
        }
        text
    }
}

/// The place in words: lines are counted from 1 as editors do, elements from 0.
fn place_of(disorder: Disorder, order: &Order) -> String {
    let Disorder { element, offset, is_equal } = disorder;
    let why = if is_equal { "is equal to the one before" } else { "comes before the one before" };
    match order {
        Order::Lines(_) => format!("not sorted: line {}, at offset {offset}, {why}", element + 1),
        Order::Records(_) => format!("not sorted: record {element}, at offset {offset}, {why}"),
        Order::Numbers(_) => format!("not sorted: number {element}, at offset {offset}, {why}"),
    }
}
