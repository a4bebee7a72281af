//! Floor 2, uses floors 0 and 1. Guards on many ranges at a time.

use super::reservation::Reservation;
use super::states::PageState;
use crate::addr::Pages;
use crate::error::{Call, Error, Op};
use crate::sys::{self, Errno, GuardKind, Piece, Stumble};
use core::ops::Range;
use core::ptr::NonNull;

/// Ranges in one system call. They lie on the caller's stack, which may be that of a handler.
const PIECES: usize = 64;

impl Reservation {
    /// [`guard`](Self::guard) on every range: all of them are guarded, or none. Ranges may overlap.
    /// Nothing happens if there are none.
    ///
    /// Linux: process_madvise, one call for 64 ranges (6.13); elsewhere, and with
    /// [`GuardKind::Split`], one by one.
    ///
    /// # Errors
    /// As for [`guard`](Self::guard), and the error tells the range that it is about. The states of
    /// all ranges are as they were. If the system refused one, the content of all of
    /// them may be lost.
    ///
    /// ```
    /// use granule::vm::{Protection, Reservation, State};
    /// let page = granule::vm::info().page_len;
    /// let stacks = Reservation::reserve(64 * page)?;
    /// stacks.commit(0..64 * page, Protection::ReadWrite)?;
    /// let lowest = [0, 1, 2, 3].map(|stack| stack * 16 * page..stack * 16 * page + page);
    /// stacks.guard_all(&lowest)?;
    /// assert_eq!(stacks.query(32 * page)?.state, State::Guarded);
    /// stacks.unguard_all(&lowest)?;
    /// assert_eq!(stacks.query(0)?.len, 64 * page);
    /// # Ok::<(), granule::Error>(())
    /// ```
    #[doc(alias = "process_madvise")]
    pub fn guard_all(&self, ranges: &[Range<usize>]) -> Result<(), Error> {
        self.on_all(Op::Guard, ranges, |state| match state {
            PageState::Committed(protection) | PageState::Tripwire(protection) => {
                PageState::Guarded(protection)
            }
            other => other,
        })
    }

    /// [`unguard`](Self::unguard) on every range: all of them are unguarded, or none.
    ///
    /// Linux: as for [`guard_all`](Self::guard_all).
    ///
    /// # Errors
    /// As for [`unguard`](Self::unguard), and the error tells the range that it is about. The
    /// states of all ranges are as they were.
    pub fn unguard_all(&self, ranges: &[Range<usize>]) -> Result<(), Error> {
        self.on_all(Op::Unguard, ranges, |state| match state {
            PageState::Guarded(protection) => PageState::Committed(protection),
            other => other,
        })
    }

    fn on_all(
        &self,
        op: Op,
        ranges: &[Range<usize>],
        next: fn(PageState) -> PageState,
    ) -> Result<(), Error> {
        for range in ranges {
            let mut call = self.call(op, range.clone())?;
            self.require(&mut call, PageState::is_promised)?;
        }
        let mut done = 0;
        for part in ranges.chunks(PIECES) {
            if let Err((index, errno)) = self.on_part(op, part) {
                // Explained first: taking back may set mappings free.
                let error = self.call(op, part[index].clone())?.failed(errno);
                // Ranges behind it may be guarded, too: tripwires end after the batch.
                let touched = &ranges[..done + part.len()];
                touched.iter().for_each(|range| self.undo(self.checked(range)));
                return Err(error);
            }
            done += part.len();
        }
        ranges.iter().try_for_each(|range| {
            let call = self.call(op, range.clone())?;
            self.settle(&call, Ok(()), next)
        })
    }

    /// At most `PIECES` ranges. What the system does not do in one call is done one by one; the
    /// error has the index of the range where that fails, too.
    fn on_part(&self, op: Op, ranges: &[Range<usize>]) -> Result<(), (usize, Errno)> {
        let mut pieces = [Piece { ptr: NonNull::dangling(), len: 0 }; PIECES];
        for (piece, range) in pieces.iter_mut().zip(ranges) {
            let (ptr, len) = self.place(self.checked(range));
            *piece = Piece { ptr, len };
        }
        let pieces = &pieces[..ranges.len()];
        let batch = match (self.guard_kind(), op) {
            (GuardKind::Split, _) => Err(Stumble { index: 0, errno: Errno(0, Call::None) }),
            // SAFETY: (1) the ranges are inside; their content is the caller's to lose.
            (GuardKind::Marker, Op::Guard) => unsafe { sys::guard_many(pieces) },
            // SAFETY: (1) as above.
            (GuardKind::Marker, _) => unsafe { sys::unguard_many(pieces) },
        };
        // Why it stumbled does not matter: that range is tried by itself, and then it does.
        let done = batch.map_or_else(|Stumble { index, .. }| index, |()| ranges.len());
        if op == Op::Guard {
            for (index, range) in ranges.iter().enumerate().take(done) {
                self.end_tripwires(self.checked(range)).map_err(|errno| (index, errno))?;
            }
        }
        ranges.iter().enumerate().skip(done).try_for_each(|(index, range)| {
            let one = match op {
                Op::Guard => self.install_guards(self.checked(range)),
                _ => self.remove_guards(self.checked(range)),
            };
            one.map_err(|errno| (index, errno))
        })
    }

    /// The pages of a range that `call` has let through.
    fn checked(&self, range: &Range<usize>) -> Pages {
        let pages = Pages::covering(range.clone(), self.page, self.len());
        pages.expect("every range was checked before the first was touched")
    }
}
