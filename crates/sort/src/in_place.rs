//! Sorting a file in place, through its map.

use crate::engine::{self, Found};
use crate::error::Error;
use crate::guardian::Guardian;
use crate::journal::{Damaged, Geometry, HEADER_LEN, Header, Journal, identity_of};
use crate::prefault::prefault;
use crate::shape::Shape;
use crate::watch::Watch;
use core::sync::atomic::AtomicBool;
use granule::section::{Access, Section, ViewMut};
use std::fs::File;
use std::path::Path;

/// How a file is sorted.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Threads, at most; 0 for as many as there are processors. Small files get fewer.
    pub threads: usize,
    /// Bytes of memory besides the file's own pages, about: most of it is the journal. Wide
    /// elements take more if it is too little for sixteen of them on each thread.
    pub memory: usize,
    /// Whether a process of its own stands by that puts everything back at once when this one is
    /// killed. Linux only; elsewhere, or if it is killed, too, recovery is left to [`recover`] and
    /// the next sort.
    pub guardian: bool,
    /// Gets the bytes that are done and the bytes there are: more and more, from any thread, often.
    pub progress: Option<&'a (dyn Fn(u64, u64) + Sync)>,
    /// Set by anybody at any time to have the sort stop soon, with [`Error::Stopped`].
    pub stop: Option<&'a AtomicBool>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { threads: 0, memory: 1 << 20, guardian: true, progress: None, stop: None }
    }
}

/// What a sort has found and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Elements of the file.
    pub elements: u64,
    /// How they lay.
    pub found: Found,
    /// What a sort that died before had left.
    pub recovery: Recovery,
    /// Threads that worked.
    pub threads: usize,
}

/// What recovery had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing: no sort has died.
    Nothing,
    /// It put elements back into the file that were in the journal, and removed the journal.
    PutBack {
        /// How many; some may have been in the file, too.
        elements: u64,
    },
}

/// Bytes of a thread's part of a file, at least: less is done sooner than a thread has started.
const PART_LEN_MIN: u64 = 1 << 20;

/// Bytes of room that more makes no faster: the cache of a core.
pub(crate) const ROOM_LEN_MAX: usize = 768 << 10;

/// Bytes of memory that a thread takes besides its area.
const SCRATCH_LEN: usize = 128 << 10;

/// Sorts a file in place.
///
/// `file` is open for reading and writing, and `path` is where it is: the journal lies beside it
/// as `.NAME.granule-sort` while the sort works, and is removed at the end. If one is found that a
/// dead sort has left behind, its elements are put back first.
///
/// A kill at any moment loses nothing: what is not in the file is in the journal, and [`recover`]
/// or the next sort puts it back. The power is another matter: neither the file nor the journal is
/// flushed, so after a power failure both may have old pages and new ones.
///
/// Elements that are equal may change places with each other.
///
/// # Errors
/// - [`Error::Busy`]: another sort of the file is running.
/// - [`Error::NotWhole`]: the file is no whole number of elements.
/// - [`Error::Stopped`]: by [`Options::stop`].
/// - [`Error::Changed`]: somebody has changed the length of the file meanwhile.
/// - [`Error::Foreign`], [`Error::Damaged`]: a journal was found that is of no use.
/// - [`Error::Io`], [`Error::Map`]: the system refused something.
///
/// # Safety
/// 1. Nobody else reads or writes the file, or makes it shorter, while it is sorted: no process,
///    through no view and by no call. On Unix a touch of what is lost ends the process (SIGBUS).
///
/// ```
/// use granule_sort::shape::Native;
/// # let path = std::env::temp_dir().join(format!("granule-sort-{}", std::process::id()));
/// let numbers: Vec<u8> = [30u32, 10, 20].iter().flat_map(|number| number.to_ne_bytes()).collect();
/// std::fs::write(&path, numbers)?;
/// let file = std::fs::File::options().read(true).write(true).open(&path)?;
/// let shape = Native::<u32>::new();
/// // SAFETY: (1) the file is this program's own.
/// unsafe { granule_sort::sort_file_in_place(&file, &path, &shape, &Default::default()) }?;
/// assert_eq!(std::fs::read(&path)?[..4], 10u32.to_ne_bytes());
/// # drop(file);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub unsafe fn sort_file_in_place<S: Shape>(
    file: &File,
    path: &Path,
    shape: &S,
    options: &Options<'_>,
) -> Result<Report, Error> {
    let (width, metadata) = (shape.width(), file.metadata());
    let metadata = metadata.map_err(Error::io("cannot look at", path))?;
    let len = metadata.len();
    if len % width as u64 != 0 {
        return Err(Error::NotWhole { path: path.to_owned(), len, width });
    }
    // SAFETY: (1).
    let mut data = unsafe { view(file, path) }?;
    let recovery = recover_into(&mut data, file, path)?;
    let parts = usize::try_from(len / PART_LEN_MIN).unwrap_or(usize::MAX);
    let threads = threads_of(options).min(parts).max(1);
    let elements = len / width as u64;
    let report = |found| Report { elements, found, recovery, threads };
    let found = engine::found(&data, shape);
    if found == Found::Sorted {
        return Ok(report(found));
    }
    let header = Header {
        data_len: len,
        identity: identity_of(file).map_err(Error::io("cannot look at", path))?,
        width,
        geometry: geometry(width, len, threads, options.memory),
        areas: threads,
    };
    let journal = Journal::create(path, header)?;
    let mut session = Session { data, journal: Some(journal), guardian: None };
    session.prepare(path, threads, options)?;
    let watch = Watch::new(2 * len, options.stop, options.progress);
    session.sort(shape, found, &watch, path)?;
    let now = file.metadata().map_err(Error::io("cannot look at", path))?.len();
    if now != len {
        return Err(Error::Changed { path: path.to_owned(), before: len, now });
    }
    Ok(report(found))
}

/// Puts back what a sort of this file that died has left in its journal, and removes that.
///
/// # Errors
/// - [`Error::Busy`]: the sort is alive.
/// - [`Error::Foreign`], [`Error::Damaged`]: the journal is of no use.
/// - [`Error::Io`], [`Error::Map`]: the system refused something.
///
/// # Safety
/// 1. As for [`sort_file_in_place`].
pub unsafe fn recover(path: &Path) -> Result<Recovery, Error> {
    if !Journal::path_of(path).exists() {
        return Ok(Recovery::Nothing);
    }
    let file = File::options().read(true).write(true).open(path);
    let file = file.map_err(Error::io("cannot open", path))?;
    // SAFETY: (1).
    let mut data = unsafe { view(&file, path) }?;
    recover_into(&mut data, &file, path)
}

fn recover_into(data: &mut [u8], file: &File, path: &Path) -> Result<Recovery, Error> {
    let Some(mut journal) = Journal::find(path)? else { return Ok(Recovery::Nothing) };
    if let Some(header) = journal.header() {
        let journal = journal.path().to_owned();
        if header.identity != identity_of(file).map_err(Error::io("cannot look at", path))? {
            return Err(Error::Foreign { path: path.to_owned(), journal });
        }
        let (before, now) = (header.data_len, data.len() as u64);
        if before != now {
            return Err(Error::Changed { path: path.to_owned(), before, now });
        }
    }
    let elements = journal.put_back(data);
    let elements = elements.map_err(|_| Error::Damaged { journal: journal.path().to_owned() })?;
    journal.remove()?;
    Ok(Recovery::PutBack { elements: elements as u64 })
}

/// # Safety
/// 1. As for [`sort_file_in_place`].
unsafe fn view(file: &File, path: &Path) -> Result<ViewMut, Error> {
    let section = Section::of_file(file, Access::Write).map_err(Error::map(path))?;
    // SAFETY: (1) to (3): nobody else uses the file, and this is the only view of it here.
    unsafe { section.view_mut(0..section.len()) }.map_err(Error::map(path))
}

fn threads_of(options: &Options<'_>) -> usize {
    match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// As much room for each thread as the memory allows and the file needs.
fn geometry(width: usize, len: u64, threads: usize, memory: usize) -> Geometry {
    let share = (memory.saturating_sub(HEADER_LEN) / threads).saturating_sub(SCRATCH_LEN);
    // A fifth of an area is words.
    let room_len = (share / 6 * 5).min(ROOM_LEN_MAX);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Geometry::for_shape(width, room_len.min(len.max(4096)))
}

/// The file while it is sorted. However this ends, the file is complete.
struct Session {
    data: ViewMut,
    journal: Option<Journal>,
    guardian: Option<Guardian>,
}

impl Session {
    /// Brings in what will be needed.
    fn prepare(&mut self, path: &Path, threads: usize, options: &Options<'_>) -> Result<(), Error> {
        if options.guardian
            && let Some(journal) = &mut self.journal
        {
            let guardian = Guardian::start(&mut self.data, journal);
            self.guardian = Some(guardian.map_err(Error::io("cannot start a guardian for", path))?);
        }
        let prefaulted = prefault(&mut self.data, threads);
        prefaulted.map_err(Error::io("cannot bring into memory", path))
    }

    fn sort<S: Shape>(
        &mut self,
        shape: &S,
        found: Found,
        watch: &Watch<'_>,
        path: &Path,
    ) -> Result<(), Error> {
        let journal = self.journal.as_mut().expect("it is there until the end");
        let sorted = engine::sort(&mut self.data, shape, found, &mut journal.areas(), watch);
        self.end()?;
        sorted.map_err(|_| Error::Stopped { path: path.to_owned() })
    }

    /// Puts back what is not in its place, and removes the journal.
    fn end(&mut self) -> Result<(), Error> {
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let put_back = journal.put_back(&mut self.data);
        if let Some(guardian) = self.guardian.take() {
            guardian.dismiss();
        }
        match put_back {
            Ok(_) => journal.remove(),
            Err(Damaged) => Err(Error::Damaged { journal: journal.path().to_owned() }),
        }
    }
}

impl Drop for Session {
    /// After a panic of the shape: the panic goes on, and tells what has happened.
    fn drop(&mut self) {
        let _ = self.end();
    }
}
