//! Sorted runs in a file that is only ours.

use super::cursor::RunFile;
use super::error::Error;
use super::file::NewFile;
use super::form::Form;
use super::merge::merge;
use super::parts::parts;
use super::room::Room;
use super::sink::{Sink, Target};
use super::watch::Stage;
use super::{Sorting, disk, joined};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The least that a run is read with.
const BUFFER_MIN: usize = 32 << 10;
/// More is no faster.
const BUFFER_MAX: usize = 4 << 20;
/// More threads than this wait for the disk, or for each other.
const MAKERS_MAX: usize = 4;

/// The runs, in the order that their elements had in the file.
pub(super) struct Runs {
    file: NewFile,
    ranges: Vec<Range<u64>>,
}

/// What the threads that make runs share.
struct Feed {
    /// Where the next run begins in the input, and in the file of runs.
    input: u64,
    output: u64,
    /// How many were begun.
    count: usize,
    ranges: Vec<(usize, Range<u64>)>,
}

impl Runs {
    /// Reads the input, and writes it in sorted runs.
    pub(super) fn make<F: Form>(sorting: &Sorting<'_, F>) -> Result<Runs, Error> {
        let file = NewFile::create(sorting.runs_in, sorting.wanted)?;
        let refused = Error::writing(sorting.runs_in, sorting.wanted);
        disk::take_room(&file.file, sorting.wanted).map_err(refused)?;
        let feed = Mutex::new(Feed { input: 0, output: 0, count: 0, ranges: Vec::new() });
        let makers = sorting.threads.min(MAKERS_MAX);
        let maker = Maker {
            sorting,
            target: sorting.target(&file, true),
            feed: &feed,
            makers,
            threads: sorting.threads / makers,
        };
        joined((0..makers).map(|_| || maker.work().inspect_err(|_| maker.end_feed())))?;
        let feed = feed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut ranges = feed.ranges;
        ranges.sort_unstable_by_key(|(number, _)| *number);
        Ok(Runs { file, ranges: ranges.into_iter().map(|(_, range)| range).collect() })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.ranges.len()
    }

    /// Merges as many at a time as there is memory for, into fewer runs.
    pub(super) fn merge_some<F: Form>(self, sorting: &Sorting<'_, F>) -> Result<Runs, Error> {
        sorting.watch.begin(Stage::Merge, sorting.wanted);
        let file = NewFile::create(sorting.runs_in, sorting.wanted)?;
        let (mut ranges, mut at) = (Vec::new(), 0);
        for group in self.ranges.chunks(sorting.runs_at_once()) {
            let (_, end) = self.merge_group(sorting, group, &file, at)?;
            ranges.push(at..end);
            at = end;
        }
        Ok(Runs { file, ranges })
    }

    /// Merges all; says how many elements and bytes they are.
    pub(super) fn merge_all<F: Form>(
        self,
        sorting: &Sorting<'_, F>,
        output: &NewFile,
    ) -> Result<(u64, u64), Error> {
        self.merge_group(sorting, &self.ranges, output, 0)
    }

    /// Merges some runs into `output`, from `at` on; says how many elements they are, and where
    /// they end.
    fn merge_group<F: Form>(
        &self,
        sorting: &Sorting<'_, F>,
        runs: &[Range<u64>],
        output: &NewFile,
        at: u64,
    ) -> Result<(u64, u64), Error> {
        let source = RunFile { file: &self.file.file, directory: &self.file.directory };
        let target = sorting.target(output, true);
        let memory = sorting.merge_memory();
        let buffer_len = (memory / (runs.len() + 2)).clamp(BUFFER_MIN, BUFFER_MAX);
        let mut start = at;
        let parts = parts(sorting.form, source, runs, sorting.mergers())?;
        let work = parts.into_iter().map(|ranges| {
            let from = start;
            start += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
            move || {
                let mut sink = Sink::new(target, from);
                let count = merge(sorting.form, source, &ranges, buffer_len, &mut sink)?;
                Ok((count, sink.finish()?))
            }
        });
        let done = joined(work)?;
        Ok((done.iter().map(|(count, _)| count).sum(), done.last().map_or(at, |(_, end)| *end)))
    }
}

impl<F: Form> Sorting<'_, F> {
    /// Threads that merge, each a part. Of equal elements one is kept: how many bytes the parts
    /// have is then known at their ends only, so that there is one.
    fn mergers(&self) -> usize {
        if self.form.is_unique() { 1 } else { self.threads }
    }

    /// Bytes of memory of each of them.
    fn merge_memory(&self) -> usize {
        // What is read ahead is in memory, too.
        self.memory / self.mergers() / 2
    }

    /// Runs that can be merged at once.
    pub(super) fn runs_at_once(&self) -> usize {
        (self.merge_memory() / BUFFER_MIN).saturating_sub(2).max(2)
    }
}

/// A thread that makes runs.
struct Maker<'a, F> {
    sorting: &'a Sorting<'a, F>,
    target: Target<'a>,
    feed: &'a Mutex<Feed>,
    makers: usize,
    threads: usize,
}

impl<F: Form> Maker<'_, F> {
    /// Takes the next part of the input, sorts it, writes it; until there is none.
    fn work(&self) -> Result<(), Error> {
        let Sorting { form, input, watch, .. } = *self.sorting;
        let how = self.sorting.filling(self.makers, true);
        let mut room = Room::new(&how);
        loop {
            let number = {
                let mut feed = self.feed();
                if feed.input >= input.len() {
                    return Ok(());
                }
                feed.input = room.fill(form, feed.input, &how)?;
                feed.count += 1;
                feed.count
            };
            let len = room.sort(form, self.threads, watch)?;
            let start = {
                let mut feed = self.feed();
                let start = feed.output;
                feed.output += len;
                feed.ranges.push((number, start..start + len));
                start
            };
            room.write(form, self.target, start, self.threads)?;
        }
    }

    /// After an error of one thread the others find no work.
    fn end_feed(&self) {
        self.feed().input = self.sorting.input.len();
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        // A thread that panicked takes the whole sort with it.
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
