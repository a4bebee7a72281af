//! Floor 2, uses floors 0 and 1. Huge pages: what was asked for, and what there really is.

use super::reservation::Reservation;
use crate::error::{Error, Op};
use crate::sys::{self, HugePages};

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
    /// Where the system can, as it goes along. The base is a multiple of the huge page. Nothing else
    /// changes: verbs work on pages, and whoever wants huge ones commits in multiples of them.
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
    /// Bytes of a huge page; 0 when nothing was asked for, or there are none.
    pub(super) page_len: usize,
}

impl HugeGrant {
    pub(super) const NOT_ASKED: Self =
        HugeGrant { asked: None, given: None, reason: HugeReason::NotAsked, page_len: 0 };

    /// The ranges of all verbs are multiples of this.
    pub(super) const fn unit(self) -> usize {
        if self.is_explicit() { self.page_len } else { 1 }
    }

    pub(super) const fn is_explicit(self) -> bool {
        matches!(self.given, Some(HugeWish::Explicit))
    }

    /// The grant of `Explicit`.
    pub(super) const fn explicit(page_len: usize) -> Self {
        let given = Some(HugeWish::Explicit);
        HugeGrant { asked: given, given, reason: HugeReason::AsAsked, page_len }
    }

    /// The grant of a range from outside the pool, which the system has or has not let us advise.
    pub(super) fn advised(asked: HugeWish, page_len: usize, is_advised: bool) -> Self {
        let (given, reason) = match asked {
            _ if page_len == 0 || !is_advised => (None, HugeReason::Unsupported),
            _ if sys::huge_pages() == HugePages::Never => (None, HugeReason::Never),
            HugeWish::Advised => (Some(HugeWish::Advised), HugeReason::AsAsked),
            HugeWish::Explicit => (Some(HugeWish::Advised), HugeReason::PoolTooSmall),
        };
        HugeGrant { asked: Some(asked), given, reason, page_len }
    }
}

impl Reservation {
    /// What became of the wish for huge pages, and how much is in huge pages now. Asks the system.
    ///
    /// Linux: openat, ioctl(PAGEMAP_SCAN), close; before 6.7 it reads /proc/self/smaps. Windows: no
    /// call; it has huge pages of the explicit kind only, and a reservation is made of them or not.
    ///
    /// # Errors
    /// `Denied`, `Other`: the system does not tell.
    pub fn huge_pages(&self) -> Result<HugeReport, Error> {
        let HugeGrant { asked, given, reason, .. } = self.traits.huge;
        // SAFETY: (1) exactly our range.
        let len = unsafe { sys::huge_len(self.ptr(), self.len()) };
        let len = len.map_err(|errno| errno.of(Op::Query, self.base(), self.len()))?;
        Ok(HugeReport { asked, given, reason, page_len: sys::huge_page_len(), len })
    }
}
