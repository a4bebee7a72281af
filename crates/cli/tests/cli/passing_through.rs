//! An innocent program does not notice the supervisor: status, signals, streams, name.

use super::{error_text, granule, output, start, stomp_shell};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

#[test]
fn the_status() {
    for status in [0, 1, 99, 125, 255] {
        let output = stomp_shell(&format!("exit {status}"));
        assert_eq!(output.status.code(), Some(status), "{}", error_text(&output));
        assert_eq!(error_text(&output), "");
    }
}

#[test]
fn the_death_by_a_signal() {
    for (name, number) in [("TERM", 15), ("SEGV", 11), ("KILL", 9), ("INT", 2), ("HUP", 1)] {
        let output = stomp_shell(&format!("kill -{name} $$"));
        assert_eq!(output.status.signal(), Some(number), "{}", error_text(&output));
        assert!(!output.status.core_dumped());
    }
}

#[test]
fn ignored_children_are_waited_for() {
    let granule = env!("CARGO_BIN_EXE_granule");
    let line = format!("trap '' CHLD; exec {granule} stomp -- sh -c 'exit 4'");
    let output = output(Command::new("sh").args(["-c", &line]));
    assert_eq!(output.status.code(), Some(4), "{}", error_text(&output));
}

#[test]
fn a_kill_is_explained() {
    let text = error_text(&stomp_shell("kill -KILL $$"));
    assert!(text.contains("was killed, perhaps by the system for lack of memory"), "{text}");
}

#[test]
fn what_outlives_the_program_is_watched() {
    let crime = format!("sleep 0.3; exec {} demo-crime", env!("CARGO_BIN_EXE_granule"));
    let output = stomp_shell(&format!("({crime}) & exit 3"));
    let text = error_text(&output);
    assert_eq!(output.status.code(), Some(99), "{text}");
    assert!(text.contains("granule: overflow: write"), "{text}");
    let output = stomp_shell("(sleep 0.1; exit 7) & exit 3");
    assert_eq!(output.status.code(), Some(3), "{}", error_text(&output));
    assert_eq!(error_text(&output), "");
}

#[test]
fn a_signal_ends_the_watch() {
    let line = "sleep 600 >&- 2>&- & echo $!; exit 3";
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = granule(["stomp", "--", "sh", "-c", line]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("granule can be started");
        let first = |stream: &mut dyn std::io::Read| {
            BufReader::new(stream).lines().next().expect("a line").expect("readable")
        };
        let left = first(child.stdout.as_mut().expect("piped")).parse().expect("a number");
        let remark = first(child.stderr.as_mut().expect("piped"));
        assert_eq!(remark, "granule: still watching what sh left running; Ctrl-C ends the watch");
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        assert_eq!(start::status(&mut child).code(), Some(3));
        kill_process(Pid::from_raw(left).expect("a process"), Signal::KILL).expect("it sleeps");
    }
}

#[test]
fn streams_arguments_and_name() {
    let mut command = granule(["stomp", "sh", "-c", "cat; echo \"$0 $1\" >&2", "name", "--end"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("granule can be started");
    child.stdin.take().expect("piped").write_all(b"through").expect("read by cat");
    let output = start::finish(child);
    assert_eq!(output.stdout, b"through");
    assert_eq!(error_text(&output), "name --end\n");
    let named = output_of_proc_name();
    assert_eq!(named.split('\0').next(), Some("cat"), "argv[0] is the name that was given");
}

fn output_of_proc_name() -> String {
    let output = output(&mut granule(["stomp", "--", "cat", "/proc/self/cmdline"]));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_the_user_preloads_stays() {
    let mut command = granule(["stomp", "--", "sh", "-c", "echo $LD_PRELOAD"]);
    let output = output(command.env("LD_PRELOAD", "libc.so.6"));
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(list.contains("granule_stomp") && list.ends_with(":libc.so.6\n"), "{list}");
}

#[test]
fn requests_to_end_reach_the_program() {
    let line = "trap 'exit 5' TERM; trap 'echo hup' HUP; echo ready; while :; do sleep 0.01; done";
    let mut command = granule(["stomp", "--", "sh", "-c", line]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("granule can be started");
    let mut lines = start::Lines::of(child.stdout.take().expect("piped"));
    let mut next = || lines.next().expect("a line");
    assert_eq!(next(), "ready");
    let supervisor = Pid::from_child(&child);
    let send = |signal| kill_process(supervisor, signal).expect("it runs");
    // Those the terminal would send to both: the supervisor alone does not end by them.
    send(Signal::INT);
    send(Signal::QUIT);
    send(Signal::HUP);
    assert_eq!(next(), "hup");
    send(Signal::TERM);
    assert_eq!(start::status(&mut child).code(), Some(5));
}

#[test]
fn ignored_signals_stay_ignored() {
    let granule = env!("CARGO_BIN_EXE_granule");
    let inner = "kill -INT $$; kill -TERM $$; echo alive";
    let line = format!("trap '' INT TERM; exec {granule} stomp -- sh -c '{inner}'");
    let output = output(Command::new("sh").args(["-c", &line]));
    assert_eq!(output.stdout, b"alive\n", "{}", error_text(&output));
}

#[test]
fn verbose_says_where_the_library_is() {
    let said = |home: &str| {
        let mut command = granule(["stomp", "-v", "--", "true"]);
        let output = output(command.env("HOME", home).env_remove("XDG_CACHE_HOME"));
        assert!(output.status.success(), "{}", error_text(&output));
        error_text(&output)
    };
    assert!(said("/proc").contains("memory file /proc/"));
    let scratch = super::Scratch::new("home");
    let text = said(scratch.path().to_str().expect("a plain path"));
    assert!(text.contains("cached file") && text.contains("/.cache/granule/"), "{text}");
}

#[test]
fn info_in_words_and_json() {
    let words = output(&mut granule(["info"]));
    assert!(words.status.success());
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    for fact in ["page ", "granularity", "guards", "mappings", "overcommit", "huge pages"] {
        assert!(words.lines().any(|line| line.starts_with(fact)), "{fact} in {words}");
    }
    let json = output(&mut granule(["info", "--json"]));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["granularity"], 65_536);
    assert!(json["guard_markers"].is_boolean());
}

#[test]
fn info_draws_the_layers() {
    let drawn = output(&mut granule(["info", "--layers"]));
    assert!(drawn.status.success(), "{}", error_text(&drawn));
    let drawn = String::from_utf8_lossy(&drawn.stdout).into_owned();
    for part in ["| malloc ", "| VirtualAlloc ", "|CCCCCCCGRRRRRRRR|", "NULL partition"] {
        assert!(drawn.contains(part), "{part} in {drawn}");
    }
    let both = output(&mut granule(["info", "--layers", "--json"]));
    assert!(!both.status.success());
}

#[test]
fn info_makes_no_files() {
    let scratch = super::Scratch::new("info");
    for home in [scratch.path().to_owned(), scratch.path().join("missing")] {
        let mut command = granule(["info"]);
        let output = output(command.env("HOME", home).env_remove("XDG_CACHE_HOME"));
        assert!(output.status.success(), "{}", error_text(&output));
    }
    let left = std::fs::read_dir(scratch.path()).expect("readable").count();
    assert_eq!(left, 0);
}
