//! A process that sorts a file is killed at any moment, and no record is lost.

#[path = "../../../tests/start/mod.rs"]
mod start;

use granule_sort::shape::{Native, Shape};
use granule_sort::{Error, Options, Recovery, recover, sort_file_in_place};
use std::cmp::Ordering;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Records of 24 bytes with a key of 10.
struct Record;

impl Shape for Record {
    fn width(&self) -> usize {
        24
    }

    fn rank(&self, element: &[u8]) -> u64 {
        u64::from_be_bytes(element[..8].try_into().expect("eight bytes"))
    }

    fn rank_decides(&self) -> bool {
        false
    }

    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        left[..10].cmp(&right[..10])
    }
}

const DATA_LEN: usize = 24 * 100_000;

fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

fn path_of(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("granule-kill-{name}-{}", std::process::id()))
}

fn journal_of(path: &Path) -> PathBuf {
    let name = path.file_name().expect("it has a name").to_str().expect("it is text");
    path.with_file_name(format!(".{name}.granule-sort"))
}

/// A sum over the elements that does not depend on their order, and on nothing less than all.
fn sum_of(data: &[u8], width: usize) -> u128 {
    let hash = |element: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write(element);
        u128::from(hasher.finish())
    };
    data.chunks_exact(width).map(hash).sum()
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).expect("the file is there")
}

fn sort(path: &Path, kind: &str, options: &Options<'_>) -> Result<(), Error> {
    let file = open(path);
    let sorted = match kind {
        // SAFETY: (1) the test's own file, which nobody uses meanwhile.
        "numbers" => unsafe { sort_file_in_place(&file, path, &Native::<u64>::new(), options) },
        // SAFETY: (1) as above.
        _ => unsafe { sort_file_in_place(&file, path, &Record, options) },
    };
    sorted.map(drop)
}

const PLAY: &str = "GRANULE_SORT_PLAY";

/// Not a test of its own: what the children of the others run.
#[test]
fn child() {
    let Ok(play) = std::env::var(PLAY) else { return };
    let [kind, threads, guardian, path] = play.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("four words: {play}")
    };
    let threads = threads.parse().expect("a number");
    let options = Options { threads, guardian: guardian == "guarded", ..Options::default() };
    println!("\nready");
    std::io::stdout().flush().expect("the parent listens");
    sort(Path::new(path), kind, &options).expect("it is sorted, or killed");
}

/// A process that has begun to sort.
fn begin(path: &Path, kind: &str, threads: usize, guardian: &str) -> Child {
    let mut child = start::again()
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .arg(path.file_name().expect("it has a name")) // to be found by; a test of no name
        .env(PLAY, format!("{kind} {threads} {guardian} {}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.as_mut().expect("it was piped")).lines();
    let ready = lines.any(|line| line.is_ok_and(|line| line == "ready"));
    assert!(ready, "the child has died by itself");
    child
}

/// Waits until nobody holds the journal.
#[cfg(target_os = "linux")]
fn wait_for_guardian(path: &Path) {
    if let Ok(journal) = File::options().read(true).write(true).open(journal_of(path)) {
        journal.lock().expect("a file can be locked");
    }
}

/// Kills a sort again and again, each time at another moment, until it comes to its end; `after`
/// sees the file each time.
fn play(name: &str, kind: &str, threads: usize, guardian: &str, after: impl Fn(&Path)) {
    let width = if kind == "numbers" { 8 } else { 24 };
    let path = path_of(name);
    let data: Vec<u8> = noise(5).take(DATA_LEN / 8).flat_map(u64::to_ne_bytes).collect();
    let expected = sum_of(&data, width);
    let mut killed = 0;
    for moment in noise(threads as u64).take(24) {
        std::fs::write(&path, &data).expect("there is room");
        let mut child = begin(&path, kind, threads, guardian);
        std::thread::sleep(Duration::from_micros(moment % 120_000));
        child.kill().expect("it is ours");
        killed += u32::from(!child.wait().expect("it is ours").success());
        after(&path);
        let found = std::fs::read(&path).expect("it is there");
        assert_eq!(found.len(), data.len());
        assert!(sum_of(&found, width) == expected, "elements are lost after {moment}");
    }
    sort(&path, kind, &Options { threads, ..Options::default() }).expect("it is whole");
    let found = std::fs::read(&path).expect("it is there");
    assert_eq!(sum_of(&found, width), expected);
    std::fs::remove_file(&path).expect("it is there");
    assert!(killed > 0, "no child was killed");
}

fn recovers(path: &Path) {
    // SAFETY: (1) the test's own file, which nobody uses meanwhile.
    unsafe { recover(path) }.expect("the journal is whole");
    assert!(!journal_of(path).exists(), "the journal is left over");
}

#[test]
fn numbers_are_recovered() {
    play("numbers", "numbers", 1, "alone", recovers);
}

#[test]
fn records_are_recovered_from_two_threads() {
    play("records", "records", 2, "alone", recovers);
}

#[cfg(target_os = "linux")]
#[test]
fn the_guardian_puts_back_at_once() {
    play("guarded", "numbers", 2, "guarded", wait_for_guardian);
}

/// The processes of a child: itself and its guardian.
#[cfg(target_os = "linux")]
fn kill_all_of(path: &Path) {
    let name = path.file_name().expect("it has a name").to_str().expect("it is text");
    for entry in std::fs::read_dir("/proc").expect("it is mounted").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if words.split(|&byte| byte == 0).any(|word| word == name.as_bytes()) {
            let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
            killed.expect("there is such a program");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_guardian_leaves_it_to_recovery() {
    play("both", "records", 2, "guarded", |path| {
        kill_all_of(path);
        wait_for_guardian(path);
        recovers(path);
    });
}

#[test]
fn a_running_sort_is_left_alone() {
    let path = path_of("busy");
    std::fs::write(&path, vec![7; 800]).expect("there is room");
    let journal = File::create_new(journal_of(&path)).expect("there is none");
    journal.lock().expect("nobody else has it");
    let refused = sort(&path, "numbers", &Options::default());
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    // SAFETY: (1) the test's own file, which nobody uses meanwhile.
    let refused = unsafe { recover(&path) };
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    drop(journal);
    // A process that another test starts has the lock, too, until it runs its own program.
    let mut tries = (0..2000).map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        // SAFETY: (1) as above.
        unsafe { recover(&path) }
    });
    let recovered = tries.find(|told| !matches!(told, Err(Error::Busy { .. })));
    let recovered = recovered.expect("nobody holds it").expect("it was never begun");
    assert_eq!(recovered, Recovery::PutBack { elements: 0 });
    assert!(!journal_of(&path).exists());
    std::fs::remove_file(&path).expect("it is there");
}
