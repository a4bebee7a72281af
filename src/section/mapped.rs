//! Floor 4, uses floors 0 to 3. What all views have in common: the addresses, and the file.

use super::Section;
use crate::addr::align_down;
use crate::error::{Call, Error, ErrorKind, Op};
use crate::sys::{self, Backing, Durability, Errno, Sharing};
use core::ops::Range;
use core::ptr::NonNull;

/// What a view keeps open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Nothing,
    /// The file, to be flushed.
    File,
    /// That, and what more views can be made of.
    Backing,
}

/// A mapped range of a section. Dropping it takes the addresses away.
///
/// ```text
///   offsets   step                                      step = page, on Windows 64 KiB
///             |       | view ....................|      |
///   addresses ^start  ^start + lead              ^start + lead + len
/// ```
#[derive(Debug)]
pub(super) struct Mapped {
    start: NonNull<u8>,
    /// Bytes that are mapped before the first one that was asked for.
    lead: usize,
    len: usize,
    /// Where the first one that was asked for is in the file.
    offset: u64,
    /// What is kept of the section's backing.
    file: Backing,
}

// SAFETY: a range of addresses and the number of a file, which are the process' and not a thread's.
// Who may touch the bytes is for the views to say.
unsafe impl Send for Mapped {}
// SAFETY: as above; `&self` tells, and flushes, which any thread may do at any time.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps a range.
    pub(super) fn new(
        section: &Section,
        range: Range<u64>,
        sharing: Sharing,
        keeps: Keeps,
    ) -> Result<Self, Error> {
        let len = section.check(&range)?;
        let failed = |errno: Errno| errno.of(Op::Map, range.start as usize, len);
        let lead = range.start as usize - align_down(range.start as usize, sys::view_step());
        let mut mapped =
            Mapped { start: NonNull::dangling(), lead, len, offset: range.start, file: NO_FILE };
        if len == 0 {
            return Ok(Mapped { lead: 0, ..mapped });
        }
        if keeps != Keeps::Nothing {
            let is_whole = keeps == Keeps::Backing;
            // SAFETY: (1) ours, and open.
            let again = unsafe { sys::backing_again(section.backing, is_whole) };
            mapped.file = again.inspect_err(|_| mapped.len = 0).map_err(failed)?;
        }
        let first = range.start - lead as u64;
        // SAFETY: (1) ours, and open.
        let start = unsafe { sys::map_view(section.backing, first, lead + len, sharing) };
        match start {
            Ok(start) => mapped.start = start,
            Err(errno) => {
                mapped.len = 0; // there is nothing to take away but the file
                return Err(failed(errno));
            }
        }
        Ok(mapped)
    }

    /// The first byte; all of them are there, with the rights that were asked for.
    pub(super) const fn as_ptr(&self) -> NonNull<u8> {
        // SAFETY: inside the view, or at its end.
        unsafe { self.start.add(self.lead) }
    }

    /// Where the mapped pages begin, and how many bytes of them lie before the first one.
    pub(super) const fn start(&self) -> (NonNull<u8>, usize) {
        (self.start, self.lead)
    }

    /// The file that was kept.
    pub(super) const fn file(&self) -> Backing {
        self.file
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of `range` as whole pages: where they begin and how long they are. `None` if there
    /// are none.
    pub(super) fn pages(
        &self,
        range: &Range<usize>,
        op: Op,
    ) -> Result<Option<(NonNull<u8>, usize)>, Error> {
        let len = range.end.saturating_sub(range.start);
        if range.start > range.end || range.end > self.len {
            return Err(self.error(op, ErrorKind::OutOfRange, range.start, len));
        }
        if len == 0 {
            return Ok(None);
        }
        let from = align_down(self.lead + range.start, sys::limits().page_len);
        // SAFETY: inside the view.
        let start = unsafe { self.start.add(from) };
        Ok(Some((start, self.lead + range.end - from)))
    }

    /// An error about a range of the view.
    pub(super) const fn error(&self, op: Op, kind: ErrorKind, start: usize, len: usize) -> Error {
        Error::new(op, kind, (self.offset as usize).saturating_add(start), len, 0)
    }

    /// See [`ViewMut::flush`](super::ViewMut::flush).
    pub(super) fn flush(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        self.flush_to(self.file, range, durability)
    }

    /// The same for a view whose file somebody else keeps.
    pub(super) fn flush_to(
        &self,
        file: Backing,
        range: Range<usize>,
        durability: Durability,
    ) -> Result<(), Error> {
        let Some((start, len)) = self.pages(&range, Op::Flush)? else { return Ok(()) };
        if file.file == Backing::NOTHING {
            return Ok(());
        }
        let before = start.addr().get() - self.start.addr().get();
        let offset = self.offset - self.lead as u64 + before as u64;
        // SAFETY: (1) whole pages of this view of the file.
        unsafe { sys::flush_view(file, offset, start, len, durability) }
            .map_err(|errno| errno.of(Op::Flush, offset as usize, len))
    }
}

impl Mapped {
    /// Writes `bytes`, which fit, to the file at `place` of the view, past the view, which shows
    /// them. False: that is not possible, and nothing was written.
    ///
    /// A store through a view makes the whole piece of the cache dirty that it lies in, up to some
    /// mebibytes; this does not.
    ///
    /// # Safety
    /// 1. The view is one for writing, or a copy whose section is; nobody has a slice of the bytes
    ///    of the file that are written.
    pub(super) unsafe fn write_past(&self, place: usize, bytes: &[u8]) -> Result<bool, Errno> {
        if self.file.file == Backing::NOTHING {
            return Ok(false);
        }
        // SAFETY: (1) ours, and open; (2) by (1).
        match unsafe { sys::write_file(self.file.file, bytes, self.offset + place as u64) } {
            Err(errno) if errno.1 == Call::None => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Brings what was written past the view to the disk.
    pub(super) fn sync(&self, range: Range<usize>, durability: Durability) -> Result<(), Errno> {
        let from = self.offset + range.start as u64;
        // SAFETY: (1) ours, and open.
        unsafe { sys::sync_range(self.file.file, from, range.len(), durability) }
    }
}

const NO_FILE: Backing = Backing { file: Backing::NOTHING, object: Backing::NOTHING };

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.len > 0 {
            // There is nobody to tell, and nothing left to try.
            // SAFETY: (1) made by `map_view` of this length, and not used again.
            let _ = unsafe { sys::unmap_view(self.start, self.lead + self.len) };
        }
        // SAFETY: (1) ours, and not used again.
        unsafe { sys::close_backing(self.file) }
    }
}
