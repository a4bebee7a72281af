//! The measurements of granule against its peers. Nothing here can fail on time: it measures.
//!
//! ```text
//! cargo run --release -p granule-bench -- programs   whole programs: time and memory
//! cargo run --release -p granule-bench -- pairs      one malloc and free, and many live blocks
//! cargo run --release -p granule-bench -- report     from the fault to the finished report
//! cargo run --release -p granule-bench -- vm         page verbs and questions: other crates
//! cargo run --release -p granule-bench -- arrays     arrays that never move: other arrays
//! cargo run --release -p granule-bench -- files      files as memory: calls, and memmap2
//! cargo run --release -p granule-bench -- shared     two processes that talk: pipes, sockets
//! cargo run --release -p granule-bench -- heaps      heaps thrown away: bumpalo and malloc
//! cargo run --release -p granule-bench -- malloc     malloc itself: other mallocs, by LD_PRELOAD
//! cargo run --release -p granule-bench -- sort       sorting files: memmap2 and GNU sort
//! ```
//!
//! A complete run writes its data and a page to read into `bench/results`; a run of a part
//! (`--only`, `--tools`) does so only when it is given a name by `--name`.
#![deny(unsafe_code)]

mod arrays;
mod files;
mod flags;
mod heaps;
mod machine;
mod malloc;
mod measure;
mod pairs;
mod pairs_child;
mod programs;
mod real;
mod report;
mod results;
mod shared;
mod sort;
mod statistics;
mod tools;
mod vm;

use std::error::Error;
use std::process::ExitCode;

/// What any part of the measuring may fail with: it goes to the user as it is.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: granule-bench programs|pairs|report|vm|arrays|files|heaps|malloc|sort|shared
    [--rounds N] [--timeout SECONDS] [--only NAME]... [--tools|--peers NAME,NAME...]
    [--scale small|full] [--ours LIBRARY] [--name RESULT]";

/// Runs of a whole program, unless the command line says how many.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("granule-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String]) -> Result<ExitCode> {
    let (verb, rest) = words.split_first().ok_or(USAGE)?;
    match verb.as_str() {
        "programs" => programs::run(&flags::Flags::parse(rest, ROUNDS)?)?,
        "pairs" => pairs::run(&flags::Flags::parse(rest, ROUNDS)?)?,
        "report" => report::run(&flags::Flags::parse(rest, ROUNDS)?)?,
        "vm" => vm::run(&flags::Flags::parse(rest, vm::ROUNDS)?)?,
        "files" => files::run(&flags::Flags::parse(rest, files::ROUNDS)?)?,
        "heaps" => heaps::run(&flags::Flags::parse(rest, heaps::ROUNDS)?)?,
        "malloc" => malloc::run(&flags::Flags::parse(rest, malloc::ROUNDS)?)?,
        "arrays" => arrays::run(&flags::Flags::parse(rest, arrays::ROUNDS)?)?,
        "shared" => shared::run(&flags::Flags::parse(rest, shared::ROUNDS)?)?,
        "sort" => sort::run(&flags::Flags::parse(rest, sort::ROUNDS)?)?,
        // Started by the verbs above, not by people.
        "measure" => return measure::child(rest),
        "touch" => measure::touch(rest)?,
        "sort-child" => sort::child(rest)?,
        "arrays-child" => arrays::child(rest)?,
        "shared-child" => shared::child(rest)?,
        "pairs-child" => pairs_child::run(rest)?,
        _ => return Err(USAGE.into()),
    }
    Ok(ExitCode::SUCCESS)
}
