//! Floor 4, uses floors 0 to 3. Files that nobody else has: slices that can be written, without a
//! promise of the caller's.

use super::lease::{Leased, OwnFile};
use super::{in_use, keeper};
use crate::error::{Error, ErrorKind, Op};
use crate::section::lost::Patched;
use crate::section::mapped::{Keeps, Mapped};
use crate::section::{Access, Durability, Pod, Section, pod};
use crate::sys::{self, Proof, Sharing};
use core::fmt;
use core::ops::{Deref, DerefMut, Range};
use core::ptr::NonNull;
use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// A file that nobody else has, to be read and written: a `&mut [u8]` of an ordinary file without
/// `unsafe`.
///
/// | system | what others get who open the file | what it rests on |
/// |---|---|---|
/// | Linux | wait, until this is dropped or detached | a write lease: nobody else has it open |
/// | Windows | are refused (error 32) | share mode 0: the same |
/// | macOS, FreeBSD | | nothing: `Unsupported` |
///
/// What is written is in the file at once, and on the disk after [`flush`](Self::flush).
///
/// # When somebody else wants the file (Linux)
/// He waits, as for a lock, in this program, too: a thread that opens the file with a view of it on
/// its own stack waits for itself. [`is_wanted`](Self::is_wanted) tells: finish, and drop the view;
/// he sees all that was written.
///
/// Who waits longer than the [patience](Self::set_patience) of the view, half of
/// /proc/sys/fs/lease-break-time (22 seconds) unless it was made shorter, gets the file as it is at
/// that moment, half-done work included, and the view is detached: same addresses, same bytes, but
/// memory of this process alone, whose writes are in no file any more.
/// [`is_detached`](Self::is_detached) and every later [`flush`](Self::flush) tell. So whoever has
/// to know that his work has arrived flushes once more at its end.
///
/// What was said of [`Frozen`](super::Frozen) about leases is true here, too: where they are to be
/// had, a process that is stopped as a whole for too long, forks, lost pages, and writes below the
/// file system. What is written to a lost page is in this view only: every later flush of a range
/// behind it says so.
/// Besides, while a view is detached, which takes as long as a copy of it:
/// - a thread that writes to the view waits; it must not block SIGSEGV.
/// - a system call that writes to it (`read` into the view) is refused with `EFAULT`, or stops
///   short. Direct I/O into the view that has begun before ends up in the file.
///
/// ```
/// use granule::section::{Durability, Exclusive};
/// # let path = std::env::temp_dir().join(format!("granule-exclusive-{}", std::process::id()));
/// std::fs::write(&path, "sort me")?;
/// match Exclusive::open(&path) {
///     Ok(mut bytes) => {
///         bytes.sort_unstable(); // no `unsafe`
///         bytes.flush(0..bytes.len(), Durability::Data)?;
///         drop(bytes);
///         assert_eq!(std::fs::read(&path)?, b" emorst");
///     }
///     Err(error) => println!("it cannot be had for oneself: {error}"),
/// }
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("F_WRLCK", "F_SETLEASE", "FILE_SHARE_NONE", "mmap"))]
pub struct Exclusive {
    start: NonNull<u8>,
    len: usize,
    kept: Kept,
}

/// What keeps the bytes where they are. The fields are dropped in this order.
enum Kept {
    Nothing,
    Leased(Leased),
    Alone { patched: Patched, mapped: Mapped, file: OwnFile },
}

// SAFETY: bytes that are the file's and nobody else's; whoever has the view has them.
unsafe impl Send for Exclusive {}
// SAFETY: as above; `&self` reads, flushes and asks.
unsafe impl Sync for Exclusive {}

impl Exclusive {
    /// The whole of a file that exists.
    ///
    /// Linux: openat, fcntl, fstatfs, fstat, mmap, madvise, the ones of a
    /// [`Reservation`](crate::vm::Reservation), and of
    /// [`Watch::new`](crate::fault::Watch::new). Windows: `CreateFile`, and
    /// the ones of [`Section::view_mut`].
    ///
    /// # Errors
    /// What opening the file can fail with, [`Section::of_file`] and [`Section::view_mut`]; and as
    /// [`Error`]s of `Op::Hold`:
    /// - `InUse`: somebody else has the file open, or a view of it.
    /// - `Denied`: it is another user's, or too many files are open.
    /// - `Unsupported`: this system, or this file system, keeps nobody out.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = claim(path.as_ref(), File::options().read(true).write(true))?;
        Ok(Self::map(file)?)
    }

    /// A file of `len` bytes that read zero. One that exists is emptied first, after it is known
    /// that nobody else has it. The disk's place for it is taken now.
    ///
    /// Those of [`open`](Self::open), and fallocate; on Windows `SetFileInformationByHandle`.
    ///
    /// # Errors
    /// - As for [`open`](Self::open).
    /// - `DiskFull`: the disk has no place for it.
    pub fn create(path: impl AsRef<Path>, len: u64) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = claim(path.as_ref(), &mut options)?;
        let number = file.backing().file;
        // SAFETY: (1) ours; (2) nobody else has it.
        unsafe { sys::set_len(number, 0) }
            // SAFETY: (1) ours.
            .and_then(|()| unsafe { sys::allocate_len(number, 0, len) })
            .map_err(|errno| errno.of(Op::Resize, 0, len as usize))?;
        Ok(Self::map(file)?)
    }

    fn map(file: OwnFile) -> Result<Self, Error> {
        // SAFETY: (1) ours, and open.
        let section = unsafe { Section::from_raw(file.backing().file, Access::Write) }?;
        let range = section.all();
        if section.is_empty() {
            return Ok(Exclusive { start: NonNull::dangling(), len: 0, kept: Kept::Nothing });
        }
        let mapped = Mapped::new(&section, range, Sharing::Write, Keeps::Nothing)?;
        let (start, len) = (mapped.as_ptr(), mapped.len());
        drop(section);
        let kept = if file.is_leased() {
            Kept::Leased(Leased::new(file, mapped, Access::Write, keeper::break_time())?)
        } else {
            // SAFETY: (1) it is kept, and goes after this.
            let patched = unsafe { Patched::new(&mapped, file.backing()) };
            let patched = patched.map_err(|error| error.as_part_of_file(Op::Hold, 0, len))?;
            Kept::Alone { patched, mapped, file }
        };
        Ok(Exclusive { start, len, kept })
    }

    /// Brings what was written to the pages of `range` to the disk, as
    /// [`ViewMut::flush`](crate::section::ViewMut::flush) does.
    ///
    /// # Errors
    /// - As there.
    /// - `Detached`: somebody else has got the file. What was written before is in it; what was
    ///   written since is in this view only.
    /// - `Truncated`: a part of the file is lost ([`is_intact`](Self::is_intact)).
    pub fn flush(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        let flushed = match &self.kept {
            Kept::Nothing if range == (0..0) => Ok(()),
            Kept::Nothing => {
                let len = range.end.saturating_sub(range.start);
                Err(Error::new(Op::Flush, ErrorKind::OutOfRange, range.start, len, 0))
            }
            Kept::Alone { mapped, file, .. } => {
                mapped.flush_to(file.backing(), range.clone(), durability)
            }
            Kept::Leased(leased) => {
                leased.mapped().flush_to(leased.file(), range.clone(), durability)
            }
        };
        // Asked afterwards: it may have happened meanwhile.
        let refused = |kind| Err(Error::new(Op::Flush, kind, range.start, range.len(), 0));
        match flushed {
            Ok(()) if self.is_detached() => refused(ErrorKind::Detached),
            Ok(()) if range.end > self.valid_len() => refused(ErrorKind::Truncated),
            told => told,
        }
    }

    /// True as long as no page is known to be lost: see [`Frozen::is_intact`]. Of a view that was
    /// detached in time all pages are there.
    ///
    /// [`Frozen::is_intact`]: super::Frozen::is_intact
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.valid_len() == self.len
    }

    /// How many bytes are known not to be lost. It becomes less when a touch finds out, and never
    /// more.
    #[must_use]
    pub fn valid_len(&self) -> usize {
        let valid = match &self.kept {
            Kept::Nothing => 0,
            Kept::Leased(leased) => leased.valid(),
            Kept::Alone { patched, .. } => patched.valid(),
        };
        valid.min(self.len)
    }

    /// True if somebody waits for the file: drop the view soon.
    ///
    /// Linux: fcntl(F_GETLEASE). Elsewhere nobody can wait.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        matches!(&self.kept, Kept::Leased(leased) if leased.is_wanted())
    }

    /// True if somebody else has got the file: what is written here is in no file any more.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        matches!(&self.kept, Kept::Leased(leased) if !leased.is_held())
    }

    /// How long somebody who wants the file waits before this view is detached. At most half of
    /// what the system allows; zero lets him have it at once.
    pub fn set_patience(&self, patience: Duration) {
        if let Kept::Leased(leased) = &self.kept {
            leased.set_patience(patience);
        }
    }

    /// The bytes as values of another type.
    ///
    /// # Errors
    /// - `OutOfRange`: the length is no multiple of the type's size.
    pub fn as_slice_of<T: Pod>(&self) -> Result<&[T], Error> {
        pod::cast(self, 0)
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// As for [`as_slice_of`](Self::as_slice_of).
    pub fn as_mut_slice_of<T: Pod>(&mut self) -> Result<&mut [T], Error> {
        pod::cast_mut(self, 0)
    }
}

/// Opens a file that nobody else has open.
fn claim(path: &Path, options: &mut OpenOptions) -> io::Result<OwnFile> {
    sys::keep_others_out(options, Access::Write);
    let file = options.open(path).map_err(|error| match in_use(&error) {
        Some(error) => error.into(),
        None => error,
    })?;
    // What is no file of bytes is told as such.
    drop(Section::of_file(&file, Access::Write)?);
    // SAFETY: (1) opened a moment ago.
    let mut file = unsafe { OwnFile::new(sys::into_number(file)) };
    // SAFETY: (1) ours.
    let proof = unsafe { sys::standing_proof(file.backing().file) };
    match proof.map_err(|errno| errno.of(Op::Hold, 0, 0))? {
        Some(Proof::ShareMode) => {}
        _ => file.lease(Access::Write)?,
    }
    Ok(file)
}

impl Deref for Exclusive {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: mapped, and initialised by the system; nobody else has the file, and `&self`
        // keeps our own writes away.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Exclusive {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped for writing; nobody else has the file, and this borrow is the only one of
        // this view.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Exclusive {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Exclusive {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_detached() { ", detached" } else { "" };
        write!(out, "Exclusive({} bytes{state})", self.len)
    }
}
