//! The `granule` command from outside: statuses, sentences, and a supervisor that hears programs
//! which speak the finder's language without having the finder's bug.
#![cfg(target_os = "linux")]

mod bad_input;
mod demonstration;
mod pages;
mod passing_through;
mod reports;
#[path = "../../../../tests/start/mod.rs"]
mod start;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `granule` with its words; without the user's settings that change what it prints.
fn granule<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    // Whoever runs the tests may ignore some signals (nohup does), and that is inherited.
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_granule")]);
    command.args(arguments).env_remove("NO_COLOR").env_remove("GRANULE_GUARD");
    for locale in ["LC_ALL", "LC_CTYPE", "LANG"] {
        command.env_remove(locale);
    }
    command
}

/// Runs a shell command under `granule stomp`.
fn stomp_shell(line: &str) -> Output {
    output(&mut granule(["stomp", "--", "sh", "-c", line]))
}

fn output(command: &mut Command) -> Output {
    start::output(command)
}

fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("granule-cli-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a scratch directory");
        Scratch(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}
