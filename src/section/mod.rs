//! Floor 4, uses floors 0 to 3. Files as memory: "CreateFileMapping" and "MapViewOfFile".
//!
//! ```text
//!   file      |.......................|      opened by the program
//!   Section   |.......................|      what may be mapped: the file, as long as it is now
//!   views          |=====|   |====|          addresses, at any offset; one file, one content
//! ```
//! A [`Section`] is a file, or memory, that can be mapped. A view is a part of it that lies in the
//! addresses of the process: reading it reads the file, writing to it writes to the file. The notes
//! have three steps (`CreateFile`, `CreateFileMapping`, `MapViewOfFile`), and so has this; `open`
//! of each view does all three.
//!
//! # How safe is a view
//! A file belongs to everybody who may open it. What lies under a `&[u8]` must not change, and what
//! lies under a `&mut [u8]` must be seen by nobody else; no system promises either for an ordinary
//! file. So the tier is in the type:
//!
//! | tier | type | made by | what the caller promises |
//! |---|---|---|---|
//! | raw, read | [`View`] | an `unsafe fn` | nobody changes or shortens the file meanwhile |
//! | racy | [`Racy`] | a safe `fn` | nothing: it has words, and no slices |
//! | frozen | `Frozen` | a safe `fn` | nothing: the system keeps the file still, or it is copied |
//! | exclusive | `Exclusive` | a safe `fn` | nothing: the system keeps everybody else out |
//! | raw, copy | [`CowView`] | an `unsafe fn` | nobody changes or shortens the file meanwhile |
//! | raw, write | [`ViewMut`] | an `unsafe fn` | nobody reads, changes or shortens it meanwhile |
//! | raw, growing | [`GrowMap`] | an `unsafe fn` | nobody changes or shortens the file meanwhile |
//!
//! The last two need the feature `std`. What they rest on, and what keeps others away while they
//! live:
//!
//! | | Linux | Windows | macOS, FreeBSD |
//! |---|---|---|---|
//! | `Frozen` | seal, fs-verity, or lease: writers wait | share mode: writers are refused | copy |
//! | `Exclusive` | a write lease: everybody waits | share mode: everybody is refused | - |
//! | else | an error; for `Frozen` a copy, if it may be | the same | the same |
//! | a disk that fails | reads zero, and is told | ends the process | cannot harm a copy |
//!
//! Who has a map of his own and wants to keep others away meanwhile takes a `Lease` of the file
//! (Linux).
//!
//! # Values instead of bytes
//! Of each raw view `as_slice_of` makes a slice of numbers, or of other plain data ([`Pod`]).
//!
//! # Where the bytes are
//! In the system's cache of files: no copy is made. What is written stays there when the process
//! dies, and is lost with the power until it is flushed ([`ViewMut::flush`]).

mod cached;
mod copy;
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "files are opened by std"))]
mod grow;
#[cfg(feature = "std")]
mod held;
mod lost;
mod mapped;
mod pod;
mod prefault;
mod racy;
pub mod shared;
#[cfg(all(test, feature = "std"))]
mod tests;
mod view;
mod word;

pub use crate::sys::{CacheState, Durability};
pub use crate::vm::Access;
pub use copy::{CowView, DirtyRanges};
pub use grow::{GrowAppender, GrowBuilder, GrowMap, GrowReader, Recovered};
#[cfg(feature = "std")]
pub use held::{Exclusive, FreezePolicy, Frozen, Lease, Proof};
pub use pod::{Pod, bytes_of};
pub use prefault::{Prefault, prefault};
pub use racy::Racy;
pub use view::{View, ViewMut};
pub use word::Word;

use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Backing, Errno};
use core::ops::Range;

/// A file, or memory, that can be mapped.
///
/// It is as long as the file was when it was made, as on Windows. It holds its own handle of the
/// file: the one that it was made from can be closed.
///
/// ```
/// use granule::section::{Access, Section};
/// # let path = std::env::temp_dir().join(format!("granule-section-{}", std::process::id()));
/// std::fs::write(&path, "one two three")?;
/// let file = std::fs::File::open(&path)?;
/// let section = Section::of_file(&file, Access::Read)?;
/// // SAFETY: (1), (2): the file is this program's own.
/// let word = unsafe { section.view(4..7) }?;
/// assert_eq!(&word[..], b"two");
/// # drop((word, section, file));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias("CreateFileMapping", "memfd_create", "mmap"))]
pub struct Section {
    backing: Backing,
    len: u64,
    access: Access,
}

impl Section {
    /// The file as it is now. With [`Access::Read`] it has to be open for reading, and can be
    /// viewed and copied; with [`Access::Write`] it has to be open for reading and writing.
    ///
    /// Linux: fcntl twice, fstat. Windows: `GetFileType`, `DuplicateHandle`, `GetFileSizeEx`,
    /// `CreateFileMapping` (with `PAGE_WRITECOPY` or `PAGE_READWRITE`; none for an empty file).
    ///
    /// # Errors
    /// - `Denied`: the file is not open for that, or too many files are.
    /// - `Unsupported`: it is no regular file.
    #[cfg(feature = "std")]
    pub fn of_file(file: &std::fs::File, access: Access) -> Result<Self, Error> {
        // SAFETY: (1) the file is open.
        unsafe { Self::from_raw(sys::number_of(file), access) }
    }

    /// The same for a file that is known by its number: a file descriptor under Unix, a `HANDLE` on
    /// Windows. It stays the caller's, who may close it afterwards.
    ///
    /// # Errors
    /// As for [`of_file`](Self::of_file).
    ///
    /// # Safety
    /// 1. `file` is open, and stays so during the call.
    pub unsafe fn from_raw(file: usize, access: Access) -> Result<Self, Error> {
        // SAFETY: (1).
        match unsafe { sys::file_backing(file, access) } {
            Ok((backing, len)) => Ok(Section { backing, len, access }),
            Err(errno) => Err(errno.of(Op::Map, 0, 0)),
        }
    }

    /// `len` bytes of memory that read zero, and can be viewed more than once. Like a file they are
    /// there until the section and its last view are dropped.
    ///
    /// All of it is promised now. Linux: memfd_create, fallocate. Windows: `CreateFileMapping` of
    /// the page file. macOS, FreeBSD: shm_open, shm_unlink, ftruncate.
    ///
    /// # Errors
    /// - `OutOfRange`: the length is 0.
    /// - `NoMemory`: there is not so much.
    /// - `Denied`: too many files are open, or none may be so long.
    pub fn anonymous(len: usize) -> Result<Self, Error> {
        if len == 0 || len > isize::MAX as usize {
            return Err(Error::new(Op::Map, ErrorKind::OutOfRange, 0, len, 0));
        }
        let backing = sys::memory_backing(len as u64)
            .map_err(|errno| errno.in_step(Op::Mirror, Op::Map, 0, len))?;
        Ok(Section { backing, len: len as u64, access: Access::Write })
    }

    /// How many bytes can be viewed: the length that the file had when the section was made.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// True for an empty file, which has the empty view only.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it can be viewed for.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// The bytes of `range`, to be read. Any offset will do; an empty range is an empty view.
    ///
    /// Linux: fstat, mmap. Windows: `GetFileSizeEx`, `MapViewOfFile`.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted, or leaves the section.
    /// - `Truncated`: it leaves the file, which has become shorter.
    /// - `NoAddressSpace`, `TooManyMappings`: there is no room in the addresses.
    ///
    /// # Safety
    /// While the view lives:
    /// 1. Nobody writes to these bytes: no process, through no view and by no call.
    /// 2. Nobody makes the file shorter than the end of the range. A touch of what is lost ends the
    ///    process (SIGBUS); Windows refuses to shorten a file that is mapped.
    pub unsafe fn view(&self, range: Range<u64>) -> Result<View, Error> {
        // SAFETY: (1), (2).
        unsafe { View::map(self, range) }
    }

    /// The bytes of `range`, to be read and written. What is written is written to the file.
    ///
    /// Linux: fstat, mmap, fcntl. Windows: `GetFileSizeEx`, `MapViewOfFile`, `DuplicateHandle`.
    ///
    /// # Errors
    /// - As for [`view`](Self::view).
    /// - `Denied`: the section is for reading only, or too many files are open.
    ///
    /// # Safety
    /// While the view lives:
    /// 1. Nobody else writes to these bytes: no process, through no view and by no call.
    /// 2. As for [`view`](Self::view).
    /// 3. Nobody else in this process has a slice of them, from another view.
    pub unsafe fn view_mut(&self, range: Range<u64>) -> Result<ViewMut, Error> {
        // SAFETY: (1) to (3).
        unsafe { ViewMut::map(self, range) }
    }

    /// The bytes of `range`, to be read and written. A page is copied when it is first written, and
    /// what is written stays in this view. Any section can be copied.
    ///
    /// Linux: fstat, fcntl, mmap. Windows: `GetFileSizeEx`, `DuplicateHandle`, `MapViewOfFile` with
    /// `FILE_MAP_COPY`, which promises the memory for all of the copies now.
    ///
    /// # Errors
    /// - As for [`view`](Self::view).
    /// - `NoMemory`: so much cannot be promised.
    ///
    /// # Safety
    /// 1. and 2. As for [`view`](Self::view): of the pages that were not written yet.
    pub unsafe fn view_copy(&self, range: Range<u64>) -> Result<CowView, Error> {
        // SAFETY: (1), (2).
        unsafe { CowView::map(self, range) }
    }

    /// The bytes of `range` as words, whoever changes them meanwhile: see [`Racy`]. They can be
    /// written if the section is for writing.
    ///
    /// Linux: fstat, mmap, fcntl, and the calls of [`Watch::new`](crate::fault::Watch::new).
    /// Windows: `GetFileSizeEx`, `MapViewOfFile`, `DuplicateHandle`.
    ///
    /// # Errors
    /// - As for [`view`](Self::view).
    /// - `Misaligned`: the range does not begin and end at multiples of the word.
    /// - `NoMemory`: there is none for the table of watches.
    pub fn racy<T: Word>(&self, range: Range<u64>) -> Result<Racy<T>, Error> {
        Racy::map(self, range)
    }

    /// The whole of it.
    #[cfg(feature = "std")]
    const fn all(&self) -> Range<u64> {
        0..self.len
    }

    /// Refuses a range that is not in the section, or not in the file any more. Its length.
    fn check(&self, range: &Range<u64>) -> Result<usize, Error> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let refused = |kind| Error::new(Op::Map, kind, range.start as usize, len, 0);
        if range.start > range.end || range.end > self.len || len > isize::MAX as usize {
            return Err(refused(ErrorKind::OutOfRange));
        }
        if self.backing.file != Backing::NOTHING {
            let failed = |errno: Errno| errno.of(Op::Map, range.start as usize, len);
            // SAFETY: (1) ours, and open.
            let now = unsafe { sys::stored_len(self.backing) }.map_err(failed)?;
            if now < range.end {
                return Err(refused(ErrorKind::Truncated));
            }
        }
        Ok(len)
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // SAFETY: (1) ours, and not used again.
        unsafe { sys::close_backing(self.backing) }
    }
}
