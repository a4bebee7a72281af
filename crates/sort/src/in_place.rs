//! Sorting a file in place, through its map.

use crate::engine::{self, Found};
use crate::error::Error;
use crate::fuse::Fuse;
use crate::guardian::Guardian;
use crate::journal::{Damaged, Geometry, HEADER_LEN, Header, Journal, identity_of};
use crate::others::{Kept, Others, evidence, open_to_sort};
use crate::prefault::prefault;
use crate::shape::Shape;
use crate::watch::{Stopped, Watch};
use core::sync::atomic::{AtomicBool, Ordering};
use granule::section::{Access, Section, ViewMut};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

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
    /// How long others wait who open the file meanwhile, until the sort stops for them with
    /// [`Error::Wanted`]. At most three quarters of what the system lets them wait (Linux: 45 s).
    pub patience: Duration,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            threads: 0,
            memory: 1 << 20,
            guardian: true,
            progress: None,
            stop: None,
            patience: Duration::MAX,
        }
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
    /// What kept others away meanwhile.
    pub kept: Kept,
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
/// # When others want the file, too
/// Nobody else may use it (see Safety), and this is what is done about it:
///
/// | | who opens the file meanwhile | [`Report::kept`] |
/// |---|---|---|
/// | Linux | waits: a [lease](granule::section::Lease) | [`Kept::Lease`] |
/// | Windows, opened by [`open_to_sort`](crate::open_to_sort) | is refused | [`Kept::ShareMode`] |
/// | all else | gets it | [`Kept::Nothing`] |
///
/// *Lease.* He gets the file when it is sorted. Who has waited for three quarters of the time that
/// Linux lets him wait (45 seconds), or as long as [`Options::patience`] says, gets it at once: the
/// sort stops, puts back what it holds, and ends with [`Error::Wanted`]. When it is killed he waits
/// for the guardian. It is the same for a thread of this program, so a shape or
/// [`Options::progress`] must not open the file: it would wait for itself. What the lease costs
/// cannot be measured.
///
/// *Nothing*: there is no lease when somebody has the file open before the sort begins, to read, to
/// write, or by a map, which keeps a file open also when its descriptor was closed; when it is
/// another user's, without CAP_LEASE; and on file systems whose files others can change behind this
/// kernel (on a network, FUSE, overlay). The file is sorted all the same. A sum over hashes of all
/// elements, which does not depend on their order, is made before the first store and compared
/// after the last one, and the order is looked at once more. That takes a tenth of the time of a
/// sort of numbers.
///
/// Besides, Linux tells of every call that writes to the file (inotify), and the sort stops.
///
/// What becomes of what others do:
///
/// | he | the sort |
/// |---|---|
/// | makes the file shorter | ends with [`Error::Changed`], on Linux; see below |
/// | makes it longer | leaves that part as it is, and ends with [`Error::Changed`] |
/// | makes it shorter and longer again | ends with [`Error::Changed`] or [`Error::Written`] |
/// | writes to it by a call | ends with [`Error::Written`]; see below |
/// | stores to it through a map | the same, unless the store is lost: see below |
///
/// Written: the file is as long as before, and has each of its elements once, but for those that
/// were written over, of which some may be there all the same. It is in no order. A store through a
/// map to a place whose element the journal has at that moment is written over by the sort, and no
/// system tells of it: that store is lost, the file has all of its elements in order, and the sort
/// succeeds. Elsewhere than on Linux it can be the same with calls.
///
/// Shorter: a touch of a page that is gone is no death by SIGBUS on Linux. The sort is stopped by
/// it as by a kill, at that very instruction; its journal is put back into what is left of the
/// file, and removed. What is left then has elements of the file only, each of them once, in no
/// order; those that lay behind the new end at that moment are lost, and which ones these are
/// depends on how far the sort was. In the last page of the file there can be zeros, and elements
/// of it can be lost: the system clears the rest of that page, and tells nobody. On Windows a file
/// that is mapped cannot be made shorter. On other systems the process dies (SIGBUS), and recovery
/// refuses the journal of a file of another length ([`Error::Resized`]).
///
/// A kill later than that leaves the same to the guardian, which puts back what has a place. If it
/// is killed, too, or there is none, recovery refuses as above.
///
/// # Errors
/// - [`Error::Busy`]: another sort of the file is running.
/// - [`Error::NotWhole`]: the file is no whole number of elements.
/// - [`Error::Stopped`]: by [`Options::stop`].
/// - [`Error::Changed`]: somebody has changed the file's length meanwhile, or its disk has lost a
///   part.
/// - [`Error::Written`]: somebody has written to it meanwhile, or can have.
/// - [`Error::Wanted`]: somebody has waited for it for too long.
/// - [`Error::Resized`]: a journal was found, and the file has another length than it had then.
/// - [`Error::Foreign`], [`Error::Damaged`]: a journal was found that is of no use.
/// - [`Error::Io`], [`Error::Map`]: the system refused something.
///
/// # Safety
/// 1. Nobody else reads or writes the file, or makes it shorter, while it is sorted: no process,
///    through no view and by no call.
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
    let width = shape.width();
    let others = Others::of(file, path, options.patience);
    let len = len_of(file, path)?;
    if len % width as u64 != 0 {
        return Err(Error::NotWhole { path: path.to_owned(), len, width });
    }
    // SAFETY: (1).
    let mut data = unsafe { view(file, path) }?;
    let fuse = Fuse::new(&mut data, file).map_err(Error::map(path))?;
    let recovery = recover_into(&mut data, &fuse, file, path)?;
    fuse.arm();
    let parts = usize::try_from(len / PART_LEN_MIN).unwrap_or(usize::MAX);
    let threads = threads_of(options).min(parts).max(1);
    let (elements, kept) = (len / width as u64, others.kept());
    let report = |found| Report { elements, found, recovery, threads, kept };
    let found = engine::found(&data, shape);
    check_unchanged(file, path, len, fuse.is_blown())?;
    if found == Found::Sorted {
        return others.end(path, None).map(|()| report(found));
    }
    let header = Header {
        data_len: len,
        identity: identity_of(file).map_err(Error::io("cannot look at", path))?,
        width,
        geometry: geometry(width, len, threads, options.memory),
        areas: threads,
    };
    let journal = Journal::create(path, header)?;
    let mut session = Session { fuse: Some(fuse), data, journal: Some(journal), guardian: None };
    session.prepare(file, path, threads, options)?;
    let before = others.look(&session.data, shape, threads);
    let sorted = session.sort(shape, found, 2 * len, options, &others);
    session.put_back(path)?;
    let is_done = matches!(sorted, Ok(Ok(())));
    let look = |before| evidence(&session.data, shape, threads, before, is_done);
    let evidence = before.and_then(look);
    check_unchanged(file, path, len, session.end(path)?)?;
    let waited = others.waited_too_long();
    others.end(path, evidence)?;
    match sorted {
        Ok(Ok(())) => Ok(report(found)),
        Ok(Err(Stopped)) => Err(why_stopped(path, options, waited, len)),
        // A panic of the shape.
        Err(panic) => resume_unwind(panic),
    }
}

/// The sort has stopped, and nobody has changed the file's length.
fn why_stopped(path: &Path, options: &Options<'_>, waited: Option<Duration>, len: u64) -> Error {
    let path = path.to_owned();
    match waited {
        _ if options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) => {
            Error::Stopped { path }
        }
        Some(waited) => Error::Wanted { path, waited },
        // The elements were not those that had been looked at before.
        None => Error::Changed { path, before: len, now: len },
    }
}

/// Puts back what a sort of this file that died has left in its journal, and removes that.
///
/// # Errors
/// - [`Error::Busy`]: the sort is alive.
/// - [`Error::Foreign`], [`Error::Damaged`]: the journal is of no use.
/// - [`Error::Resized`]: the file has another length than it had then. Nothing was put back.
/// - [`Error::Changed`], [`Error::Written`]: it was made shorter, or written to, meanwhile.
/// - [`Error::InUse`]: somebody writes to it (Windows).
/// - [`Error::Io`], [`Error::Map`]: the system refused something.
///
/// # Safety
/// 1. As for [`sort_file_in_place`].
pub unsafe fn recover(path: &Path) -> Result<Recovery, Error> {
    if !Journal::path_of(path).exists() {
        return Ok(Recovery::Nothing);
    }
    let file = open_to_sort(path)?;
    let others = Others::of(&file, path, Duration::MAX);
    // SAFETY: (1).
    let mut data = unsafe { view(&file, path) }?;
    let fuse = Fuse::new(&mut data, &file).map_err(Error::map(path))?;
    let recovery = recover_into(&mut data, &fuse, &file, path)?;
    others.end(path, None).map(|()| recovery)
}

/// While the fuse is live.
fn recover_into(data: &mut [u8], fuse: &Fuse, file: &File, path: &Path) -> Result<Recovery, Error> {
    let Some(mut journal) = Journal::find(path)? else { return Ok(Recovery::Nothing) };
    if let Some(header) = journal.header() {
        let journal = journal.path().to_owned();
        if header.identity != identity_of(file).map_err(Error::io("cannot look at", path))? {
            return Err(Error::Foreign { path: path.to_owned(), journal });
        }
        let (before, now) = (header.data_len, data.len() as u64);
        if before != now {
            return Err(Error::Resized { path: path.to_owned(), journal, before, now });
        }
    }
    let elements = journal.put_back(data);
    let elements = elements.map_err(|_| Error::Damaged { journal: journal.path().to_owned() })?;
    journal.remove()?;
    check_unchanged(file, path, data.len() as u64, fuse.is_blown())?;
    Ok(Recovery::PutBack { elements: elements as u64 })
}

fn len_of(file: &File, path: &Path) -> Result<u64, Error> {
    let metadata = file.metadata().map_err(Error::io("cannot look at", path))?;
    Ok(metadata.len())
}

/// Refuses a file that was `before` bytes long and is not any more, or of which it is known that
/// its content is not what it was.
fn check_unchanged(file: &File, path: &Path, before: u64, is_other: bool) -> Result<(), Error> {
    let now = len_of(file, path)?;
    if now != before || is_other {
        return Err(Error::Changed { path: path.to_owned(), before, now });
    }
    Ok(())
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
    let words_len = Geometry::for_shape(width, share).area_len().saturating_sub(share);
    let room_len = share.saturating_sub(words_len).min(ROOM_LEN_MAX);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Geometry::for_shape(width, room_len.min(len.max(4096)))
}

/// The file while it is sorted. However this ends, the file is complete.
struct Session {
    /// Goes first: it answers for the maps.
    fuse: Option<Fuse>,
    data: ViewMut,
    journal: Option<Journal>,
    guardian: Option<Guardian>,
}

impl Session {
    /// Brings in what will be needed.
    fn prepare(
        &mut self,
        file: &File,
        path: &Path,
        threads: usize,
        options: &Options<'_>,
    ) -> Result<(), Error> {
        let len = self.data.len() as u64;
        let (Some(fuse), Some(journal)) = (&mut self.fuse, &mut self.journal) else {
            return Ok(()); // it has ended
        };
        fuse.add_journal(journal).map_err(Error::map(path))?;
        if options.guardian {
            let guardian = Guardian::start(&mut self.data, journal, fuse);
            self.guardian = Some(guardian.map_err(Error::io("cannot start a guardian for", path))?);
        }
        prefault(&mut self.data, threads).map_err(|error| {
            // That pages are missing is why.
            let changed = check_unchanged(file, path, len, false).err();
            changed.unwrap_or_else(|| Error::io("cannot bring into memory", path)(error.into()))
        })
    }

    /// Sorts until the end, until somebody has it stop, or until a page is lost. A panic is told
    /// like any other end: the journal has to be put back first.
    fn sort<S: Shape>(
        &mut self,
        shape: &S,
        found: Found,
        total: u64,
        options: &Options<'_>,
        others: &Others<'_>,
    ) -> std::thread::Result<Result<(), Stopped>> {
        let fuse = self.fuse.as_ref().expect("it is there until the end");
        let journal = self.journal.as_mut().expect("it is there until the end");
        let watch = Watch::new(total, options.stop, options.progress);
        let watch = watch.with_fuse(fuse).with_others(others);
        let data = &mut self.data;
        let sort = || engine::sort(data, shape, found, &mut journal.areas(), &watch);
        catch_unwind(AssertUnwindSafe(sort))
    }

    /// Puts back what is not in its place. After that the journal holds nothing.
    fn put_back(&mut self, path: &Path) -> Result<(), Error> {
        let (Some(fuse), Some(journal)) = (&self.fuse, &mut self.journal) else { return Ok(()) };
        if let Err(error) = fuse.thaw() {
            // The guardian takes it for a death; else the journal stays for the next sort.
            self.guardian = None;
            self.journal = None;
            self.fuse = None;
            return Err(Error::io("cannot map again", path)(error));
        }
        match journal.put_back(&mut self.data) {
            Ok(_) => Ok(()),
            Err(Damaged) => Err(Error::Damaged { journal: journal.path().to_owned() }),
        }
    }

    /// The same, and removes the journal. True if pages were lost.
    fn end(&mut self, path: &Path) -> Result<bool, Error> {
        let put_back = self.put_back(path);
        let (Some(fuse), Some(journal)) = (self.fuse.take(), self.journal.take()) else {
            return put_back.map(|()| false);
        };
        let is_blown = fuse.is_blown();
        drop(fuse);
        if let Some(guardian) = self.guardian.take() {
            guardian.dismiss();
        }
        put_back?;
        journal.remove().map(|()| is_blown)
    }
}

impl Drop for Session {
    /// After an error on the way, which tells what has happened.
    fn drop(&mut self) {
        let _ = self.end(Path::new(""));
    }
}
