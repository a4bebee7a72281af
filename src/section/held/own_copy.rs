//! Floor 4, uses floors 0 to 3. Bytes of a file that were read into memory of this process' own.

use crate::error::{Error, ErrorKind, Op};
use crate::section::Section;
use crate::sys::{self, Errno};
use crate::vm::{Protection, Reservation};
use core::ops::Range;
use core::ptr::NonNull;

/// Bytes that are read at a time, and between two looks at the clock.
const STEP: usize = 16 << 20;

/// A copy that can only be read.
#[derive(Debug)]
pub(super) struct OwnCopy {
    /// None for no bytes.
    pages: Option<Reservation>,
    len: usize,
}

impl OwnCopy {
    /// Reads a range of a section's file.
    pub(super) fn of(section: &Section, range: &Range<u64>) -> Result<Self, Error> {
        let len = section.check(range)?;
        if len == 0 {
            return Ok(OwnCopy { pages: None, len });
        }
        let of_file = |error: Error| error.as_part_of_file(Op::Map, range.start, len);
        let pages = Reservation::builder().len(len).untracked().reserve().map_err(of_file)?;
        pages.commit(0..len, Protection::ReadWrite).map_err(of_file)?;
        let (file, start) = (section.backing.file, pages.as_ptr());
        let start = NonNull::new(start).expect("no reservation begins at 0");
        // SAFETY: (1) the section keeps it open; (2) committed, and known to nobody.
        let count = unsafe { fill(file, range.start, start, len, || true) }
            .map_err(|errno| errno.of(Op::Map, range.start as usize, len))?;
        if count < len {
            let start = range.start as usize;
            return Err(Error::new(Op::Map, ErrorKind::Truncated, start, len, 0));
        }
        pages.protect(0..len, Protection::Read).map_err(of_file)?;
        Ok(OwnCopy { pages: Some(pages), len })
    }

    /// Where it begins, and how long it is.
    pub(super) fn bytes(&self) -> (NonNull<u8>, usize) {
        let start = self.pages.as_ref().and_then(|pages| NonNull::new(pages.as_ptr()));
        (start.unwrap_or(NonNull::dangling()), self.len)
    }
}

/// Reads a file into memory, and tells how many bytes that were: less than `len` if the file ends
/// before, or if `goes_on` said no.
///
/// # Safety
/// 1. `file` is open for reading.
/// 2. `ptr..ptr + len` may be written, and nobody else uses it.
pub(super) unsafe fn fill(
    file: usize,
    offset: u64,
    ptr: NonNull<u8>,
    len: usize,
    mut goes_on: impl FnMut() -> bool,
) -> Result<usize, Errno> {
    let mut done = 0;
    while done < len && goes_on() {
        // SAFETY: (2).
        let next = unsafe { ptr.add(done) };
        // SAFETY: (1), (2).
        match unsafe { sys::read_at(file, offset + done as u64, next, STEP.min(len - done)) }? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}
