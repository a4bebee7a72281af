//! The C and C++ programs beside this file: compiled, started, judged.
#![allow(dead_code, reason = "every test program uses another part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

/// Exit status of a C program that found out that this machine lacks what it needs.
pub(crate) const LACKS: i32 = 77;

/// An empty directory of its own for one test.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("an old directory of this test can be removed");
    }
    fs::create_dir_all(&path).expect("a directory for this test can be made");
    path
}

pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Compiles a file beside this one: C, or C++ if it ends in `cc`. False, with a sentence, without a
/// compiler.
pub(crate) fn compile(source: &str, to: &Path, flags: &[&str]) -> bool {
    let (compiler, standard) = match source.ends_with(".cc") {
        true => ("c++", "-std=c++17"),
        false => ("cc", "-std=gnu11"),
    };
    if !is_there(compiler) {
        println!("skipped: {source} (no compiler is installed as {compiler})");
        return false;
    }
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let output = Command::new(compiler)
        .args([standard, "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-pthread"])
        // Or the compiler takes a malloc and its free away.
        .args(["-fno-builtin-malloc", "-fno-builtin-calloc", "-fno-builtin-realloc"])
        .arg(programs.join(source))
        .args(flags)
        .arg("-o")
        .arg(to)
        .output()
        .expect("the compiler can be started");
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

pub(crate) fn described(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
    format!("{}\nstdout:\n{stdout}\nstderr:\n{stderr}", output.status)
}

/// The exit status, or 128 and the number of the signal.
pub(crate) fn shell_status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal().map(|number| 128 + number);
    status.code().or(signal).expect("a program that ended has one of both")
}
