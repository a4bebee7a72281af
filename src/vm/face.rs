//! Floor 2, uses floors 0 and 1. Reservations that a face above owns by their address alone.
//!
//! `VirtualAlloc` gives out an address and nothing to keep beside it, and `VirtualFree` gets that
//! address back. Between the two nobody holds a [`Reservation`]; the record holds all that it was.

use super::records::{self, Extent, Record};
use super::reservation::Reservation;
use super::states;
use crate::ds::page_table::Value;
use core::mem::ManuallyDrop;
use core::num::NonZeroU32;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

impl Reservation {
    /// Leaves a tracked reservation to a face, with a word that it will get back. Nobody releases
    /// it but [`take_back`].
    pub(crate) fn leave(self, word: NonZeroU32) {
        let this = ManuallyDrop::new(self);
        this.record.face.store(word.get(), Ordering::Release);
    }
}

/// Runs `work` on the reservation that has the page at `addr` and that was
/// [left](Reservation::leave) to a face, and gives it the face's word. `None` if there is none.
///
/// A face whose callers use a reservation while they release it gets what they deserve: errors and
/// lost pages of their own, never a page of another reservation's table.
pub(crate) fn lend<R>(addr: usize, work: impl FnOnce(&Reservation, NonZeroU32) -> R) -> Option<R> {
    let (owner, record, word) = left(addr)?;
    // SAFETY: (1) the table and the record agree that it is owned by the face, (2) which is our
    // caller; (3) only tracked ones are left.
    let reservation = ManuallyDrop::new(unsafe { rebuild(owner, record) }?);
    Some(work(&reservation, word))
}

/// The reservation that has the page at `addr`, and the face's word; the caller owns it from now
/// on. `None` if there is none that was left to a face: of two callers one gets it.
pub(crate) fn take_back(addr: usize) -> Option<(Reservation, NonZeroU32)> {
    let found = left(addr)?;
    take(addr, found)
}

fn take(
    addr: usize,
    (owner, record, word): (u32, &'static Record, NonZeroU32),
) -> Option<(Reservation, NonZeroU32)> {
    let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
    record.face.compare_exchange(word.get(), 0, done, failed).ok()?;
    // A faster caller may have released the page, and the record is another reservation's by now.
    // From here on nobody gives it back but us, so the answer stays true.
    if states::value_at(states::page()?.index_of(addr)).owner != owner {
        record.face.store(word.get(), Ordering::Release);
        return None;
    }
    // SAFETY: (1) as in `lend`; (2) only one caller moves the word to 0; (3) as in `lend`.
    let reservation = unsafe { rebuild(owner, record) }?;
    Some((reservation, word))
}

/// The record of the page at `addr` if a face owns it.
fn left(addr: usize) -> Option<(u32, &'static Record, NonZeroU32)> {
    let number = states::page()?.index_of(addr);
    if number >= states::PAGES {
        return None;
    }
    let value = states::value_at(number);
    if value == Value::NOBODYS {
        return None;
    }
    let record = records::get(value.owner)?;
    let word = NonZeroU32::new(record.face.load(Ordering::Acquire))?;
    // Still the same owner: the word is that of this page's reservation.
    (states::value_at(number).owner == value.owner).then_some((value.owner, record, word))
}

/// A handle for record `owner`.
///
/// # Safety
/// 1. The record is that of a tracked reservation of ours.
/// 2. Its owner is the caller, who treats the handle as the only one.
unsafe fn rebuild(owner: u32, record: &'static Record) -> Option<Reservation> {
    let Extent { base, .. } = record.extent();
    // All our memory has exposed provenance: it began as an address, in `sys`.
    let base = NonNull::new(ptr::with_exposed_provenance_mut(base))?;
    let page = states::page()?;
    // SAFETY: (1), (2) the caller's; the base is the record's; (3) it is tracked, so the table was
    // written when it was made.
    Some(unsafe { Reservation::from_record(owner, record, base, page) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::{Protection, State, query};

    #[test]
    fn what_was_left_is_found_by_any_of_its_addresses_and_taken_once() {
        let word = NonZeroU32::new(7).expect("not 0");
        let reservation = Reservation::reserve(1 << 20).expect("a megabyte");
        let base = reservation.base();
        assert_eq!(lend(base, |_, _| ()), None, "it is not left to a face yet");
        reservation.leave(word);
        let done = lend(base + 12345, |lent, word| {
            assert_eq!((lent.base(), lent.len(), word.get()), (base, 1 << 20, 7));
            lent.commit(0..1, Protection::ReadWrite)
        });
        assert_eq!(done, Some(Ok(())));
        assert_eq!(query(base).map(|region| region.state), Ok(State::Committed));
        let (taken, _) = take_back(base + 1).expect("it was left");
        assert!(take_back(base).is_none() && lend(base, |_, _| ()).is_none());
        taken.release().expect("it is ours again");
        assert!(take_back(base).is_none());
        assert!(lend(usize::MAX, |_, _| ()).is_none() && lend(0, |_, _| ()).is_none());
    }

    #[test]
    fn who_comes_too_late_does_not_get_the_next_reservation_of_the_record() {
        let word = NonZeroU32::new(7).expect("not 0");
        let is_shown = (0..1000).any(|_| {
            let first = Reservation::reserve(1 << 16).expect("addresses");
            let addr = first.base();
            first.leave(word);
            let found = left(addr).expect("it was left");
            take_back(addr).expect("it was left").0.release().expect("it is ours");
            let builder = Reservation::builder().len(1 << 16).align(1 << 30);
            let next = builder.reserve().expect("addresses");
            let (owner, base) = (next.owner, next.base());
            next.leave(word);
            if owner == found.0 && base != addr {
                assert!(take(addr, found).is_none(), "it was released by another");
            }
            take_back(base).expect("it was left").0.release().expect("it is ours");
            owner == found.0 && base != addr
        });
        assert!(is_shown, "records are used again");
    }
}
