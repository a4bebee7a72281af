//! Floor 4, uses floors 0 to 3. The pages behind the content, brought into memory before appends
//! need them.
//!
//! A fault in fresh room takes a page of the cache, fills it with zeros, and tells the file system
//! about it, for a few pages at a time. Zeros that are written by one call do the same for 256 KiB
//! at once: the cache keeps them as one piece, and the first store to it maps all of it.

use super::schedule::AHEAD;
use crate::section::Prefault;
use crate::section::prefault::{LOOK_MIN, Pager, RUN_MIN};
use crate::sys::{self, Access, Errno};
use core::ops::Range;
use core::ptr::NonNull;

/// What is brought in, and what is known about it.
#[derive(Debug)]
pub(super) struct Ahead {
    how: Prefault,
    pager: Pager,
    /// What is before this was brought in.
    ready: usize,
    /// The first store to a block maps all of it.
    maps_by_stores: bool,
}

impl Ahead {
    pub(super) const fn new(how: Prefault) -> Self {
        let how = if sys::CAN_POPULATE { how } else { Prefault::Never };
        Ahead { how, pager: Pager::new(), ready: 0, maps_by_stores: false }
    }

    pub(super) const fn how(&self) -> Prefault {
        self.how
    }

    pub(super) const fn ready(&self) -> usize {
        self.ready
    }

    /// Brings in a part of the file.
    ///
    /// # Safety
    /// 1. `file` is open for writing, and mapped at `start`, and reaches beyond the range, which
    ///    consists of whole pages.
    /// 2. Nobody needs what is there.
    pub(super) unsafe fn bring_in(
        &mut self,
        file: usize,
        start: NonNull<u8>,
        range: Range<usize>,
    ) -> Result<(), Errno> {
        // SAFETY: (1), (2).
        unsafe { sys::write_ahead(file, range.start as u64, range.end as u64) }?;
        self.ready = range.end;
        // SAFETY: inside the mapping.
        let first = unsafe { start.add(range.start) };
        match self.how {
            Prefault::Auto if self.maps_by_stores => {}
            // SAFETY: (1).
            Prefault::Auto => unsafe { self.map(first, range.len()) },
            // A page that could not be mapped comes by a fault.
            // SAFETY: (1).
            _ => drop(unsafe { sys::populate(first, range.len(), Access::Write) }),
        }
        Ok(())
    }

    /// Maps what was written, and stops bringing in where nothing is won by it: each page is a
    /// fault all the same, or nobody tells.
    ///
    /// # Safety
    /// 1. `first..first + len` are whole pages that are mapped and may be written.
    unsafe fn map(&mut self, first: NonNull<u8>, len: usize) {
        let access = self.pager.access();
        // SAFETY: (1).
        match unsafe { self.pager.bring_in(first, len) } {
            Ok(run) if run >= RUN_MIN => self.maps_by_stores = access == Some(Access::Write),
            // The block that it is tried out on says nothing, nor does a short one.
            Ok(_) if len < LOOK_MIN || access.is_none() && self.pager.access().is_some() => {}
            Ok(_) | Err(_) => self.how = Prefault::Never,
        }
    }
}

const _: () = assert!(AHEAD >= LOOK_MIN);
