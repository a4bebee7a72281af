//! `granule run`: check the program, place the library, become the program.
//!
//! It is executed in place of this process: its number, its signals and its end are its own. Only
//! where the library is a memory file of this process, this one has to stay until nobody needs it.

use crate::args::RunArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::program::family::{ENDS_THE_WATCH, Family};
use crate::program::library::MALLOC;
use crate::program::preflight::{self, Program, Purpose};
use crate::program::say;
use crate::program::signals::{Signals, forward, keep_mask};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

/// What the library reads at the end of a process.
const STATS: &str = "GRANULE_STATS";

/// Runs a program on the heap of granule.
///
/// # Errors
/// A sentence and a status, when the program cannot be run.
pub(crate) fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let library = MALLOC.place().map_err(Failure::cannot)?;
    let (name, rest) = arguments.program.split_first().expect("the command line wants one");
    let program = preflight::check(Purpose::Run, name, rest)?;
    if arguments.verbose {
        program.notes.iter().for_each(|note| say(note));
        say(&library.whereabouts());
    }
    let mut command = program.command(&library);
    if let Some(value) = arguments.stats_value() {
        command.env(STATS, value);
    }
    if library.why_memory.is_some() {
        return stay(&program, command).map(ExitCode::of);
    }
    keep_mask(&mut command);
    Err(program.not_started(&command.exec()))
}

/// Runs the program as a child, and waits for all that it leaves running.
fn stay(program: &Program, mut command: Command) -> Result<ExitStatus, Failure> {
    let unwatched = |error| Failure::cannot(format!("the program cannot be watched: {error}"));
    let signals = Signals::take_over().map_err(unwatched)?;
    Family::adopt().map_err(unwatched)?;
    signals.restore_in(&mut command);
    let child = command.spawn().map_err(|error| program.not_started(&error))?;
    watch(&child, signals).map_err(unwatched)
}

fn watch(child: &Child, mut signals: Signals) -> io::Result<ExitStatus> {
    let mut family = Family::of(child);
    loop {
        signals.wait()?;
        while let Some(signal) = signals.next() {
            match family.status {
                None => forward(family.main, signal),
                Some(status) if ENDS_THE_WATCH.contains(&signal) => return Ok(status),
                Some(_) => {}
            }
        }
        if let (true, Some(status)) = (family.reap()?, family.status) {
            return Ok(status);
        }
    }
}
