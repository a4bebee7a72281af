//! Floor 4. The memory under an array, in bytes: reserved at first use, committed as far as needed.
//!
//! ```text
//!   |. lead .| elements | spare |. . . . . . . . . . . . . . . . . . . |
//!            0       used   committed                                max
//! ```
//! The lead puts the second half megabyte, and all that follow, where huge pages can be.
//!
//! It knows no elements. The array asks it to reach a length, and to fall back to one.

use super::cache::{self, CACHE};
use crate::addr::{align_down, align_up};
use crate::array::schedule::{self, BLOCK, HEAD, STEP};
use crate::error::{Error, ErrorKind, Op};
use crate::vm::{Advice, CommitPolicy, Protection, Reservation};
use core::ptr::NonNull;

/// The usual maximum of an array, in bytes. The library's own tests look at every page of what
/// could not be released, so theirs is short.
pub(super) const USUAL_MAX: usize = if cfg!(test) {
    64 << 20
} else if usize::BITS >= 64 {
    64 << 30
} else {
    256 << 20
};

/// What one entry of the third level of the table of page states speaks for, with pages of 4 KiB.
/// A range that begins and ends between such entries needs no entries below for its ends.
const ENTRY: usize = 1 << 30;

/// What an array was made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    /// Bytes of the elements, at most.
    pub(super) max: usize,
    pub(super) align: usize,
    pub(super) policy: CommitPolicy,
    /// Nothing behind the page of the last element can be touched.
    pub(super) guard: bool,
}

/// The memory of one array.
#[derive(Debug)]
pub(super) struct Store {
    reservation: Option<Reservation>,
    /// Bytes from the start that are committed: whole pages.
    committed: usize,
    /// Bytes that stay committed however many elements leave: what was asked for in so many words.
    kept: usize,
    /// Huge pages were asked for.
    advised: bool,
    wishes: Wishes,
}

impl Store {
    pub(super) const fn new(wishes: Wishes) -> Self {
        Store { reservation: None, committed: 0, kept: 0, advised: false, wishes }
    }

    pub(super) const fn wishes(&self) -> Wishes {
        self.wishes
    }

    pub(super) const fn committed(&self) -> usize {
        self.committed
    }

    /// The first byte, once there is memory.
    pub(super) fn start(&self) -> Option<NonNull<u8>> {
        let base = NonNull::new(self.reservation.as_ref()?.as_ptr())?;
        // SAFETY: a reservation is longer than its lead.
        Some(unsafe { base.add(self.lead()) })
    }

    /// What removes elements gives memory back only behind this many bytes.
    pub(super) fn keep(&mut self, len: usize) {
        self.kept = self.kept.max(len);
    }

    /// Commits the first `needed` bytes, at most the maximum, and some ahead.
    ///
    /// If it fails nothing has changed.
    pub(super) fn reach(&mut self, needed: usize) -> Result<(), Error> {
        if needed > self.wishes.max {
            let addr = self.reservation.as_ref().map_or(0, Reservation::base);
            return Err(Error::new(Op::Grow, ErrorKind::OutOfRange, addr, needed, 0));
        }
        if self.reservation.is_none() {
            return self.begin(needed);
        }
        self.commit_to(needed)
    }

    /// The first memory. A reservation that could not be committed is not kept.
    fn begin(&mut self, needed: usize) -> Result<(), Error> {
        if self.is_usual()
            && let Some(reservation) = CACHE.take()
        {
            self.reservation = Some(reservation);
            self.committed = STEP;
            if needed <= STEP {
                return Ok(());
            }
        } else {
            self.reservation = Some(self.reserve()?);
        }
        self.commit_to(needed).inspect_err(|_| self.end())
    }

    fn reserve(&self) -> Result<Reservation, Error> {
        let Wishes { max, align, policy, .. } = self.wishes;
        let len = if self.is_usual() { USUAL_MAX } else { max };
        let align = if self.has_blocks() { align.max(BLOCK) } else { align };
        let len = len.saturating_add(self.lead());
        let (len, align) = match len.checked_next_multiple_of(ENTRY) {
            Some(whole) if len >= ENTRY => (whole, align.max(ENTRY)),
            _ => (len, align),
        };
        let builder = Reservation::builder().len(len).align(align).policy(policy);
        match builder.reserve() {
            // They may be with the reservations that are kept.
            Err(error) if error.kind() == ErrorKind::NoAddressSpace && cache::release_all() => {
                builder.reserve()
            }
            done => done,
        }
    }

    /// Huge pages are not to be had in less, nor where every page is committed by itself.
    fn has_blocks(&self) -> bool {
        self.wishes.max > BLOCK && !self.wishes.guard
    }

    /// Bytes of the reservation before the first element; never committed.
    fn lead(&self) -> usize {
        if self.has_blocks() && self.wishes.align <= HEAD { BLOCK - HEAD } else { 0 }
    }

    /// `len` rounded up to what is committed at a time.
    fn in_units(&self, len: usize) -> usize {
        if len <= STEP {
            return STEP;
        }
        align_up(len.saturating_add(self.lead()), BLOCK).map_or(len, |end| end - self.lead())
    }

    fn commit_to(&mut self, needed: usize) -> Result<(), Error> {
        let Some(reservation) = &self.reservation else { return Ok(()) };
        let lead = self.lead();
        let exact = reservation.round_up(lead + needed) - lead;
        let end = if self.wishes.guard {
            exact
        } else {
            schedule::next_behind(lead, self.committed, needed, reservation.len() - lead)
        };
        if end <= self.committed {
            return Ok(());
        }
        if lead + end > BLOCK && self.has_blocks() && !self.advised {
            // A wish, made by those only that are long enough to gain from it.
            self.advised = true;
            let _ = reservation.advise(Advice::HugePages);
        }
        let end = match self.commit(reservation, end) {
            Ok(()) => end,
            // There may be memory for what is needed, if there is none for what is ahead.
            Err(first) if end > exact => {
                self.commit(reservation, exact).map_err(|_| first)?;
                exact
            }
            Err(error) => return Err(error),
        };
        self.committed = end;
        Ok(())
    }

    /// Commits what is behind the committed part, up to `end`.
    fn commit(&self, reservation: &Reservation, end: usize) -> Result<(), Error> {
        let lead = self.lead();
        let range = lead + self.committed..lead + end;
        let commit = || reservation.commit(range.clone(), Protection::ReadWrite);
        match commit() {
            // The system has refused a verb, and then refused to put the pages back. No element is
            // there, so they may begin anew.
            Err(error) if error.kind() == ErrorKind::BadState => {
                let emptied = reservation.decommit(range.clone());
                emptied.map_err(|error| error.as_part_of(Op::Commit))?;
                commit()
            }
            done => done,
        }
    }

    /// `used` bytes are left. Gives memory back if there is enough to make it worth while; with a
    /// guard, whatever is behind the last page.
    pub(super) fn settle(&mut self, used: usize) {
        if used >= self.low() {
            return;
        }
        let end = if self.wishes.guard {
            used
        } else {
            // Room to grow by half, so that the next give-back and the next commit are both far
            // away; and a block less than now.
            let room = used.saturating_add(used / 2).max(STEP);
            let lead = self.lead();
            let less = align_down(lead + self.committed - 1, BLOCK) - lead;
            self.in_units(room).min(less).max(self.in_units(self.kept))
        };
        // A hint: nobody waits for this memory, and `shrink_to` says what went wrong.
        let _ = self.fall_to(end);
    }

    /// The bytes in use below which [`settle`](Self::settle) does something.
    pub(super) fn low(&self) -> usize {
        let Some(reservation) = &self.reservation else { return 0 };
        if self.wishes.guard {
            // One byte of the last page in use keeps it.
            return (self.committed + 1).saturating_sub(reservation.round_up(1));
        }
        if self.in_units(self.kept) >= self.committed {
            return 0;
        }
        self.committed.saturating_sub(BLOCK).min(self.committed / 2)
    }

    /// Gives back everything behind the page of byte `len - 1`, and forgets what was to be kept.
    pub(super) fn shrink_to(&mut self, len: usize) -> Result<(), Error> {
        self.kept = 0;
        self.fall_to(len)
    }

    fn fall_to(&mut self, len: usize) -> Result<(), Error> {
        let Some(reservation) = &self.reservation else { return Ok(()) };
        let lead = self.lead();
        let end = reservation.round_up(lead + len) - lead;
        if end >= self.committed {
            return Ok(());
        }
        let range = lead + end..lead + self.committed;
        // Whether it succeeds or not: pages that the system has lost half way are to be committed
        // again before anybody touches them.
        self.committed = end;
        reservation.decommit(range)
    }

    /// Whether the reservation is like those that the cache keeps.
    fn is_usual(&self) -> bool {
        let Wishes { max, align, policy, guard } = self.wishes;
        let rounded = max.checked_next_multiple_of(STEP) == Some(USUAL_MAX);
        rounded && align <= STEP && policy == CommitPolicy::Strict && !guard
    }

    /// Gives the memory back, to the cache if it has room.
    fn end(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let committed = core::mem::take(&mut self.committed);
        if committed < STEP || !self.is_usual() {
            return;
        }
        let Some(place) = CACHE.room() else { return };
        let lead = self.lead();
        if committed == STEP || reservation.decommit(lead + STEP..lead + committed).is_ok() {
            place.keep(reservation);
        } else {
            place.leave();
        }
    }
}

impl Drop for Store {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}
