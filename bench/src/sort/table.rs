//! The page of results.

use super::{Part, Way, data};
use crate::machine::Machine;
use crate::measure::Run;
use crate::results::{Table, megabytes, seconds};
use crate::statistics::median;

const HOW: &str = "\
- every run is a process of its own, on a fresh copy of the file that is on the disk and in the
  cache (the last part: in the cache no longer), after as much memory was touched and freed
- what is sorted is checked after every run; a time is that of the whole process, median and least
- of records GNU sort sees lines with a key (-s -k1.1,1.10); all of it with LC_ALL=C, --parallel=2
  and -S 4G
- a new file is brought to the disk (fsync) before it takes its name; GNU sort and what is sorted in
  place are not: what they wrote is in the cache when they end
";

pub(super) fn describe(machine: &Machine, rounds: usize, parts: &[Part]) -> String {
    let machine = machine.markdown();
    let seed = data::SEED;
    let mut text = format!(
        "# Sorting files\n\n{machine}- {rounds} rounds, of the last part 2 less; files of seed \
         {seed:#x}\n{HOW}\n\
         `of it` is the median over the rounds of the ratio of two runs of one round; the goal is \
         the most that it may be.\n"
    );
    for part in parts.iter().filter(|part| !part.ways.is_empty()) {
        text += &format!(
            "\n## {}\n\n{} elements, {}{}\n\n{}",
            part.title,
            part.elements,
            megabytes(part.len),
            part.group.map_or(String::new(), |len| format!(
                "; a control group of {} for the program and its caches",
                megabytes(len)
            )),
            table(part).markdown()
        );
    }
    text
}

fn table(part: &Part) -> Table {
    let mut table = Table::new([
        "",
        "time",
        "least",
        "processor",
        "MB/s",
        "peak RSS",
        "faults",
        "of it",
        "goal",
        "reached",
    ]);
    for way in &part.ways {
        let middle = |figure: fn(&Run) -> f64| {
            median(&way.runs.iter().map(figure).collect::<Vec<_>>()).unwrap_or(f64::NAN)
        };
        let time = middle(|run| run.seconds);
        let least = way.runs.iter().map(|run| run.seconds).fold(f64::INFINITY, f64::min);
        let ratios: Vec<(&str, f64, f64)> = way
            .goals
            .iter()
            .filter_map(|&(name, goal)| {
                let other = part.ways.iter().find(|way| way.name == name)?;
                Some((name, ratio(way, other)?, goal))
            })
            .collect();
        let listed = |cell: fn(&(&str, f64, f64)) -> String| match ratios.is_empty() {
            true => "-".to_owned(),
            false => ratios.iter().map(cell).collect::<Vec<_>>().join(", "),
        };
        table.row([
            way.name.to_owned(),
            seconds(time),
            seconds(least),
            seconds(middle(|run| run.cpu_seconds)),
            format!("{:.0}", part.len as f64 / 1e6 / time),
            megabytes(middle(|run| run.peak_rss as f64) as u64),
            format!("{:.0}", middle(|run| run.minor_faults as f64)),
            listed(|(name, ratio, _)| format!("{ratio:.3}x {name}")),
            listed(|(_, _, goal)| format!("{goal:.3}x")),
            listed(|(_, ratio, goal)| if ratio <= goal { "yes" } else { "no" }.to_owned()),
        ]);
    }
    table
}

/// How many times as long as `other` does this one take: the median over the rounds.
fn ratio(way: &Way, other: &Way) -> Option<f64> {
    let pairs = way.runs.iter().zip(&other.runs);
    median(&pairs.map(|(one, other)| one.seconds / other.seconds).collect::<Vec<_>>())
}
