//! Floor 2, uses floors 0 and 1. Reservations cut in two, and put together again.
//!
//! Where the system can release any part of a range (Linux), a piece is a reservation like any
//! other. Where it releases whole allocations only (Windows), the pieces share theirs: a record of
//! its own counts them, a piece that goes is decommitted, and the last one releases the whole.

use super::pool::Refusal;
use super::records::{self, Extent, Record};
use super::reservation::Reservation;
use super::states::PageStates;
use crate::addr::Pages;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Errno};
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

impl Reservation {
    /// Makes two reservations of one: the first `offset` bytes, and the rest. All pages stay as
    /// they are; guards, policy, advice and name are those of both.
    ///
    /// Where a piece is released its pages become Free. Windows: the addresses of a released piece
    /// stay taken until the last piece of the same reservation goes.
    ///
    /// No system call, but perhaps for memory of the table.
    ///
    /// # Errors
    /// The reservation comes back as it was, beside the error.
    /// - `OutOfRange`: one of the two would be empty.
    /// - `Misaligned`: `offset` is not a multiple of the granularity, or of the huge page if those
    ///   are explicit.
    /// - `NoMemory`: there is none for the table of states.
    ///
    /// ```
    /// use granule::vm::{Protection, Reservation};
    /// let whole = Reservation::reserve(1 << 20)?;
    /// whole.commit(0..1 << 20, Protection::ReadWrite)?;
    /// let (first, second) = whole.split(1 << 16).map_err(|(_, error)| error)?;
    /// first.release()?; // the second one stays
    /// assert_eq!(second.query(0)?.len, second.len());
    /// # Ok::<(), granule::Error>(())
    /// ```
    pub fn split(self, offset: usize) -> Result<(Self, Self), (Self, Error)> {
        let addr = self.base().wrapping_add(offset);
        let error = |kind| Error::new(Op::Split, kind, addr, 0, 0);
        if offset == 0 || offset >= self.len() {
            let error = error(ErrorKind::OutOfRange);
            return Err((self, error));
        }
        let unit = sys::limits().granularity.max(self.traits.huge.unit());
        if !offset.is_multiple_of(unit) {
            let error = error(ErrorKind::Misaligned);
            return Err((self, error));
        }
        let made = self.behind(offset);
        let second = match made {
            Ok(second) => second,
            Err(refusal) => return Err((self, refusal.error(Op::Split, addr, 0))),
        };
        let this = ManuallyDrop::new(self);
        this.record.write(Extent { len: offset, ..this.record.extent() });
        // SAFETY: (1), (2) the same range as before, but for its end, which is the second one's;
        // (3) the pages that are left did not change.
        let first = unsafe {
            Reservation::from_record(this.owner, this.record, this.pointer(0), this.page)
        };
        first.renew_advice();
        second.renew_advice();
        Ok((first, second))
    }

    /// The reservation of what lies behind `offset`, as if there were no other owner of it.
    fn behind(&self, offset: usize) -> Result<Self, Refusal> {
        let (owner, record) = records::take()?;
        let base = self.pointer(offset);
        let len = self.len() - offset;
        record.write(Extent { base: base.addr().get(), len, traits: self.traits });
        record.set_name(self.record.name());
        record.advice.store(self.record.advice.load(Ordering::Acquire), Ordering::Release);
        record.kept_by.store(self.record.kept_by.load(Ordering::Relaxed), Ordering::Relaxed);
        record.trips.store(self.record.trips.load(Ordering::Relaxed), Ordering::Relaxed);
        let shared = if sys::RELEASES_PARTS { Ok(()) } else { self.share_with(record) };
        let prepared = shared.and_then(|()| match (self.states(), self.pages_from(offset)) {
            (Some(states), Some(pages)) => states.prepare(pages),
            _ => Ok(()),
        });
        if let Err(refusal) = prepared {
            if self.record.whole.load(Ordering::Acquire) != 0 {
                self.leave_whole();
            }
            records::give_back(owner);
            return Err(refusal);
        }
        // SAFETY: (1) the end of our own range; (2) the caller gives it up; (3) is done below.
        let second = unsafe { Reservation::from_record(owner, record, base, self.page) };
        second.take_pages_of(self);
        Ok(second)
    }

    /// Makes one reservation of two neighbours, `self` being the lower one. All pages stay as they
    /// are; the name is that of `self`.
    ///
    /// No system call, but perhaps for memory of the table.
    ///
    /// # Errors
    /// Both come back as they were, beside the error.
    /// - `OutOfRange`: `upper` does not begin where `self` ends.
    /// - `BadState`: they differ in policy, guards, advice or tracking; a part of just one of them
    ///   was advised [`NoFork`](crate::vm::Advice::NoFork); or, on Windows, they are not pieces of
    ///   one reservation.
    /// - `NoMemory`: there is none for the table of states.
    ///
    /// ```
    /// use granule::vm::Reservation;
    /// let (first, second) = Reservation::reserve(1 << 20)?.split(1 << 19).map_err(|(_, e)| e)?;
    /// let whole = first.join(second).map_err(|(_, _, error)| error)?;
    /// assert_eq!(whole.len(), 1 << 20);
    /// # Ok::<(), granule::Error>(())
    /// ```
    pub fn join(self, upper: Self) -> Result<Self, (Self, Self, Error)> {
        let error = |kind| Error::new(Op::Join, kind, upper.base(), upper.len(), 0);
        let whole = |one: &Self| one.record.whole.load(Ordering::Acquire);
        let advice = |one: &Self| one.record.advice.load(Ordering::Acquire);
        let kept_by = |one: &Self| one.record.kept_by.load(Ordering::Relaxed);
        let refused = if self.base() + self.len() != upper.base() {
            Some(error(ErrorKind::OutOfRange))
        } else if self.traits != upper.traits
            || advice(&self) != advice(&upper)
            || kept_by(&self) != kept_by(&upper)
            || (!sys::RELEASES_PARTS && (whole(&self) == 0 || whole(&self) != whole(&upper)))
        {
            Some(error(ErrorKind::BadState))
        } else {
            let prepared = upper.states().map_or(Ok(()), |states| states.prepare(upper.all()));
            prepared.err().map(|refusal| refusal.error(Op::Join, upper.base(), upper.len()))
        };
        if let Some(error) = refused {
            return Err((self, upper, error));
        }
        let (this, upper) = (ManuallyDrop::new(self), ManuallyDrop::new(upper));
        let len = this.len() + upper.len();
        this.record.write(Extent { len, ..this.record.extent() });
        // SAFETY: (1), (2) both ranges were ours and are neighbours; (3) is done below.
        let joined = unsafe {
            Reservation::from_record(this.owner, this.record, this.pointer(0), this.page)
        };
        joined
            .record
            .trips
            .fetch_add(upper.record.trips.load(Ordering::Relaxed), Ordering::Relaxed);
        joined.take_pages_of(&upper);
        if whole(&upper) != 0 {
            // One piece less; it is not the last one.
            upper.leave_whole();
        }
        upper.end_advice();
        joined.renew_advice();
        records::give_back(upper.owner);
        Ok(joined)
    }

    /// Writes this owner over the states of those pages of `old` that are ours as well.
    fn take_pages_of(&self, old: &Self) {
        let (Some(ours), Some(theirs)) = (self.states(), old.states()) else { return };
        let pages = |states: &Self, from: usize, to: usize| {
            let index = |addr: usize| states.page.index_of(addr - states.base());
            Pages::new(index(from), index(to))
        };
        let from = self.base().max(old.base());
        let to = (self.base() + self.len()).min(old.base() + old.len());
        let Some(range) = pages(old, from, to) else { return };
        for run in theirs.runs(range) {
            let start = old.base() + old.page.offset_of(run.pages.first());
            let end = old.base() + old.page.offset_of(run.pages.end());
            if let Some(own) = pages(self, start, end) {
                ours.set(own, run.state);
            }
        }
    }

    fn pages_from(&self, offset: usize) -> Option<Pages> {
        Pages::new(self.page.index_of(offset), self.all().end())
    }

    /// A pointer to the byte at `offset`, which is inside.
    fn pointer(&self, offset: usize) -> NonNull<u8> {
        let base = NonNull::new(self.as_ptr()).expect("a reservation is not at address 0");
        // SAFETY: `offset` is inside the reservation, whose whole range is one allocation.
        unsafe { base.add(offset) }
    }

    /// Makes `piece` a piece of the allocation that this is, or is a piece of.
    fn share_with(&self, piece: &Record) -> Result<(), Refusal> {
        let mut whole = self.record.whole.load(Ordering::Acquire);
        match records::get(whole).filter(|_| whole != 0) {
            Some(record) => drop(record.pieces.fetch_add(1, Ordering::AcqRel)),
            None => {
                let (number, record) = records::take()?;
                record.write(self.record.extent());
                record.pieces.store(2, Ordering::Release);
                self.record.whole.store(number, Ordering::Release);
                whole = number;
            }
        }
        piece.whole.store(whole, Ordering::Release);
        Ok(())
    }

    /// One piece less, without a system call. True if it was the last one.
    fn leave_whole(&self) -> bool {
        let whole = self.record.whole.load(Ordering::Acquire);
        let Some(record) = records::get(whole).filter(|_| whole != 0) else { return true };
        record.pieces.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Gives a piece of the allocation of record `number` back to the system.
    pub(super) fn unmap_piece(&self, number: u32, whole: &Record) -> Result<(), Errno> {
        let base = self.pointer(0);
        // SAFETY: (1) ours, and the caller says that nobody uses it any more.
        let emptied = unsafe { sys::decommit(base, self.len(), self.traits.policy) };
        // A piece that could not be emptied has gone, too: the last one takes it along.
        if !self.leave_whole() {
            return emptied;
        }
        let Extent { base: first, len, traits } = whole.extent();
        if let Some(pages) = Pages::new(0, self.page.index_of(len)).filter(|_| traits.is_tracked) {
            // Such a piece is still in the table.
            PageStates::new(self.owner, self.page.index_of(first)).forget(pages);
        }
        let first = base.with_addr(core::num::NonZero::new(first).unwrap_or(base.addr()));
        // SAFETY: (1) the last piece is going, so nobody uses any of it.
        unsafe { sys::release(first, len) }?;
        records::give_back(number);
        Ok(())
    }
}
