//! Sorting files: `granule sort` against the standard library through memmap2, and GNU sort.

mod data;
mod group;
mod peers;
mod table;

use crate::flags::Flags;
use crate::machine::Machine;
use crate::measure::{self, End, Run};
use crate::results::publish;
use crate::{Result, tools};
use group::Group;
pub(crate) use peers::child;
use serde::Serialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rounds unless they are given; of what takes long one less.
pub(crate) const ROUNDS: usize = 3;

/// Memory of the control group, as a part of the file.
const GROUP_PART: u64 = 4;

/// A file, and all ways to sort it.
#[derive(Serialize)]
struct Part {
    name: &'static str,
    title: &'static str,
    /// Bytes of the file.
    len: u64,
    elements: usize,
    /// Bytes of memory of the control group, if there is one.
    group: Option<u64>,
    /// Whether the file is out of the cache before every run.
    is_cold: bool,
    /// How `granule sort --check` is told what is in it.
    form: &'static [&'static str],
    ways: Vec<Way>,
}

/// A way to sort it.
#[derive(Serialize)]
struct Way {
    name: &'static str,
    /// The words before the file; `OUT` is a new file, and our programs go by their names.
    words: Vec<String>,
    /// The most that its time may be of the time of others, by their names.
    goals: &'static [(&'static str, f64)],
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    seed: u64,
    parts: &'a [Part],
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let part = if flags.scale == "small" { 16 } else { 1 };
    let granule = tools::granule()?;
    let ourselves = std::env::current_exe()?;
    let ourselves = ourselves.to_str().ok_or("a path is not text")?;
    let programs = Programs { granule: &granule, ourselves };
    let mut parts = parts(part);
    parts.retain(|part| flags.wants_program(part.name));
    if parts.is_empty() {
        return Err("--only is numbers, records, lines or large".into());
    }
    let folder = std::env::temp_dir().join(format!("granule-bench-sort-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let measured = parts.iter_mut().try_for_each(|part| part.measure(&folder, flags, &programs));
    fs::remove_dir_all(&folder)?;
    measured?;
    let text = table::describe(&machine, flags.rounds, &parts);
    let measured = Measured { machine: &machine, seed: data::SEED, parts: &parts };
    // Small files tell little: they have a result only by name.
    let name = if part == 1 { flags.result_name("sort") } else { flags.name.clone() };
    publish(name.as_deref(), &text, &measured)
}

/// Programs that are started by their paths, which are of this machine alone.
const GRANULE: &str = "granule";
const OURSELVES: &str = "granule-bench";

const MEMMAP2: &str = "memmap2 + sort_unstable";
const GNU: &str = "GNU sort";
const NUMBERS: &[&str] = &["--type", "u64"];
const RECORDS: &[&str] = &["--record", "100", "--key", "0..10"];
const LINES: &[&str] = &["--lines"];

fn parts(part: usize) -> Vec<Part> {
    let memmap2 = |what| Way::new(MEMMAP2, &[OURSELVES, "sort-child", what]);
    let granule = |name, form: &[&str], more: &[&str]| {
        Way::new(name, &[&[GRANULE, "sort", "-q"], form, more].concat())
    };
    // Both threads, a buffer in memory, and the order of bytes.
    let gnu = |more: &[&str]| {
        let words = ["env", "LC_ALL=C", "sort", "--parallel=2", "-S", "4G", "-o", "OUT"];
        Way::new(GNU, &[&words[..], more].concat())
    };
    let one = &["--in-place", "--threads", "1"];
    let two = &["--in-place", "--threads", "2"];
    let gib = (1 << 30) / part;
    let records = 5_000_000 / part;
    let lines = 8_400_000 / part;
    vec![
        Part {
            ways: vec![
                memmap2("numbers"),
                granule("granule, 1 thread", NUMBERS, one).goals(&[(MEMMAP2, 0.40)]),
                granule("granule, 2 threads", NUMBERS, two).goals(&[(MEMMAP2, 0.25)]),
            ],
            ..Part::new("numbers", "Random u64, where they are", gib, gib / 8, NUMBERS)
        },
        Part {
            ways: vec![
                memmap2("records"),
                granule("granule, 1 thread", RECORDS, one),
                granule("granule, 2 threads", RECORDS, two)
                    .goals(&[(MEMMAP2, 0.7), (GNU, 1.0 / 12.0)]),
                granule("granule, new file", RECORDS, &["--stable", "--output", "OUT"])
                    .goals(&[(GNU, 1.0 / 12.0)]),
                gnu(&["-s", "-t", "\n", "-k1.1,1.10"]),
            ],
            ..Part::new(
                "records",
                "Records of 100 bytes, key of 10",
                records * 100,
                records,
                RECORDS,
            )
        },
        Part {
            ways: vec![
                granule("granule, new file", LINES, &["--output", "OUT"]).goals(&[(GNU, 0.5)]),
                gnu(&[]),
            ],
            ..Part::new("lines", "Lines of text, a decimal u64 in each", 0, lines, LINES)
        },
        Part {
            group: Some(gib as u64 / GROUP_PART),
            is_cold: true,
            ways: vec![
                memmap2("numbers"),
                granule("granule, new file", NUMBERS, &[]).goals(&[(MEMMAP2, 0.25)]),
            ],
            ..Part::new("large", "A file of four times the memory, cold", gib, gib / 8, NUMBERS)
        },
    ]
}

impl Way {
    fn new(name: &'static str, words: &[&str]) -> Way {
        let words = words.iter().map(ToString::to_string).collect();
        Way { name, words, goals: &[], runs: Vec::new() }
    }

    fn goals(self, goals: &'static [(&'static str, f64)]) -> Way {
        Way { goals, ..self }
    }

    fn writes_a_file(&self) -> bool {
        self.words.iter().any(|word| word == "OUT")
    }
}

impl Part {
    fn new(
        name: &'static str,
        title: &'static str,
        len: usize,
        elements: usize,
        form: &'static [&'static str],
    ) -> Part {
        let (group, is_cold, ways) = (None, false, Vec::new());
        Part { name, title, len: len as u64, elements, group, is_cold, form, ways }
    }

    /// Makes the file, and sorts copies of it in all ways, round by round.
    fn measure(&mut self, folder: &Path, flags: &Flags, programs: &Programs<'_>) -> Result<()> {
        let group = match self.group.map(Group::new).transpose() {
            Ok(group) => group,
            Err(error) => {
                eprintln!("skipped: {}: no control group: {error}", self.name);
                self.ways.clear();
                return Ok(());
            }
        };
        let source = folder.join("source");
        match self.name {
            "records" => data::records(&source, self.elements)?,
            "lines" => data::lines(&source, self.elements)?,
            _ => data::numbers(&source, self.len as usize)?,
        }
        self.len = fs::metadata(&source)?.len();
        let before = group.as_ref().map(Group::words).transpose()?.unwrap_or_default();
        let bench = Bench { folder, source, before, flags, programs };
        // Through the map it takes a while, and there is little to choose from.
        let rounds =
            if self.is_cold { flags.rounds.saturating_sub(2).max(1) } else { flags.rounds };
        let mut random = crate::statistics::Random::new(data::SEED);
        for round in 1..=rounds {
            let mut order: Vec<usize> = (0..self.ways.len()).collect();
            random.shuffle(&mut order);
            for place in order {
                let run = bench.once(self, &self.ways[place])?;
                let way = &mut self.ways[place];
                let (name, seconds) = (way.name, run.seconds);
                eprintln!("round {round} of {rounds}: {}: {name}: {seconds:.2} s", self.name);
                way.runs.push(run);
            }
        }
        Ok(())
    }
}

/// What all runs of a file have in common.
struct Bench<'a> {
    folder: &'a Path,
    source: PathBuf,
    /// The words that put a program into the control group.
    before: Vec<String>,
    flags: &'a Flags,
    programs: &'a Programs<'a>,
}

/// Where the programs of ours are.
struct Programs<'a> {
    granule: &'a str,
    ourselves: &'a str,
}

impl Bench<'_> {
    /// One run, on a copy that is on the disk and in the cache, or in the cache no longer.
    fn once(&self, part: &Part, way: &Way) -> Result<Run> {
        let (copy, out) = (self.folder.join("copy"), self.folder.join("out"));
        fs::copy(&self.source, &copy)?;
        File::open(&copy)?.sync_all()?;
        if part.is_cold {
            // It drops the whole file from the cache, and copies nothing.
            let input = format!("if={}", copy.display());
            let words = [&input, "iflag=nocache", "count=0", "status=none"];
            Command::new("dd").args(words).status()?;
        } else {
            measure::warm_up(part.len + (256 << 20))?;
        }
        let record = self.folder.join("record");
        let mut command = measure::wrapper(&record, self.flags.timeout)?;
        command.extend(self.before.iter().cloned());
        let place = out.to_str().ok_or("a path is not text")?;
        command.extend(way.words.iter().map(|word| match word.as_str() {
            "OUT" => place.to_owned(),
            GRANULE => self.programs.granule.to_owned(),
            OURSELVES => self.programs.ourselves.to_owned(),
            _ => word.clone(),
        }));
        let status = Command::new(&command[0]).args(&command[1..]).arg(&copy).status()?;
        let run = measure::recorded(&record)?.pop().ok_or("a run left no record")?;
        if run.end != End::Exit(0) {
            return Err(format!("{}, {}: {status}", part.name, way.name).into());
        }
        fs::remove_file(record)?;
        let sorted = if way.writes_a_file() { &out } else { &copy };
        let mut check = Command::new(self.programs.granule);
        check.args(["sort", "-q", "--check"]).args(part.form).arg(sorted);
        if !check.status()?.success() || fs::metadata(sorted)?.len() != part.len {
            return Err(format!("{}, {}: the file is not sorted", part.name, way.name).into());
        }
        if way.writes_a_file() {
            fs::remove_file(&out)?;
        }
        Ok(run)
    }
}
