//! Floor 2, uses floors 0 and 1. Virtual memory by the page: the notes' `VirtualAlloc`.
//!
//! A [`Reservation`] owns a range of addresses. Its verbs are the arrows of this picture, and
//! nothing else is:
//!
//! ```text
//!            reserve            commit
//!   Free  ------------> Reserved ------> Committed  --protect, discard--> Committed
//!     ^                   ^                  |      --guard--> Guarded --unguard--> Committed
//!     +---- release ------+---- decommit ----+      --arm--> Tripwire --trip, disarm--> Committed
//! ```
//!
//! - *Reserved* pages are addresses only: no memory, no promise of memory, every touch faults.
//! - *Committed* pages are memory. They read zero until they are written.
//! - *Guarded* pages fault, whoever touches them, although they were committed. Their memory went
//!   back; unguarded they read zero.
//! - *Tripwire* pages are committed, and the next touch faults, once; see
//!   [`Reservation::arm`] and [`trip`].
//!
//! Everything happens in whole pages. A verb takes a range of bytes, counted from the start of the
//! reservation, and acts on the smallest run of pages that covers it.
//!
//! # Why the verbs are safe and take `&self`
//! A reservation hands out nothing but a raw pointer. Whoever turns that into a reference does it
//! in `unsafe` code of his own, and promises there that the pages stay committed and keep their
//! rights while the reference lives. So no verb can break a promise that safe code relies on:
//! `decommit` is as safe as `drop` of a `Vec` that somebody keeps a raw pointer into.
//!
//! # What is known about every page
//! One table for the whole process says what each page of ours is: [`Reservation::query`] and
//! [`query`] look there without a system call, from any thread and in a signal handler.
//! [`regions`] walks through the address space, ours and what is not.
//!
//! # Threads, signals, fork
//! No verb takes a lock, allocates or changes `errno`: all may be called inside `malloc`, in a
//! signal handler, and in the child of a `fork`. Verbs on different pages may run at the same time
//! on any threads. So may equal verbs on the same pages, as when two threads fault on one page and
//! both commit it; if one of them is refused, though, it may take the other's pages back. When
//! *different* verbs meet on the same page at the same moment, that page ends in the state of one
//! of them and [`Reservation::query`] may name the other until the next verb: such callers have to
//! agree on an order.
//!
//! The child of a `fork` has a copy of the reservations and of the table. Where another thread of
//! the parent was inside a verb at that moment, the child's table may name the state from before
//! the verb for pages that the system has changed already, or the other way round; no other page
//! is affected, and the next verb on such a page settles it. A reservation with
//! [`Advice::NoFork`] stays with the parent.

mod advice;
mod batch;
mod builder;
pub(crate) mod face;
mod fit;
mod huge;
mod memory;
pub(crate) mod nodes;
mod pieces;
mod place;
mod policy;
mod pool;
mod records;
mod region;
mod reservation;
mod ring;
mod search;
mod states;
#[cfg(test)]
pub(crate) mod tests;
mod tripwire;
mod watch;

pub use crate::ds::name::Name;
pub use crate::sys::{Access, Advice, GuardKind, HugePages, Info, Kind, Protection};
pub use builder::Builder;
pub use huge::{HugeReason, HugeReport, HugeWish};
pub use policy::CommitPolicy;
pub use region::{Region, Regions, State, query, regions};
pub use reservation::Reservation;
pub use ring::{Consumer, Producer, Ring};
pub use tripwire::trip;
pub use watch::Written;

use crate::sys::{self, Guards};
use core::sync::atomic::{AtomicU8, Ordering};

/// What this machine offers: page, granularity, guards, limits. Asks the kernel anew each time.
///
/// Windows: `GetSystemInfo`, once in a process, `GetLargePageMinimum` and `GlobalMemoryStatusEx`.
/// Linux: auxv, files in /proc and /sys, and a trial of the guard markers.
///
/// ```
/// let info = granule::vm::info();
/// assert!(info.page_len.is_power_of_two());
/// assert_eq!(info.granularity % info.page_len, 0);
/// println!("{} mappings at most, guards: {:?}", info.mappings_max, info.guard);
/// ```
#[doc(alias = "GetSystemInfo")]
pub fn info() -> Info {
    sys::info()
}

/// True where [`CommitPolicy::Lazy`] takes no promise of memory: not on Windows. Nor does it where
/// the kernel promises nothing that it does not have (`vm.overcommit_memory` is 2).
pub(crate) const COMMITS_LAZILY: bool = sys::COMMITS_LAZILY;

/// True where guards can be markers, which split no mapping.
pub(crate) fn has_markers() -> bool {
    guards().markers
}

/// The guards of this process, tried once. Two threads that come first both try; they agree.
fn guards() -> Guards {
    const UNKNOWN: u8 = 0;
    const MARKER: u8 = 1;
    const SPLIT_BY_CHOICE: u8 = 2;
    const SPLIT: u8 = 3;
    static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    match KNOWN.load(Ordering::Relaxed) {
        MARKER => Guards { chosen: GuardKind::Marker, markers: true },
        SPLIT_BY_CHOICE => Guards { chosen: GuardKind::Split, markers: true },
        SPLIT => Guards { chosen: GuardKind::Split, markers: false },
        _ => {
            // Takes a page at first use: now, and not when a verb that failed for want of mappings
            // asks the system what it has changed.
            let _ = sys::generation();
            let guards = sys::guards();
            let code = match (guards.chosen, guards.markers) {
                (GuardKind::Marker, _) => MARKER,
                (GuardKind::Split, true) => SPLIT_BY_CHOICE,
                (GuardKind::Split, false) => SPLIT,
            };
            KNOWN.store(code, Ordering::Relaxed);
            guards
        }
    }
}
