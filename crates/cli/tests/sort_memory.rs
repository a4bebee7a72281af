//! A file of many times the memory is sorted in that memory.
#![cfg(target_os = "linux")]

#[path = "../../sort/tests/support/random.rs"]
mod random;

use random::Random;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

const MEMORY: u64 = 8 << 20;
/// What is not counted: the program's own data, its stacks, and what the allocator keeps for two
/// threads.
const BESIDES: u64 = 2 << 20;

/// Runs a sort; the most that was its own at one time, in bytes: pages of files, which the kernel
/// may drop at any time, are not of it, and how many of the program's are there is chance.
fn peak(words: &[&str], path: &Path) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_granule"));
    command.arg("sort").args(words).args(["-q", "--memory", "8M", "--threads", "2"]).arg(path);
    let mut child = command.spawn().expect("it starts");
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // Buffers stay full for many times as long as this.
        thread::sleep(Duration::from_millis(1));
        if let Some(status) = child.try_wait().expect("a child of ours") {
            assert!(status.success(), "{words:?}: {status}");
            return peak;
        }
        let text = fs::read_to_string(&status_file).expect("nobody has waited for it");
        peak = peak.max(kib(&text, "RssAnon:") + kib(&text, "RssShmem:"));
    }
}

/// A count of such a file, in bytes; one that has just ended has none.
fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let count = line.map(|line| line.trim().trim_end_matches(" kB"));
    count.map_or(0, |count| count.parse::<u64>().expect("a number") << 10)
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
    let file = folder.join("many");
    let ways =
        [&["--type", "u64", "--new-file"][..], &["--record", "64", "--stable"], &["--lines"]];
    for words in ways {
        fill(&file);
        let most = peak(words, &file);
        println!("{words:?}: {} KiB", most >> 10);
        assert!((MEMORY / 2..MEMORY + BESIDES).contains(&most), "{words:?}: {most}");
    }
    fs::remove_dir_all(&folder).expect("it is ours");
}
