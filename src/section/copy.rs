//! Floor 4, uses floors 0 to 3. Copy on write: a view whose writes stay here until they are
//! committed, page by page.

use super::mapped::{Keeps, Mapped};
use super::{Access, Pod, Section, pod};
use crate::addr::{align_down, align_up};
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Durability, Errno, Sharing};
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut, Range};
use core::ptr::NonNull;

/// A part of a file to be read and written, whose writes stay here: a page is copied when it is
/// first written, and the file does not learn of it, unless the view is committed.
///
/// ```
/// use granule::section::{Access, Durability, Section};
/// # let path = std::env::temp_dir().join(format!("granule-cow-{}", std::process::id()));
/// std::fs::write(&path, "abc")?;
/// let file = std::fs::File::options().read(true).write(true).open(&path)?;
/// let section = Section::of_file(&file, Access::Write)?;
/// // SAFETY: (1), (2): the file is this program's own.
/// let mut copy = unsafe { section.view_copy(0..3) }?;
/// copy[0] = b'X';
/// assert_eq!(std::fs::read(&path)?, b"abc");
/// copy.discard(0..3)?; // as if nothing had been written
/// copy[1] = b'Y';
/// copy.commit(Durability::Data)?; // now the file learns of it
/// assert_eq!(std::fs::read(&path)?, b"aYc");
/// # drop((copy, section, file));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("FILE_MAP_COPY", "PAGE_WRITECOPY", "MAP_PRIVATE", "copy-on-write"))]
pub struct CowView {
    mapped: Mapped,
    access: Access,
}

impl CowView {
    /// # Safety
    /// 1. As for [`Section::view_copy`].
    pub(super) unsafe fn map(section: &Section, range: Range<u64>) -> Result<Self, Error> {
        let mapped = Mapped::new(section, range, Sharing::Copy, Keeps::Backing)?;
        Ok(CowView { mapped, access: section.access() })
    }

    /// The whole file in one step: opened for reading, mapped, and closed again. It cannot be
    /// committed.
    ///
    /// # Errors
    /// What opening the file can fail with, and [`Section::of_file`] and [`Section::view_copy`].
    ///
    /// # Safety
    /// 1. and 2. As for [`Section::view_copy`].
    #[cfg(feature = "std")]
    pub unsafe fn open(path: impl AsRef<std::path::Path>) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        let section = Section::of_file(&file, Access::Read)?;
        // SAFETY: (1), (2).
        Ok(unsafe { section.view_copy(section.all()) }?)
    }

    /// Where the first byte is in the file.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.mapped.offset()
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

    /// The pages that were written since the view was made, committed or discarded, in order and as
    /// runs of bytes of the view.
    ///
    /// On Linux they are the pages that the kernel has copied, whatever was written to them: 1 GiB
    /// takes some 20 ms. Elsewhere, and where the kernel does not say, the view is compared with
    /// the file, so that a page that was written and is the same again is not among them.
    ///
    /// Linux: pread64 of /proc/self/pagemap. Windows, macOS, FreeBSD: those of
    /// [`Section::view`].
    ///
    /// # Errors
    /// Of the iterator: those of [`Section::view`], with `Op::Written`.
    pub fn dirty_ranges(&self) -> DirtyRanges<'_> {
        DirtyRanges { view: self, next: 0, twin: None }
    }

    /// Writes the pages that were written here to the file, and no others, as far as `durability`
    /// says; the view then shows the file again. Tells how many bytes that were.
    ///
    /// A disk that is full is found out before the first byte is written. What is written is not
    /// written in one step: a crash in between leaves some pages old and some new.
    ///
    /// Linux: those of [`dirty_ranges`](Self::dirty_ranges), fallocate, mmap, pwrite64, and
    /// sync_file_range, fdatasync or fsync; madvise, munmap.
    /// Windows: `MapViewOfFile`, `FlushViewOfFile`, `FlushFileBuffers`, `UnmapViewOfFile`.
    ///
    /// # Errors
    /// The view is as it was, and can be committed again.
    /// - `Denied`: the section is for reading only.
    /// - `DiskFull`: there is no place for a page that was a hole in the file.
    /// - `Truncated`: the file has become shorter than the view.
    /// - Those of [`Section::view_mut`] and [`ViewMut::flush`](super::ViewMut::flush).
    pub fn commit(&mut self, durability: Durability) -> Result<usize, Error> {
        let len = self.mapped.len();
        if self.access != Access::Write {
            return Err(self.mapped.error(Op::Commit, ErrorKind::Denied, 0, len));
        }
        let as_commit = |error: Error| error.as_part_of(Op::Commit);
        let offset = self.offset();
        let failed = |errno: Errno, run: &Range<usize>| {
            errno.in_step(Op::Flush, Op::Commit, offset as usize + run.start, run.len())
        };
        let file = self.mapped.file().file;
        for run in self.dirty_ranges() {
            let run = run.map_err(as_commit)?;
            let [from, to] = [run.start, run.end].map(|place| self.offset() + place as u64);
            if file != sys::Backing::NOTHING {
                // SAFETY: (1) ours, and open.
                unsafe { sys::allocate_len(file, from, to) }.map_err(|errno| {
                    errno.in_step(Op::Resize, Op::Commit, from as usize, run.len())
                })?;
            }
        }
        let mut bytes = 0;
        let mut written: Option<Range<usize>> = None;
        let mut is_past = false;
        let target = self.twin(Sharing::Write).map_err(as_commit)?;
        for run in self.dirty_ranges() {
            let run = run.map_err(as_commit)?;
            // SAFETY: (1) the section is for writing; a copy has slices of its own pages only.
            is_past = unsafe { self.mapped.write_past(run.start, &self[run.clone()]) }
                .map_err(|errno| failed(errno, &run))?;
            if !is_past {
                // SAFETY: inside the view.
                let from = unsafe { self.mapped.as_ptr().add(run.start) };
                // SAFETY: inside the twin, which is as long.
                let to = unsafe { target.as_ptr().add(run.start) };
                // SAFETY: both are mapped, and different addresses; nobody has a slice of the file.
                unsafe { from.copy_to_nonoverlapping(to, run.len()) };
            }
            bytes += run.len();
            written = Some(written.map_or(run.start, |first| first.start)..run.end);
        }
        if let Some(written) = written {
            // What lies between the runs is clean, and costs nothing.
            if is_past {
                let synced = self.mapped.sync(written.clone(), durability);
                synced.map_err(|errno| failed(errno, &written))?;
            } else {
                target.flush(written, durability).map_err(as_commit)?;
            }
        }
        self.discard(0..len).map_err(as_commit)?;
        Ok(bytes)
    }

    /// Forgets what was written to the pages of `range`: they show the file again.
    ///
    /// On Windows, macOS and FreeBSD the file is copied into them: their memory does not go back.
    ///
    /// Linux: madvise(MADV_DONTNEED). Elsewhere those of [`Section::view`].
    ///
    /// # Errors
    /// - `OutOfRange`: the range is inverted, or leaves the view.
    /// - Those of [`Section::view`], where the file is copied.
    pub fn discard(&mut self, range: Range<usize>) -> Result<(), Error> {
        let Some((start, len)) = self.mapped.pages(&range, Op::Discard)? else { return Ok(()) };
        let page_len = sys::limits().page_len;
        let whole = align_up(len, page_len).unwrap_or(len);
        // SAFETY: (1) whole pages of this view; (2) that is what the caller wants.
        if unsafe { sys::forget_copies(start, whole) }.is_ok() {
            return Ok(());
        }
        let twin = self.twin(Sharing::Read).map_err(|error| error.as_part_of(Op::Discard))?;
        let (first, lead) = self.mapped.start();
        let from = (start.addr().get() - first.addr().get()).max(lead) - lead;
        let to = align_up(range.end + lead, page_len).map_or(range.end, |end| end - lead);
        let len = to.min(self.mapped.len()) - from;
        // SAFETY: inside the twin.
        let source = unsafe { twin.as_ptr().add(from) };
        // SAFETY: inside the view.
        let target = unsafe { self.mapped.as_ptr().add(from) };
        // SAFETY: both are mapped, and different addresses; `&mut self`: nobody has a slice.
        unsafe { source.copy_to_nonoverlapping(target, len) };
        Ok(())
    }

    /// Another view of the same bytes, which shows the file.
    fn twin(&self, sharing: Sharing) -> Result<Mapped, Error> {
        let (offset, len) = (self.mapped.offset(), self.mapped.len());
        let range = offset..offset + len as u64;
        let backing = self.mapped.file();
        // The view keeps the backing, and closes it.
        let section = Section { backing, len: range.end, access: self.access };
        Mapped::new(&ManuallyDrop::new(section), range, sharing, Keeps::File)
    }
}

impl Deref for CowView {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for reading, initialised by the system; that nobody changes or takes the
        // pages that are still the file's was promised when the view was made.
        unsafe { core::slice::from_raw_parts(self.mapped.as_ptr().as_ptr(), self.mapped.len()) }
    }
}

impl DerefMut for CowView {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped for writing, into copies that only this view has; as above.
        unsafe { core::slice::from_raw_parts_mut(self.mapped.as_ptr().as_ptr(), self.mapped.len()) }
    }
}

impl fmt::Debug for CowView {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CowView({} bytes at offset {})", self.mapped.len(), self.mapped.offset())
    }
}

/// The written pages of a [`CowView`].
///
/// See [`CowView::dirty_ranges`].
#[derive(Debug)]
pub struct DirtyRanges<'a> {
    view: &'a CowView,
    /// Where to go on, in bytes of the view.
    next: usize,
    /// The file, where it has to be compared with.
    twin: Option<Mapped>,
}

impl DirtyRanges<'_> {
    /// The next run from `self.next` on, as the system tells it.
    fn told(&self) -> Result<Option<Range<usize>>, Errno> {
        let page_len = sys::limits().page_len;
        let mapped = &self.view.mapped;
        let (start, lead) = mapped.start();
        let from = align_down(lead + self.next, page_len);
        // SAFETY: inside the view.
        let first = unsafe { start.add(from) };
        let len = lead + mapped.len() - from;
        // SAFETY: (1) whole pages of the view, the last one as far as it is asked for.
        let found = unsafe { sys::first_copies(first, len) }?;
        let of_view = |place: usize| (from + place).max(lead) - lead;
        Ok(found.map(|run| of_view(run.start)..of_view(run.end).min(mapped.len())))
    }

    /// The same by looking: pages that differ from the file's.
    fn compared(&mut self) -> Result<Option<Range<usize>>, Error> {
        let mapped = &self.view.mapped;
        if self.twin.is_none() {
            let as_question = |error: Error| error.as_part_of(Op::Written);
            self.twin = Some(self.view.twin(Sharing::Read).map_err(as_question)?);
        }
        let Some(twin) = &self.twin else { return Ok(None) };
        let (page_len, lead, len) = (sys::limits().page_len, mapped.start().1, mapped.len());
        let bytes = |ptr: NonNull<u8>| {
            // SAFETY: both views are as long, and nobody changes the file or, while they are
            // borrowed, the copies.
            unsafe { core::slice::from_raw_parts(ptr.as_ptr(), len) }
        };
        let (here, there) = (bytes(mapped.as_ptr()), bytes(twin.as_ptr()));
        let mut place = self.next;
        let mut begin = None;
        while place < len {
            let end = (align_down(lead + place, page_len) + page_len - lead).min(len);
            match (begin, here[place..end] != there[place..end]) {
                (None, true) => begin = Some(place),
                (Some(begin), false) => return Ok(Some(begin..place)),
                _ => {}
            }
            place = end;
        }
        Ok(begin.map(|begin| begin..len))
    }
}

impl Iterator for DirtyRanges<'_> {
    type Item = Result<Range<usize>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = self.view.mapped.len();
        if self.next >= len {
            return None;
        }
        let told = if self.twin.is_none() { self.told().ok() } else { None };
        match told.map_or_else(|| self.compared(), Ok) {
            Ok(Some(run)) => {
                self.next = run.end;
                Some(Ok(run))
            }
            Ok(None) => {
                self.next = len;
                None
            }
            Err(error) => {
                self.next = len;
                Some(Err(error))
            }
        }
    }
}
