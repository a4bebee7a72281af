//! `granule sort` from outside: against GNU sort and the standard library, refused, stopped, and
//! killed.
#![cfg(target_os = "linux")]

mod against_gnu;
mod files;
mod kills;
mod progress;
mod refusals;
mod shortened;
#[path = "../../../../tests/start/mod.rs"]
mod start;
#[path = "../../../sort/tests/support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::process::{Command, Output};
use support::{Random, Scratch};

/// `granule sort` with its words; signals do what they do by default, whoever runs the tests.
fn sort<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_granule"), "sort"]).args(arguments);
    command
}

/// Runs it, and expects that it succeeds.
fn done(command: &mut Command) -> Output {
    let output = start::output(command);
    assert!(output.status.success(), "{command:?}: {}", error_text(&output));
    output
}

fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The elements in the order of their bytes: what two files with the same elements have in common.
fn elements(bytes: &[u8], width: usize) -> Vec<&[u8]> {
    let mut elements: Vec<&[u8]> = bytes.chunks(width).collect();
    elements.sort_unstable();
    elements
}
