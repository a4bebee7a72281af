//! Compares what the finder said with the verdict.

use crate::run::Outcome;
use crate::verdicts::{Program, Row, Verdict};
use serde::Deserialize;
use std::path::Path;

/// The exit status after a report.
const FOUND: i32 = 99;

#[derive(Debug, Deserialize)]
struct Report {
    version: serde_json::Value,
    kind: String,
    access: Option<String>,
    address: String,
    block: Option<Block>,
    distance: Option<u64>,
    side: Option<String>,
    pid: u32,
    tid: u32,
    at_exit: bool,
    stacks: Stacks,
}

#[derive(Debug, Deserialize)]
struct Block {
    address: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
struct Stacks {
    access: Vec<Frame>,
    allocated: Vec<Frame>,
    freed: Vec<Frame>,
}

#[derive(Debug, Deserialize)]
struct Frame {
    function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

/// Differences between what must be and what is; a sentence each.
struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, must: T, is: T) {
        if must != is {
            self.0.push(format!("{what} must be {must:?} and is {is:?}"));
        }
    }

    fn add(&mut self, sentence: String) {
        self.0.push(sentence);
    }
}

/// What is wrong with the outcome of a crime; empty if nothing is.
pub(crate) fn crime(program: &Program, verdict: &Verdict, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Differences(Vec::new());
    wrong.compare("the exit status", FOUND, outcome.exit);
    let reports: Vec<&str> = outcome.json.lines().collect();
    wrong.compare("the number of reports", 1, reports.len());
    if let Some(report) = reports.first() {
        match serde_json::from_str(report) {
            Ok(report) => compare_report(program, verdict, &report, &mut wrong),
            Err(error) => wrong.add(format!("the report cannot be read: {error}: {report}")),
        }
    }
    let kind = format!("granule: {}: ", verdict.kind);
    let size = verdict.row.size.map(|size| format!("{size}-byte block"));
    for words in [Some(kind), size].into_iter().flatten() {
        if !outcome.stderr.contains(&words) {
            wrong.add(format!("the text does not say {words:?}"));
        }
    }
    wrong.0
}

fn compare_report(program: &Program, verdict: &Verdict, report: &Report, wrong: &mut Differences) {
    let row = &verdict.row;
    wrong.compare("the version's presence", true, !report.version.is_null());
    wrong.compare("the kind", &verdict.kind, &report.kind);
    wrong.compare("the access", &row.access, &report.access);
    wrong.compare("at_exit", row.at_exit, report.at_exit);
    wrong.compare("that it is another thread", row.other_thread, report.tid != report.pid);
    wrong.compare("the size", row.size, report.block.as_ref().map(|block| block.size));
    compare_place(row, report, wrong);
    let guilty = if verdict.kind == "slack-overwrite" { "FOUND" } else { "CRIME" };
    let stacks = [
        (guilty, "the access", &report.stacks.access),
        ("ALLOCATED", "the allocation", &report.stacks.allocated),
        ("FREED", "the free", &report.stacks.freed),
    ];
    for (mark, name, stack) in stacks {
        let marks = program.marks(mark);
        let own = own_frame(program, stack);
        if !marks.is_empty() && !own.as_ref().is_some_and(|own| marks.contains(own)) {
            let frames = shown(stack);
            wrong.add(format!("{name} must be at {marks:?} and is at {own:?}; stack: {frames}"));
        }
    }
}

/// The side and the distance, and that they agree with the address.
fn compare_place(row: &Row, report: &Report, wrong: &mut Differences) {
    let (Some((side, least, most)), Some(block)) = (row.place(), &report.block) else {
        return;
    };
    wrong.compare("the side", Some(side), report.side.as_deref());
    let distance = report.distance.unwrap_or(u64::MAX);
    if !(least..=most).contains(&distance) {
        wrong.add(format!("the distance must be in {least}..={most} and is {distance}"));
    }
    let (Some(address), Some(start)) = (number(&report.address), number(&block.address)) else {
        return wrong.add(format!("no addresses: {:?}, {:?}", report.address, block.address));
    };
    let from_address = match report.side.as_deref() {
        Some("after") => address.wrapping_sub(start.wrapping_add(block.size)),
        Some("before") => start.wrapping_sub(address),
        _ => address.wrapping_sub(start),
    };
    wrong.compare("the distance by the address", from_address, distance);
}

/// The number in the form of "0x1f".
fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// File name and line of the innermost frame that is the program's own.
fn own_frame(program: &Program, stack: &[Frame]) -> Option<(String, u32)> {
    stack.iter().find_map(|frame| {
        let name = Path::new(frame.file.as_deref()?).file_name()?.to_str()?;
        let own = program.files().into_iter().find(|&file| file == name)?;
        Some((own.to_string(), frame.line?))
    })
}

fn shown(stack: &[Frame]) -> String {
    let frames = stack.iter().map(|frame| {
        let function = frame.function.as_deref().unwrap_or("?");
        let file = frame.file.as_deref().unwrap_or("?");
        format!("{function} {file}:{}", frame.line.unwrap_or(0))
    });
    frames.collect::<Vec<_>>().join(" < ")
}

/// What is wrong with the outcome of a program that granule has nothing to say about.
pub(crate) fn clean(native: &Outcome, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Differences(Vec::new());
    wrong.compare("the exit status", native.exit, outcome.exit);
    wrong.compare("stdout", &native.stdout, &outcome.stdout);
    wrong.compare("the reports", "", &outcome.json);
    wrong.0
}
