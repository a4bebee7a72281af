//! Whole programs: the work of `scripts/real-programs.sh` under every tool.

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::measure::{self, End, Run};
use crate::real::Script;
use crate::results::{Table, megabytes, publish, ratio, seconds};
use crate::statistics::{geometric_mean, median};
use crate::tools::{self, GRANULE, PLAIN, Tool};
use serde::Serialize;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// What takes longer than this, in seconds, gets [`SLOW_ROUNDS`] rounds only.
const SLOW: f64 = 5.0;
const SLOW_ROUNDS: usize = 2;

/// How much memory is touched before a run whose need is not known yet, in bytes.
const FIRST_TOUCH: u64 = 512 << 20;

/// Which time of a run.
type Time = fn(&Run) -> f64;

const WALL: Time = |run| run.seconds;
const PROCESSOR: Time = |run| run.cpu_seconds;

/// All runs of one program under one tool.
#[derive(Clone, Debug, Serialize)]
struct Cell {
    program: String,
    tool: &'static str,
    installed: bool,
    runs: Vec<Run>,
    /// Whether every run wrote what the plain run wrote.
    same_output: bool,
    /// Requests a second of redis-benchmark, the geometric mean of its tests, one for each run.
    requests_per_second: Vec<f64>,
}

#[derive(Serialize)]
struct Measured<'a> {
    machine: &'a Machine,
    scale: &'a str,
    tools: &'a [Tool],
    cells: &'a [Cell],
}

impl Cell {
    fn new(program: &str, tool: &Tool) -> Self {
        Cell {
            program: program.to_string(),
            tool: tool.name,
            installed: tool.wrapper.is_some(),
            runs: Vec::new(),
            same_output: true,
            requests_per_second: Vec::new(),
        }
    }

    /// Whether another round of this cell would tell more.
    fn is_wanted(&self, rounds: usize) -> bool {
        let Some(last) = self.runs.last() else { return self.installed };
        let slow = last.seconds > SLOW && self.runs.len() >= SLOW_ROUNDS.min(rounds);
        // Very slow, or it did not finish: it will not the next time.
        let hopeless = last.end != End::Exit(0) || last.seconds > 4.0 * SLOW;
        self.runs.len() < rounds && !slow && !hopeless
    }

    /// The median of a time, if the program finishes with the right output.
    fn time(&self, of: Time) -> Option<f64> {
        let times: Vec<f64> = self.runs.iter().map(of).collect();
        let finished = self.same_output && self.runs.iter().all(|run| run.end == End::Exit(0));
        if finished { median(&times) } else { None }
    }

    fn peak_rss(&self) -> Option<u64> {
        self.runs.iter().map(|run| run.peak_rss).max()
    }

    /// How it went, if it did not finish.
    fn failure(&self) -> String {
        match self.runs.iter().find(|run| run.end != End::Exit(0)) {
            Some(run) => run.end.to_string(),
            None if !self.installed => "not installed".to_string(),
            None if self.runs.is_empty() => "not run".to_string(),
            None => "wrong output".to_string(),
        }
    }
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let script = Script::new(&flags.scale, flags.timeout)?;
    let bench = Bench { flags, tools: tools::all(flags)?, script };
    let cells = bench.measure(&machine)?;
    let tools = &bench.tools;
    let text = describe(&machine, flags, tools, &cells);
    let measured = Measured { machine: &machine, scale: &flags.scale, tools, cells: &cells };
    let name = flags.result_name(&format!("programs-{}", flags.scale));
    publish(name.as_deref(), &text, &measured)
}

struct Bench<'a> {
    flags: &'a Flags,
    tools: Vec<Tool>,
    script: Script,
}

impl Bench<'_> {
    fn measure(&self, machine: &Machine) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        for program in self.script.programs()? {
            if self.flags.wants_program(&program) && self.script.prepare(&program)? {
                cells.extend(self.tools.iter().map(|tool| Cell::new(&program, tool)));
            }
        }
        if cells.is_empty() {
            return Err("no program of that name is installed".into());
        }
        let mut random = machine.random();
        for round in 1..=self.flags.rounds {
            let mut order: Vec<&mut Cell> =
                cells.iter_mut().filter(|cell| cell.is_wanted(self.flags.rounds)).collect();
            random.shuffle(&mut order);
            let count = order.len();
            for (number, cell) in order.into_iter().enumerate() {
                let begin = format!("round {round}, {} of {count}", number + 1);
                eprint!("{begin}: {} under {}: ", cell.program, cell.tool);
                self.add(cell)?;
            }
        }
        Ok(cells)
    }

    /// One more run of a cell.
    fn add(&self, cell: &mut Cell) -> Result<()> {
        let tool = self.tools.iter().find(|tool| tool.name == cell.tool).ok_or("no such tool")?;
        measure::warm_up(cell.peak_rss().unwrap_or(FIRST_TOUCH))?;
        let words: Vec<OsString> = tool.wrapper.iter().flatten().map(OsString::from).collect();
        let (run, same) = self.script.once(&cell.program, &words)?;
        cell.same_output &= same;
        cell.runs.push(run);
        cell.requests_per_second.extend(throughput(&self.script.file(&cell.program, "throughput")));
        let words = if same || run.end != End::Exit(0) { "" } else { " with other output" };
        eprintln!("{}{words}, {} {}", run.end, seconds(run.seconds), megabytes(run.peak_rss));
        Ok(())
    }
}

/// The geometric mean of the requests a second in redis-benchmark's table.
fn throughput(file: &Path) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let field = |line: &str| line.split(',').nth(1)?.trim_matches('"').parse::<f64>().ok();
    geometric_mean(&text.lines().filter_map(field).collect::<Vec<_>>())
}

// The tables

fn describe(machine: &Machine, flags: &Flags, tools: &[Tool], cells: &[Cell]) -> String {
    let grid = Grid { tools, cells };
    let mut text = format!(
        "# Whole programs under granule and its peers\n\n{}- scale {}, median of up to {} rounds; \
         {} for what takes over {SLOW} s\n",
        machine.markdown(),
        flags.scale,
        flags.rounds,
        SLOW_ROUNDS
    );
    for tool in tools.iter().filter(|tool| tool.name != PLAIN) {
        let words = tool.shown().map(|words| format!("`{}`", words.join(" ")));
        let words = words.unwrap_or_else(|| "not installed".to_string());
        text += &format!("- {}: {words}\n", tool.name);
    }
    text += &format!("\nTime, relative to plain glibc\n\n{}", grid.times(WALL).markdown());
    text += "\nTime on processors, in programs and kernel, relative to plain glibc\n\n";
    text += &grid.times(PROCESSOR).markdown();
    text += &format!("\nPeak resident memory\n\n{}", grid.memory().markdown());
    let requests = grid.requests();
    if !requests.is_empty() {
        text += &format!("\nredis-benchmark, thousand requests a second: {requests}\n");
    }
    text += "\nA program of several commands has the sum of their times. redis is the life of the \
             server, most of which is its client's work; Debian's redis brings jemalloc, so its \
             plain run is not glibc's malloc. gcc is the driver with its children.\n";
    text
}

struct Grid<'a> {
    tools: &'a [Tool],
    cells: &'a [Cell],
}

impl Grid<'_> {
    /// The cells of each program in the order of the tools.
    fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.tools.len())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once("program").chain(self.tools.iter().map(|tool| tool.name))
    }

    fn times(&self, of: Time) -> Table {
        let mut table = Table::new(self.names());
        for row in self.rows() {
            let plain = row[0].time(of);
            let cells = row.iter().map(|cell| match (cell.time(of), plain) {
                (Some(own), _) if cell.tool == PLAIN => seconds(own),
                (Some(own), Some(plain)) => ratio(own / plain),
                _ => cell.failure(),
            });
            table.row([row[0].program.clone()].into_iter().chain(cells));
        }
        let means = (0..self.tools.len()).map(|tool| self.mean(of, tool, tool));
        table.row(["geometric mean of what finishes".to_string()].into_iter().chain(means));
        if let Some(granule) = self.tools.iter().position(|tool| tool.name == GRANULE) {
            let means = (0..self.tools.len()).map(|tool| self.mean(of, granule, tool));
            table.row(["granule on the same programs".to_string()].into_iter().chain(means));
        }
        let finished = (0..self.tools.len()).map(|tool| {
            let count = self.rows().filter(|row| row[tool].time(of).is_some()).count();
            format!("{count} of {}", self.rows().count())
        });
        table.row(["finished, same output".to_string()].into_iter().chain(finished));
        table
    }

    /// The geometric mean of the ratios of `tool` over the programs that `among` finishes.
    fn mean(&self, of: Time, tool: usize, among: usize) -> String {
        let ratios = self.rows().filter_map(|row| {
            row[among].time(of)?;
            Some(row[tool].time(of)? / row[0].time(of)?)
        });
        geometric_mean(&ratios.collect::<Vec<_>>()).map_or_else(|| "-".to_string(), ratio)
    }

    fn memory(&self) -> Table {
        let mut table = Table::new(self.names());
        for row in self.rows() {
            let cells = row.iter().map(|cell| match cell.peak_rss() {
                Some(len) if cell.time(WALL).is_some() => megabytes(len),
                _ => "-".to_string(),
            });
            table.row([row[0].program.clone()].into_iter().chain(cells));
        }
        table
    }

    fn requests(&self) -> String {
        let medians = self.cells.iter().filter_map(|cell| {
            let requests = median(&cell.requests_per_second)?;
            Some(format!("{} {:.1}", cell.tool, requests / 1000.0))
        });
        medians.collect::<Vec<_>>().join(", ")
    }
}
