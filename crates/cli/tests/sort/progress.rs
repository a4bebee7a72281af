//! The bar that a terminal sees, and nobody else.

use super::{Scratch, error_text, sort};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Output;

/// Runs a sort whose standard error is a terminal of its own; what was written to that.
fn at_a_terminal(words: &[&str], path: &Path) -> (Output, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("ours");
    unlockpt(&master).expect("ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave: OwnedFd =
        rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).expect("its other side");
    let mut command = sort(words);
    command.arg(path).env("TERM", "xterm").env_remove("NO_COLOR").stderr(slave);
    // While it runs: a terminal that nobody reads makes its writers wait.
    let reader = std::thread::spawn(move || read_to_hang_up(master.into()));
    let output = command.output().expect("granule can be started");
    // Without this side of ours the terminal is hung up.
    drop(command);
    (output, reader.join().expect("the reader does not panic"))
}

/// All that is written until the last writer is gone: a terminal then has an error, not an end.
fn read_to_hang_up(mut master: File) -> String {
    let mut bytes = Vec::new();
    match master.read_to_end(&mut bytes) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        result => assert!(result.is_ok(), "{result:?}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_terminal_sees_how_far_it_is() {
    let scratch = Scratch::new("progress");
    let path = scratch.file(&[]);
    let ways = [
        (&["--lines"][..], &["sorting"][..]),
        (&["--type", "u64", "--in-place"], &["sorting"]),
        (&["--record", "8", "--stable", "--memory", "1M"], &["sorting", "merging"]),
        (&["--type", "u8", "--check"], &["checking"]),
    ];
    for (words, stages) in ways {
        // In no order, or in order for the check: the first bar comes before the first byte.
        let sorted = vec![7; 4 << 20];
        let unsorted: Vec<u8> =
            (0..4 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let bytes = if words.contains(&"--check") { sorted } else { unsorted };
        std::fs::write(&path, &bytes).expect("room on the disk");
        let (output, shown) = at_a_terminal(words, &path);
        assert!(output.status.success(), "{words:?}: {shown:?}");
        for stage in stages {
            assert!(shown.contains(stage), "{words:?}: {shown:?}");
        }
        for text in ["%", "B/s, ETA "] {
            assert!(shown.contains(text), "{words:?}: no {text:?} in {shown:?}");
        }
        // The bar is taken away, and the last line is what was done.
        let last = shown.trim_end().rsplit(['\r', '\n']).next().unwrap_or_default();
        assert!(last.contains("sorted") && !last.contains("ETA"), "{words:?}: {shown:?}");

        std::fs::write(&path, &bytes).expect("room on the disk");
        let quiet = [words, &["--quiet"]].concat();
        let (output, shown) = at_a_terminal(&quiet, &path);
        assert!(output.status.success() && shown.is_empty(), "{words:?}: {shown:?}");

        std::fs::write(&path, &bytes).expect("room on the disk");
        let output = sort(words).arg(&path).output().expect("granule can be started");
        let text = error_text(&output);
        assert!(output.status.success(), "{words:?}: {text}");
        assert!(!text.contains("ETA") && !text.contains('\u{1b}'), "{words:?}: {text:?}");
        assert_eq!(text.lines().count(), 1, "{words:?}: {text:?}");
    }
}
