//! Floor 2, uses floors 0 and 1. Write watch: which pages were written since one asked last.

use super::reservation::Reservation;
use crate::addr::Pages;
use crate::ds::extents::Extents;
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use core::ops::Range;

/// How far [`Reservation::written`] or [`Reservation::take_written`] came.
///
/// ```
/// # use granule::vm::{Protection, Reservation};
/// # use granule::ErrorKind;
/// let heap = match Reservation::builder().len(1 << 20).write_watch().reserve() {
///     Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
///     heap => heap?,
/// };
/// heap.commit(0..1 << 20, Protection::ReadWrite)?;
/// # unsafe { heap.as_ptr().write(1) };
/// let mut ranges = [const { 0..0 }; 8];
/// let mut rest = 0..heap.len();
/// loop {
///     let written = heap.take_written(rest.clone(), &mut ranges)?;
///     for range in &ranges[..written.count] {
///         println!("copy bytes {range:?}");
///     }
///     match written.next {
///         Some(next) => rest.start = next,
///         None => break,
///     }
/// }
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// How many ranges were filled in.
    pub count: usize,
    /// Where to go on: the offset of a page from which on nothing was told, because there was no
    /// more room. `None`: all was told.
    pub next: Option<usize>,
}

/// Write watch, for a reservation that was made with [`write_watch`](super::Builder::write_watch).
///
/// A page is *written* when a byte of it was stored to, by the program or by the system for it,
/// since it was forgotten last, or else since it was committed. Reading does not count. The answers
/// are ranges of bytes, counted from the start of the reservation, in whole pages and in order;
/// neighbours are one range.
///
/// Changing rights changes nothing about it. Decommit and guard forget, since the content is gone;
/// so may discard.
///
/// The child of a fork has the content, and no watch: its `written` and `take_written` are
/// `BadState`, until [`forget_written`](Reservation::forget_written) begins anew. The same happens
/// if the program closes files that it did not open, and, on Linux, to pages that a decommit or a
/// guard has laid anew, if the system refuses to watch them again.
impl Reservation {
    /// True when the system notes writes to this reservation.
    pub const fn is_watched(&self) -> bool {
        self.traits.is_watched
    }

    /// Tells which pages of the range were written, and forgets nothing.
    ///
    /// Windows: `GetWriteWatch`. Linux: ioctl(PAGEMAP_SCAN).
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation; or `ranges` has no
    ///   room at all.
    /// - `BadState`: the reservation is not watched, or not any more.
    #[doc(alias("GetWriteWatch", "PAGEMAP_SCAN"))]
    pub fn written(
        &self,
        range: Range<usize>,
        ranges: &mut [Range<usize>],
    ) -> Result<Written, Error> {
        self.tell_written(range, ranges, false)
    }

    /// Tells which pages of the range were written, and forgets those that it tells. A write from
    /// another thread is either told now, or the next time; none is lost, and one that comes at
    /// this very moment may be told twice.
    ///
    /// Windows: `GetWriteWatch(WRITE_WATCH_FLAG_RESET)`. Linux: ioctl(PAGEMAP_SCAN).
    ///
    /// # Errors
    /// As for [`written`](Self::written).
    #[doc(alias = "WRITE_WATCH_FLAG_RESET")]
    pub fn take_written(
        &self,
        range: Range<usize>,
        ranges: &mut [Range<usize>],
    ) -> Result<Written, Error> {
        self.tell_written(range, ranges, true)
    }

    /// Forgets all writes to the pages of the range.
    ///
    /// Windows: `ResetWriteWatch`. Linux: ioctl(PAGEMAP_SCAN); where the watch was lost also
    /// userfaultfd, ioctl(UFFDIO_REGISTER) and madvise.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: the reservation is not watched.
    /// - `NoMemory`, `Denied`: a watch that was lost cannot be had again.
    #[doc(alias = "ResetWriteWatch")]
    pub fn forget_written(&self, range: Range<usize>) -> Result<(), Error> {
        let call = self.call(Op::Written, range)?;
        if !self.traits.is_watched {
            return Err(call.refused(ErrorKind::BadState));
        }
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside.
        unsafe { sys::forget_written(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    fn tell_written(
        &self,
        range: Range<usize>,
        ranges: &mut [Range<usize>],
        take: bool,
    ) -> Result<Written, Error> {
        let call = self.call(Op::Written, range)?;
        if !self.traits.is_watched {
            return Err(call.refused(ErrorKind::BadState));
        }
        if ranges.is_empty() {
            return Err(call.refused(ErrorKind::OutOfRange));
        }
        let (ptr, len) = self.place(call.pages);
        let mut found = Extents::new(ranges, self.base());
        // SAFETY: (1) `call` keeps the range inside.
        let stopped = unsafe { sys::written(ptr, len, take, &mut found) };
        let stopped = stopped.map_err(|errno| call.failed(errno))?;
        let is_whole = stopped == ptr.addr().get() + len;
        let next = (!is_whole).then(|| stopped - self.base());
        Ok(Written { count: found.count(), next })
    }

    /// Watches pages again that the system has laid anew. If it refuses, the next question about
    /// them is `BadState`, and whoever asks begins anew.
    pub(super) fn repeat_watch(&self, pages: Pages) {
        if self.traits.is_watched {
            let (ptr, len) = self.place(pages);
            // SAFETY: (1) the pages are inside, and are to be watched.
            let _ = unsafe { sys::watch_again(ptr, len) };
        }
    }
}
