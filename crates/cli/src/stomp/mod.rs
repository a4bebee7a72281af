//! `granule stomp`: check the program, place the library, run, report, end.

mod maps;
mod report;
mod supervisor;
mod symbols;

use crate::args::StompArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::program::library::STOMP;
use crate::program::preflight::{self, Program, Purpose};
use crate::program::say;
use report::Reporter;
use std::os::unix::process::ExitStatusExt;
use supervisor::{Outcome, Supervisor};

const KILLED: &str = "the program was killed, perhaps by the system for lack of memory: every live \
                      block takes at least a page (4 KiB) under granule";

/// Runs a program, or the demonstration, under the stomp finder.
///
/// # Errors
/// A sentence and a status, when the program cannot be run or cannot be guarded.
pub(crate) fn run(arguments: &StompArguments) -> Result<ExitCode, Failure> {
    let library = STOMP.place().map_err(Failure::cannot)?;
    let program = match arguments.program.split_first() {
        Some((name, rest)) => preflight::check(Purpose::Guard, name, rest)?,
        None => demonstration()?,
    };
    if arguments.verbose {
        program.notes.iter().for_each(|note| say(note));
        say(&library.whereabouts());
    }
    let mut reporter = Reporter::new(arguments)?;
    let mut supervisor = Supervisor::listen(&mut reporter).map_err(Failure::cannot)?;
    let outcome = supervisor.run(&program, &library, arguments.options())?;
    if arguments.program.is_empty() {
        return end_of_demonstration(&outcome);
    }
    if outcome.status.signal() == Some(libc::SIGKILL) {
        say(KILLED);
    }
    Ok(verdict(&outcome, arguments.error_exitcode))
}

/// The exit status of a finished run.
fn verdict(outcome: &Outcome, error_exitcode: u8) -> ExitCode {
    if outcome.findings > 0 {
        return ExitCode::Found(error_exitcode);
    }
    if outcome.was_not_guarded {
        return ExitCode::Cannot;
    }
    ExitCode::of(outcome.status)
}

/// This binary as the guarded program.
fn demonstration() -> Result<Program, Failure> {
    let myself = std::env::current_exe()
        .map_err(|error| Failure::cannot(format!("this binary cannot find itself: {error}")))?;
    preflight::check(Purpose::Guard, myself.as_os_str(), &["demo-crime".into()])
}

fn end_of_demonstration(outcome: &Outcome) -> Result<ExitCode, Failure> {
    if outcome.findings == 0 {
        return Err(Failure::cannot(format!(
            "the demonstration overflows a block, but nothing was found (it ended with {}); \
             run it again with --verbose",
            outcome.status
        )));
    }
    eprintln!("That was the demonstration. Now yours: granule stomp -- ./program arguments");
    Ok(ExitCode::Success)
}

/// Where the preload library will lie when a program runs, or why there is none; makes nothing.
pub(crate) fn library_place() -> LibraryPlace {
    match STOMP.foresee() {
        Ok(Ok(path)) => LibraryPlace::File(path.display().to_string()),
        Ok(Err(why)) => LibraryPlace::Memory(why),
        Err(why) => LibraryPlace::Nowhere(why),
    }
}

/// The answer of [`library_place`].
#[derive(Debug)]
pub(crate) enum LibraryPlace {
    /// In this file.
    File(String),
    /// In a memory file of the supervisor, for this reason.
    Memory(String),
    /// It is not there, for this reason.
    Nowhere(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitStatus;

    fn outcome(findings: usize, raw_status: i32) -> Outcome {
        let status = ExitStatus::from_raw(raw_status);
        Outcome { status, findings, was_not_guarded: false }
    }

    #[test]
    fn the_programs_own_status_passes_unless_something_was_found() {
        assert_eq!(verdict(&outcome(0, 0), 99), ExitCode::Program(0));
        assert_eq!(verdict(&outcome(0, 7 << 8), 99), ExitCode::Program(7));
        assert_eq!(verdict(&outcome(0, libc::SIGSEGV), 99), ExitCode::Signal(libc::SIGSEGV));
        assert_eq!(verdict(&outcome(2, libc::SIGSEGV), 99), ExitCode::Found(99));
        assert_eq!(verdict(&outcome(1, 0), 3), ExitCode::Found(3));
        let unguarded = Outcome { was_not_guarded: true, ..outcome(0, 0) };
        assert_eq!(verdict(&unguarded, 99), ExitCode::Cannot);
    }
}
