//! The command line.
#![forbid(unsafe_code)]

use crate::sort::{SORT_HELP, SortArguments};
use clap::{Args, Parser, Subcommand, ValueEnum};
use granule::stomp::options::{DEPTH_MAX, GuardChoice, Options, Placement};
use std::ffi::OsString;
use std::path::PathBuf;

/// Largest quarantine in bytes: as much of the addresses as leaves room for the live blocks.
const QUARANTINE_MAX: usize = 16 << 40;
const STOMP_HELP: &str = "\
Exit status: the program's own if nothing was found, else 99 (--error-exitcode).
  125  granule cannot do what was asked    126  the program cannot be executed
  127  there is no such program
A program that dies by a signal without a finding makes granule die by the same signal.";

const RUN_HELP: &str = "\
The program takes the place of granule: its number, signals and exit status are its own.
  125  granule cannot do what was asked    126  the program cannot be executed
  127  there is no such program
Programs that it starts have the same heap. Numbers are shown by each process that ends by exit or
return, as with GRANULE_STATS=1 (GRANULE_STATS=json) in the environment.";

const PAGES_HELP: &str = "\
A file that is mapped, read or written lies in the system's cache, page by page, until the memory is
needed. What is in memory is there for every program at once. Linux 6.5 or newer tells what is to be
written yet; Linux tells it of files that you may write to, or own.";

/// Memory by the page: find the stomp in any program, and see what this machine offers.
#[derive(Debug, Parser)]
#[command(name = "granule", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a program with every heap block against an inaccessible page, and show the guilty line.
    #[command(after_help = STOMP_HELP)]
    Stomp(Box<StompArguments>),
    /// Run a program with the heap of granule as its malloc and its operator new.
    #[command(after_help = RUN_HELP)]
    Run(RunArguments),
    /// Put the numbers, records or lines of a file into order.
    #[command(after_help = SORT_HELP)]
    Sort(Box<SortArguments>),
    /// Say what this machine offers, and what it means for you.
    Info(InfoArguments),
    /// Show which pages of a file are in memory, to be written yet, or huge.
    #[command(after_help = PAGES_HELP)]
    Pages(PagesArguments),
    /// The program of the demonstration: it overflows a block on purpose.
    #[command(hide = true)]
    DemoCrime,
}

/// Options of `granule stomp`.
#[derive(Args, Debug)]
pub(crate) struct StompArguments {
    /// Blocks end at an inaccessible page: overflows fault (the default).
    #[arg(long, conflicts_with = "start")]
    end: bool,
    /// Blocks start behind an inaccessible page: underflows fault.
    #[arg(long)]
    start: bool,
    /// Alignment of malloc in bytes, a power of two up to 4096; with 1 every byte behind a block
    /// faults.
    #[arg(long, value_name = "N", default_value = "16", value_parser = parse_align)]
    align: usize,
    /// Address space that freed blocks wait in before it is used again, for example 512M or 8G.
    #[arg(long, value_name = "SIZE", default_value = "8G", value_parser = parse_quarantine)]
    quarantine: usize,
    /// Frames kept of every stack, 0 to 32.
    #[arg(long, value_name = "N", default_value = "16", value_parser = parse_depth)]
    depth: usize,
    /// How pages are made inaccessible: the kernel's best, or by splitting mappings.
    #[arg(long, value_enum, default_value_t = Guard::Auto)]
    guard: Guard,
    /// Also write every report to FILE as one JSON object a line; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The exit status when something was found.
    #[arg(long, value_name = "N", default_value_t = 99)]
    pub(crate) error_exitcode: u8,
    /// Colour in the report; auto is only on a terminal, and not when NO_COLOR is set.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Show all frames, those of the standard libraries and of the C library too.
    #[arg(long)]
    pub(crate) full_stacks: bool,
    /// Say more about what is done.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// The program and its arguments; without one a built-in demonstration runs.
    #[arg(value_name = "PROGRAM", trailing_var_arg = true)]
    pub(crate) program: Vec<OsString>,
}

impl StompArguments {
    /// The options for the preload library, still without the socket's name.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new();
        options.placement = if self.start { Placement::Start } else { Placement::End };
        options.align = self.align;
        options.quarantine_len = self.quarantine;
        options.depth = self.depth;
        options.guard = match self.guard {
            Guard::Auto => GuardChoice::Auto,
            Guard::Split => GuardChoice::Split,
        };
        options
    }
}

/// Options of `granule run`.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Write what the heap has to standard error when a process of the program ends.
    #[arg(long)]
    stats: bool,
    /// The same as one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Say more about what is done.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// The program and its arguments.
    #[arg(value_name = "PROGRAM", trailing_var_arg = true, required = true)]
    pub(crate) program: Vec<OsString>,
}

impl RunArguments {
    /// What the library is told about numbers at the end; `None` to leave it as it is.
    pub(crate) fn stats_value(&self) -> Option<&'static str> {
        match (self.json, self.stats) {
            (true, _) => Some("json"),
            (false, true) => Some("1"),
            (false, false) => None,
        }
    }
}

/// Options of `granule info`.
#[derive(Args, Debug)]
pub(crate) struct InfoArguments {
    /// Print one JSON object instead of sentences.
    #[arg(long, conflicts_with = "layers")]
    pub(crate) json: bool,
    /// Draw the layers of memory, from the kernel to new, with the numbers of this process.
    #[arg(long)]
    pub(crate) layers: bool,
}

/// Options of `granule pages`.
#[derive(Args, Debug)]
pub(crate) struct PagesArguments {
    /// Print one JSON object instead of a picture: the sums, and the same for each cell.
    #[arg(long)]
    pub(crate) json: bool,
    /// Colour in the picture; auto is only on a terminal, and not when NO_COLOR is set.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// The file. Nothing of it is read.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// How pages are made inaccessible.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Guard {
    /// The best that the kernel has.
    Auto,
    /// Protection changes, although the kernel may have better.
    Split,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn parse_align(text: &str) -> Result<usize, String> {
    let align = text.parse().ok().filter(|n: &usize| n.is_power_of_two() && *n <= 4096);
    align.ok_or_else(|| "must be a power of two from 1 to 4096".to_owned())
}

fn parse_depth(text: &str) -> Result<usize, String> {
    let depth = text.parse().ok().filter(|&n: &usize| n <= DEPTH_MAX);
    depth.ok_or_else(|| format!("must be a number from 0 to {DEPTH_MAX}"))
}

fn parse_quarantine(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        size if size <= QUARANTINE_MAX => Ok(size),
        _ => Err("--quarantine takes 16T at most".to_owned()),
    }
}

/// Bytes, or a number with K, M, G or T (powers of 1024; `KiB` and `KB` are read the same).
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    let size = shift.and_then(|shift| number.parse::<usize>().ok()?.checked_mul(1 << shift));
    size.ok_or_else(|| "must be a size such as 4096, 512M or 8G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stomp(line: &str) -> Result<StompArguments, clap::Error> {
        let arguments = Arguments::try_parse_from(line.split_whitespace())?;
        match arguments.verb {
            Verb::Stomp(stomp) => Ok(*stomp),
            other => panic!("{line} is {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_follows_the_program_is_the_programs() {
        for line in ["granule stomp -- ls --start -v", "granule stomp ls --start -v"] {
            let arguments = stomp(line).expect("a good line");
            assert_eq!(arguments.program, ["ls", "--start", "-v"]);
            assert!(!arguments.verbose);
            assert_eq!(arguments.options(), Options::new());
        }
        assert_eq!(parse_quarantine("16T"), Ok(QUARANTINE_MAX));
        assert!(stomp("granule stomp").expect("the demonstration").program.is_empty());
    }

    #[test]
    fn options_reach_the_library() {
        let line = "granule stomp --start --align 1 --quarantine 3M --depth 0 --guard split -- a";
        let options = stomp(line).expect("a good line").options();
        assert_eq!(options.placement, Placement::Start);
        assert_eq!((options.align, options.quarantine_len, options.depth), (1, 3 << 20, 0));
        assert_eq!(options.guard, GuardChoice::Split);
    }

    #[test]
    fn bad_values_are_refused() {
        for bad in [
            "--align 3",
            "--align 8192",
            "--depth 33",
            "--quarantine x",
            "--quarantine 8Q",
            "--quarantine 99999999999T",
            "--quarantine 17T",
            "--error-exitcode 256",
            "--guard none",
            "--start --end",
            "--no-such",
        ] {
            assert!(stomp(&format!("granule stomp {bad} -- a")).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("2k"), Ok(2048));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert_eq!(parse_size("8GB"), Ok(8 << 30));
        assert!(parse_size("").is_err());
        assert!(parse_size("-1").is_err());
    }
}
