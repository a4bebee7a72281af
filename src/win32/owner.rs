//! Floor 3, uses floors 0 to 2. Which reservation an address belongs to.
//!
//! `VirtualAlloc` gives an address and keeps nothing, so somebody has to remember the reservation
//! until `VirtualFree` comes with the address. It is remembered in records that never move: readers
//! in other threads and in signal handlers need no lock.

use crate::vm::Reservation;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Reservations that can be remembered at a time.
const RECORDS_MAX: usize = 1024;

/// `end` of a record that nobody has.
const FREE: usize = 0;
/// `end` of a record that is being filled or emptied.
const BUSY: usize = 1;

struct Record {
    base: AtomicUsize,
    /// The address behind the reservation, or `FREE`, or `BUSY`.
    end: AtomicUsize,
    protect: AtomicU32,
    reservation: UnsafeCell<MaybeUninit<Reservation>>,
}

// SAFETY: the reservation is written and taken only by who has made `end` BUSY, and read by others
// only through shared references, while `end` is an address.
unsafe impl Sync for Record {}

static RECORDS: [Record; RECORDS_MAX] = [const {
    Record {
        base: AtomicUsize::new(0),
        end: AtomicUsize::new(FREE),
        protect: AtomicU32::new(0),
        reservation: UnsafeCell::new(MaybeUninit::uninit()),
    }
}; RECORDS_MAX];

/// A reservation of this module.
#[derive(Clone, Copy)]
pub(super) struct Owned {
    record: &'static Record,
}

impl Owned {
    /// Remembers a reservation; gives it back when there is no room.
    pub(super) fn remember(reservation: Reservation, protect: u32) -> Result<Owned, Reservation> {
        let free = |record: &&Record| {
            let end = &record.end;
            end.compare_exchange(FREE, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let Some(record) = RECORDS.iter().find(free) else { return Err(reservation) };
        let end = reservation.base() + reservation.len();
        record.base.store(reservation.base(), Ordering::Relaxed);
        record.protect.store(protect, Ordering::Relaxed);
        let place = record.reservation.get();
        // SAFETY: the record is BUSY by our hand, so nobody else looks at the cell.
        unsafe { place.write(MaybeUninit::new(reservation)) };
        record.end.store(end, Ordering::Release);
        Ok(Owned { record })
    }

    /// The reservation that has `addr`.
    pub(super) fn of(addr: usize) -> Option<Owned> {
        let has = |record: &&Record| {
            let end = record.end.load(Ordering::Acquire);
            end > BUSY && addr < end && addr >= record.base.load(Ordering::Relaxed)
        };
        RECORDS.iter().find(has).map(|record| Owned { record })
    }

    /// The reservation itself.
    pub(super) fn reservation(&self) -> &Reservation {
        let place = self.record.reservation.get();
        // SAFETY: an `Owned` is only made of a filled record, and nobody calls `forget` while
        // another call works on the same reservation: promise 2 of `VirtualFree`.
        let filled = unsafe { &*place };
        // SAFETY: filled, as above.
        unsafe { filled.assume_init_ref() }
    }

    /// The protection that the reservation was asked with.
    pub(super) fn protect(&self) -> u32 {
        self.record.protect.load(Ordering::Relaxed)
    }

    /// Takes the reservation back; `None` if another thread was faster.
    pub(super) fn forget(self) -> Option<Reservation> {
        let Record { base, end, reservation, .. } = self.record;
        let known = end.load(Ordering::Acquire);
        let taken = known > BUSY
            && end.compare_exchange(known, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !taken {
            return None;
        }
        let place = reservation.get();
        // SAFETY: the record is BUSY by our hand, so nobody else looks at the cell.
        let taken = unsafe { place.read() };
        base.store(0, Ordering::Relaxed);
        end.store(FREE, Ordering::Release);
        // SAFETY: the record was filled.
        Some(unsafe { taken.assume_init() })
    }
}
