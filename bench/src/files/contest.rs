//! Several ways to do the same thing with files, measured by turns in random order, in one process.

use super::bare::process_time;
use crate::Result;
use crate::results::{Table, nanoseconds};
use crate::statistics::{Random, median};
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;
use std::time::Instant;

/// What a turn took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Found {
    /// Nanoseconds of wall time.
    pub(super) wall: f64,
    /// Nanoseconds of processor time.
    pub(super) cpu: f64,
    /// Page faults without a disk.
    pub(super) faults: u64,
    /// Bytes that were resident at the peak, above those before.
    pub(super) peak: u64,
}

/// Measures some work.
pub(super) fn measured<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Found)> {
    std::fs::write("/proc/self/clear_refs", "5")?; // the peak starts again
    let (peak_before, faults_before) = (peak()?, faults()?);
    let (wall, cpu) = (Instant::now(), process_time());
    let made = work()?;
    let found = Found {
        wall: wall.elapsed().as_nanos() as f64,
        cpu: process_time().saturating_sub(cpu).as_nanos() as f64,
        faults: faults()?.saturating_sub(faults_before),
        peak: peak()?.saturating_sub(peak_before),
    };
    Ok((made, found))
}

fn faults() -> Result<u64> {
    Ok(u64::try_from(getrusage(UsageWho::RUSAGE_SELF)?.minor_page_faults())?)
}

/// The most bytes that were resident.
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.ok_or("the kernel does not tell the peak")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? << 10)
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    /// Ours takes at most so many times as long as this way.
    Ratio(f64),
    /// This way takes at most so many milliseconds of processor time.
    Milliseconds(f64),
    /// None: for comparison.
    None,
}

/// Which time counts.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Clock {
    /// That of the processors, where nothing waits for a disk: others may be busy, too.
    Processor,
    /// That of the clock on the wall.
    Wall,
}

/// One way.
#[derive(Serialize)]
pub(super) struct Way<'a> {
    pub(super) name: &'static str,
    pub(super) goal: Goal,
    #[serde(skip)]
    run: Box<dyn FnMut() -> Result<Found> + 'a>,
    found: Vec<Found>,
}

/// The same work done in several ways; the first one is ours, or what ours is compared with.
#[derive(Serialize)]
pub(super) struct Contest<'a> {
    title: String,
    clock: Clock,
    ways: Vec<Way<'a>>,
}

impl<'a> Contest<'a> {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Contest { title: title.into(), clock: Clock::Processor, ways: Vec::new() }
    }

    /// Ratios are of that time.
    pub(super) fn by(self, clock: Clock) -> Self {
        Contest { clock, ..self }
    }

    pub(super) fn way(
        mut self,
        name: &'static str,
        goal: Goal,
        run: impl FnMut() -> Result<Found> + 'a,
    ) -> Self {
        self.ways.push(Way { name, goal, run: Box::new(run), found: Vec::new() });
        self
    }

    /// Each way so many times, in another order each time. The data and a table.
    pub(super) fn run(mut self, turns: usize, random: &mut Random) -> Result<(String, Data)> {
        eprintln!("{}", self.title);
        for _ in 0..turns {
            let mut order: Vec<usize> = (0..self.ways.len()).collect();
            random.shuffle(&mut order);
            for place in order {
                let way = &mut self.ways[place];
                let found = (way.run)()?;
                way.found.push(found);
            }
        }
        let text = format!("## {}\n\n{}\n", self.title, self.table());
        Ok((text, serde_json::to_value(&self)?))
    }

    fn table(&self) -> String {
        let names = ["way", "wall", "least", "processor", "ours / it", "goal", "reached"];
        let mut table = Table::new(names.into_iter().chain(["faults", "peak"]));
        for (place, way) in self.ways.iter().enumerate() {
            let times = if place == 0 { None } else { self.times(place) };
            let wall = way.median(|found| found.wall);
            let least = way.found.iter().map(|found| found.wall).min_by(f64::total_cmp);
            let cpu = way.median(|found| found.cpu);
            let (goal, reached) = goal(way.goal, times, cpu);
            table.row([
                way.name.to_string(),
                time(wall),
                time(least),
                time(cpu),
                times.map_or("-".to_string(), |times| format!("{times:.2}x")),
                goal,
                reached,
                way.median(|found| found.faults as f64).map_or("-".into(), |n| format!("{n:.0}")),
                way.median(|found| found.peak as f64)
                    .map_or("-".into(), |len| format!("{:.1} MiB", len / f64::from(1 << 20))),
            ]);
        }
        table.markdown()
    }

    /// How many times as long as this way does ours take: the median over the turns.
    fn times(&self, place: usize) -> Option<f64> {
        let pairs = self.ways[0].found.iter().zip(&self.ways[place].found);
        let time = |found: &Found| match self.clock {
            Clock::Processor => found.cpu,
            Clock::Wall => found.wall,
        };
        median(&pairs.map(|(ours, it)| time(ours) / time(it)).collect::<Vec<_>>())
    }
}

/// What a contest has measured.
pub(super) type Data = serde_json::Value;

impl Way<'_> {
    fn median(&self, figure: impl Fn(&Found) -> f64) -> Option<f64> {
        median(&self.found.iter().map(figure).collect::<Vec<_>>())
    }
}

fn time(value: Option<f64>) -> String {
    value.map_or("-".to_string(), nanoseconds)
}

fn goal(goal: Goal, times: Option<f64>, cpu: Option<f64>) -> (String, String) {
    let (words, reached) = match goal {
        Goal::Ratio(most) => (format!("{most:.2}x"), times.map(|times| times <= most)),
        Goal::Milliseconds(most) => (format!("{most:.0} ms"), cpu.map(|ns| ns <= most * 1e6)),
        Goal::None => ("-".to_string(), None),
    };
    (words, reached.map_or("-", |reached| if reached { "yes" } else { "no" }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_by_the_median_of_the_ratios() {
        let turn = |times: [f64; 3]| {
            let mut times = times.into_iter();
            move || {
                let wall = times.next().ok_or("three turns")?;
                Ok(Found { wall, cpu: wall / 2.0, faults: 3, peak: 1 << 20 })
            }
        };
        let contest = Contest::new("Some work")
            .way("ours", Goal::Milliseconds(2.0), turn([2.0e6, 3.0e6, 2.0e6]))
            .way("theirs", Goal::Ratio(0.5), turn([8.0e6, 6.0e6, 2.0e6]));
        let (text, _) = contest.run(3, &mut Random::new(1)).expect("three turns");
        let expected = "\
## Some work

| way    |   wall |  least | processor | ours / it |  goal | reached | faults |    peak |
| ------ | -----: | -----: | --------: | --------: | ----: | ------: | -----: | ------: |
| ours   | 2.0 ms | 2.0 ms |    1.0 ms |         - |  2 ms |     yes |      3 | 1.0 MiB |
| theirs | 6.0 ms | 2.0 ms |    3.0 ms |     0.50x | 0.50x |     yes |      3 | 1.0 MiB |

";
        assert_eq!(text, expected);
    }
}
