//! `granule sort` from outside: against GNU sort and the standard library, refused, stopped, and
//! killed.
#![cfg(target_os = "linux")]

mod against_gnu;
mod files;
mod kills;
mod refusals;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `granule sort` with its words; signals do what they do by default, whoever runs the tests.
fn sort<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", env!("CARGO_BIN_EXE_granule"), "sort"]).args(arguments);
    command
}

/// Runs it, and expects that it succeeds.
fn done(command: &mut Command) -> Output {
    let output = command.output().expect("granule can be started");
    assert!(output.status.success(), "{command:?}: {}", error_text(&output));
    output
}

fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory that goes away with the test, with a file in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("granule-sort-cli-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a scratch directory");
        Scratch(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Its file with these bytes.
    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.join("file");
        fs::write(&path, bytes).expect("room on the disk");
        path
    }

    /// What is in it.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a plain name");
        let mut names: Vec<String> = entries.map(|entry| name(entry.expect("readable"))).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }
}

/// The elements in the order of their bytes: what two files with the same elements have in common.
fn elements(bytes: &[u8], width: usize) -> Vec<&[u8]> {
    let mut elements: Vec<&[u8]> = bytes.chunks(width).collect();
    elements.sort_unstable();
    elements
}
