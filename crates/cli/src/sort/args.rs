//! The command line of `granule sort`.

use crate::args::parse_size;
use clap::{Args, ValueEnum};
use granule_sort::external::MEMORY_MIN;
use granule_sort::order::{Endian, Key, Number};
use std::path::PathBuf;

/// What stands behind the options.
pub(crate) const SORT_HELP: &str = "\
Keys: FROM..TO[:TYPE][:desc], bytes of the record from 0, TO behind the last. Without a TYPE they
order as bytes do; types are those of --type, big-endian with `be` behind them.

Examples:
  granule sort --type u64 numbers.bin
  granule sort --record 100 --key 0..10 records.dat
  granule sort --record 32 --key 16..24:u64:desc --key 0..4:i32be records.dat
  granule sort --lines --output sorted.txt words.txt

Numbers and records that fit into memory are sorted where they are, through a map of the file; a
kill at any moment loses nothing (--recover, or the next sort, puts back what was under way), but a
power failure may. Lines, and all that is larger than memory, go into a new file that takes the
old one's name when it is on the disk: the file is always the old one or the new one.
While a file is sorted in place whoever opens it waits until it is sorted, or for half a minute,
after which the sort stops for him. Where that is not to be had (somebody has it open before; it is
another user's, or on a network) the sort looks at all elements before and after. If somebody has
written to the file it says so, and also if he has made it shorter: what is left has elements of the
file and what was written, in no order. A sort into a new file leaves the old one as it was.

Exit status:
    0  done, or sorted (--check)    1  not sorted (--check)    125  not done: see the message
  130  stopped by SIGINT    143  by SIGTERM; the file has all its elements";

/// Options of `granule sort`.
#[derive(Args, Debug)]
pub(crate) struct SortArguments {
    /// The file to sort.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file is numbers of one type: u8, u16, u32, u64, i8 .. i64, f32, f64; floats in the total
    /// order of IEEE 754: -NaN, -infinity .. -0, 0 .. infinity, NaN.
    #[arg(long = "type", value_name = "TYPE", group = "form")]
    pub(crate) number: Option<Number>,
    /// The file is records of N bytes.
    #[arg(long, value_name = "N", group = "form", value_parser = parse_record)]
    pub(crate) record: Option<usize>,
    /// The file is lines of text, ordered by their bytes as sort does with LC_ALL=C.
    #[arg(long, group = "form")]
    pub(crate) lines: bool,
    /// Which byte of a number comes first.
    #[arg(long, value_enum, requires = "number", conflicts_with_all = ["record", "lines"])]
    pub(crate) endian: Option<EndianArgument>,
    /// What records are ordered by; once more for where it is equal. Without: all their bytes.
    #[arg(long, value_name = "KEY", requires = "record", conflicts_with_all = ["number", "lines"])]
    pub(crate) key: Vec<Key>,
    /// The highest first.
    #[arg(short, long, visible_alias = "desc")]
    pub(crate) reverse: bool,
    /// Keep one of equal lines.
    #[arg(short, long, requires = "lines", conflicts_with_all = ["number", "record"])]
    pub(crate) unique: bool,
    /// Lines end with a zero byte, not with a line feed.
    #[arg(short, long, requires = "lines", conflicts_with_all = ["number", "record"])]
    pub(crate) zero_terminated: bool,
    /// Leave records with equal keys in their order; takes a new file.
    #[arg(long)]
    pub(crate) stable: bool,
    /// Only say whether the file is sorted, and where it is not.
    #[arg(short, long, conflicts_with_all = ["output", "in_place", "new_file", "stable"])]
    pub(crate) check: bool,
    /// Write to OUT, which may be FILE; it is replaced when all of it is on the disk.
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Sort where the file is, even if it is larger than memory; hard links stay links.
    #[arg(long, conflicts_with_all = ["output", "new_file", "stable", "lines"])]
    pub(crate) in_place: bool,
    /// Write a new file and let it take the name, even if it could be sorted in place: safe
    /// against power failures.
    #[arg(long)]
    pub(crate) new_file: bool,
    /// Memory for a new file, at least 1M, for example 256M: elements, what they are sorted by, and
    /// what is read and written, of all threads; the program itself takes some MiB besides.
    /// Without: what this machine and its control group have free.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub(crate) memory: Option<usize>,
    /// Where to put what does not fit into memory; without: beside the output. As large as FILE.
    #[arg(long, value_name = "DIR")]
    pub(crate) temp_dir: Option<PathBuf>,
    /// Threads to use; without: as many as processors, 8 at most.
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub(crate) threads: Option<usize>,
    /// Only put back what a killed sort of FILE has left beside it.
    #[arg(long, conflicts_with_all = ["form", "check", "output", "in_place", "new_file", "stable"])]
    pub(crate) recover: bool,
    /// Print what was done as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing unless it fails, and show no progress.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum EndianArgument {
    /// The lowest.
    Little,
    /// The highest.
    Big,
}

impl From<EndianArgument> for Endian {
    fn from(argument: EndianArgument) -> Endian {
        match argument {
            EndianArgument::Little => Endian::Little,
            EndianArgument::Big => Endian::Big,
        }
    }
}

fn parse_record(text: &str) -> Result<usize, String> {
    let len = text.parse().ok().filter(|len| (1..=1 << 30).contains(len));
    len.ok_or_else(|| "a record has from 1 to 1073741824 bytes".to_owned())
}

fn parse_threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|threads| (1..=256).contains(threads));
    threads.ok_or_else(|| "must be a number from 1 to 256".to_owned())
}

fn parse_memory(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        size if size >= MEMORY_MIN => Ok(size),
        _ => Err("a sort needs 1M at least".to_owned()),
    }
}
