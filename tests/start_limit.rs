//! The limit of tests that wait for programs: it is there, and says what it should.
#![cfg(target_os = "linux")]

mod start;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Its program sleeps for longer than any test, and so does what it has started.
#[test]
fn one_that_hangs_is_killed_with_what_it_started_and_its_words_are_told() {
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000 & echo $!; echo bad >&2; sleep 1000"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell");
    let id = child.id();
    let short = Duration::from_millis(500);
    let told = catch_unwind(AssertUnwindSafe(|| start::finish_in(child, short)));
    let text = *told.expect_err("it does not end").downcast::<String>().expect("a sentence");
    let lines: Vec<&str> = text.lines().collect();
    let [_, started, .., "bad"] = lines[..] else { panic!("{text}") };
    for id in [&id.to_string(), started] {
        let end = std::fs::read_to_string(Path::new("/proc").join(id).join("stat"));
        // Its parent has died: whoever inherits it may not have looked at it yet.
        assert!(end.is_err() || end.is_ok_and(|text| text.contains(") Z ")), "{id} lives");
    }
}

#[test]
fn one_that_ends_is_told_whole() {
    let output =
        start::output(Command::new("sh").args(["-c", "seq 20000; cat; echo bad >&2; exit 3"]));
    let numbers = (1..=20_000).map(|number| format!("{number}\n")).collect::<String>();
    assert_eq!(output.stdout, numbers.as_bytes());
    assert_eq!((output.stderr.as_slice(), output.status.code()), (&b"bad\n"[..], Some(3)));
    let child =
        Command::new("sh").args(["-c", "printf 'a\\nb\\nc'"]).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("a shell");
    let lines = start::Lines::of(child.stdout.take().expect("asked for"));
    assert_eq!(lines.collect::<Vec<_>>(), ["a", "b"]);
    assert!(start::status(&mut child).success());
}
