//! Floor 4, uses floors 0 to 3. What the system's cache has of a file.

use super::Section;
use super::mapped::{Keeps, Mapped};
use crate::error::{Error, Op};
use crate::sys::{self, Access, CacheState, Sharing};
use core::ops::Range;

impl Section {
    /// How much of `range` lies in the system's cache of files, and how much of that the disk does
    /// not have yet. Nothing is read or brought into memory.
    ///
    /// Linux: fstat, cachestat; before 6.5 mmap, mincore and munmap. Windows, macOS and FreeBSD
    /// do not tell.
    ///
    /// # Errors
    /// - `OutOfRange`, `Truncated`: as for [`view`](Self::view).
    /// - `Denied`: Linux tells only who may write to the file, or owns it.
    /// - `Unsupported`: the system does not tell.
    pub fn cached(&self, range: Range<u64>) -> Result<CacheState, Error> {
        let len = self.check(&range).map_err(|error| error.as_part_of(Op::Query))?;
        if len == 0 {
            return Ok(CacheState::default());
        }
        // SAFETY: (1) ours, and open; (2) not empty, and inside.
        unsafe { sys::cache_state(self.backing, range.start, len) }
            .map_err(|errno| errno.of(Op::Query, range.start as usize, len))
    }

    /// How much of `range` a view of it would see through huge pages, which make long ways through
    /// a file quicker: the cache has to have them, and the view has to lie right.
    ///
    /// A view is made for that and taken away. What is not in memory is not read.
    ///
    /// Linux: those of [`cached`](Self::cached) for each huge page, mmap, madvise
    /// (MADV_POPULATE_READ), ioctl (PAGEMAP_SCAN), munmap. Where there are no huge pages it is 0.
    ///
    /// # Errors
    /// - Those of [`cached`](Self::cached) and [`view`](Self::view).
    pub fn cached_huge(&self, range: Range<u64>) -> Result<u64, Error> {
        let as_query = |error: Error| error.as_part_of(Op::Query);
        let (huge_len, len) = (sys::huge_page_len(), self.check(&range).map_err(as_query)?);
        if huge_len == 0 || len < huge_len {
            return Ok(0);
        }
        let view =
            Mapped::new(self, range.clone(), Sharing::Read, Keeps::Nothing).map_err(as_query)?;
        let mut piece = range.start.next_multiple_of(huge_len as u64);
        while let Some(end) = piece.checked_add(huge_len as u64).filter(|&end| end <= range.end) {
            if self.cached(piece..end)?.resident == huge_len as u64 {
                let place = (piece - range.start) as usize;
                if let Some((start, len)) = view.pages(&(place..place + 1), Op::Query)? {
                    // SAFETY: (1) whole pages of this view, which may be read; they stay.
                    unsafe { sys::populate(start, len, Access::Read) }
                        .map_err(|errno| errno.of(Op::Query, piece as usize, huge_len))?;
                }
            }
            piece = end;
        }
        let Some((start, len)) = view.pages(&(0..view.len()), Op::Query)? else { return Ok(0) };
        let len = len.next_multiple_of(sys::limits().page_len);
        // SAFETY: (1) all of a view that is ours.
        let huge = unsafe { sys::huge_len(start, len) };
        huge.map(|len| len as u64).map_err(|errno| errno.of(Op::Query, range.start as usize, len))
    }
}
