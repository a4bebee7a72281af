//! Floor 2, uses floors 0 and 1. What a page is: the answers of `query`.

use super::records;
use super::states::{self, PageState};
use crate::addr::PageLen;
use crate::ds::name::Name;
use crate::ds::page_table::Value;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Kind, Mapping, Protection};
use core::fmt;

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
    /// Nobody's: no addresses, no memory. Only [`query`](super::query) and
    /// [`regions`](super::regions) tell this.
    Free,
    /// Addresses only; every touch faults.
    Reserved,
    /// Memory.
    Committed,
    /// Was committed; every touch faults until it is unguarded.
    Guarded,
    /// Committed; the next touch faults once and makes it plain memory again.
    Tripwire,
    /// A verb failed half way, and the system refused to take the half back. Only decommit, which
    /// settles it, and release accept such pages.
    Unknown,
}

/// A run of pages in one state: the answer of [`Reservation::query`](super::Reservation::query), of
/// [`query`] and of [`regions`].
///
/// ```
/// use granule::vm::{Kind, Name, Protection, Reservation, State};
/// let page = granule::vm::info().page_len;
/// let reservation = Reservation::builder().len(10 * page).name(Name::new(b"arena")).reserve()?;
/// reservation.commit(page..2 * page, Protection::ReadWrite)?;
/// let region = granule::vm::query(reservation.base() + page + 1)?;
/// assert_eq!(region.base, reservation.base() + page);
/// assert_eq!((region.len, region.state), (page, State::Committed));
/// assert_eq!((region.kind, region.allocation_base), (Some(Kind::Private), reservation.base()));
/// assert_eq!(region.name.map(|name| name.to_string()).as_deref(), Some("arena"));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Region {
    /// Address of the page that was asked for: the first one of the run that is described.
    pub base: usize,
    /// Bytes from `base` to the next page that differs, at most to the end of the reservation or
    /// of what the system takes for one range.
    pub len: usize,
    /// The state of all these pages.
    pub state: State,
    /// Their access rights; for Guarded and Tripwire pages the ones they get back. `None` where
    /// there are none to tell: Free, Reserved and Unknown.
    pub protection: Option<Protection>,
    /// What is behind the pages; `None` if they are Free.
    pub kind: Option<Kind>,
    /// Where the reservation begins that the pages are a part of. Of pages that are not ours:
    /// Windows: the base of their allocation; Linux: of their mapping; 0 if they are Free.
    pub allocation_base: usize,
    /// What the reservation was [named](super::Builder::name); of pages that are not ours the path
    /// of the file behind them, or what the system calls them (`[stack]`). Long ones are shortened:
    /// see [`Name`].
    pub name: Option<Name>,
}

/// Addresses in hexadecimal, as everybody writes them.
impl fmt::Debug for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Region")
            .field("base", &format_args!("{:#x}", self.base))
            .field("len", &format_args!("{:#x}", self.len))
            .field("state", &self.state)
            .field("protection", &self.protection)
            .field("kind", &self.kind)
            .field("allocation_base", &format_args!("{:#x}", self.allocation_base))
            .field("name", &self.name)
            .finish()
    }
}

/// Where a region lies.
pub(super) struct Place {
    pub(super) base: usize,
    pub(super) len: usize,
}

/// A state and the rights that go with it.
#[derive(Clone, Copy)]
pub(super) struct Told {
    state: State,
    protection: Option<Protection>,
}

impl Told {
    /// What the number of a state in the table tells; `None` for 0 and for numbers that no state
    /// has. A table: branches would be taken by turns, as pages are asked for.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn from_code(code: u8) -> Option<Self> {
        const TOLD: [Option<Told>; PageState::CODES] = {
            let mut told = [None; PageState::CODES];
            let mut code = 0;
            while code < told.len() {
                if let Some(state) = PageState::from_code(code as u8) {
                    told[code] = Some(state.told());
                }
                code += 1;
            }
            told
        };
        TOLD.get(usize::from(code)).copied().flatten()
    }
}

impl Region {
    /// A run of our pages.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn ours(
        place: Place,
        told: Told,
        allocation_base: usize,
        name: Option<Name>,
    ) -> Self {
        let Told { state, protection } = told;
        let Place { base, len } = place;
        let kind = Some(Kind::Private);
        Region { base, len, state, protection, kind, allocation_base, name }
    }
}

impl PageState {
    /// As [`Region`] tells it.
    pub(super) const fn told(self) -> Told {
        let (state, protection) = match self {
            PageState::Reserved => (State::Reserved, None),
            PageState::Committed(protection) => (State::Committed, Some(protection)),
            PageState::Guarded(protection) => (State::Guarded, Some(protection)),
            PageState::Tripwire(protection) => (State::Tripwire, Some(protection)),
            PageState::Unknown => (State::Unknown, None),
        };
        Told { state, protection }
    }
}

/// The state of the page at any address of the process, and how far it reaches.
///
/// Pages of tracked reservations are answered from our own table, without a system call: a few
/// loads, and one more for each entry that the run goes on over. Those are its pages up to the next
/// multiple of 2 MiB, then steps of 2 MiB up to the next GiB, and so on. Of other pages it tells
/// what the system knows: Free, Reserved (taken, and no access) or Committed. It allocates nothing,
/// takes no lock, and may be called in a signal handler.
///
/// Windows: `VirtualQuery`. Linux: ioctl(PROCMAP_QUERY) on a descriptor of
/// /proc/self/maps that is opened once and kept; before 6.11 it reads that file each time.
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
    let error = |kind| Error::new(Op::Query, kind, addr, 1, 0);
    let page = states::page().ok_or(error(ErrorKind::Unsupported))?;
    if let Some(region) = ours(addr, page) {
        return Ok(region);
    }
    let limits = sys::limits();
    if addr > limits.address_max {
        return Err(error(ErrorKind::OutOfRange));
    }
    let base = page.offset_of(page.index_of(addr));
    let found = sys::named_mapping_at_or_above(addr);
    let found = found.map_err(|errno| errno.of(Op::Query, addr, 1))?;
    Ok(match found {
        Some((mapping, name)) if mapping.start <= addr => {
            let Mapping { end, allocation_base, protection, kind, .. } = mapping;
            let end = end.min(limits.address_max + 1);
            // The system joins our ranges with others of their kind; what is ours ends the region.
            let len = match kind {
                Kind::Private => len_before_ours(base, end, page),
                Kind::Mapped | Kind::Image => end - base,
            };
            let state = if protection.is_some() { State::Committed } else { State::Reserved };
            Region { base, len, state, protection, kind: Some(kind), allocation_base, name }
        }
        above => {
            let end = above.map_or(usize::MAX, |(mapping, _)| mapping.start);
            let len = end.min(limits.address_max + 1) - base;
            let (state, protection, kind) = (State::Free, None, None);
            Region { base, len, state, protection, kind, allocation_base: 0, name: None }
        }
    })
}

/// How often a page whose owner goes while it is looked at is looked at again.
const TRIES: usize = 64;

/// The answer of our own table; `None` for pages that are not ours.
#[cfg_attr(not(debug_assertions), inline(always))]
fn ours(addr: usize, page: PageLen) -> Option<Region> {
    let number = page.index_of(addr);
    if number >= states::PAGES {
        return None;
    }
    for _ in 0..TRIES {
        let mut seen = None;
        let look = |value: Value| {
            let record = records::get(value.owner);
            seen = record.and_then(|record| Some((record, record.glimpse()?)));
        };
        let (value, count) = states::run_at_with(number..states::PAGES, look);
        if value == Value::NOBODYS {
            return None;
        }
        if let (Some((record, glimpse)), Some(told)) = (seen, Told::from_code(value.state)) {
            let place = Place { base: page.offset_of(number), len: page.offset_of(count) };
            let name = record.name();
            let is_elsewhere = record.is_elsewhere();
            if record.is_still(glimpse) {
                if is_elsewhere {
                    return None;
                }
                return Some(Region::ours(place, told, glimpse.base, name));
            }
        }
    }
    None
}

/// The length of `base..end`, which begins with a page that is not ours, up to one that is.
fn len_before_ours(base: usize, end: usize, page: PageLen) -> usize {
    let first = page.index_of(base);
    let behind = page.index_of(end).min(states::PAGES);
    if first >= behind {
        return end - base;
    }
    match states::run_at(first..behind) {
        // Behind the last page of the table nothing is ours.
        (Value::NOBODYS, count) if first + count == behind => end - base,
        (Value::NOBODYS, count) => page.offset_of(count),
        // It was not ours a moment ago.
        _ => page.bytes(),
    }
}

/// All regions of the process from the first address that a program may have to the last, without
/// gaps: those that nobody has are [`State::Free`]. Ours are told in detail.
///
/// The process goes on while they are told. Each region is as it is when the iterator comes to it,
/// so mappings that come and go meanwhile may be told or not. Allocates nothing.
///
/// Windows and Linux: for pages that are not ours one system call each, as in [`query`].
///
/// ```
/// use granule::vm::{self, State};
/// let mut reserved = 0;
/// for region in vm::regions() {
///     let region = region?;
///     if region.state == State::Reserved {
///         reserved += region.len;
///     }
/// }
/// println!("{reserved} bytes of addresses are reserved");
/// # Ok::<(), granule::Error>(())
/// ```
pub fn regions() -> Regions {
    let limits = sys::limits();
    Regions { next: limits.address_min, address_max: limits.address_max }
}

/// The iterator of [`regions`]. Ends after an error.
///
/// ```
/// let mut regions = granule::vm::regions();
/// let (first, second) = (regions.next().unwrap()?, regions.next().unwrap()?);
/// assert_eq!(first.base + first.len, second.base);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Regions {
    next: usize,
    address_max: usize,
}

impl Iterator for Regions {
    type Item = Result<Region, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.address_max {
            return None;
        }
        let region = query(self.next);
        self.next = match &region {
            Ok(region) => region.base.saturating_add(region.len),
            Err(_) => usize::MAX,
        };
        Some(region)
    }
}

impl core::iter::FusedIterator for Regions {}
