//! The examples say what they always said: their output is compared with `tests/expected`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The example that cargo has built beside this test: `<target>/<profile>/examples/<name>`.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows its program");
    let profile = test.ancestors().nth(2).expect("tests lie in <target>/<profile>/deps");
    let program = profile.join("examples").join(name);
    if !program.exists() {
        // `cargo test --test vm_examples` builds no examples.
        build(name, profile);
    }
    program
}

fn build(name: &str, profile: &Path) {
    let target = profile.parent().expect("the profile lies in the target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "granule", "--example", name, "--target-dir"]);
    cargo.arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo starts").success(), "cargo builds example {name}");
}

fn tells_its_story(name: &str) {
    let info = granule::vm::info();
    if info.page_len != 4096 {
        println!("skipped: the stories are told with pages of 4096 bytes");
        return;
    }
    let output = Command::new(program(name)).output().expect("the example starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{errors}", output.status);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    let file = file.with_extension("txt");
    let expected = std::fs::read_to_string(&file).expect("the expected output is committed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", file.display());
}

#[test]
fn page_states_tells_its_story() {
    tells_its_story("page_states");
}

#[test]
fn granularity_tells_its_story() {
    tells_its_story("granularity");
}

#[test]
fn ring_tells_its_story() {
    tells_its_story("ring");
}
