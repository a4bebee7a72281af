//! Floor 2, uses floors 0 and 1. Huge pages: what was asked for, and what there really is.

use super::reservation::Reservation;
use crate::error::{Error, Op};
use crate::sys::{self, HugePages};
use core::sync::atomic::{AtomicUsize, Ordering};

/// A wish for huge pages; see [`Builder::huge_pages`](super::Builder::huge_pages).
///
/// ```
/// use granule::vm::{HugeWish, Reservation};
/// let builder = Reservation::builder().len(64 << 20).huge_pages(HugeWish::Explicit);
/// let report = builder.reserve()?.huge_pages()?;
/// println!("asked for {:?}, got {:?}: {:?}", report.asked, report.given, report.reason);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HugeWish {
    /// Where the system can, as it goes along. The base is a multiple of the huge page. Nothing
    /// else changes: verbs work on pages, and whoever wants huge ones commits in multiples of them.
    Advised,
    /// From the pool that the administrator has set aside (Linux: `vm.nr_hugepages`), taken whole
    /// when the reservation is made and kept until it is released. Every range of every verb must
    /// then consist of whole huge pages. If the pool has too few, `Advised` is tried.
    Explicit,
}

/// Why the given huge pages are what they are.
///
/// ```
/// use granule::vm::{HugeReason, Reservation};
/// assert_eq!(Reservation::reserve(1)?.huge_pages()?.reason, HugeReason::NotAsked);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HugeReason {
    /// It is what was asked for.
    AsAsked,
    /// Nothing was asked for. A system that always uses huge pages still may.
    NotAsked,
    /// `Explicit` was asked for, and the pool has too few pages; `Advised` was given instead.
    PoolTooSmall,
    /// The system's setting is never to use huge pages that are not from the pool.
    Never,
    /// The system has no huge pages, or none that a program may ask for.
    Unsupported,
}

/// What became of the wish for huge pages: the answer of
/// [`Reservation::huge_pages`](super::Reservation::huge_pages).
///
/// ```
/// use granule::vm::{Access, HugeWish, Protection, Reservation};
/// let builder = Reservation::builder().len(8 << 20).huge_pages(HugeWish::Advised);
/// let reservation = builder.reserve()?;
/// reservation.commit(0..reservation.len(), Protection::ReadWrite)?;
/// reservation.populate(0..reservation.len(), Access::Write)?;
/// let report = reservation.huge_pages()?;
/// println!("{} of {} bytes are in huge pages", report.len, reservation.len());
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugeReport {
    /// What was asked for.
    pub asked: Option<HugeWish>,
    /// What the system has agreed to.
    pub given: Option<HugeWish>,
    /// Why that is so.
    pub reason: HugeReason,
    /// Bytes of a huge page; 0 when there are none.
    pub page_len: usize,
    /// Bytes of the reservation that are backed by huge pages at this moment.
    pub len: usize,
}

/// What a reservation remembers of its wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HugeGrant {
    pub(super) asked: Option<HugeWish>,
    pub(super) given: Option<HugeWish>,
    pub(super) reason: HugeReason,
}

/// In the order of their discriminants.
const REASONS: [HugeReason; 5] = [
    HugeReason::AsAsked,
    HugeReason::NotAsked,
    HugeReason::PoolTooSmall,
    HugeReason::Never,
    HugeReason::Unsupported,
];

impl HugeGrant {
    pub(super) const NOT_ASKED: Self =
        HugeGrant { asked: None, given: None, reason: HugeReason::NotAsked };

    pub(super) const EXPLICIT: Self = HugeGrant {
        asked: Some(HugeWish::Explicit),
        given: Some(HugeWish::Explicit),
        reason: HugeReason::AsAsked,
    };

    /// Bits that a record needs for it.
    pub(super) const BITS: u32 = 2 + 2 + 3;

    pub(super) fn to_bits(self) -> u32 {
        let bits = |wish: Option<HugeWish>| wish.map_or(0, |wish| 1 + wish as u32);
        bits(self.asked) | bits(self.given) << 2 | (self.reason as u32) << 4
    }

    /// The grant that the lowest bits say.
    pub(super) fn from_bits(bits: u32) -> Self {
        let wish = |bits: u32| match bits & 3 {
            1 => Some(HugeWish::Advised),
            2 => Some(HugeWish::Explicit),
            _ => None,
        };
        let reason = REASONS.get((bits >> 4 & 7) as usize).copied();
        HugeGrant {
            asked: wish(bits),
            given: wish(bits >> 2),
            reason: reason.unwrap_or(HugeReason::Unsupported),
        }
    }

    /// The ranges of all verbs are multiples of this.
    pub(super) fn unit(self) -> usize {
        if self.is_explicit() { page_len() } else { 1 }
    }

    pub(super) const fn is_explicit(self) -> bool {
        matches!(self.given, Some(HugeWish::Explicit))
    }

    /// The grant of a range from outside the pool, which the system has or has not let us advise.
    pub(super) fn advised(asked: HugeWish, is_advised: bool) -> Self {
        let (given, reason) = match asked {
            _ if page_len() == 0 || !is_advised => (None, HugeReason::Unsupported),
            _ if sys::huge_pages() == HugePages::Never => (None, HugeReason::Never),
            HugeWish::Advised => (Some(HugeWish::Advised), HugeReason::AsAsked),
            HugeWish::Explicit => (Some(HugeWish::Advised), HugeReason::PoolTooSmall),
        };
        HugeGrant { asked: Some(asked), given, reason }
    }
}

/// Bytes of a huge page, 0 when there are none. Asks the system once; two threads that come first
/// both ask, and are told the same.
pub(super) fn page_len() -> usize {
    const UNKNOWN: usize = usize::MAX;
    static KNOWN: AtomicUsize = AtomicUsize::new(UNKNOWN);
    match KNOWN.load(Ordering::Relaxed) {
        UNKNOWN => {
            let len = sys::huge_page_len();
            KNOWN.store(len, Ordering::Relaxed);
            len
        }
        len => len,
    }
}

impl Reservation {
    /// What became of the wish for huge pages, and how much is in huge pages now. Asks the system.
    ///
    /// Linux: ioctl(PAGEMAP_SCAN); before 6.7 it reads /proc/self/smaps. Windows: no
    /// call; pages from the pool are not given, and it has no others.
    ///
    /// # Errors
    /// `Denied`, `Other`: the system does not tell.
    pub fn huge_pages(&self) -> Result<HugeReport, Error> {
        let HugeGrant { asked, given, reason } = self.traits.huge;
        let (ptr, len) = self.place(self.all());
        // SAFETY: (1) exactly our range.
        let found = unsafe { sys::huge_len(ptr, len) };
        let found = found.map_err(|errno| errno.of(Op::Query, self.base(), len))?;
        Ok(HugeReport { asked, given, reason, page_len: page_len(), len: found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_fits_its_bits() {
        let wishes = [None, Some(HugeWish::Advised), Some(HugeWish::Explicit)];
        for (asked, given, reason) in wishes
            .into_iter()
            .flat_map(|asked| wishes.map(|given| (asked, given)))
            .flat_map(|(asked, given)| REASONS.map(|reason| (asked, given, reason)))
        {
            let grant = HugeGrant { asked, given, reason };
            assert!(grant.to_bits() < 1 << HugeGrant::BITS);
            assert_eq!(HugeGrant::from_bits(grant.to_bits() | u32::MAX << HugeGrant::BITS), grant);
        }
    }
}
