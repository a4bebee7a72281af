//! Somebody else makes the file shorter, or writes to it, while it is sorted.

use super::{Random, Scratch, error_text, sort, start};
use granule::section::Lease;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::Duration;

const LEN: usize = 8_000_000;

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
    let (mut random, mut told) = (Random(32), 0);
    for words in [&["--type", "u64"][..], &["--record", "100", "--key", "0..10", "--in-place"]] {
        let scratch = Scratch::new(&format!("shorter-{}", words.len()));
        let (path, bytes) = file_of_numbers(&scratch);
        let width = if words[0] == "--type" { 8 } else { 100 };
        for len in [0, LEN / 2 / 4096 * 4096, LEN / 3, LEN - 100] {
            fs::write(&path, &bytes).expect("room");
            // Who has it open before does not wait.
            let file = File::options().write(true).open(&path).expect("it is there");
            let mut child = start(words, &path);
            wait_for_journal(&mut child, &scratch);
            // Any moment is as good as another.
            thread::sleep(Duration::from_micros(random.next() % 20_000));
            file.set_len(len as u64).expect("nobody holds it back");
            let output = start::finish(child);
            assert_eq!(scratch.names(), ["file"]);
            if output.status.success() {
                continue; // it was quicker than we
            }
            told += 1;
            check_told(&output, &format!("{LEN} bytes before, {len} now"));
            assert!(error_text(&output).contains("file was made shorter by somebody else"));
            check_elements(&path, &bytes, width, len);
        }
    }
    assert!(told > 0, "no sort was caught at work");
}

#[test]
fn a_file_that_is_written_to_in_place() {
    let (mut random, mut told) = (Random(33), 0);
    let scratch = Scratch::new("written");
    let (path, bytes) = file_of_numbers(&scratch);
    for _ in 0..6 {
        fs::write(&path, &bytes).expect("room");
        let file = File::options().write(true).open(&path).expect("it is there");
        let mut child = start(&["--type", "u64"], &path);
        wait_for_journal(&mut child, &scratch);
        thread::sleep(Duration::from_micros(random.next() % 10_000));
        file.write_all_at(b"changed!", LEN as u64 / 2).expect("room");
        let output = start::finish(child);
        assert_eq!(scratch.names(), ["file"]);
        if output.status.success() {
            continue; // it was quicker than we
        }
        told += 1;
        check_told(&output, "another program has written to ");
        let left = fs::read(&path).expect("it is there");
        let mut count = HashMap::new();
        bytes.chunks_exact(8).for_each(|element| *count.entry(element).or_insert(0i32) += 1);
        left.chunks_exact(8).for_each(|element| *count.entry(element).or_insert(0) -= 1);
        count.remove(&b"changed!"[..]);
        let missing: i32 = count.values().sum();
        assert!((0..=1).contains(&missing) && left.len() == LEN, "{missing} are lost");
    }
    assert!(told > 0, "no sort was caught at work");
}

/// Who opens the file meanwhile waits, and finds it sorted.
#[test]
fn a_file_that_is_opened_meanwhile() {
    let scratch = Scratch::new("opened");
    let (path, bytes) = file_of_numbers(&scratch);
    let file = File::options().read(true).write(true).open(&path).expect("it is there");
    if let Err(error) = Lease::of_file(&file).map(drop) {
        println!("skipped: {error}");
        return;
    }
    drop(file);
    let mut child = start(&["--type", "u64"], &path);
    wait_for_journal(&mut child, &scratch);
    let found = fs::read(&path).expect("it is there");
    let output = start::finish(child);
    assert!(output.status.success(), "{}", error_text(&output));
    let mut numbers: Vec<[u8; 8]> = bytes.as_chunks().0.to_vec();
    numbers.sort_unstable_by_key(|number| u64::from_ne_bytes(*number));
    assert!(found.as_chunks().0 == numbers);
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
        // A sort that was quicker than we is tried again.
        let is_told = (0..20).any(|_| is_told_of_change(&scratch, words, is_shortened));
        assert!(is_told, "no sort was caught at work");
    }
}

fn is_told_of_change(scratch: &Scratch, words: &[&str], is_shortened: bool) -> bool {
    let (path, _) = file_of_numbers(scratch);
    let mut child = start(words, &path);
    wait_until_it_reads(&mut child);
    let file = File::options().write(true).open(&path).expect("it is there");
    if is_shortened {
        file.set_len(LEN as u64 / 2).expect("nobody holds it back");
    } else {
        file.write_all_at(b"changed", LEN as u64 / 2).expect("room");
    }
    let left = fs::read(&path).expect("it is there");
    let output = start::finish(child);
    assert_eq!(scratch.names(), ["file"]);
    if output.status.success() {
        return false;
    }
    let text = error_text(&output);
    assert_eq!((output.status.signal(), output.status.code()), (None, Some(125)), "{text}");
    assert!(text.contains("was changed by somebody else meanwhile"), "{text}");
    assert!(text.contains("Try it again"), "the next step is missing: {text}");
    assert!(fs::read(&path).expect("it is there") == left, "it is as they left it");
    true
}

/// Waits until it has read so much that it is at the file, or has ended.
fn wait_until_it_reads(child: &mut Child) {
    let told = PathBuf::from(format!("/proc/{}/io", child.id()));
    let has_read = || {
        let text = fs::read_to_string(&told).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok());
        count.is_some_and(|count: usize| count > LEN / 8)
    };
    while !has_read() && child.try_wait().expect("it is ours").is_none() {
        thread::sleep(Duration::from_micros(200));
    }
}
