//! A file of many times the memory is sorted in that memory. A program of its own with one test:
//! the peak of a process begins with that of the process which started it.
#![cfg(target_os = "linux")]

#[path = "../../sort/tests/support/random.rs"]
mod random;

use random::Random;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

const MEMORY: u64 = 8 << 20;
/// What is not counted: stacks of two threads, what the allocator keeps for them, and the pages of
/// the program that a sort of few elements does not come to.
const BESIDES: u64 = 1 << 20;

/// Runs a sort; the most that was resident, in bytes.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it, and says more than wait")]
fn peak(words: &[&str], path: &Path) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_granule"));
    command.arg("sort").args(words).args(["-q", "--memory", "8M", "--threads", "2"]).arg(path);
    let child = command.spawn().expect("it starts");
    let id = i32::try_from(child.id()).expect("a process number");
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a child of ours that nobody has waited for; both places are ours to write.
    let waited = unsafe { libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((waited, status), (id, 0), "{words:?}");
    // SAFETY: all zeros are a usage, and wait4 has written it.
    let usage = unsafe { usage.assume_init() };
    // The kernel counts in KiB.
    u64::try_from(usage.ru_maxrss).expect("not negative") << 10
}

/// Ten times the memory, a block at a time.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("room on the disk");
    let mut random = Random(31);
    for _ in 0..(10 * MEMORY) >> 16 {
        file.write_all(&random.bytes(1 << 16)).expect("room on the disk");
    }
}

#[test]
fn what_is_resident_has_a_bound() {
    let folder = std::env::temp_dir().join(format!("granule-sort-memory-{}", std::process::id()));
    fs::create_dir(&folder).expect("a scratch directory");
    let (few, many) = (folder.join("few"), folder.join("many"));
    let ways =
        [&["--type", "u64", "--new-file"][..], &["--record", "64", "--stable"], &["--lines"]];
    for words in ways {
        fs::write(&few, [b'\n'; 64]).expect("room on the disk");
        fill(&many);
        let (least, most) = (peak(words, &few), peak(words, &many));
        println!("{words:?}: {} KiB above {} KiB", (most - least) >> 10, least >> 10);
        assert!(least < most && most - least < MEMORY + BESIDES, "{words:?}: {most} {least}");
    }
    fs::remove_dir_all(&folder).expect("it is ours");
}
