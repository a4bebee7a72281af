//! Floor 4, uses floors 0 to 3. Views as slices: the caller keeps still what lies under them.

use super::mapped::{Keeps, Mapped};
use super::{Access, Pod, Section, pod};
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Durability, Errno, Sharing};
use core::fmt;
use core::ops::{Deref, DerefMut, Range};

/// A part of a file, to be read.
///
/// ```
/// use granule::section::View;
/// # let path = std::env::temp_dir().join(format!("granule-view-{}", std::process::id()));
/// std::fs::write(&path, "some text")?;
/// // SAFETY: (1), (2): the file is this program's own.
/// let text = unsafe { View::open(&path) }?;
/// assert!(text.starts_with(b"some"));
/// # drop(text);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("MapViewOfFile", "mmap"))]
pub struct View(Mapped);

impl View {
    /// # Safety
    /// 1. As for [`Section::view`].
    pub(super) unsafe fn map(section: &Section, range: Range<u64>) -> Result<Self, Error> {
        Mapped::new(section, range, Sharing::Read, Keeps::Nothing).map(View)
    }

    /// The whole file in one step: opened, mapped, and closed again. The view stays.
    ///
    /// # Errors
    /// What opening the file can fail with, and [`Section::of_file`] and [`Section::view`].
    ///
    /// # Safety
    /// 1. and 2. As for [`Section::view`].
    #[cfg(feature = "std")]
    pub unsafe fn open(path: impl AsRef<std::path::Path>) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        let section = Section::of_file(&file, Access::Read)?;
        // SAFETY: (1), (2).
        Ok(unsafe { section.view(section.all()) }?)
    }

    /// Where the first byte is in the file.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.0.offset()
    }

    /// The bytes as values of another type.
    ///
    /// # Errors
    /// - `Misaligned`: the view does not begin at a multiple of the type's alignment.
    /// - `OutOfRange`: its length is no multiple of the type's size.
    pub fn as_slice_of<T: Pod>(&self) -> Result<&[T], Error> {
        pod::cast(self, self.offset())
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for reading, initialised by the system; that nobody changes or takes these
        // bytes was promised when the view was made.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().as_ptr(), self.0.len()) }
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for View {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "View({} bytes at offset {})", self.0.len(), self.0.offset())
    }
}

/// A part of a file, to be read and written. What is written is in the file at once, for whoever
/// reads it, and on the disk some time later, or after [`flush`](Self::flush).
///
/// The notes' example, a file that is sorted by sorting memory:
///
/// ```
/// use granule::section::{Durability, ViewMut};
/// # let path = std::env::temp_dir().join(format!("granule-view-mut-{}", std::process::id()));
/// std::fs::write(&path, "sort me")?;
/// // SAFETY: (1) to (3): the file is this program's own, and mapped once.
/// let mut bytes = unsafe { ViewMut::open(&path) }?;
/// bytes.sort_unstable();
/// bytes.flush(0..bytes.len(), Durability::Data)?;
/// assert_eq!(std::fs::read(&path)?, b" emorst");
/// # drop(bytes);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("MapViewOfFile", "mmap"))]
pub struct ViewMut(Mapped);

impl ViewMut {
    /// # Safety
    /// 1. As for [`Section::view_mut`].
    pub(super) unsafe fn map(section: &Section, range: Range<u64>) -> Result<Self, Error> {
        if section.access() != Access::Write {
            let len = range.end.saturating_sub(range.start) as usize;
            return Err(Error::new(Op::Map, ErrorKind::Denied, range.start as usize, len, 0));
        }
        Mapped::new(section, range, Sharing::Write, Keeps::File).map(ViewMut)
    }

    /// The whole file in one step: opened for reading and writing, and mapped.
    ///
    /// # Errors
    /// What opening the file can fail with, and [`Section::of_file`] and [`Section::view_mut`].
    ///
    /// # Safety
    /// 1. to 3. As for [`Section::view_mut`].
    #[cfg(feature = "std")]
    pub unsafe fn open(path: impl AsRef<std::path::Path>) -> std::io::Result<Self> {
        let file = std::fs::File::options().read(true).write(true).open(path)?;
        // SAFETY: (1) to (3).
        Ok(unsafe { Self::of_file(&file) }?)
    }

    /// The whole of a file that is open for reading and writing.
    ///
    /// # Errors
    /// Those of [`Section::of_file`] and [`Section::view_mut`].
    ///
    /// # Safety
    /// 1. to 3. As for [`Section::view_mut`].
    #[cfg(feature = "std")]
    pub unsafe fn of_file(file: &std::fs::File) -> Result<Self, Error> {
        let section = Section::of_file(file, Access::Write)?;
        // SAFETY: (1) to (3).
        unsafe { section.view_mut(section.all()) }
    }

    /// Where the first byte is in the file.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.0.offset()
    }

    /// The bytes as values of another type.
    ///
    /// # Errors
    /// - `Misaligned`: the view does not begin at a multiple of the type's alignment.
    /// - `OutOfRange`: its length is no multiple of the type's size.
    pub fn as_slice_of<T: Pod>(&self) -> Result<&[T], Error> {
        pod::cast(self, self.offset())
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// As for [`as_slice_of`](Self::as_slice_of).
    pub fn as_mut_slice_of<T: Pod>(&mut self) -> Result<&mut [T], Error> {
        let offset = self.offset();
        pod::cast_mut(self, offset)
    }

    /// Brings what was written to the pages of `range` to the disk; [`Durability`] says how far.
    /// Nothing for memory ([`Section::anonymous`]).
    ///
    /// For the calls see [`Durability`]. Linux keeps files in pieces of one page to some hundred,
    /// as they were written or read, and a store makes its whole piece one to be written.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted, or leaves the view.
    /// - `DiskFull`: the disk had no place for what was written.
    /// - `Other`: the disk could not write it. The bytes are still in memory, but whether another
    ///   flush writes them is up to the system: Linux forgets that they were to be written.
    pub fn flush(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        self.0.flush(range, durability)
    }

    /// Writes bytes to `place` and brings them to the disk, which for a few is quicker than a store
    /// and a [`flush`](Self::flush): only what they touch is written, and not the whole piece of
    /// the cache.
    ///
    /// Linux: fcntl, pwrite64, and sync_file_range, fdatasync or fsync. macOS and FreeBSD: the
    /// same with fsync. Windows, files open for appending, and memory: a store and a flush.
    ///
    /// # Errors
    /// - `OutOfRange`: they leave the view.
    /// - As for [`flush`](Self::flush).
    pub fn write_through(
        &mut self,
        place: usize,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), Error> {
        let range = place..place.saturating_add(bytes.len());
        if self.0.pages(&range, Op::Flush)?.is_none() {
            return Ok(());
        }
        let offset = self.offset() as usize + place;
        let failed = |errno: Errno| errno.of(Op::Flush, offset, bytes.len());
        // SAFETY: (1) a view for writing; `&mut self`: nobody has a slice.
        if unsafe { self.0.write_past(place, bytes) }.map_err(failed)? {
            return self.0.sync(range, durability).map_err(failed);
        }
        self[range.clone()].copy_from_slice(bytes);
        self.flush(range, durability)
    }

    /// Brings the pages of `range` into memory now, ready to be written: one call instead of a
    /// fault for each piece of the cache.
    ///
    /// It is `Always` of [`prefault`](crate::section::prefault), which also has a rule for when and
    /// how that is quicker.
    ///
    /// Linux: madvise(MADV_POPULATE_WRITE). Elsewhere the pages are touched.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted, or leaves the view.
    /// - `Other`, `NoMemory`: a page could not be read, or found no place.
    pub fn populate(&mut self, range: Range<usize>) -> Result<(), Error> {
        let Some((start, len)) = self.0.pages(&range, Op::Populate)? else { return Ok(()) };
        // SAFETY: (1) whole pages of this view, which may be written; the content stays.
        unsafe { sys::populate(start, len, Access::Write) }
            .map_err(|errno| errno.of(Op::Populate, start.addr().get(), len))
    }
}

impl Deref for ViewMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for reading, initialised by the system; that nobody else changes or takes
        // these bytes was promised when the view was made, and `&self` keeps our own writes away.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().as_ptr(), self.0.len()) }
    }
}

impl DerefMut for ViewMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped for writing; that nobody else has these bytes was promised when the view
        // was made, and this borrow is the only one of this view.
        unsafe { core::slice::from_raw_parts_mut(self.0.as_ptr().as_ptr(), self.0.len()) }
    }
}

impl AsRef<[u8]> for ViewMut {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for ViewMut {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for ViewMut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ViewMut({} bytes at offset {})", self.0.len(), self.0.offset())
    }
}
