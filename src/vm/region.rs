//! Floor 2, uses floors 0 and 1. What a page is: the answers of `query`.

use super::states::PageState;
use crate::addr::align_down;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Mapping, Protection};

/// What a run of pages is.
///
/// ```
/// use granule::vm::{Protection, Reservation, State};
/// let page = granule::vm::info().page_len;
/// let reservation = Reservation::reserve(3 * page)?;
/// reservation.commit(0..2 * page, Protection::ReadWrite)?;
/// reservation.guard(page..2 * page)?;
/// let states = [0, page, 2 * page].map(|offset| reservation.query(offset).map(|r| r.state));
/// assert_eq!(states, [Ok(State::Committed), Ok(State::Guarded), Ok(State::Reserved)]);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Nobody's: no addresses, no memory. Only [`query`](super::query) tells this.
    Free,
    /// Addresses only; every touch faults.
    Reserved,
    /// Memory.
    Committed,
    /// Was committed; every touch faults until it is unguarded.
    Guarded,
    /// A verb failed half way, and the system refused to take the half back. Only decommit, which
    /// settles it, and release accept such pages.
    Unknown,
}

/// A run of pages in one state: the answer of [`Reservation::query`](super::Reservation::query) and
/// of [`query`].
///
/// ```
/// use granule::vm::{Protection, Reservation, State};
/// let page = granule::vm::info().page_len;
/// let reservation = Reservation::reserve(10 * page)?;
/// reservation.commit(page..2 * page, Protection::ReadWrite)?;
/// let region = reservation.query(page + 1)?;
/// assert_eq!(region.base, reservation.base() + page);
/// assert_eq!((region.len, region.state), (page, State::Committed));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Region {
    /// Address of the page that was asked for: the first one of the run that is described.
    pub base: usize,
    /// Bytes from `base` to the next page that differs, at most to the end of the reservation.
    pub len: usize,
    /// The state of all these pages.
    pub state: State,
    /// Their access rights; for Guarded pages the ones they get back. `None` where there are none
    /// to tell: Free, Reserved and Unknown.
    pub protection: Option<Protection>,
}

impl PageState {
    /// The state and the rights, as [`Region`] tells them.
    pub(super) const fn told(self) -> (State, Option<Protection>) {
        match self {
            PageState::Reserved => (State::Reserved, None),
            PageState::Committed(protection) => (State::Committed, Some(protection)),
            PageState::Guarded(protection) => (State::Guarded, Some(protection)),
            PageState::Unknown => (State::Unknown, None),
        }
    }
}

/// The state of the page at any address of the process, as far as the system knows it: Free,
/// Reserved (taken, and no access) or Committed. What the owner of the page thinks of it, only the
/// owner knows: see [`Reservation::query`](super::Reservation::query), which also is much faster.
///
/// Windows: `VirtualQuery`. Linux: openat, ioctl(PROCMAP_QUERY), close; before 6.11 it reads
/// /proc/self/maps. It allocates nothing.
///
/// # Errors
/// - `OutOfRange`: no program may have that address.
/// - `Denied`, `Other`: the system's list cannot be read.
///
/// ```
/// use granule::vm::{self, Protection, State};
/// let here = vm::query(main as *const () as usize)?;
/// assert_eq!(here.protection, Some(Protection::ExecuteRead));
/// assert_eq!(vm::query(0)?.state, State::Free);
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias = "VirtualQuery")]
pub fn query(addr: usize) -> Result<Region, Error> {
    let limits = sys::limits();
    if addr > limits.address_max {
        return Err(Error::new(Op::Query, ErrorKind::OutOfRange, addr, 1, 0));
    }
    let base = align_down(addr, limits.page_len);
    let found = sys::mapping_at_or_above(addr);
    let found = found.map_err(|errno| errno.of(Op::Query, addr, 1))?;
    Ok(match found {
        Some(Mapping { start, end, protection, .. }) if start <= addr => {
            let state = if protection.is_some() { State::Committed } else { State::Reserved };
            Region { base, len: end - base, state, protection }
        }
        above => {
            let end = above.map_or(usize::MAX, |mapping| mapping.start);
            let len = end.min(limits.address_max + 1) - base;
            Region { base, len, state: State::Free, protection: None }
        }
    })
}
