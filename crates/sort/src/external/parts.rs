//! Where runs are cut, so that several threads can merge: every run at the same elements.

use super::cursor::RunFile;
use super::disk;
use super::error::Error;
use super::form::{Cut, Form};
use std::ops::Range;

/// Elements that are looked at in every run.
const SAMPLES: u64 = 32;
/// Bytes that are read to find where a line begins.
const LOOK_LEN: usize = 4096;

/// Cuts all runs into `count` parts: the elements of the first part of every run come before those
/// of the second part of every run, and so on. The result has a list of ranges for every part.
pub(super) fn parts<F: Form>(
    form: &F,
    source: RunFile<'_>,
    runs: &[Range<u64>],
    count: usize,
) -> Result<Vec<Vec<Range<u64>>>, Error> {
    let look = Look { form, source };
    let pivots = look.pivots(runs, count)?;
    let mut starts: Vec<u64> = runs.iter().map(|run| run.start).collect();
    let mut parts = Vec::with_capacity(count);
    for pivot in pivots {
        let mut part = Vec::with_capacity(runs.len());
        for (run, start) in runs.iter().zip(&mut starts) {
            let end = look.first_not_before(&pivot, *start..run.end)?;
            part.push(*start..end);
            *start = end;
        }
        parts.push(part);
    }
    parts.push(runs.iter().zip(starts).map(|(run, start)| start..run.end).collect());
    Ok(parts)
}

/// Looks at single elements of runs.
struct Look<'a, F> {
    form: &'a F,
    source: RunFile<'a>,
}

impl<F: Form> Look<'_, F> {
    /// The elements between the parts: `count - 1` of them, in order.
    fn pivots(&self, runs: &[Range<u64>], count: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut samples = Vec::new();
        for run in runs {
            for number in 0..SAMPLES {
                let aim = run.start + (run.end - run.start) / SAMPLES * number;
                let at = self.next_start(aim, run)?;
                samples.extend(self.element(at, run)?);
            }
        }
        samples.sort_by(|left, right| self.form.compare(left, right));
        let pivots = (1..count).filter_map(|number| samples.get(samples.len() * number / count));
        Ok(pivots.cloned().collect())
    }

    /// The offset of the first element that does not come before the pivot.
    fn first_not_before(&self, pivot: &[u8], run: Range<u64>) -> Result<u64, Error> {
        let (mut low, mut high) = (run.start, run.end);
        // All that begin before `low` come before the pivot, none that begins at or behind `high`.
        while low < high {
            let aim = low + (high - low) / 2;
            let at = self.next_start(aim, &(low..run.end))?;
            if at >= high {
                high = aim;
                continue;
            }
            match self.element(at, &run)? {
                Some(element) if self.form.compare(&element, pivot).is_lt() => {
                    low = at + (element.len() + self.form.cut().separator_len()) as u64;
                }
                _ => high = at,
            }
        }
        Ok(low)
    }

    /// Where the first element begins at or behind `aim`, in a run that begins with one.
    fn next_start(&self, aim: u64, run: &Range<u64>) -> Result<u64, Error> {
        match self.form.cut() {
            Cut::Width(width) => {
                let before = (aim - run.start).next_multiple_of(width as u64);
                Ok((run.start + before).min(run.end))
            }
            Cut::Separator(_) if aim == run.start => Ok(aim),
            // The line that the byte before belongs to ends where one begins.
            Cut::Separator(_) => {
                let rest = self.read_element(aim - 1, run)?;
                Ok(rest.map_or(run.end, |rest| aim - 1 + rest.len() as u64))
            }
        }
    }

    /// The element that begins at an offset, without its separator; `None` at the end of the run.
    fn element(&self, at: u64, run: &Range<u64>) -> Result<Option<Vec<u8>>, Error> {
        let mut element = self.read_element(at, run)?;
        if let Some(element) = &mut element {
            element.truncate(element.len() - self.form.cut().separator_len());
        }
        Ok(element)
    }

    /// The bytes from an offset to the end of the element there, with the separator.
    fn read_element(&self, at: u64, run: &Range<u64>) -> Result<Option<Vec<u8>>, Error> {
        let cut = self.form.cut();
        let mut look_len = match cut {
            Cut::Width(width) => width,
            Cut::Separator(_) => LOOK_LEN,
        };
        loop {
            let len = (run.end - at.min(run.end)).min(look_len as u64) as usize;
            let mut bytes = vec![0; len];
            let count = disk::read_full(self.source.file, &mut bytes, at);
            let failed = Error::system("read a run in", self.source.directory);
            bytes.truncate(count.map_err(failed)?);
            if let Some(whole) = cut.first_len(&bytes) {
                bytes.truncate(whole);
                return Ok(Some(bytes));
            }
            if len < look_len {
                return Ok(None);
            }
            look_len *= 2;
        }
    }
}
