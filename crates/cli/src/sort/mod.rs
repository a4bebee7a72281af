//! `granule sort`: puts the numbers, records or lines of a file into order.

mod args;
mod face;
mod files;
mod order;
mod report;
mod signals;

pub(crate) use args::{SORT_HELP, SortArguments};

use crate::exit_code::{ExitCode, Failure};
use face::Face;
use granule_sort::external::{self, Job};
use granule_sort::limits::{self, Limits};
use granule_sort::{Options, Recovery, recover};
use order::Order;
use report::{Mode, Report};
use std::path::Path;
use std::time::Instant;

/// Sorts, checks or recovers, and says what was done.
///
/// # Errors
/// A sentence for everything that was not done.
pub(crate) fn run(arguments: &SortArguments) -> Result<ExitCode, Failure> {
    signals::listen();
    if arguments.recover {
        return finish_killed(arguments);
    }
    let order = Order::of(arguments)?;
    let done = match arguments.check {
        true => check(arguments, &order),
        false => sort(arguments, &order),
    };
    match (done, signals::received()) {
        (Err(failure), Some(signal)) => {
            eprintln!("granule: {failure}");
            Ok(ExitCode::Stopped(signal))
        }
        (done, _) => done,
    }
}

fn finish_killed(arguments: &SortArguments) -> Result<ExitCode, Failure> {
    let path = files::target_of(&arguments.file)?;
    // SAFETY: (1) that nobody else uses the file is the user's part: the manual says so.
    let recovery = unsafe { recover(&path) }.map_err(in_place_failure)?;
    let file = arguments.file.display();
    match recovery {
        Recovery::Nothing => println!("{file}: no sort of it was killed; nothing to do"),
        Recovery::PutBack { elements } => {
            println!("{file}: {elements} elements put back; all are there, in no order");
        }
    }
    Ok(ExitCode::Success)
}

fn check(arguments: &SortArguments, order: &Order) -> Result<ExitCode, Failure> {
    let face = Face::new(!arguments.quiet);
    let start = Instant::now();
    let checked = order.check(&arguments.file, &face);
    face.finish();
    let checked = checked.map_err(failure)?;
    let report = Report {
        elements: checked.elements,
        bytes: files::len_of(&arguments.file)?,
        disorder: checked.disorder,
        threads: 1,
        ..Report::new(arguments, order, Mode::Check, start.elapsed())
    };
    report.print(arguments, order)?;
    Ok(if checked.disorder.is_some() { ExitCode::Unsorted } else { ExitCode::Success })
}

fn sort(arguments: &SortArguments, order: &Order) -> Result<ExitCode, Failure> {
    let path = files::target_of(&arguments.file)?;
    let memory = arguments.memory.unwrap_or_else(|| Limits::look().memory());
    let threads = arguments.threads.unwrap_or_else(limits::threads);
    let mode = mode(arguments, order, files::len_of(&path)?, memory);
    let face = Face::new(!arguments.quiet);
    let start = Instant::now();
    let made = match mode {
        Mode::InPlace => in_place(order, &path, threads, &face),
        _ => new_file(arguments, order, &path, memory, threads, &face),
    };
    face.finish();
    let made = made?;
    let report = Report {
        elements: made.elements,
        bytes: made.bytes,
        runs: made.runs,
        merges: made.merges,
        recovered: made.recovered,
        threads: made.threads,
        memory: Some(memory),
        ..Report::new(arguments, order, mode, start.elapsed())
    };
    report.print(arguments, order)?;
    Ok(ExitCode::Success)
}

/// How: where the file is, if that is possible and it fits into memory.
fn mode(arguments: &SortArguments, order: &Order, len: u64, memory: usize) -> Mode {
    let needs_new_file = arguments.new_file
        || arguments.output.is_some()
        || matches!(order, Order::Lines(_))
        || (arguments.stable && matches!(order, Order::Records(_)));
    match arguments.in_place || (!needs_new_file && len <= memory as u64) {
        true => Mode::InPlace,
        false => Mode::NewFile,
    }
}

/// What a sort has made.
struct Made {
    elements: u64,
    bytes: u64,
    runs: usize,
    merges: usize,
    threads: usize,
    /// Elements that were put back after another sort had been killed.
    recovered: Option<u64>,
}

fn in_place(order: &Order, path: &Path, threads: usize, face: &Face) -> Result<Made, Failure> {
    let file = files::open_for_writing(path)?;
    let progress = |done, all| face.show(done, all);
    let (progress, stop) = (Some(&progress as _), Some(signals::stop()));
    let options = Options { threads, progress, stop, ..Options::default() };
    // SAFETY: (1) that nobody else uses the file is the user's part: the manual says so.
    let report = unsafe { order.sort_in_place(&file, path, &options) };
    let report = report.map_err(|error| Failure::cannot(error.to_string()))?;
    Ok(Made {
        elements: report.elements,
        bytes: files::len_of(path)?,
        runs: 0,
        merges: 0,
        threads: report.threads,
        recovered: put_back(report.recovery),
    })
}

fn new_file(
    arguments: &SortArguments,
    order: &Order,
    path: &Path,
    memory: usize,
    threads: usize,
    face: &Face,
) -> Result<Made, Failure> {
    let output = arguments.output.as_deref();
    files::check_target(output.unwrap_or(path))?;
    // SAFETY: (1) that nobody else uses the file is the user's part: the manual says so.
    let recovery = unsafe { recover(path) }.map_err(in_place_failure)?;
    let temp_dir = arguments.temp_dir.as_deref();
    let job = Job { input: path, output, temp_dir, memory, threads, watch: face };
    let done = order.sort_file(&job).map_err(failure)?;
    let (runs, merges) = (done.runs, done.merges);
    let (elements, bytes) = (done.elements, done.bytes);
    Ok(Made { elements, bytes, runs, merges, threads, recovered: put_back(recovery) })
}

fn put_back(recovery: Recovery) -> Option<u64> {
    match recovery {
        Recovery::Nothing => None,
        Recovery::PutBack { elements } => Some(elements),
    }
}

fn failure(error: external::Error) -> Failure {
    Failure::cannot(error.to_string())
}

fn in_place_failure(error: granule_sort::Error) -> Failure {
    Failure::cannot(error.to_string())
}
