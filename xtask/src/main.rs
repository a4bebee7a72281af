//! xtask: the house rules as a program. `cargo xtask tidy` checks the tree it stands in.
#![forbid(unsafe_code)]

mod tidy;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask tidy [DIRECTORY]

  tidy   check the rules of CONTRIBUTING.md in every file of the tree; one line a finding
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => run_tidy(&project_root()),
        ["tidy", directory] => run_tidy(Path::new(directory)),
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
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
