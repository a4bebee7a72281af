//! Floor 5, uses floors 0 to 2. Giving pages rights, `PAGE_GUARD` among them.
//!
//! To Windows a guard page is a committed page with a flag; to the vm floor it is in a state of its
//! own, and takes a verb more. Between the two verbs the pages are plain memory.

use super::flags::Rights;
use crate::error::Error;
use crate::vm::Reservation;
use core::ops::Range;

impl Rights {
    /// Reserved or committed pages become committed ones with these rights.
    pub(super) fn commit(self, pages: &Reservation, range: Range<usize>) -> Result<(), Error> {
        pages.commit(range.clone(), self.protection)?;
        self.finish(pages, range)
    }

    /// Committed pages get these rights.
    pub(super) fn protect(self, pages: &Reservation, range: Range<usize>) -> Result<(), Error> {
        pages.protect(range.clone(), self.protection)?;
        self.finish(pages, range)
    }

    fn finish(self, pages: &Reservation, range: Range<usize>) -> Result<(), Error> {
        if self.tripwire { pages.arm(range) } else { Ok(()) }
    }
}
