//! Somebody else makes the file shorter, or writes to it, while it is sorted.

use super::{Random, Scratch, error_text, sort};
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::Duration;

const LEN: usize = 24_000_000;

fn start(words: &[&str], path: &Path) -> Child {
    let mut command = sort(words);
    command.args(["-q", "--threads", "2"]).arg(path).stderr(Stdio::piped());
    command.spawn().expect("granule can be started")
}

/// Waits until the journal of a sort in place is there, or the sort has ended.
fn wait_for_journal(child: &mut Child, scratch: &Scratch) {
    let journal = scratch.path().join(".file.granule-sort");
    while !journal.exists() && child.try_wait().expect("it is ours").is_none() {
        thread::sleep(Duration::from_micros(200));
    }
}

/// What is said of a change, and nothing of a crash.
fn check_told(output: &Output, words: &str) {
    let text = error_text(output);
    assert_eq!(output.status.signal(), None, "{text}");
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert!(text.contains(words), "{text}");
    assert!(text.contains("sort it again"), "the next step is missing: {text}");
}

fn file_of_numbers(scratch: &Scratch) -> (PathBuf, Vec<u8>) {
    let bytes = Random(31).bytes(LEN);
    (scratch.file(&bytes), bytes)
}

#[test]
fn a_file_that_becomes_shorter_in_place() {
    let mut random = Random(32);
    for words in [&["--type", "u64"][..], &["--record", "100", "--key", "0..10", "--in-place"]] {
        let scratch = Scratch::new(&format!("shorter-{}", words.len()));
        let (path, bytes) = file_of_numbers(&scratch);
        let width = if words[0] == "--type" { 8 } else { 100 };
        for len in [0, LEN / 2 / 4096 * 4096, LEN / 3, LEN - 100] {
            fs::write(&path, &bytes).expect("room");
            let mut child = start(words, &path);
            wait_for_journal(&mut child, &scratch);
            // Any moment is as good as another.
            thread::sleep(Duration::from_micros(random.next() % 20_000));
            let file = File::options().write(true).open(&path).expect("it is there");
            file.set_len(len as u64).expect("nobody holds it back");
            let output = child.wait_with_output().expect("it is ours");
            assert_eq!(scratch.names(), ["file"]);
            if output.status.success() {
                continue; // it was quicker than we
            }
            let told = format!("{LEN} bytes before, {len} now");
            check_told(&output, &told);
            assert!(error_text(&output).contains("file was made shorter by somebody else"));
            check_elements(&path, &bytes, width, len);
        }
    }
}

/// Each element that is left is one of the file, but for those in its last page.
fn check_elements(path: &Path, bytes: &[u8], width: usize, len: usize) {
    let left = fs::read(path).expect("it is there");
    assert_eq!(left.len(), len);
    let mut count = HashMap::new();
    for element in bytes.chunks_exact(width) {
        *count.entry(element).or_insert(0i32) += 1;
    }
    let strange = left.chunks_exact(width).filter(|element| {
        let left = count.entry(element).or_insert(0);
        *left -= 1;
        *left < 0
    });
    let most = if len.is_multiple_of(4096) { 0 } else { 4096usize.div_ceil(width) + 1 };
    assert!(strange.count() <= most);
}

/// A new file is made only of a file that has stayed as it was, and the other one stays as it is.
#[test]
fn a_file_that_is_changed_while_a_new_one_is_made() {
    let ways: [(&[&str], bool); 4] = [
        (&["--type", "u64", "--new-file"], true),
        (&["--type", "u64", "--new-file"], false),
        (&["--lines"], true),
        (&["--lines"], false),
    ];
    for (number, (words, is_shortened)) in ways.into_iter().enumerate() {
        let scratch = Scratch::new(&format!("changed-{number}"));
        let (path, _) = file_of_numbers(&scratch);
        let child = start(words, &path);
        wait_until_read(&child, &path);
        let file = File::options().write(true).open(&path).expect("it is there");
        if is_shortened {
            file.set_len(LEN as u64 / 2).expect("nobody holds it back");
        } else {
            file.write_all_at(b"changed", LEN as u64 / 2).expect("room");
        }
        let left = fs::read(&path).expect("it is there");
        let output = child.wait_with_output().expect("it is ours");
        check_told_new(&output);
        assert!(fs::read(&path).expect("it is there") == left, "it is as they left it");
        assert_eq!(scratch.names(), ["file"]);
    }
}

fn check_told_new(output: &Output) {
    let text = error_text(output);
    assert_eq!((output.status.signal(), output.status.code()), (None, Some(125)), "{text}");
    assert!(text.contains("was changed by somebody else while it was sorted"), "{text}");
}

/// Waits until the sort has the file open.
fn wait_until_read(child: &Child, path: &Path) {
    let files = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let is_open = || {
        let open = fs::read_dir(&files).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| target == path)
    };
    while !is_open() {
        thread::sleep(Duration::from_micros(200));
    }
}
