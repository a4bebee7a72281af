//! The `granule` command: what it does stands here, how it does it in the modules.

mod args;
mod demo;
mod exit_code;
mod info;
mod layers;
mod pages;
mod program;
mod run;
mod sort;
mod stomp;
mod style;

use args::{Arguments, Verb};
use clap::Parser;
use exit_code::{ExitCode, Failure};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refuse_line(&error));
    let code = match obey(arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("granule: {failure}");
            failure.code
        }
    };
    if let ExitCode::Signal(signal) = code {
        program::signals::die_by(signal);
    }
    code.number().into()
}

fn obey(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.verb {
        Verb::Stomp(arguments) => stomp::run(&arguments),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Sort(arguments) => sort::run(&arguments),
        Verb::Info(arguments) => info::run(&arguments),
        Verb::Pages(arguments) => pages::run(&arguments),
        Verb::DemoCrime => {
            demo::commit_crime();
            Ok(ExitCode::Success)
        }
    }
}

/// Prints what clap has to say: help and version end with 0, a bad line with 125, because 2 could
/// be the status of a program.
fn refuse_line(error: &clap::Error) -> ! {
    // An error of printing to a closed terminal has no one to be told to.
    let _ = error.print();
    let code = if error.use_stderr() { ExitCode::Cannot } else { ExitCode::Success };
    std::process::exit(code.number().into())
}
