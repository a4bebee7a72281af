//! Floor 2, uses floors 0 and 1. How a reservation is asked for.

use super::CommitPolicy;
use super::advice::Remembered;
use super::fit::{Fitted, Place};
use super::huge::{self, HugeGrant, HugeWish};
use super::pool::Refusal;
use super::records::{self, Extent, Traits};
use super::reservation::Reservation;
use super::search::{Direction, NotFound};
use super::states::{self, PageState, PageStates};
use crate::addr::{PageLen, Pages, align_down};
use crate::ds::name::Name;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Advice, Errno, GuardKind, Limits};
use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// A request for a [`Reservation`]; [`reserve`](Builder::reserve) makes it.
///
/// ```
/// use granule::vm::{CommitPolicy, Reservation};
/// let terabyte = 1 << 40;
/// let reservation = Reservation::builder()
///     .len(terabyte)
///     .align(2 << 20)
///     .policy(CommitPolicy::Lazy)
///     .reserve()?;
/// assert_eq!((reservation.len(), reservation.base() % (2 << 20)), (terabyte, 0));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a request does nothing until `reserve` is called"]
pub struct Builder {
    len: usize,
    place: Place,
    align: usize,
    policy: CommitPolicy,
    guard_kind: Option<GuardKind>,
    huge: Option<HugeWish>,
    node: Option<u16>,
    no_dump: bool,
    name: Option<Name>,
    tracked: bool,
    watched: bool,
}

impl Builder {
    pub(super) const fn new() -> Self {
        Builder {
            len: 0,
            place: Place::Anywhere,
            align: 1,
            policy: CommitPolicy::Strict,
            guard_kind: None,
            huge: None,
            node: None,
            no_dump: false,
            name: None,
            tracked: true,
            watched: false,
        }
    }

    /// How many bytes; rounded up to whole pages. Required.
    pub const fn len(mut self, len: usize) -> Self {
        self.len = len;
        self
    }

    /// The wanted address, as `lpAddress` of `VirtualAlloc`: rounded down to the granularity
    /// ([`Info::granularity`](super::Info::granularity), 64 KiB), and the end is moved up to the
    /// page that has byte `hint + len - 1`. The reservation begins there or not at all. 0 is no
    /// hint: without one the system chooses, which for anything long is the better idea.
    pub const fn hint(mut self, addr: usize) -> Self {
        if addr != 0 {
            self.place = Place::Hint(addr);
        }
        self
    }

    /// The reservation begins exactly at `addr`, a multiple of the granularity and of the alignment
    /// that is not rounded, or not at all.
    pub const fn exact(mut self, addr: usize) -> Self {
        self.place = Place::Exact(addr);
        self
    }

    /// The highest free addresses that the length and the alignment allow, as `MEM_TOP_DOWN`. Of
    /// two reservations made one after the other the second lies below the first, as long as
    /// nothing above is freed.
    ///
    /// This, [`bottom_up`](Self::bottom_up), [`hint`](Self::hint) and [`exact`](Self::exact)
    /// replace each other. The search asks the system for one taken range after the other, so it is
    /// slower than the system's own choice. The room below the main thread's stack that it may
    /// still grow into counts as taken.
    #[doc(alias = "MEM_TOP_DOWN")]
    pub const fn top_down(mut self) -> Self {
        self.place = Place::First(Direction::TopDown);
        self
    }

    /// The lowest free addresses that the length and the alignment allow; see
    /// [`top_down`](Self::top_down).
    pub const fn bottom_up(mut self) -> Self {
        self.place = Place::First(Direction::BottomUp);
        self
    }

    /// The base is to be a multiple of `align` bytes, a power of two. Never less than the
    /// granularity, which is the default.
    pub const fn align(mut self, align: usize) -> Self {
        self.align = align;
        self
    }

    /// When the system's promise of memory is taken. The default is [`CommitPolicy::Strict`].
    pub const fn policy(mut self, policy: CommitPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How guards are made. The default is [`Info::guard`](super::Info::guard).
    pub const fn guard_kind(mut self, kind: GuardKind) -> Self {
        self.guard_kind = Some(kind);
        self
    }

    /// The system notes which pages are written: see
    /// [`take_written`](Reservation::take_written). The first write to a page after it was
    /// forgotten costs about as much as a page fault, the others cost nothing.
    ///
    /// Linux: userfaultfd (6.7 or younger), once in a process; for the reservation
    /// ioctl(UFFDIO_REGISTER) and madvise(MADV_NOHUGEPAGE), because a huge page is written as a
    /// whole. The process keeps two files open from then on. Windows:
    /// `VirtualAlloc(MEM_WRITE_WATCH)`.
    #[doc(alias("MEM_WRITE_WATCH", "userfaultfd", "dirty", "soft-dirty"))]
    pub const fn write_watch(mut self) -> Self {
        self.watched = true;
        self
    }

    /// Huge pages, as far as the system has them: it is no error if it does not. What became of the
    /// wish is told by [`Reservation::huge_pages`]. The base is a multiple of the huge page, which
    /// a hint or an exact address has to be, too.
    ///
    /// With [`HugeWish::Explicit`] the length is rounded up to whole huge pages. If they are given,
    /// the range of every verb has to consist of whole ones, or it is `Misaligned`; guards are
    /// [`GuardKind::Split`]; `discard` is `Unsupported`; and decommitted pages lose their content,
    /// but stay with the reservation.
    ///
    /// Linux: madvise(MADV_HUGEPAGE), or mmap(MAP_HUGETLB). Windows: there is no advice, and pages
    /// from the pool (`MEM_LARGE_PAGES`) cannot be reserved without being committed, so none are
    /// given.
    #[doc(alias("MADV_HUGEPAGE", "MAP_HUGETLB", "MEM_LARGE_PAGES"))]
    pub const fn huge_pages(mut self, wish: HugeWish) -> Self {
        self.huge = Some(wish);
        self
    }

    /// The memory comes from memory node `node` as long as that has some, then from others.
    ///
    /// Linux: mbind(MPOL_PREFERRED). Windows: `VirtualAllocExNuma`.
    #[doc(alias("mbind", "VirtualAllocExNuma"))]
    pub const fn numa_node(mut self, node: u16) -> Self {
        self.node = Some(node);
        self
    }

    /// Leaves the range out of core dumps: [`Advice::NoDump`] from the beginning. The reservation
    /// is not made if the system cannot do that: Windows cannot from 4 GiB on, macOS never can.
    pub const fn no_dump(mut self) -> Self {
        self.no_dump = true;
        self
    }

    /// What [`Region::name`](super::Region::name) will say about its pages.
    ///
    /// Linux: prctl(PR_SET_VMA_ANON_NAME), so that /proc/PID/maps says it too, where the kernel has
    /// that (5.17, and built with it); characters that the kernel does not take are `?` there.
    #[doc(alias = "PR_SET_VMA_ANON_NAME")]
    pub const fn name(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// No table of page states: for huge ranges whose owner keeps his own books. The verbs then
    /// check nothing but the range and are one system call each, [`Reservation::query`] is
    /// `Unsupported`, guards taken away leave read and write access, and a failed verb may have
    /// changed a part of its pages.
    pub const fn untracked(mut self) -> Self {
        self.tracked = false;
        self
    }

    /// Free -> Reserved. Takes addresses only: no memory and no charge. The table of page states is
    /// the process's; it takes some KiB where reservations begin and end, and 8 bytes for each page
    /// only where neighbouring pages differ.
    ///
    /// Windows: `VirtualAlloc(MEM_RESERVE)`. Linux: mmap(PROT_NONE); where the answer is not
    /// aligned another mmap and munmap of the trimmings; and the calls of the wishes. Now and then
    /// memory for the table, which counts in `ulimit -d`, and is charged under
    /// `vm.overcommit_memory=2`.
    ///
    /// # Errors
    /// - `OutOfRange`: the length is 0, or the range leaves the addresses a program may use.
    /// - `Misaligned`: the alignment is not a power of two, or the rounded hint or the exact
    ///   address not a multiple of it.
    /// - `AddressTaken`: an address was given, and some page of the range is in use.
    /// - `NoAddressSpace`, `TooManyMappings`, `NoMemory`, `Denied`: the system refused.
    /// - `Unsupported`: guard markers were demanded and the kernel has none, or none that a write
    ///   watch can tell from memory (before Linux 6.15); the system cannot note writes, or does not
    ///   let this process have it (the error names the call); a watch was asked for together with
    ///   huge pages or a memory node; the machine has no such node; or the system cannot leave
    ///   memory out of core dumps.
    pub fn reserve(self) -> Result<Reservation, Error> {
        let limits = sys::limits();
        let page = states::page().ok_or(self.error(ErrorKind::Unsupported))?;
        let huge_len = if self.huge.is_some() { huge::page_len() } else { 0 };
        let fitted = self.fitted(limits, page, huge_len)?;
        let guard_kind = self.chosen_guard()?;
        let (owner, record) = records::take().map_err(|refusal| self.unprepared(refusal))?;
        let taken = self.take(fitted, huge_len);
        let (base, huge) = taken.inspect_err(|_| records::give_back(owner))?;
        let Fitted { len, policy, node, is_tracked, .. } = fitted;
        // Markers are for pages of the usual length.
        let guard_kind = if huge.is_explicit() { GuardKind::Split } else { guard_kind };
        let is_watched = self.watched;
        let traits = Traits { policy, guard_kind, is_tracked, is_watched, huge, node };
        record.write(Extent { base: base.addr().get(), len, traits });
        record.set_name(self.name);
        if huge.given == Some(HugeWish::Advised) {
            let advice = Remembered::default().with(Advice::HugePages);
            record.advice.store(advice.bits(), Ordering::Release);
        }
        if is_tracked {
            let entered = enter(owner, page.index_of(base.addr().get()), page.index_of(len));
            if let Err(refusal) = entered {
                let error = self.unprepared(refusal);
                records::give_back(owner);
                // SAFETY: (1) the range reserved above, known to nobody. The first error is the one
                // to tell.
                let _ = unsafe { sys::release(base, len) };
                return Err(error);
            }
        }
        // SAFETY: (1) the range was reserved above with this policy, and (2) nobody else knows it;
        // (3) `enter` wrote the table.
        let reservation = unsafe { Reservation::from_record(owner, record, base, page) };
        reservation.tell_name(reservation.all());
        if self.no_dump {
            let advised = reservation.advise(Advice::NoDump);
            advised.map_err(|error| error.as_part_of(Op::Reserve))?;
        }
        Ok(reservation)
    }

    /// How guards are made here. What the system can do is not looked at if it does not matter.
    fn chosen_guard(&self) -> Result<GuardKind, Error> {
        if self.guard_kind == Some(GuardKind::Split) {
            return Ok(GuardKind::Split);
        }
        let guards = super::guards();
        let can_be_told = |kind| !self.watched || sys::can_watch_guards(kind);
        let usual = if can_be_told(guards.chosen) { guards.chosen } else { GuardKind::Split };
        let guard_kind = self.guard_kind.unwrap_or(usual);
        let has_markers = guards.markers && can_be_told(GuardKind::Marker);
        if guard_kind == GuardKind::Marker && !has_markers {
            return Err(self.error(ErrorKind::Unsupported));
        }
        Ok(guard_kind)
    }

    /// Checks the request and rounds what is to be rounded.
    fn fitted(self, limits: Limits, page: PageLen, huge_len: usize) -> Result<Fitted, Error> {
        let out_of_range = self.error(ErrorKind::OutOfRange);
        let misaligned = self.error(ErrorKind::Misaligned);
        if !self.align.is_power_of_two() {
            return Err(misaligned);
        }
        let align = self.align.max(limits.granularity).max(huge_len);
        let (addr, first_byte) = match self.place {
            Place::Anywhere | Place::First(_) => (None, 0),
            Place::Hint(addr) => (Some(align_down(addr, limits.granularity)), addr),
            Place::Exact(addr) => (Some(addr), addr),
        };
        if !addr.unwrap_or(0).is_multiple_of(align) {
            return Err(misaligned);
        }
        let room = limits.address_max - limits.address_min;
        if self.len == 0 || self.len > room || align > room {
            return Err(out_of_range);
        }
        let end = first_byte.checked_add(self.len).and_then(|end| page.round_up(end));
        let len = end.ok_or(out_of_range)? - addr.unwrap_or(0);
        let is_explicit = self.huge == Some(HugeWish::Explicit) && huge_len != 0;
        let len = if is_explicit { len.checked_next_multiple_of(huge_len) } else { Some(len) };
        let len = len.ok_or(out_of_range)?;
        if let Some(addr) = addr {
            let last = addr.checked_add(len - 1).ok_or(out_of_range)?;
            if addr < limits.address_min || last > limits.address_max {
                return Err(out_of_range);
            }
        }
        let policy = self.policy.resolved();
        let place = addr.map_or(self.place, Place::Exact);
        let Builder { node, tracked: is_tracked, .. } = self;
        Ok(Fitted { place, len, align, policy, node, is_tracked, limits })
    }

    /// Takes the addresses, from the pool of huge pages first if that is the wish.
    fn take(self, fitted: Fitted, huge_len: usize) -> Result<(NonNull<u8>, HugeGrant), Error> {
        if self.watched {
            return Ok((self.take_watched(fitted)?, HugeGrant::NOT_ASKED));
        }
        let Some(wish) = self.huge else {
            return Ok((
                fitted.take(None).map_err(|why| self.not_found(why))?,
                HugeGrant::NOT_ASKED,
            ));
        };
        if wish == HugeWish::Explicit && huge_len != 0 {
            match fitted.take(Some(huge_len)) {
                Ok(base) => return Ok((base, HugeGrant::EXPLICIT)),
                // The pool is no reason to fail, the address is.
                Err(NotFound::Refused(errno))
                    if sys::explain(Op::Reserve, errno) == ErrorKind::AddressTaken =>
                {
                    return Err(self.refused(Op::Reserve, errno));
                }
                Err(_) => {}
            }
        }
        let base = fitted.take(None).map_err(|why| self.not_found(why))?;
        // SAFETY: (1) the range reserved a moment ago.
        let is_advised = unsafe { sys::advise(base, fitted.len, Advice::HugePages) }.is_ok();
        Ok((base, HugeGrant::advised(wish, is_advised)))
    }

    /// Takes the addresses with a write watch. A huge page would be written as a whole.
    fn take_watched(self, fitted: Fitted) -> Result<NonNull<u8>, Error> {
        if self.huge.is_some() || self.node.is_some() {
            return Err(self.error(ErrorKind::Unsupported));
        }
        let step = Cell::new(Op::Reserve);
        fitted.take_watched(&step).map_err(|why| match why {
            NotFound::NoPlace => self.error(ErrorKind::NoAddressSpace),
            NotFound::Refused(errno) => self.refused(step.get(), errno),
        })
    }

    fn not_found(&self, why: NotFound) -> Error {
        match why {
            NotFound::NoPlace => self.error(ErrorKind::NoAddressSpace),
            NotFound::Refused(errno) => self.refused(Op::Reserve, errno),
        }
    }

    fn unprepared(&self, refusal: Refusal) -> Error {
        refusal.error(Op::Reserve, self.addr(), self.len)
    }

    fn addr(&self) -> usize {
        match self.place {
            Place::Hint(addr) | Place::Exact(addr) => addr,
            Place::Anywhere | Place::First(_) => 0,
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(Op::Reserve, kind, self.addr(), self.len, 0)
    }

    fn refused(&self, step: Op, errno: Errno) -> Error {
        errno.in_step(step, Op::Reserve, self.addr(), self.len)
    }
}

/// Writes the pages of a new reservation into the table.
fn enter(owner: u32, first: usize, count: usize) -> Result<(), Refusal> {
    if first + count > states::PAGES {
        return Err(Refusal::Full);
    }
    let Some(pages) = Pages::new(0, count) else { return Ok(()) };
    let states = PageStates::new(owner, first);
    states.prepare(pages)?;
    states.set(pages, PageState::Reserved);
    Ok(())
}
