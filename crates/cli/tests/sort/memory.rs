//! A file of many times the memory is sorted in that memory.

use super::{Random, Scratch, sort};
use std::path::Path;

const MEMORY: u64 = 8 << 20;

/// Runs a sort; the most that was resident, in bytes.
fn peak(words: &[&str], path: &Path) -> u64 {
    let child = sort(words).args(["-q", "--memory", "8M"]).arg(path).spawn().expect("it starts");
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

#[test]
fn what_is_resident_has_a_bound() {
    let scratch = Scratch::new("memory");
    let few = scratch.path().join("few");
    let ways =
        [&["--type", "u64", "--new-file"][..], &["--record", "64", "--stable"], &["--lines"]];
    for words in ways {
        std::fs::write(&few, [b'\n'; 64]).expect("room");
        let bytes = Random(31).bytes(10 * MEMORY as usize);
        let (least, most) = (peak(words, &few), peak(words, &scratch.file(&bytes)));
        println!("{words:?}: {} KiB above {} KiB", (most - least) >> 10, least >> 10);
        assert!(most - least < MEMORY / 4 * 5, "{words:?}: {most} {least}");
    }
}
