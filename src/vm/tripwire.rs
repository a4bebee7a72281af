//! Floor 2, uses floors 0 and 1. Pages whose next touch faults, once (`PAGE_GUARD`).
//!
//! ```text
//!   Committed --arm--> Tripwire --a touch--> fault, a handler of the program --trip--> Committed
//! ```
//!
//! Several threads may touch an armed page before the first of them has come to its handler. All
//! of them fault. The first one that asks makes the page plain memory; the others have to be told
//! to go on, too, although the table knows no tripwire any more. But who has been told to go on,
//! and faults again at the same page, was not stopped by a tripwire. So the last answers are
//! remembered: thread, page, and the count of armings and trips of the reservation, which a new
//! tripwire moves on. An answer that is forgotten too early costs one more try.

use super::records::{self, Extent, Record};
use super::region::{Place, Region};
use super::reservation::Reservation;
use super::states::{self, PageState, PageStates};
use crate::addr::{Pages, align_down};
use crate::ds::page_table::Value;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Errno, Protection};
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

impl Reservation {
    /// Committed -> Tripwire: the next touch of each page faults, once, and the program's handler
    /// calls [`trip`], which makes the page plain memory with its rights again. The content stays.
    /// Pages that are armed already may be in the range.
    ///
    /// Windows: `VirtualProtect(PAGE_GUARD)`, once for each run of equal rights; the touch raises
    /// 0x80000001, and the system takes the tripwire away itself. Linux: mprotect; the touch raises
    /// SIGSEGV.
    ///
    /// A system call that is given an armed buffer fails (Linux: EFAULT) and calls no handler.
    /// Windows takes the tripwire away nevertheless, and [`query`](Self::query) goes on telling of
    /// it until the next verb.
    ///
    /// Of the other verbs commit, protect, decommit, guard and release take armed pages as
    /// committed ones, and the tripwire is gone; unguard leaves them alone; discard, lock, prefetch
    /// and populate want them disarmed first.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is neither Committed nor Tripwire, or nobody may touch it anyway. No
    ///   page was changed.
    /// - `Unsupported`: the reservation is [untracked](super::Builder::untracked).
    /// - `TooManyMappings`, `NoMemory`: the system refused. Every page is as it was.
    ///
    /// ```
    /// use granule::vm::{self, Protection, Reservation, State};
    /// let page = vm::info().page_len;
    /// let reservation = Reservation::reserve(2 * page)?;
    /// reservation.commit(0..2 * page, Protection::ReadWrite)?;
    /// reservation.arm(page..2 * page)?;
    /// assert_eq!(reservation.query(page)?.state, State::Tripwire);
    /// // What a handler does with the address of a fault:
    /// // SAFETY: (1) nobody releases the reservation meanwhile.
    /// let tripped = unsafe { vm::trip(reservation.base() + page + 5) }.expect("a tripwire");
    /// assert_eq!((tripped.base, tripped.state), (reservation.base() + page, State::Tripwire));
    /// assert_eq!(reservation.query(page)?.state, State::Committed);
    /// # Ok::<(), granule::Error>(())
    /// ```
    #[doc(alias = "PAGE_GUARD")]
    pub fn arm(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Arm, range)?;
        let states = self.states().ok_or(call.refused(ErrorKind::Unsupported))?;
        self.require(&mut call, |state| match state {
            PageState::Committed(protection) => protection != Protection::NoAccess,
            state => matches!(state, PageState::Tripwire(_)),
        })?;
        self.record.trips.fetch_add(1, Ordering::Relaxed);
        let done = states.runs(call.pages).try_for_each(|run| match run.state {
            PageState::Committed(protection) => {
                let (ptr, len) = self.place(run.pages);
                // SAFETY: (1) `call` keeps the range inside; whoever holds references into it
                // promised that nobody does this.
                unsafe { sys::arm(ptr, len, protection) }
            }
            _ => Ok(()),
        });
        self.settle(&call, done, |state| match state {
            PageState::Committed(protection) => PageState::Tripwire(protection),
            other => other,
        })
    }

    /// Tripwire -> Committed, without a touch. Committed pages in the range are left alone.
    ///
    /// Windows: `VirtualProtect`, Linux: mprotect, once for each run of armed pages with equal
    /// rights.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is neither Tripwire nor Committed. No page was changed.
    /// - `Unsupported`: the reservation is [untracked](super::Builder::untracked).
    /// - `TooManyMappings`, `NoMemory`: the system refused. Every page is as it was.
    pub fn disarm(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Disarm, range)?;
        if !self.traits.is_tracked {
            return Err(call.refused(ErrorKind::Unsupported));
        }
        self.require(&mut call, |state| {
            matches!(state, PageState::Committed(_) | PageState::Tripwire(_))
        })?;
        let done = self.end_tripwires(call.pages);
        self.settle(&call, done, |state| match state {
            PageState::Tripwire(protection) => PageState::Committed(protection),
            other => other,
        })
    }

    /// Gives armed pages their rights back. The table is the caller's.
    pub(super) fn end_tripwires(&self, pages: Pages) -> Result<(), Errno> {
        let was_armed = self.record.trips.load(Ordering::Relaxed) != 0;
        // Most reservations never are, and need not look.
        let Some(states) = self.states().filter(|_| was_armed) else { return Ok(()) };
        states.runs(pages).try_for_each(|run| match run.state {
            PageState::Tripwire(protection) => {
                let (ptr, len) = self.place(run.pages);
                // SAFETY: (1) the pages are inside and had these rights before they were armed.
                unsafe { sys::disarm(ptr, len, protection) }
            }
            _ => Ok(()),
        })
    }
}

/// Tells of a fault at `addr`: for handlers of SIGSEGV and of Windows' exception 0x80000001. `Some`
/// means that a tripwire was the reason and is gone: return from the handler, and the instruction
/// that faulted is done again, on plain memory. `None` means that the fault is somebody else's.
///
/// The region is the page that tripped, as it was: its state is [`State::Tripwire`]. If another
/// thread was faster, or disarmed the page meanwhile, the state is [`State::Committed`]; the thread
/// has to go on all the same. That answer is also given, once for each thread and page, when a page
/// of a reservation with tripwires faults for another reason, such as a write to a page that may
/// only be read: it faults again, and then the answer is `None`.
///
/// `None` is the answer, too, if the system does not give the rights back (on Linux one page in the
/// middle of an armed range needs two more mappings), or has no memory for the table of states.
///
/// It may be called in any handler: it takes no lock, allocates nothing and keeps `errno`.
///
/// Linux: mprotect, gettid. Windows: `VirtualProtect`.
///
/// # Safety
/// 1. If `addr` lies in a reservation, that is not released before the call returns. In a handler
///    of the fault this is what the code that faulted has promised when it used the address: a
///    program that gives memory back while another thread uses it has no defined meaning anyway.
///
/// [`State::Tripwire`]: super::State::Tripwire
/// [`State::Committed`]: super::State::Committed
///
/// ```
/// let local = 1;
/// // SAFETY: (1) the address of a local variable lies in no reservation.
/// let told = unsafe { granule::vm::trip(&raw const local as usize) };
/// assert_eq!(told, None);
/// ```
pub unsafe fn trip(addr: usize) -> Option<Region> {
    let page = states::page()?;
    let number = page.index_of(addr);
    if number >= states::PAGES {
        return None;
    }
    let value = states::value_at(number);
    if value == Value::NOBODYS {
        return None;
    }
    let record = records::get(value.owner)?;
    let glimpse = record.glimpse()?;
    let (extent, name) = (record.extent(), record.name());
    let state = PageState::from_code(value.state)?;
    let is_elsewhere = record.is_elsewhere();
    if is_elsewhere || !record.is_still(glimpse) || states::value_at(number).owner != value.owner {
        return None;
    }
    let Extent { base: allocation_base, traits, .. } = extent;
    // Explicit huge pages trip whole.
    let len = traits.huge.unit().max(page.bytes());
    let base = align_down(addr, len);
    match state {
        PageState::Tripwire(protection) => {
            let first = page.index_of(allocation_base);
            let index = page.index_of(base) - first;
            let pages = Pages::new(index, index + page.index_of(len))?;
            let states = PageStates::new(value.owner, first);
            states.prepare(pages).ok()?;
            // All our memory has exposed provenance: it began as an address, in `sys`.
            let ptr = NonNull::new(ptr::with_exposed_provenance_mut(base))?;
            // SAFETY: (1) the page is armed and in the reservation of the record, which nobody
            // releases, by (1) of ours.
            unsafe { sys::disarm(ptr, len, protection) }.ok()?;
            // The rights first: who sees the new state does his instruction again.
            states.set(pages, PageState::Committed(protection));
            record.trips.fetch_add(1, Ordering::Relaxed);
            Answers::remember(base, record);
        }
        PageState::Committed(protection) if protection != Protection::NoAccess => {
            let is_armed_sometimes = record.trips.load(Ordering::Relaxed) != 0;
            if !is_armed_sometimes || !Answers::remember(base, record) {
                return None;
            }
        }
        _ => return None,
    }
    Some(Region::ours(Place { base, len }, state.told(), allocation_base, name))
}

/// The last answers of [`trip`], a number for each: thread, page and count make it.
struct Answers;

impl Answers {
    /// Notes an answer to this thread about the page at `base`. False if it was the last one
    /// already.
    fn remember(base: usize, record: &Record) -> bool {
        static LAST: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
        let thread = u64::from(sys::thread_id());
        let place = mixed(thread ^ mixed(base as u64));
        let count = record.trips.load(Ordering::Relaxed);
        let answer = mixed(place ^ u64::from(count));
        LAST[place as usize % LAST.len()].swap(answer, Ordering::Relaxed) != answer
    }
}

/// Spreads the bits of a number over the word: different ones stay different.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ number >> 32
}
