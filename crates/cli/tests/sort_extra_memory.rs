//! A sort in place takes little memory besides the file's pages. The program is stopped at each of
//! its system calls, and asked what it has: no moment of its end is missed, and no clock is asked.
#![cfg(target_os = "linux")]

#[path = "../../sort/tests/support/random.rs"]
mod random;

use random::Random;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the documentation promises, the journal included.
const EXTRA: u64 = 1 << 20;

/// The most private memory and journal that a sort has at any of its system calls, in bytes; `None`
/// if nobody may look.
fn peak(words: &[&str], path: &Path) -> Option<u64> {
    let journal = path.with_file_name(".file.granule-sort");
    let mut command = Command::new(env!("CARGO_BIN_EXE_granule"));
    command.args(["sort", "-q", "--in-place"]).args(words).arg(path).stdin(Stdio::null());
    // SAFETY: the child calls the system once, which a child of many threads may.
    unsafe { command.pre_exec(let_be_traced) };
    let child = match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
        child => child.expect("it starts"),
    };
    let id = i32::try_from(child.id()).expect("a process number");
    let (mut most, mut stops) = (0, 0);
    while let Some(signal) = next_stop(id) {
        if stops == 0 {
            let wishes = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
            trace(libc::PTRACE_SETOPTIONS, id, wishes);
        }
        stops += 1;
        let journal_len = fs::metadata(&journal).map_or(0, |facts| facts.len());
        most = most.max(private_len(id) + journal_len);
        // What stops at calls is told apart from a signal, which the program is to get.
        let is_call = signal == libc::SIGTRAP || signal == libc::SIGTRAP | 0x80;
        trace(libc::PTRACE_SYSCALL, id, if is_call { 0 } else { signal });
    }
    assert!(stops > 100, "{stops} system calls are not all of them");
    Some(most)
}

fn let_be_traced() -> io::Result<()> {
    // SAFETY: asks to be traced by the parent, and takes no pointer.
    match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn trace(what: libc::c_uint, id: i32, data: i32) {
    // SAFETY: a child of this thread that is stopped; these requests take a number, no pointer.
    let failed = unsafe { libc::ptrace(what, id, 0, libc::c_long::from(data)) } == -1;
    assert!(!failed, "{}", io::Error::last_os_error());
}

/// Waits until the child stops, and says by what; `None` when it has succeeded.
fn next_stop(id: i32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: a child of ours, and the place is ours to write.
    let waited = unsafe { libc::waitpid(id, &raw mut status, 0) };
    assert_eq!(waited, id, "{}", io::Error::last_os_error());
    if libc::WIFSTOPPED(status) {
        return Some(libc::WSTOPSIG(status));
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
    None
}

/// Bytes of private memory that are resident; none any more while it ends.
fn private_len(id: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).expect("it is stopped");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.map_or(0, |number| number.trim().parse::<u64>().expect("a number") << 10)
}

#[test]
fn a_sort_in_place_takes_a_mebibyte_besides_the_file() {
    let folder = std::env::temp_dir().join(format!("granule-sort-extra-{}", std::process::id()));
    fs::create_dir(&folder).expect("a scratch directory");
    let path = folder.join("file");
    let many = Random(31).bytes(24 << 20);
    for words in [&["--type", "u64"][..], &["--record", "64", "--key", "0..10"]] {
        for threads in ["1", "2"] {
            let words = [words, &["--threads", threads]].concat();
            // In order already: nothing but the program.
            fs::write(&path, [0; 64]).expect("room on the disk");
            let Some(least) = peak(&words, &path) else {
                println!("skipped: nobody may trace");
                break;
            };
            fs::write(&path, &many).expect("room on the disk");
            let most = peak(&words, &path).expect("as before");
            println!("{words:?}: {} KiB above {} KiB", (most - least) >> 10, least >> 10);
            assert!(least < most && most - least <= EXTRA, "{words:?}: {most} {least}");
        }
    }
    fs::remove_dir_all(&folder).expect("it is ours");
}
