//! `granule stomp` alone: a real overflow, and the real report.

use super::{Scratch, error_text, granule, output};
use serde_json::Value;

const HEADLINE: &str = "granule: overflow: write, 3 bytes after a 48-byte block\n";

#[test]
fn the_report() {
    let output = output(&mut granule(["stomp"]));
    let text = error_text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        HEADLINE,
        "close_text",
        "demo.rs:",
        "write_volatile(0)",
        "allocated by thread",
        "allocate_text",
        "commit_crime",
        "|XXXXXXX|",
        "Now yours: granule stomp -- ",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains('\x1b') && text.is_ascii(), "no terminal, no locale: {text}");
}

#[test]
fn colour_on_demand_and_json() {
    let scratch = Scratch::new("demonstration");
    let file = scratch.path().join("report.json");
    let mut command = granule(["stomp", "--color", "always", "--json"]);
    let output = output(command.arg(&file).env("LC_ALL", "C.UTF-8"));
    let text = error_text(&output);
    assert!(text.contains("\x1b[1;31moverflow") && text.contains('\u{2588}'), "{text}");
    let lines = std::fs::read_to_string(&file).expect("the JSON file");
    assert_eq!(lines.lines().count(), 1);
    let json: Value = serde_json::from_str(&lines).expect("JSON");
    assert_eq!(json["kind"], "overflow");
    assert_eq!(json["access"], "write");
    assert_eq!(json["block"]["size"], 48);
    assert_eq!(json["distance"], 3);
    let frames = json["stacks"]["access"].as_array().expect("a stack");
    let own = |frame: &&Value| frame["file"].as_str().is_some_and(|file| file.ends_with("demo.rs"));
    let first = frames.iter().find(own).expect("a frame of the demonstration");
    let source = include_str!("../../src/demo.rs");
    let line = first["line"].as_u64().expect("a line") as usize;
    assert!(source.lines().nth(line - 1).expect("in the file").contains("write_volatile"));
    let library = |frame: &Value| {
        frame["module"].as_str().is_some_and(|module| module.contains("granule_stomp"))
    };
    assert!(!frames.iter().any(library), "granule's own frames are left out");
}

#[test]
fn it_works_from_a_memory_file_and_with_other_guards() {
    for arguments in [&["stomp"][..], &["stomp", "--guard", "split"], &["stomp", "--align", "1"]] {
        let mut command = granule(arguments);
        let output = output(command.env("HOME", "/proc").env_remove("XDG_CACHE_HOME"));
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
        assert!(text.contains(HEADLINE), "{arguments:?}: {text}");
    }
}
