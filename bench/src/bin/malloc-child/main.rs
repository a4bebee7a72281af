//! The program that `granule-bench malloc` runs under each malloc: a pattern of calls, a fixed
//! number of times. It is a program of its own so that it is small.
//!
//! ```text
//! malloc-child list            the patterns, and the operations of a full run of each
//! malloc-child whose           the file that malloc comes from
//! malloc-child PATTERN OPS     plays one; prints the peak of its memory
//! malloc-child PROBE           answers a question; prints figures, and the peak of its memory
//! ```
#![deny(unsafe_code)]

mod block;
mod own;
mod probe;
mod random;
mod several;
mod single;

use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A name, the operations of a full run, and the work.
type Pattern = (&'static str, usize, fn(usize));

const PATTERNS: [Pattern; 14] = [
    ("churn", 30_000_000, single::churn),
    ("bursts", 30_000_000, single::bursts),
    ("orders", 12_000_000, several::orders),
    ("drift", 5_000_000, several::drift),
    ("server", 10_000_000, several::server),
    ("handoff", 10_000_000, several::handoff),
    ("batches", 10_000_000, several::batches),
    ("large", 500, single::large),
    ("growth", 150_000, single::growth),
    ("zeroed", 500_000, single::zeroed),
    ("scratch", 2_000_000, several::scratch),
    ("thrash", 2_000_000, several::thrash),
    ("threads", 8_000, several::threads),
    ("generations", 16_000, several::generations),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("malloc-child: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => PATTERNS.iter().for_each(|(name, ops, _)| println!("{name} {ops}")),
        ["whose"] => println!("{}", own::object_of_malloc()?),
        [name, ops] => {
            let pattern = PATTERNS.iter().find(|pattern| pattern.0 == name);
            let (_, _, work) = pattern.ok_or("no such pattern")?;
            work(ops.parse()?);
            println!("peak {}", own::peak_rss()?);
        }
        [name] => {
            let probe = probe::PROBES.iter().find(|probe| probe.0 == name);
            let (_, ask) = probe.ok_or("no such probe")?;
            for (name, value) in ask()? {
                println!("{name} {value}");
            }
            println!("peak {}", own::peak_rss()?);
        }
        _ => return Err("malloc-child list | whose | PATTERN OPS | PROBE".into()),
    }
    Ok(())
}
