//! Several ways to do the same thing, measured by turns in random order.

use super::bare::thread_time;
use crate::Result;
use crate::statistics::{Random, median};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Processor time of one sample; a call that takes longer is a sample by itself.
pub(crate) const SAMPLE: Duration = Duration::from_millis(2);

/// What is to be reached.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Nanoseconds for a call.
    Nanoseconds(f64),
    /// Times what the bare system calls take.
    TimesBare(f64),
    /// None: for comparison.
    None,
}

/// A call that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) call: String,
    pub(crate) target: Target,
    /// Medians in nanoseconds for a call.
    pub(crate) medians: BTreeMap<&'static str, f64>,
    /// All samples.
    pub(crate) samples: BTreeMap<&'static str, Vec<f64>>,
}

impl Line {
    /// How many times as long as `other` does `one` take: the median over the rounds, in each of
    /// which both were measured shortly after one another.
    pub(crate) fn times(&self, one: &str, other: &str) -> Option<f64> {
        let pairs = self.samples.get(one)?.iter().zip(self.samples.get(other)?);
        median(&pairs.map(|(one, other)| one / other).collect::<Vec<_>>())
    }
}

/// Makes one sample of each call of a contest: nanoseconds; `None` for a call it does not have.
type Sample<'a> = Box<dyn FnMut() -> Result<Vec<Option<f64>>> + 'a>;

/// Some calls, and those who can make them.
pub(crate) struct Contest<'a> {
    calls: Vec<(String, Target)>,
    contestants: Vec<(&'static str, Sample<'a>)>,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(calls: impl IntoIterator<Item = (String, Target)>) -> Self {
        Contest { calls: calls.into_iter().collect(), contestants: Vec::new() }
    }

    /// One more, who makes a sample of every call.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        sample: impl FnMut() -> Result<Vec<Option<f64>>> + 'a,
    ) {
        self.contestants.push((name, Box::new(sample)));
    }

    /// One more, in a contest of a single call.
    pub(crate) fn add_call(
        &mut self,
        name: &'static str,
        mut action: impl FnMut(usize) -> Result<()> + 'a,
    ) {
        self.add(name, move || Ok(vec![Some(per_call(&mut action)?)]));
    }

    /// All contestants in a new random order in each round, after one round that does not count.
    pub(crate) fn run(mut self, rounds: usize, random: &mut Random) -> Result<Vec<Line>> {
        let mut samples: Vec<BTreeMap<&'static str, Vec<f64>>> =
            vec![BTreeMap::new(); self.calls.len()];
        for round in 0..=rounds {
            random.shuffle(&mut self.contestants);
            for (name, sample) in &mut self.contestants {
                let times = sample().map_err(|error| format!("{name}: {error}"))?;
                for (samples, time) in samples.iter_mut().zip(times) {
                    if let Some(time) = time.filter(|_| round > 0) {
                        samples.entry(name).or_default().push(time);
                    }
                }
            }
        }
        let line = |((call, target), samples): (_, BTreeMap<_, Vec<f64>>)| {
            let medians = samples.iter().filter_map(|(name, all)| Some((*name, median(all)?)));
            Line { call, target, medians: medians.collect(), samples }
        };
        Ok(self.calls.into_iter().zip(samples).map(line).collect())
    }
}

/// Nanoseconds of one call: calls in growing batches until a sample is full. `action` gets the
/// number of the call.
pub(crate) fn per_call(mut action: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let (mut spent, mut calls, mut batch) = (Duration::ZERO, 0, 1);
    while spent < SAMPLE {
        let begin = thread_time();
        for call in calls..calls + batch {
            action(call)?;
        }
        spent += thread_time() - begin;
        calls += batch;
        batch = (batch * 2).min(4096);
    }
    Ok(spent.as_secs_f64() * 1e9 / calls as f64)
}

/// Nanoseconds of a call and of the one that takes it back, by turns on `count` places.
pub(crate) fn there_and_back(
    count: usize,
    mut there: impl FnMut(usize) -> Result<()>,
    mut back: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Option<f64>>> {
    let (mut spent, mut calls) = ([Duration::ZERO; 2], 0);
    while spent[0] + spent[1] < 2 * SAMPLE {
        let begin = thread_time();
        (0..count).try_for_each(&mut there)?;
        let turn = thread_time();
        (0..count).try_for_each(&mut back)?;
        spent[1] += thread_time() - turn;
        spent[0] += turn - begin;
        calls += count;
    }
    Ok(spent.map(|spent| Some(spent.as_secs_f64() * 1e9 / calls as f64)).to_vec())
}
