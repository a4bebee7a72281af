//! Others who use the file while it is sorted in place: kept away where the system does that, and
//! noticed where it does not.
//!
//! | | who comes | how it is known that nobody has written |
//! |---|---|---|
//! | Linux, a write lease | waits; if for too long, the sort stops for him | the lease was held |
//! | Windows, the share mode | is refused | the file was open |
//! | else | gets the file | all elements are looked at before and after |
//!
//! On Linux every write by a call is told besides (inotify(7)), and stops the sort. What it does
//! not tell of is a store through a map that somebody else has: then there was no lease, and the
//! elements are compared.

use crate::engine;
use crate::error::{Error, Evidence};
use crate::fingerprint::fingerprint;
use crate::shape::Shape;
use granule::section::Lease;
use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use writes::Writes;

/// What kept others from the file while it was sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// A lease: they waited.
    Lease,
    /// The way that the file is open: they were refused.
    ShareMode,
    /// Nothing, and so the content was compared.
    Nothing,
}

/// Of the time that the system lets others wait the sort takes so much; the rest is for putting
/// back what it holds.
const QUARTERS: u32 = 3;

pub(crate) struct Others<'a> {
    lease: Option<Lease<'a>>,
    has_share_mode: bool,
    writes: Writes,
    patience: Duration,
    /// When it was first seen that somebody waits.
    wanted: OnceLock<Instant>,
}

impl<'a> Others<'a> {
    /// Keeps them away from now on, if that is to be had: a reason why not is no error.
    pub(crate) fn of(file: &'a File, path: &Path, patience: Duration) -> Self {
        let lease = Lease::of_file(file).ok();
        let patience = patience.min(Lease::break_time() * QUARTERS / 4);
        let has_share_mode = lease.is_none() && share_mode_denies_writing(path);
        let writes = Writes::to(file);
        Others { lease, has_share_mode, writes, patience, wanted: OnceLock::new() }
    }

    pub(crate) fn kept(&self) -> Kept {
        match (&self.lease, self.has_share_mode) {
            (Some(_), _) => Kept::Lease,
            (None, true) => Kept::ShareMode,
            (None, false) => Kept::Nothing,
        }
    }

    /// What the elements are, if they have to be compared later.
    pub(crate) fn look<S: Shape>(&self, data: &[u8], shape: &S, threads: usize) -> Option<u64> {
        (self.kept() == Kept::Nothing).then(|| fingerprint(data, shape, threads))
    }

    /// True if there is no sense in going on.
    pub(crate) fn stop(&self) -> bool {
        self.writes.were_seen() || self.waited_too_long().is_some()
    }

    /// How long somebody has waited for the file.
    fn waited(&self) -> Option<Duration> {
        let is_wanted = self.lease.as_ref().is_some_and(Lease::is_wanted);
        is_wanted.then(|| self.wanted.get_or_init(Instant::now).elapsed())
    }

    /// How long somebody has waited, if that is too long.
    pub(crate) fn waited_too_long(&self) -> Option<Duration> {
        self.waited().filter(|&waited| waited >= self.patience)
    }

    /// Lets them in, when all is done. An error if anybody has written meanwhile, or can have;
    /// `evidence` is what the elements tell.
    pub(crate) fn end(self, path: &Path, evidence: Option<Evidence>) -> Result<(), Error> {
        // Asked first: who is let in now may write.
        let call = self.writes.were_seen().then_some(Evidence::Call);
        let was_held = self.lease.is_none_or(Lease::end);
        let lost = (!was_held).then_some(Evidence::LeaseLost);
        match call.or(evidence).or(lost) {
            Some(evidence) => Err(Error::Written { path: path.to_owned(), evidence }),
            None => Ok(()),
        }
    }
}

/// What tells that the elements are others than those of which `look` told `before`, or that they
/// are not in order when they should be.
pub(crate) fn evidence<S: Shape>(
    data: &[u8],
    shape: &S,
    threads: usize,
    before: u64,
    is_done: bool,
) -> Option<Evidence> {
    if fingerprint(data, shape, threads) != before {
        return Some(Evidence::Elements);
    }
    let place = is_done.then(|| engine::disorder(data, shape)).flatten()?;
    Some(Evidence::Order { offset: (place * shape.width()) as u64 })
}

/// Opens a file that is going to be sorted in place, and keeps others away where that is decided
/// when a file is opened.
///
/// Windows: nobody else can open it, or if somebody is reading it already, nobody can write to it
/// (share mode 0, or FILE_SHARE_READ). Elsewhere it is opened for reading and writing, no more.
///
/// # Errors
/// - [`Error::InUse`]: somebody else writes to it, or has it open in a way that does not go with
///   that (Windows).
/// - [`Error::Io`]: the system refused it.
///
/// ```
/// # let path = std::env::temp_dir().join(format!("granule-open-{}", std::process::id()));
/// std::fs::write(&path, "ba")?;
/// let file = granule_sort::open_to_sort(&path)?;
/// let shape = granule_sort::shape::Native::<u8>::new();
/// // SAFETY: (1) the file is this program's own.
/// unsafe { granule_sort::sort_file_in_place(&file, &path, &shape, &Default::default()) }?;
/// drop(file);
/// assert_eq!(std::fs::read(&path)?, b"ab");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_to_sort(path: &Path) -> Result<File, Error> {
    let failed = Error::io("cannot open", path);
    open_alone(path).map_err(|error| match is_sharing_violation(&error) {
        true => Error::InUse { path: path.to_owned() },
        false => failed(error),
    })
}

#[cfg(not(windows))]
fn open_alone(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).open(path)
}

#[cfg(windows)]
fn open_alone(path: &Path) -> std::io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;
    let open = |share| File::options().read(true).write(true).share_mode(share).open(path);
    match open(0) {
        Err(error) if is_sharing_violation(&error) => open(FILE_SHARE_READ),
        told => told,
    }
}

#[cfg(not(windows))]
fn is_sharing_violation(_: &std::io::Error) -> bool {
    false
}

#[cfg(windows)]
fn is_sharing_violation(error: &std::io::Error) -> bool {
    use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION as i32)
}

#[cfg(not(windows))]
fn share_mode_denies_writing(_: &Path) -> bool {
    false
}

/// Whether the file that is open for the sort is open in this way: who asks to write to it then is
/// refused, whatever he allows. It is open for reading and writing, so another who denies writing
/// cannot have come before or since.
#[cfg(windows)]
fn share_mode_denies_writing(path: &Path) -> bool {
    use std::os::windows::fs::OpenOptionsExt;
    use windows_sys::Win32::Storage::FileSystem::{
        FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
    };
    let all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    let opened = File::options().write(true).share_mode(all).open(path);
    opened.is_err_and(|error| is_sharing_violation(&error))
}

#[cfg(target_os = "linux")]
mod writes {
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use std::fs::File;
    use std::os::fd::{AsRawFd, OwnedFd};

    /// Writes to the file by calls, of anybody on this machine: write, truncate, fallocate.
    pub(super) struct Writes(Option<OwnedFd>);

    impl Writes {
        /// Those from now on. None will be seen where the system has no more of such watches, or no
        /// /proc.
        ///
        /// Calls: inotify_init1, inotify_add_watch.
        pub(super) fn to(file: &File) -> Self {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
            let added = watch.and_then(|watch| {
                inotify::add_watch(&watch, path, WatchFlags::MODIFY).map(|_| watch)
            });
            Writes(added.ok())
        }

        /// Call: ioctl(FIONREAD).
        pub(super) fn were_seen(&self) -> bool {
            let waiting = self.0.as_ref().map(rustix::io::ioctl_fionread);
            matches!(waiting, Some(Ok(1..)))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod writes {
    use std::fs::File;

    /// Nothing tells of them.
    pub(super) struct Writes;

    impl Writes {
        pub(super) fn to(_: &File) -> Self {
            Writes
        }

        pub(super) fn were_seen(&self) -> bool {
            false
        }
    }
}
