//! Sorts a file into a new one, in as much memory as there may be.
//!
//! ```text
//!   the file     |...........................|       read once
//!   in memory    |===|  |===|                        sorted, a run at a time
//!   runs         |---|  |---|  |---|  |---|          a file without a name
//!   merged       |---------------------------|       a new file, which then gets the name
//! ```
//! A file that fits into memory is one run, and goes into the new file at once. What is larger is
//! merged; as far as runs are read they give their room back to the disk, so that runs and new file
//! together take as much as the file. The file itself is only read. The new one takes its name when
//! it is on the disk, in one step: at every moment, also when the power fails, the name leads to
//! the old file or to the new one, and either is whole.
//!
//! Runs have no name where the system has such files (Linux: O_TMPFILE): whatever ends the process,
//! nothing is left. Elsewhere the name begins with `.granule-sort-`.
//!
//! # How it is done
//! Runs are made by several threads, each with a buffer of its own: while one sorts another reads.
//! A buffer is sorted through ranks of 8 bytes ([`Form::rank`]). The merge is a tree of losers, and
//! of numbers a tree of merges of two, each of which fits into the cache; its work is cut at
//! elements that all runs have been searched for, so that every thread merges a part of the new
//! file. Both ways what was read and written leaves the system's cache as soon as it is on the
//! disk: a file that is larger than memory would push out everything else (Linux only).
#![forbid(unsafe_code)]

mod blocks;
mod cursor;
mod disk;
mod entry;
mod error;
mod file;
mod form;
mod merge;
mod parts;
mod room;
mod runs;
mod sink;
mod tree;
mod watch;

pub use entry::Entry;
pub use error::Error;
pub(crate) use file::Input;
pub use form::{Cut, Fixed, Form};
pub use watch::{Stage, Unwatched, Watch};

use file::{Like, NewFile, directory_of};
use room::{Filling, Room};
use runs::Runs;
use sink::Target;
use std::path::{Path, PathBuf};
use std::thread;

/// The least memory that a sort is given: less would be reads and writes of a few elements.
pub const MEMORY_MIN: usize = 1 << 20;

/// Bytes of a huge page, by which buffers grow.
const HUGE_PAGE_LEN: usize = 2 << 20;
/// A buffer with less memory grows by pages.
const HUGE_PAGES_FROM: usize = 16 * HUGE_PAGE_LEN;
/// More to sort numbers by is no faster.
const SCRATCH_LEN_MAX: usize = 1 << 20;

/// What is to be sorted, and with what.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The file that is read. A symbolic link leads to it.
    pub input: &'a Path,
    /// The file that is made; none: it replaces the input, and a symbolic link stays one. What is
    /// there is replaced, and may be the input.
    pub output: Option<&'a Path>,
    /// Where the runs are; none: beside the output.
    pub temp_dir: Option<&'a Path>,
    /// Bytes of memory, at least [`MEMORY_MIN`]: for elements, their ranks and places, what they
    /// are sorted by, and what is read and written, of all threads together. Not counted are the
    /// program itself, nor the stacks of its threads and what the allocator keeps for them, which
    /// is less than 1 MiB with two threads; nor what the system's cache holds of the files. Two of
    /// the longest lines have to fit.
    pub memory: usize,
    /// Threads that work at the same time, at least 1.
    pub threads: usize,
    /// Who looks on.
    pub watch: &'a dyn Watch,
}

impl<'a> Job<'a> {
    /// Sorts a file into its own place with 256 MiB of memory and two threads.
    #[must_use]
    pub fn new(input: &'a Path) -> Self {
        let memory = 256 << 20;
        Job { input, output: None, temp_dir: None, memory, threads: 2, watch: &Unwatched }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Elements of the new file.
    pub elements: u64,
    /// Bytes of the new file.
    pub bytes: u64,
    /// Runs that the file was sorted in; 1: all at once, 0: it was empty.
    pub runs: usize,
    /// How often everything was merged.
    pub merges: usize,
}

/// Sorts a file into a new one, which then takes the place of `job.output`. Equal elements stay in
/// their order.
///
/// # Errors
/// See [`Error`]; whatever it is, the file is as it was, and nothing is left of what was made.
pub fn sort_file<F: Form>(form: &F, job: &Job<'_>) -> Result<Done, Error> {
    let input = Input::open(job.input)?;
    if let Cut::Width(width) = form.cut() {
        input.check_whole(width)?;
    }
    disk::will_be_read_in_order(&input.file);
    let place = Place::of(job)?;
    let sorting = Sorting {
        form,
        input: &input,
        runs_in: job.temp_dir.unwrap_or(&place.directory),
        wanted: input.len() + form.cut().separator_len() as u64,
        memory: job.memory.max(MEMORY_MIN),
        threads: job.threads.max(1),
        watch: job.watch,
    };
    let output = NewFile::create(&place.directory, sorting.wanted)?;
    let done = sorting.sort_into(&output)?;
    let failed = Error::system("cut the new file in", &place.directory);
    output.file.set_len(done.bytes).map_err(failed)?;
    input.check_unchanged()?;
    if job.watch.is_stopped() {
        return Err(Error::Stopped);
    }
    let like = |facts| Like { path: place.target.clone(), facts };
    let input_like = || Like { path: input.path.clone(), facts: input.facts.clone() };
    let like = place.like.map_or_else(input_like, like);
    // Windows replaces no file that is open.
    drop(input);
    output.put(&place.target, &like)?;
    Ok(done)
}

/// Where the new file goes.
struct Place {
    target: PathBuf,
    directory: PathBuf,
    /// What is there now.
    like: Option<std::fs::Metadata>,
}

impl Place {
    fn of(job: &Job<'_>) -> Result<Place, Error> {
        let path = job.output.unwrap_or(job.input);
        let (target, like) = match std::fs::metadata(path) {
            Ok(like) if like.is_file() => {
                // A link stays a link.
                let target = path.canonicalize().map_err(Error::system("follow", path))?;
                (target, Some(like))
            }
            Ok(like) => {
                let what = if like.is_dir() { "a directory" } else { "a device or a pipe" };
                return Err(Error::NoFile { path: path.to_owned(), what });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (path.to_owned(), None),
            Err(error) => return Err(Error::system("look at", path)(error)),
        };
        let directory = directory_of(&target);
        Ok(Place { target, directory, like })
    }
}

/// How many names a file has: with more than one, a new file leaves the others with the old.
///
/// # Errors
/// The system's, if there is no such file.
pub fn names_of(path: &Path) -> Result<u64, Error> {
    let facts = std::fs::metadata(path).map_err(Error::system("look at", path))?;
    Ok(disk::names(&facts))
}

/// One sort, as far as the files are open.
struct Sorting<'a, F> {
    form: &'a F,
    input: &'a Input,
    runs_in: &'a Path,
    /// Bytes of the new file, and of the runs.
    wanted: u64,
    memory: usize,
    threads: usize,
    watch: &'a dyn Watch,
}

impl<F: Form> Sorting<'_, F> {
    fn sort_into(&self, output: &NewFile) -> Result<Done, Error> {
        self.watch.begin(Stage::Runs, self.input.len());
        if self.fits()? {
            let how = self.filling(1, false);
            let mut room = Room::new(&how);
            let next = room.fill(self.form, 0, &how)?;
            if next == self.input.len() {
                return self.write_at_once(&mut room, output);
            }
            // It fits not quite: begin again, with more than one run.
        }
        let runs = Runs::make(self)?;
        self.merge_into(runs, output)
    }

    /// Whether all of the file can be sorted at once; of lines, an estimate from the first of them.
    fn fits(&self) -> Result<bool, Error> {
        const LOOK_LEN: u64 = 64 << 10;
        let look_len = self.input.len().min(LOOK_LEN);
        let count = match self.form.cut() {
            Cut::Width(width) => self.input.len() / width as u64,
            Cut::Separator(_) => {
                let mut look = vec![0; look_len as usize];
                self.input.read(&mut look, 0)?;
                let count = self.form.cut().count(&look) as u64 + 1;
                (self.input.len() as u128 * u128::from(count) / u128::from(look_len.max(1))) as u64
            }
        };
        let entries = count.saturating_mul(self.form.entry_len() as u64);
        Ok(self.wanted.saturating_add(entries) <= self.filling(1, false).memory as u64)
    }

    /// How each of `makers` buffers is filled. Of the memory an eighth is for blocks on their way
    /// to the disk; of what has no entries another, at most, for what is sorted by.
    fn filling(&self, makers: usize, drop_behind: bool) -> Filling<'_> {
        let share = self.memory / makers;
        let by_huge_pages = share >= HUGE_PAGES_FROM;
        let has_entries = self.form.entry_len() > 0;
        let beyond = HUGE_PAGE_LEN * if by_huge_pages { 1 + usize::from(has_entries) } else { 0 };
        let scratch_len = self.block_len().min(SCRATCH_LEN_MAX);
        let scratch = if has_entries { 0 } else { scratch_len * self.threads / makers };
        Filling {
            input: self.input,
            memory: share / 8 * 7 - beyond - scratch,
            scratch_len,
            by_huge_pages,
            drop_behind,
            watch: self.watch,
        }
    }

    /// Bytes of a block on its way to the disk, of each thread.
    fn block_len(&self) -> usize {
        self.memory / 8 / self.threads
    }

    fn write_at_once(&self, room: &mut Room, output: &NewFile) -> Result<Done, Error> {
        let bytes = room.sort(self.form, self.threads, self.watch)?;
        let refused = Error::writing(&output.directory, self.wanted);
        disk::take_room(&output.file, bytes).map_err(refused)?;
        room.write(self.form, self.target(output, false), 0, self.threads)?;
        let runs = usize::from(bytes > 0);
        Ok(Done { elements: room.count(self.form), bytes, runs, merges: 0 })
    }

    fn merge_into(&self, mut runs: Runs, output: &NewFile) -> Result<Done, Error> {
        let made = runs.count();
        let mut merges = 1;
        while runs.count() > self.runs_at_once() {
            runs = runs.merge_some(self)?;
            merges += 1;
        }
        self.watch.begin(Stage::Merge, self.wanted);
        let (elements, bytes) = runs.merge_all(self, output)?;
        Ok(Done { elements, bytes, runs: made, merges })
    }

    fn target<'a>(&'a self, file: &'a NewFile, drop_behind: bool) -> Target<'a> {
        Target {
            file: &file.file,
            directory: &file.directory,
            wanted: self.wanted,
            drop_behind,
            block_len: self.block_len(),
            watch: self.watch,
        }
    }
}

/// The memory that a few elements of this width take in every one of several runs.
fn memory_for_elements(width: usize, entry_len: usize) -> usize {
    MEMORY_MIN.max(8 * (width + entry_len))
}

/// Does some things at the same time, each on a thread of its own; one alone stays on this.
fn joined<T: Send, W: FnOnce() -> Result<T, Error> + Send>(
    work: impl Iterator<Item = W>,
) -> Result<Vec<T>, Error> {
    thread::scope(|scope| {
        let mut work: Vec<W> = work.collect();
        let last = work.pop();
        let threads: Vec<_> = work.into_iter().map(|one| scope.spawn(one)).collect();
        let last = last.map(|last| last());
        let results = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        results.chain(last).collect()
    })
}
