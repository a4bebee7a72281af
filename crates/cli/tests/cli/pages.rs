//! `granule pages`: the picture of a file, its numbers, and what is no file.

use super::{Scratch, error_text, granule, output};
use serde_json::Value;
use std::path::Path;

fn told(file: &Path) -> Value {
    let output = output(granule(["pages", "--json"]).arg(file));
    assert!(output.status.success(), "{}", error_text(&output));
    serde_json::from_slice(&output.stdout).expect("one object")
}

#[test]
fn what_was_just_written_is_in_memory() {
    let scratch = Scratch::new("pages");
    let path = scratch.path().join("a file");
    std::fs::write(&path, vec![1; 1_000_000]).expect("writable");
    let told = told(&path);
    let page_len = told["page_len"].as_u64().expect("a number");
    let whole = 1_000_000u64.next_multiple_of(page_len);
    assert_eq!((told["len"].as_u64(), told["resident"].as_u64()), (Some(1_000_000), Some(whole)));
    let cells = told["cells"].as_array().expect("cells");
    let sum = |name: &str| cells.iter().map(|cell| cell[name].as_u64().unwrap_or(0)).sum::<u64>();
    assert_eq!((sum("len"), sum("resident")), (1_000_000, whole));
    let output = output(granule(["pages"]).arg(&path));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("976.6 KiB") && text.contains("in memory"), "{text}");
    assert!(!text.contains('\x1b'), "no colour into a pipe: {text}");
}

#[test]
fn a_hole_is_not_in_memory() {
    let scratch = Scratch::new("pages-hole");
    let path = scratch.path().join("hole");
    let file = std::fs::File::create(&path).expect("writable");
    file.set_len(1 << 30).expect("a hole takes no place");
    assert_eq!(told(&path)["resident"], 0);
    std::fs::write(&path, "").expect("writable");
    assert_eq!(told(&path)["cells"], Value::Array(Vec::new()));
}

#[test]
fn what_is_no_file_is_refused() {
    for (path, words) in [("/no/such/file", "No such file"), ("/", "no file of bytes")] {
        let output = output(&mut granule(["pages", path]));
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(125), "{text}");
        assert!(text.starts_with(&format!("granule: {path}: ")) && text.contains(words), "{text}");
    }
}
