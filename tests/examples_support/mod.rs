//! For the tests of the examples: where they are, and what they are to say.
#![allow(dead_code, reason = "every test program uses another part of it")]

#[path = "../start/mod.rs"]
pub(crate) mod start;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A path from the root of the package.
pub(crate) fn in_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What an example is to say.
pub(crate) fn expected(name: &str) -> String {
    let file = in_package("tests/expected").join(name).with_extension("txt");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The example that cargo has built beside this test: `<target>/<profile>/examples/<name>`.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows its program");
    let profile = test.ancestors().nth(2).expect("tests lie in <target>/<profile>/deps");
    let program = profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if !program.exists() {
        // `cargo test --test NAME` builds no examples.
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
    let mut cargo = cargo.spawn().expect("cargo starts");
    assert!(start::status(&mut cargo).success(), "cargo builds example {name}");
}
