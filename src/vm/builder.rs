//! Floor 2, uses floors 0 and 1. How a reservation is asked for.

use super::reservation::{Reservation, Traits};
use super::states::PageStates;
use crate::addr::{PageLen, align_down};
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

    /// No table of page states: for huge ranges whose owner keeps his own books. The verbs then
    /// check nothing but the range and are one system call each, [`Reservation::query`] is
    /// `Unsupported`, guards taken away leave read and write access, and a failed verb may have
    /// changed a part of its pages.
    pub const fn untracked(mut self) -> Self {
        self.tracked = false;
        self
    }

    /// Free -> Reserved. Takes addresses only: no memory and no charge. A tracked reservation also
    /// takes one byte of address space per page for its table, which costs memory where verbs were
    /// used. The table counts in `ulimit -d`, and under `vm.overcommit_memory=2` it is charged.
    ///
    /// Windows: `VirtualAlloc(MEM_RESERVE)`. Linux: mmap(PROT_NONE), munmap of the trimmings; for
    /// the table mmap and mprotect.
    ///
    /// # Errors
    /// - `OutOfRange`: the length is 0, or the range leaves the addresses a program may use.
    /// - `Misaligned`: the alignment is not a power of two, or the rounded hint not a multiple of
    ///   it.
    /// - `AddressTaken`: a hint was given, and some page of the range is in use.
    /// - `NoAddressSpace`, `TooManyMappings`, `NoMemory`, `Denied`: the system refused.
    /// - `Unsupported`: guard markers were demanded and the kernel has none, or none that a write
    ///   watch can tell from memory (before Linux 6.15); or, of the verb `watch`, the system cannot
    ///   note writes or does not let this process have it: the error names the call.
    pub fn reserve(self) -> Result<Reservation, Error> {
        let limits = sys::limits();
        let page = PageLen::new(limits.page_len).ok_or(self.error(ErrorKind::Unsupported))?;
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
        let base = self.take(addr, len, align)?;
        let traits = Traits { page, policy: self.policy, guard_kind, is_watched: self.watched };
        let states = if self.tracked {
            match PageStates::new(page.index_of(len), page) {
                Ok(states) => Some(states),
                Err((step, errno)) => {
                    let error = self.refused(step, errno);
                    // SAFETY: (1) the range reserved above, known to nobody. The first error is the
                    // one to tell.
                    let _ = unsafe { sys::release(base, len) };
                    return Err(error);
                }
            }
        } else {
            None
        };
        // SAFETY: (1) the range was reserved above with this policy and nobody else knows it; (2)
        // the table was made for its pages.
        Ok(unsafe { Reservation::from_parts(base, len, traits, states) })
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

    fn take(&self, addr: usize, len: usize, align: usize) -> Result<NonNull<u8>, Error> {
        if self.watched {
            // SAFETY: (1) as below.
            let done = unsafe { sys::reserve_watched(addr, len, align, self.policy) };
            return done.map_err(|(step, errno)| errno.in_step(step, step, self.hint, self.len));
        }
        let done = if addr == 0 {
            // SAFETY: (1) `place` made the length whole pages, not 0; `checked_align` the alignment
            // a power of two of at least the granularity.
            unsafe { sys::reserve(0, len, align, self.policy) }
        } else {
            // SAFETY: (1) as above; the address was rounded down to the granularity.
            unsafe { sys::reserve_at(addr, len, self.policy) }
        };
        done.map_err(|errno| self.refused(Op::Reserve, errno))
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(Op::Reserve, kind, self.hint, self.len, 0)
    }

    fn refused(&self, step: Op, errno: Errno) -> Error {
        errno.in_step(step, Op::Reserve, self.hint, self.len)
    }
}
