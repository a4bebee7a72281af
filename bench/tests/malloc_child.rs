//! Every pattern and probe of `malloc-child` runs to its end, with every block checked, under the
//! malloc that this system has; and the bench finds the peers that it is told.

use std::process::{Command, Output};

fn child(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_malloc-child"))
        .args(words)
        .output()
        .expect("it can be started")
}

fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).expect("it writes text");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The value of a line `NAME VALUE`.
fn figure(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("there is such a line");
    line.trim().parse().expect("it is a number")
}

#[test]
fn every_pattern_ends_with_a_peak() {
    let list = said(&child(&["list"]));
    assert!(list.lines().count() >= 14, "{list}");
    for line in list.lines() {
        let (name, ops) = line.split_once(' ').expect("a name and a number");
        let ops: usize = ops.parse().expect("a number of operations");
        let few = (ops / 500).max(20).to_string();
        let peak = figure(&said(&child(&[name, &few])), "peak ");
        assert!(peak > 500_000.0, "{name}: {peak}");
    }
}

#[test]
fn memory_grows_with_blocks_and_threads() {
    let few = figure(&said(&child(&["hundred-few"])), "rss ");
    let many = figure(&said(&child(&["hundred-many"])), "rss ");
    // 100 threads with 64 blocks of 520 bytes on average, of which the first pages are touched.
    assert!(many > few + 1_000_000.0, "{few} {many}");
}

#[test]
fn forks_can_use_malloc() {
    said(&child(&["forks"]));
}

#[test]
fn the_child_knows_whose_malloc_it_has() {
    assert!(said(&child(&["whose"])).contains("libc.so.6"));
}

#[test]
fn what_there_is_not_is_refused() {
    for words in [&["no-pattern", "1"][..], &["no-probe"], &["churn", "many"], &[]] {
        assert_eq!(child(words).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn an_unknown_peer_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_granule-bench"))
        .args(["malloc", "--peers", "no-malloc"])
        .output()
        .expect("it can be started");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("\"no-malloc\" is none of glibc, je"), "{said}");
}
