//! Another process makes a file shorter while it is sorted in place: no process dies of it, and
//! what is left of the file has elements of it only, each once.
#![cfg(target_os = "linux")]

#[path = "../../../tests/start/mod.rs"]
mod start;
#[path = "support/watched.rs"]
mod watched;

use granule_sort::{Error, Options, Recovery, recover, sort_file_in_place};
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use watched::Watched;

const PAGE_LEN: usize = 4096;
const COUNT: usize = 500_000;
const LEN: usize = 8 * COUNT;

/// All different, none of them 0.
fn numbers() -> impl Iterator<Item = u64> {
    (1..=COUNT as u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) | 1 << 40)
}

fn path_of(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("granule-shorter-{name}-{}", std::process::id()));
    let bytes: Vec<u8> = numbers().flat_map(u64::to_ne_bytes).collect();
    fs::write(&path, bytes).expect("there is room");
    path
}

fn journal_of(path: &Path) -> PathBuf {
    let name = path.file_name().expect("it has a name").to_str().expect("it is text");
    path.with_file_name(format!(".{name}.granule-sort"))
}

/// Another process does it.
fn truncate(path: &Path, len: usize) {
    let done = Command::new("truncate").arg("-s").arg(len.to_string()).arg(path).status();
    assert!(done.expect("coreutils are there").success());
}

const PLAY: &str = "GRANULE_SORT_SHORTENED";

/// Not a test of its own: what the children of the others run.
#[test]
fn child() {
    let Ok(play) = std::env::var(PLAY) else { return };
    let [way, threads, moment, len, path] = play.splitn(5, ' ').collect::<Vec<_>>()[..] else {
        panic!("five words: {play}")
    };
    let (threads, moment) = (threads.parse().expect("a number"), moment.parse().expect("a number"));
    let (len, path) = (len.parse().expect("a number"), Path::new(path));
    let then = || {
        truncate(path, len);
        match way {
            "dies" => std::process::abort(),
            "comes-back" => truncate(path, LEN),
            _ => {}
        }
    };
    let shape = Watched::new(moment, then);
    let file = File::options().read(true).write(true).open(path).expect("it is there");
    // Nobody is kept away from a file that is open twice.
    let _again = File::open(path).expect("it is there");
    let options = Options { threads, ..Options::default() };
    // SAFETY: (1) is broken: what becomes of that is what the test is about.
    let sorted = unsafe { sort_file_in_place(&file, path, &shape, &options) };
    match sorted {
        Err(Error::Changed { before, now, .. }) => println!("changed: {before} {now}"),
        Err(Error::Written { evidence, .. }) => println!("written: {evidence:?}"),
        other => println!("other: {other:?}"),
    }
}

/// What a child says and how it ends.
fn play(way: &str, threads: usize, moment: usize, len: usize, path: &Path) -> (Output, String) {
    let mut again = start::again();
    again
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(PLAY, format!("{way} {threads} {moment} {len} {}", path.display()));
    let output = start::output(&mut again);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

/// What is left has elements of the file only, each of them once; and as many zeros as the system
/// can have put into the last page.
fn check(path: &Path, len: usize) {
    let bytes = fs::read(path).expect("it is there");
    assert_eq!(bytes.len(), len);
    let all: HashSet<u64> = numbers().collect();
    assert_eq!(all.len(), COUNT);
    let (found, rest) = bytes.as_chunks();
    let mut zeros = 0;
    let mut seen = HashSet::new();
    for number in found.iter().map(|bytes| u64::from_ne_bytes(*bytes)) {
        zeros += usize::from(number == 0);
        assert!(number == 0 || all.contains(&number), "{number:#x} is no element");
        assert!(number == 0 || seen.insert(number), "{number:#x} is there twice");
    }
    let zeros_max = (len.next_multiple_of(PAGE_LEN) - len + rest.len()).div_ceil(8);
    assert!(zeros <= zeros_max, "{zeros} zeros, and {zeros_max} can be");
}

/// True under qemu, which tells another page than the one that a load has lost, at times.
fn is_emulated() -> bool {
    let is_emulated = std::env::var_os(start::RUNNER).is_some_and(|runner| !runner.is_empty());
    if is_emulated {
        println!("skipped: lost pages cannot be told under an emulator");
    }
    is_emulated
}

/// From the first look of all to the last ones.
const MOMENTS: [usize; 10] =
    [1, 3000, 300_000, 504_500, 600_000, 800_000, 1_004_000, 1_200_000, 2_000_000, 2_500_000];

/// Nothing; whole pages; parts of pages, and of elements; nearly all.
const LENS: [usize; 5] = [0, PAGE_LEN * 300, LEN / 2 + 8, LEN / 3 + 3, LEN - 8];

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    if is_emulated() {
        return;
    }
    let path = path_of("error");
    let bytes = fs::read(&path).expect("it is there");
    for threads in [1, 2] {
        for (moment, len) in MOMENTS.into_iter().zip(LENS.into_iter().cycle()) {
            fs::write(&path, &bytes).expect("there is room");
            let (output, text) = play("lives", threads, moment, len, &path);
            let told = format!("changed: {LEN} {len}\n");
            let about = format!("{threads} threads, {moment}, {len}: {text} {output:?}");
            assert!(output.status.success() && text.contains(&told), "{about}");
            check(&path, len);
            assert!(!journal_of(&path).exists(), "{about}");
        }
    }
    fs::remove_file(&path).expect("it is there");
}

#[test]
fn a_file_that_comes_back_is_an_error() {
    if is_emulated() {
        return;
    }
    let path = path_of("back");
    let bytes = fs::read(&path).expect("it is there");
    for moment in MOMENTS {
        fs::write(&path, &bytes).expect("there is room");
        let (output, text) = play("comes-back", 2, moment, LEN / 2, &path);
        // No touch fell into the time when it was short: the system has told of the call.
        let told = [format!("changed: {LEN} {LEN}\n"), "written: Call\n".to_owned()];
        let is_told = told.iter().any(|told| text.contains(told));
        assert!(output.status.success() && is_told, "{moment}: {text} {output:?}");
        assert!(!journal_of(&path).exists());
    }
    fs::remove_file(&path).expect("it is there");
}

/// The sort dies right after the file has become shorter: the guardian puts back what has a place.
#[test]
fn the_guardian_survives_a_shorter_file() {
    if is_emulated() {
        return;
    }
    let path = path_of("guardian");
    let bytes = fs::read(&path).expect("it is there");
    for (moment, len) in MOMENTS.into_iter().zip(LENS.into_iter().cycle()) {
        fs::write(&path, &bytes).expect("there is room");
        let (output, _) = play("dies", 1, moment, len, &path);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{moment}: {output:?}");
        if let Ok(journal) = File::options().read(true).write(true).open(journal_of(&path)) {
            journal.lock().expect("a file can be locked"); // until the guardian is gone
        }
        assert!(!journal_of(&path).exists(), "{moment}");
        check(&path, len);
    }
    fs::remove_file(&path).expect("it is there");
}

/// A journal that waits for recovery, and a file that was made shorter since: nothing is done.
#[test]
fn a_journal_of_a_longer_file_is_kept() {
    let path = path_of("kept");
    // The journal as it is in the middle of the sort.
    let copy = journal_of(&path).with_extension("copy");
    let then = || {
        fs::copy(journal_of(&path), &copy).expect("there is room");
    };
    let shape = Watched::new(1_300_000, then);
    let file = File::options().read(true).write(true).open(&path).expect("it is there");
    let options = Options { threads: 1, ..Options::default() };
    // SAFETY: (1) the test's own file.
    unsafe { sort_file_in_place(&file, &path, &shape, &options) }.expect("it is sorted");
    fs::rename(&copy, journal_of(&path)).expect("it was copied");
    truncate(&path, LEN / 2);
    let before = fs::read(&path).expect("it is there");
    // SAFETY: (1) the test's own file.
    let refused = unsafe { recover(&path) }.expect_err("it is too short");
    let Error::Resized { before: 4_000_000, now: 2_000_000, .. } = refused else {
        panic!("{refused:?}")
    };
    let text = refused.to_string();
    assert!(text.contains("make it 4000000 bytes long again and recover it"), "{text}");
    assert!(journal_of(&path).exists());
    assert!(fs::read(&path).expect("it is there") == before);
    truncate(&path, LEN);
    // SAFETY: (1) the test's own file.
    let recovered = unsafe { recover(&path) }.expect("as it says");
    assert!(matches!(recovered, Recovery::PutBack { elements: 1.. }), "{recovered:?}");
    assert!(!journal_of(&path).exists());
    fs::remove_file(&path).expect("it is there");
}
