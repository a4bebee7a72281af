//! One array at one piece of work: started as a process of its own, many times.

use crate::flags::Flags;
use crate::measure::{self, End};
use crate::statistics::{Random, median};
use crate::{Result, tools};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Who takes longer for a run has one run only.
const SLOW: Duration = Duration::from_secs(12);

/// What one process found. A unit is a push, a page, an array: what the work says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Found {
    /// Nanoseconds of wall time for a unit.
    pub(super) wall: f64,
    /// Nanoseconds of processor time for a unit, of all threads.
    pub(super) cpu: f64,
    /// The most that was resident above what was resident before the work, in bytes.
    pub(super) peak: u64,
    /// Page faults without a disk.
    pub(super) faults: u64,
    /// Mappings that the process has more than before, while the array is there.
    pub(super) mappings: Option<usize>,
    /// The longest batch of pushes, nanoseconds of processor time and of wall time.
    pub(super) worst: Option<[f64; 2]>,
    /// Bytes that got another address, of those arrays that are one piece.
    pub(super) moved: Option<u64>,
}

/// A figure of a run.
pub(super) type Figure = fn(&Found) -> f64;

pub(super) const PROCESSOR: Figure = |found| found.cpu;
pub(super) const WALL: Figure = |found| found.wall;

/// What is to be reached.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    /// The ratio of its row is at most this.
    Ratio(f64),
    /// At most so many resident bytes above the payload.
    PeakOverPayload(u64),
    /// None: for comparison.
    None,
}

/// All runs of one array at one piece of work.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Case {
    pub(super) part: &'static str,
    pub(super) work: &'static str,
    pub(super) array: &'static str,
    pub(super) goal: Goal,
    /// Bytes of the elements, when all are there.
    pub(super) payload: u64,
    /// Bytes that are touched and freed before the work.
    pub(super) warm_up: u64,
    /// Runs in each round.
    pub(super) repeat: usize,
    /// Rounds at most: a long run tells more than a short one.
    pub(super) most_rounds: usize,
    /// The words in front of the child; none, if what they need is not installed.
    pub(super) wrapper: Option<Vec<String>>,
    pub(super) found: Vec<Found>,
    /// How the run ended that did not finish.
    pub(super) failure: Option<End>,
}

impl Case {
    /// A case without a goal, which needs no more than its payload.
    pub(super) fn new(part: &'static str, work: &'static str, array: &'static str) -> Self {
        Case {
            part,
            work,
            array,
            goal: Goal::None,
            payload: 0,
            warm_up: 0,
            repeat: 1,
            most_rounds: usize::MAX,
            wrapper: Some(Vec::new()),
            found: Vec::new(),
            failure: None,
        }
    }

    /// With so many bytes of elements, and so many times as many that it will touch.
    pub(super) fn payload(self, payload: u64, factor: f64) -> Self {
        let more = (32 << 20) as f64;
        Case { payload, warm_up: (payload as f64).mul_add(factor, more) as u64, ..self }
    }

    fn name(&self) -> String {
        format!("{}, {}: {}", self.part, self.work, self.array)
    }

    /// Whether it has runs in this round, the first being 0.
    fn is_wanted(&self, round: usize) -> bool {
        // What did not finish will not the next time.
        self.wrapper.is_some() && self.failure.is_none() && round < self.most_rounds
    }

    /// One run in a process of its own. What it says about itself for the progress.
    fn add(&mut self, record: &Path, flags: &Flags) -> Result<String> {
        let mut command = measure::wrapper(record, flags.timeout)?;
        command.extend(self.wrapper.iter().flatten().cloned());
        command.push(command[0].clone());
        let words = ["arrays-child", self.part, self.work, self.array];
        command.extend(words.map(String::from));
        command.push(self.warm_up.to_string());
        let output = Command::new(&command[0]).args(&command[1..]).output()?;
        let run = measure::recorded(record)?.pop().ok_or("a run left no record")?;
        fs::remove_file(record)?;
        match serde_json::from_slice::<Found>(&output.stdout) {
            Ok(found) if run.end == End::Exit(0) => {
                let text = format!("{:.2} ns", found.wall);
                self.found.push(found);
                if run.seconds > SLOW.as_secs_f64() {
                    self.most_rounds = 1;
                }
                Ok(text)
            }
            _ => {
                let said = String::from_utf8_lossy(&output.stderr);
                self.failure = Some(run.end);
                Ok(format!("{}: {}", run.end, said.trim()))
            }
        }
    }

    fn all(&self, figure: impl Fn(&Found) -> f64) -> Vec<f64> {
        self.found.iter().map(figure).collect()
    }

    pub(super) fn median(&self, figure: impl Fn(&Found) -> f64) -> Option<f64> {
        median(&self.all(figure)).filter(|_| self.failure.is_none())
    }

    pub(super) fn least(&self, figure: impl Fn(&Found) -> f64) -> Option<f64> {
        let all = self.all(figure).into_iter().min_by(f64::total_cmp);
        all.filter(|_| self.failure.is_none())
    }

    /// Resident bytes above the payload at the peak; less than none if the peak was not the end.
    pub(super) fn peak_over_payload(&self) -> Option<f64> {
        Some(self.median(|found| found.peak as f64)? - self.payload as f64)
    }

    /// How many times as long as `other` does this one take: the median over the rounds.
    pub(super) fn times(&self, other: &Case, figure: Figure) -> Option<f64> {
        let pairs = self.all(figure).into_iter().zip(other.all(figure));
        median(&pairs.map(|(one, other)| one / other).collect::<Vec<_>>())
    }

    /// Why there is no figure.
    pub(super) fn excuse(&self) -> String {
        match self.failure {
            Some(end) => end.to_string(),
            None if self.wrapper.is_none() => "not installed".to_string(),
            None => "-".to_string(),
        }
    }
}

/// The words that put an allocator under a process, and who says what is missing.
pub(super) fn allocator(library: &str, package: &str) -> Option<Vec<String>> {
    let words = tools::preload(library, &[]);
    if words.is_none() {
        eprintln!("skipped: Vec under {library} (the package {package} is not installed)");
    }
    words
}

/// Runs every case in every round, each round in a new random order.
pub(super) fn run(cases: &mut [Case], flags: &Flags, random: &mut Random) -> Result<()> {
    let record = std::env::temp_dir().join(format!("granule-arrays-{}", std::process::id()));
    let runs = |round| cases.iter().filter(move |case| case.is_wanted(round)).map(|c| c.repeat);
    let mut progress = Progress::new((0..flags.rounds).flat_map(runs).sum());
    for round in 0..flags.rounds {
        let places = |(place, case): (usize, &Case)| std::iter::repeat_n(place, case.repeat);
        let mut order: Vec<usize> = cases.iter().enumerate().flat_map(places).collect();
        random.shuffle(&mut order);
        for place in order {
            let case = &mut cases[place];
            if case.is_wanted(round) {
                progress.begin(&case.name());
                progress.end(&case.add(&record, flags)?);
            }
        }
    }
    progress.finish();
    Ok(())
}

/// Says what is being measured: one line that changes on a terminal, a line each elsewhere.
struct Progress {
    begin: Instant,
    done: usize,
    of: usize,
    on_terminal: bool,
}

impl Progress {
    fn new(of: usize) -> Self {
        Progress { begin: Instant::now(), done: 0, of, on_terminal: stderr().is_terminal() }
    }

    fn begin(&mut self, name: &str) {
        self.done += 1;
        let clear = if self.on_terminal { "\r\x1b[K" } else { "" };
        let seconds = self.begin.elapsed().as_secs();
        eprint!("{clear}{seconds} s, {} of {}: {name}: ", self.done, self.of);
        // Whoever reads the progress may be gone.
        stderr().flush().ok();
    }

    fn end(&self, said: &str) {
        if self.on_terminal { eprint!("{said}") } else { eprintln!("{said}") }
    }

    fn finish(&self) {
        let end = if self.on_terminal { "\n" } else { "" };
        eprintln!("{end}{} runs in {} s", self.done, self.begin.elapsed().as_secs());
    }
}
