//! Floor 2, uses floors 0 and 1. How a reservation is asked for.

use super::place;
use super::pool::Refusal;
use super::records::{self, Extent, Traits};
use super::reservation::Reservation;
use super::states::{self, PageState, PageStates};
use crate::addr::{PageLen, Pages, align_down};
use crate::ds::name::Name;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, CommitPolicy, Errno, GuardKind, Limits};
use core::ptr::NonNull;

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
    hint: usize,
    align: usize,
    policy: CommitPolicy,
    guard_kind: Option<GuardKind>,
    name: Option<Name>,
    tracked: bool,
    watched: bool,
}

impl Builder {
    pub(super) const fn new() -> Self {
        Builder {
            len: 0,
            hint: 0,
            align: 1,
            policy: CommitPolicy::Strict,
            guard_kind: None,
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
    /// page that has byte `hint + len - 1`. The reservation begins there or not at all. 0, the
    /// default, lets the system choose; for anything long that is the better idea.
    pub const fn hint(mut self, addr: usize) -> Self {
        self.hint = addr;
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

    /// What [`Region::name`](super::Region::name) will say about its pages. The system is not told.
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
    /// aligned another mmap, and munmap of the trimmings. Now and then memory for the table, which
    /// counts in `ulimit -d`, and is charged under `vm.overcommit_memory=2`.
    ///
    /// # Errors
    /// - `OutOfRange`: the length is 0, or the range leaves the addresses a program may use.
    /// - `Misaligned`: the alignment is not a power of two, or the rounded hint not a multiple of
    ///   it.
    /// - `AddressTaken`: a hint was given, and some page of the range is in use.
    /// - `NoAddressSpace`, `TooManyMappings`, `NoMemory`, `Denied`: the system refused.
    /// - `Unsupported`: guard markers were demanded and the kernel has none, or none that a write
    ///   watch can tell from memory (before Linux 6.15); or the system cannot note writes, or does
    ///   not let this process have it: the error names the call.
    pub fn reserve(self) -> Result<Reservation, Error> {
        let limits = sys::limits();
        let page = states::page().ok_or(self.error(ErrorKind::Unsupported))?;
        let align = self.checked_align(limits)?;
        let (addr, len) = self.place(limits, page, align)?;
        let guards = super::guards();
        let can_be_told = |kind| !self.watched || sys::can_watch_guards(kind);
        let usual = if can_be_told(guards.chosen) { guards.chosen } else { GuardKind::Split };
        let guard_kind = self.guard_kind.unwrap_or(usual);
        let has_markers = guards.markers && can_be_told(GuardKind::Marker);
        if guard_kind == GuardKind::Marker && !has_markers {
            return Err(self.error(ErrorKind::Unsupported));
        }
        let (owner, record) = records::take().map_err(|refusal| self.unprepared(refusal))?;
        let taken = self.take(addr, len, align, limits);
        let base = taken.inspect_err(|_| records::give_back(owner))?;
        let traits = Traits {
            policy: self.policy,
            guard_kind,
            is_tracked: self.tracked,
            is_watched: self.watched,
        };
        record.write(Extent { base: base.addr().get(), len, traits });
        record.set_name(self.name);
        if self.tracked {
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
        Ok(unsafe { Reservation::from_record(owner, record, base, page) })
    }

    fn checked_align(&self, limits: Limits) -> Result<usize, Error> {
        if !self.align.is_power_of_two() {
            return Err(self.error(ErrorKind::Misaligned));
        }
        let align = self.align.max(limits.granularity);
        if self.hint != 0 && !align_down(self.hint, limits.granularity).is_multiple_of(align) {
            return Err(self.error(ErrorKind::Misaligned));
        }
        Ok(align)
    }

    /// The address (0: any) and the length of the range, in whole pages.
    fn place(&self, limits: Limits, page: PageLen, align: usize) -> Result<(usize, usize), Error> {
        let out_of_range = self.error(ErrorKind::OutOfRange);
        let room = limits.address_max - limits.address_min;
        if self.len == 0 || self.len > room || align > room {
            return Err(out_of_range);
        }
        let addr = align_down(self.hint, limits.granularity);
        let end = self.hint.checked_add(self.len).and_then(|end| page.round_up(end));
        let end = end.ok_or(out_of_range)?;
        let outside = addr < limits.address_min || end - 1 > limits.address_max;
        if self.hint != 0 && outside {
            return Err(out_of_range);
        }
        Ok((addr, end - addr))
    }

    fn take(
        &self,
        addr: usize,
        len: usize,
        align: usize,
        limits: Limits,
    ) -> Result<NonNull<u8>, Error> {
        if self.watched {
            // SAFETY: (1) as below.
            let done = unsafe { sys::reserve_watched(addr, len, align, self.policy) };
            return done.map_err(|(step, errno)| self.refused(step, errno));
        }
        let refused = |errno| self.refused(Op::Reserve, errno);
        if addr != 0 {
            // SAFETY: (1) `place` made the length whole pages, not 0; the address was rounded down
            // to the granularity.
            return unsafe { sys::reserve_at(addr, len, self.policy) }.map_err(refused);
        }
        // What is not in the table gains nothing from a good place.
        let hint = if self.tracked { place::hint(len, align, limits.address_min) } else { 0 };
        // SAFETY: (1) as above; `checked_align` made the alignment a power of two of at least the
        // granularity.
        let base = unsafe { sys::reserve(hint, len, align, self.policy) }.map_err(refused)?;
        if self.tracked {
            place::taken(base.addr().get(), hint);
        }
        Ok(base)
    }

    fn unprepared(&self, refusal: Refusal) -> Error {
        refusal.error(Op::Reserve, self.hint, self.len)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(Op::Reserve, kind, self.hint, self.len, 0)
    }

    fn refused(&self, step: Op, errno: Errno) -> Error {
        errno.in_step(step, Op::Reserve, self.hint, self.len)
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
