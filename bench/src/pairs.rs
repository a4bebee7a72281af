//! One malloc and free, and what a live block costs, under every tool with guards.

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::measure::{self, End, Run};
use crate::pairs_child::Found;
use crate::results::{Table, publish};
use crate::statistics::median;
use crate::tools::{self, Tool};
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::process::Command;

const LIVE: [usize; 3] = [2_000, 31_000, 1_000_000];
const SIZES: [usize; 2] = [16, 64];
const THREADS: [usize; 2] = [1, 2];

/// A block, a page in front of a guard, and page tables: what is touched before a run, in bytes.
const TOUCH_PER_BLOCK: u64 = 4200;

/// All runs of one case under one tool.
#[derive(Clone, Debug, Serialize)]
struct Cell {
    threads: usize,
    live: usize,
    size: usize,
    tool: &'static str,
    installed: bool,
    found: Vec<Found>,
    /// How the run ended that did not finish.
    failure: Option<End>,
}

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    tools: &'a [Tool],
    cells: &'a [Cell],
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let mut tools = tools::all(flags)?;
    // Memcheck has no guards: it looks at every access instead.
    tools.retain(|tool| tool.name != "valgrind");
    let mut cells = cells(flags, &tools);
    if cells.is_empty() {
        return Err("--only is a number of live blocks: 2000, 31000 or 1000000".into());
    }
    let mut random = machine.random();
    for round in 1..=flags.rounds {
        let wanted = |cell: &&mut Cell| cell.installed && cell.failure.is_none();
        let mut order: Vec<&mut Cell> = cells.iter_mut().filter(wanted).collect();
        random.shuffle(&mut order);
        let count = order.len();
        for (number, cell) in order.into_iter().enumerate() {
            eprint!("round {round}, {} of {count}: {}: ", number + 1, cell.name());
            cell.add(&tools, flags)?;
        }
    }
    let text = describe(&machine, flags, &tools, &cells);
    let measured = Measured { machine: &machine, tools: &tools, cells: &cells };
    publish(flags.result_name("pairs").as_deref(), &text, &measured)
}

fn cells(flags: &Flags, tools: &[Tool]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for threads in THREADS {
        for live in LIVE.into_iter().filter(|live| flags.wants_program(&live.to_string())) {
            for size in SIZES {
                let cell = |tool: &Tool| Cell {
                    threads,
                    live,
                    size,
                    tool: tool.name,
                    installed: tool.wrapper.is_some(),
                    found: Vec::new(),
                    failure: None,
                };
                cells.extend(tools.iter().map(cell));
            }
        }
    }
    cells
}

impl Cell {
    fn name(&self) -> String {
        let Cell { threads, live, size, tool, .. } = self;
        format!("{threads} threads, {live} blocks of {size} bytes under {tool}")
    }

    fn add(&mut self, tools: &[Tool], flags: &Flags) -> Result<()> {
        let tool = tools.iter().find(|tool| tool.name == self.tool).ok_or("no such tool")?;
        measure::warm_up(self.live as u64 * TOUCH_PER_BLOCK)?;
        let record = std::env::temp_dir().join(format!("granule-pairs-{}", std::process::id()));
        let words = [self.size, self.live, self.threads].map(|number| number.to_string());
        let (run, output) = once(tool, &words, &record, flags)?;
        match serde_json::from_slice::<Found>(&output) {
            Ok(found) if run.end == End::Exit(0) => {
                eprintln!("{:.0} ns a pair, {:.0} bytes a block", found.pair, found.rss);
                self.found.push(found);
            }
            _ => {
                eprintln!("{}", run.end);
                self.failure = Some(run.end);
            }
        }
        Ok(())
    }

    fn median(&self, part: impl Fn(&Found) -> f64) -> Option<f64> {
        median(&self.found.iter().map(part).collect::<Vec<_>>())
    }

    /// A figure of the cell for a table.
    fn shown(&self, part: impl Fn(&Found) -> f64) -> String {
        match (self.failure, self.median(part)) {
            (Some(end), _) => end.to_string(),
            (None, Some(value)) => format!("{value:.0}"),
            (None, None) => "not installed".to_string(),
        }
    }
}

/// One run of the child; its output.
fn once(tool: &Tool, words: &[String], record: &Path, flags: &Flags) -> Result<(Run, Vec<u8>)> {
    let mut command = measure::wrapper(record, flags.timeout)?;
    command.extend(tool.wrapper.iter().flatten().cloned());
    command.push(command[0].clone());
    command.push("pairs-child".to_string());
    let output = Command::new(&command[0]).args(&command[1..]).args(words).output()?;
    let run = measure::recorded(record)?.pop().ok_or("a run left no record")?;
    fs::remove_file(record)?;
    Ok((run, output.stdout))
}

/// A figure and its name.
type Figure = (&'static str, fn(&Found) -> f64);

fn describe(machine: &Machine, flags: &Flags, tools: &[Tool], cells: &[Cell]) -> String {
    let mut text = format!(
        "# One malloc and free, and one live block\n\n{}- median of {} rounds\n",
        machine.markdown(),
        flags.rounds
    );
    let figures: [Figure; 6] = [
        ("A free of a random live block and a malloc in its place, ns for each thread", |f| f.pair),
        ("A malloc with a first write while the number of live blocks grows, ns", |f| f.grow),
        ("A free while the number of live blocks shrinks, ns", |f| f.shrink),
        ("Resident memory for each live block, bytes", |f| f.rss),
        ("Page tables for each live block, bytes", |f| f.page_tables),
        ("Mappings of the process while all blocks live", |f| f.mappings as f64),
    ];
    for (title, part) in figures {
        let names = ["threads, live, size"].into_iter().chain(tools.iter().map(|tool| tool.name));
        let mut table = Table::new(names);
        for row in cells.chunks(tools.len()) {
            let name = format!("{}, {}, {}", row[0].threads, row[0].live, row[0].size);
            table.row([name].into_iter().chain(row.iter().map(|cell| cell.shown(part))));
        }
        text += &format!("\n{title}\n\n{}", table.markdown());
    }
    text
}
