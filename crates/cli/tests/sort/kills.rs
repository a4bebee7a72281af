//! Ended at any moment: by a kill, and by signals that ask.

use super::{Random, Scratch, elements, error_text, sort, start};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Ways to sort, and the width of the elements; 0: lines.
const WAYS: [(&[&str], usize); 5] = [
    (&["--type", "u64", "--in-place"], 8),
    (&["--record", "100", "--key", "0..10", "--in-place"], 100),
    (&["--type", "u32", "--new-file", "--memory", "1M"], 4),
    (&["--record", "100", "--key", "3..9", "--stable"], 100),
    (&["--lines", "--memory", "4M"], 0),
];

/// A file that sorting takes a while.
fn fill(scratch: &Scratch, width: usize, len: usize) -> (PathBuf, Vec<u8>) {
    let mut bytes = Random(21).bytes(len / 200 * 200);
    if width == 0 {
        bytes.push(b'\n');
    }
    (scratch.file(&bytes), bytes)
}

fn start(words: &[&str], path: &Path) -> Child {
    let mut command = sort(words);
    command.arg("-q").arg(path).stderr(Stdio::piped());
    command.spawn().expect("granule can be started")
}

/// What the file may be after a sort that did not end: as it was, or sorted; in place anything that
/// has all the elements.
fn check(scratch: &Scratch, words: &[&str], width: usize, bytes: &[u8]) {
    let path = scratch.path().join("file");
    let found = fs::read(&path).expect("it is there");
    if words.contains(&"--in-place") {
        assert!(elements(&found, width) == elements(bytes, width), "{words:?}");
    } else if found != bytes {
        // It was quicker than we.
        let words: Vec<&str> =
            words.iter().copied().filter(|word| !word.starts_with("--new")).collect();
        let words = words.iter().filter(|word| **word != "--stable");
        let checked = start::output(sort(words).arg("--check").arg(&path));
        assert!(checked.status.success());
    }
}

/// Recovers the file, as soon as nobody else does so.
fn recover(path: &Path) -> Output {
    loop {
        let output = start::output(sort(["--recover"]).arg(path));
        if !error_text(&output).contains("is running") {
            return output;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing() {
    let mut random = Random(22);
    for (number, (words, width)) in WAYS.into_iter().enumerate() {
        let scratch = Scratch::new(&format!("kill-{number}"));
        for _ in 0..6 {
            let (path, bytes) = fill(&scratch, width, 3_000_000);
            let mut child = start(words, &path);
            // Any moment is as good as another.
            thread::sleep(Duration::from_micros(random.next() % 120_000));
            child.kill().expect("it is ours");
            start::status(&mut child);
            let recovered = recover(&path);
            assert!(recovered.status.success(), "{words:?}: {}", error_text(&recovered));
            check(&scratch, words, width, &bytes);
            assert_eq!(scratch.names(), ["file"]);
        }
    }
}

/// Waits until the sort has a file in the directory that is not there before and after.
fn wait_for_work(child: &Child, scratch: &Scratch) {
    let files = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let is_at_work = || {
        let open = fs::read_dir(&files).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| {
            target.starts_with(scratch.path()) && target != scratch.path().join("file")
        })
    };
    while !is_at_work() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn signals_that_ask_are_answered() {
    for (number, (words, width)) in WAYS.into_iter().enumerate() {
        let scratch = Scratch::new(&format!("signal-{number}"));
        let (path, bytes) = fill(&scratch, width, 40_000_000);
        for (signal, status) in [("INT", 130), ("TERM", 143)] {
            let child = start(words, &path);
            wait_for_work(&child, &scratch);
            let id = child.id().to_string();
            let sent = Command::new("kill").args(["-s", signal, &id]).status().expect("it starts");
            assert!(sent.success());
            let output = start::finish(child);
            let text = error_text(&output);
            assert_eq!(output.status.code(), Some(status), "{words:?}: {text}");
            assert_eq!(output.status.signal(), None);
            assert!(text.contains("stopped"), "{text}");
            assert_eq!(scratch.names(), ["file"]);
            check(&scratch, words, width, &bytes);
        }
    }
}
