//! Starts programs of the platform under test, which this machine may not run by itself.
#![allow(dead_code, unused_imports, reason = "every test program uses another part of it")]

mod limit;
mod spawn;

pub(crate) use limit::{Lines, finish, finish_in, output, status};
pub(crate) use spawn::spawn;

use std::env;
use std::path::Path;
use std::process::Command;

/// The command line of what runs programs of this platform, if something has to.
pub(crate) const RUNNER: &str = "GRANULE_TEST_RUNNER";

/// A command that starts `program`.
pub(crate) fn program(program: &Path) -> Command {
    let runner = env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(program),
        Some(word) => {
            let mut command = Command::new(word);
            command.args(words).arg(program);
            command
        }
    }
}

/// A command that starts this test program again.
pub(crate) fn again() -> Command {
    program(&env::current_exe().expect("a test knows its program"))
}
