//! What cannot be done is said in a sentence, with the status that belongs to it.

use super::{Scratch, error_text, granule, output};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Runs `granule stomp` with these words; expects the status, one line, and words in it.
fn refused(arguments: &[&str], status: i32, words: &str) {
    let output = output(granule(["stomp"]).args(arguments));
    let text = error_text(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    assert!(text.starts_with("granule: ") && text.contains(words), "{arguments:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn no_program() {
    refused(&["--", "/no/such/program"], 127, "no such program");
    refused(&["--", "granule-no-such-program"], 127, "nowhere in PATH");
    refused(&["--", ""], 127, "empty");
}

#[test]
fn no_executable() {
    let scratch = Scratch::new("no-executable");
    let path = scratch.path().join("text");
    std::fs::write(&path, "echo hello\n").expect("writable");
    let text = path.to_str().expect("a plain path");
    refused(&["--", text], 126, "not executable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    refused(&["--", text], 126, "exec format");
    refused(&["--", "/"], 126, "directory");
    refused(&["--", "/dev/null"], 126, "no regular file");
}

#[test]
fn no_guard() {
    let scratch = Scratch::new("no-guard");
    let (source, program) = (scratch.path().join("a.c"), scratch.path().join("a"));
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("writable");
    let gcc = Command::new("gcc").arg("-static").arg("-o").arg(&program).arg(&source).status();
    if !gcc.is_ok_and(|status| status.success()) {
        println!("skipped: gcc cannot link static programs here");
        return;
    }
    refused(&["--", program.to_str().expect("a plain path")], 125, "statically linked");
}

#[test]
fn no_address_space() {
    for letter in ['v', 'd'] {
        let granule = env!("CARGO_BIN_EXE_granule");
        let line = format!("ulimit -{letter} 4000000; exec {granule} stomp -- true");
        let output = output(Command::new("sh").args(["-c", &line]));
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(125), "{text}");
        assert!(text.contains(&format!("ulimit -{letter} unlimited")), "{text}");
    }
}

#[test]
fn no_json_file() {
    refused(&["--json", "/no/such/directory/file", "--", "true"], 125, "cannot be opened");
}

#[test]
fn bad_lines_end_with_125() {
    for line in [&["stomp", "--align", "3"][..], &["stomp", "--no-such"], &["dance"], &[]] {
        let output = output(&mut granule(line));
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(125), "{line:?}: {text}");
        assert!(text.contains("Usage") || text.contains("--help"), "{line:?}: {text}");
    }
    let help = output(&mut granule(["stomp", "--help"]));
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--error-exitcode"));
}
