//! Floor 4. Warm reservations, kept for the next array.
//!
//! An array of ten numbers would spend all its time on reserving, committing and releasing. So the
//! reservation of an array that is dropped is kept, with its first [`STEP`] committed, if it is one
//! of the usual length; the next such array takes it as it is, as `malloc` takes a freed block.
//!
//! - At most [`KEPT_MAX`] are kept: 1 MiB of memory, for the whole process.
//! - No lock, no call of the system, no allocation: two atomic steps to take one, two to keep one.
//! - The child of a fork has copies of what is kept, and may use them. What another thread had in
//!   its hands at that moment is lost to the child.

use crate::array::schedule::STEP;
use crate::ds::shelf::Shelf;
use crate::vm::Reservation;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

/// Reservations that are kept, at most.
pub(crate) const KEPT_MAX: usize = 16;

/// The process's.
pub(super) static CACHE: Cache = Cache::new();

/// Some reservations that nobody uses, each with its first [`STEP`] committed for writing.
pub(super) struct Cache {
    shelf: Shelf,
    places: [UnsafeCell<MaybeUninit<Reservation>>; KEPT_MAX],
}

// SAFETY: a place is read and written only by who holds it on the shelf, which is one thread at a
// time, and reservations may change threads.
unsafe impl Sync for Cache {}

/// A place on the shelf that is held, and free.
pub(super) struct Place<'a> {
    cache: &'a Cache,
    index: u32,
}

impl Cache {
    const fn new() -> Self {
        let places = [const { UnsafeCell::new(MaybeUninit::uninit()) }; KEPT_MAX];
        Cache { shelf: Shelf::new(KEPT_MAX as u32), places }
    }

    /// One that was kept.
    #[inline]
    pub(super) fn take(&self) -> Option<Reservation> {
        let index = self.shelf.take_full()?;
        // SAFETY: the place is held; nobody else reads or writes it.
        let place = unsafe { &*self.places[index as usize].get() };
        // SAFETY: what is full was written by `Place::keep`, and it is taken once: from here on the
        // place is held, and then free.
        let reservation = unsafe { place.assume_init_read() };
        self.shelf.clear(index);
        Some(reservation)
    }

    /// Room for one more.
    #[inline]
    pub(super) fn room(&self) -> Option<Place<'_>> {
        let index = self.shelf.take_free()?;
        Some(Place { cache: self, index })
    }
}

impl Place<'_> {
    /// Keeps a reservation of the usual length with its first [`STEP`] committed, and no more.
    #[inline]
    pub(super) fn keep(self, reservation: Reservation) {
        // SAFETY: the place is held; nobody else reads or writes it.
        let place = unsafe { &mut *self.cache.places[self.index as usize].get() };
        place.write(reservation);
        self.cache.shelf.fill(self.index);
    }

    /// Keeps nothing.
    pub(super) fn leave(self) {
        self.cache.shelf.clear(self.index);
    }
}

/// Releases the reservations that are kept for the next arrays: at most 16, with 64 KiB of memory
/// each. They are kept when an array with the usual maximum is dropped.
///
/// Windows: `VirtualFree`, Linux: munmap, once for each.
///
/// ```
/// use granule::array::{StableVec, trim};
/// drop(StableVec::from_iter(0..10));
/// trim(); // the 64 KiB that the array had are the system's again
/// ```
pub fn trim() {
    release_all();
}

/// What [`trim`] does; true if there was one.
pub(super) fn release_all() -> bool {
    // Bounded: other threads may go on keeping what they drop.
    let taken = (0..KEPT_MAX).map_while(|_| CACHE.take());
    taken.map(drop).count() > 0
}

const _: () = assert!(KEPT_MAX * STEP <= 1 << 20, "as promised above");
