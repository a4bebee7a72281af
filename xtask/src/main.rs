//! xtask: the house rules as a program (`cargo xtask tidy`), and the library on other systems.
#![forbid(unsafe_code)]

mod platforms;
mod tidy;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask tidy [DIRECTORY]
       cargo xtask test-aarch64 [--required] [ARGUMENTS]
       cargo xtask test-windows [--required] [ARGUMENTS]
       cargo xtask check-unix [--required] [ARGUMENTS]

  tidy          check the rules of CONTRIBUTING.md in every file of the tree; one line a finding
  test-aarch64  cargo test of the library for Linux on AArch64, under qemu
  test-windows  cargo test of the library for Windows, under Wine
  check-unix    cargo check of the library for macOS and FreeBSD

  --required    what is missing on this machine is a failure; otherwise it is said, and skipped
  ARGUMENTS     for cargo, for example: --test vm -- query
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["tidy"] => run_tidy(&project_root()),
        ["tidy", directory] => run_tidy(Path::new(directory)),
        _ => platforms::run(&project_root(), &arguments).unwrap_or_else(|| {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }),
    }
}

fn project_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run_tidy(root: &Path) -> ExitCode {
    let tree = match tidy::Tree::read(root) {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("tidy: {}: {error}", root.display());
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout().lock();
    let mut findings = 0;
    for finding in tidy::findings(&tree) {
        findings += 1;
        if writeln!(out, "{finding}").is_err() {
            break; // the reader has gone
        }
    }
    eprintln!("tidy: {} files, {findings} findings", tree.len());
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
