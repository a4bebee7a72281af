//! Floor 2, uses floors 0 and 1. The owner of a range of addresses, and its verbs.
//!
//! Every verb has the same four steps: cover the bytes with pages, look the rules up in the table,
//! make the system call, and only after it succeeded write the new states. A system call that fails
//! may have changed some pages before the one it stumbled over (`mprotect` walks from mapping to
//! mapping), so a failure puts every page back to what the table says; where even that is refused
//! the table says Unknown.

use super::builder::Builder;
use super::policy::CommitPolicy;
use super::records::{self, Extent, Record, Traits};
use super::region::{Place, Region, Told};
use super::states::{self, PageState, PageStates, Run, Way};
use super::{place, pool::Refusal};
use crate::addr::{PageLen, Pages};
use crate::ds::name::Name;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Errno, GuardKind, Protection};
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// A range of addresses that nobody else gets, until it is released or dropped.
///
/// See the [module](super) for the states, and for why the verbs are safe and take `&self`.
///
/// ```
/// use granule::vm::{Protection, Reservation};
/// let reservation = Reservation::reserve(1 << 30)?; // a gigabyte of addresses, no memory
/// reservation.commit(0..100, Protection::ReadWrite)?; // one page of memory
/// // SAFETY: the first page is committed for writing and nobody else has a pointer into it.
/// unsafe { reservation.as_ptr().write(b'A') };
/// reservation.decommit(0..100)?;
/// reservation.release()?;
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("VirtualAlloc", "mmap", "VirtualFree", "munmap"))]
pub struct Reservation {
    base: NonNull<u8>,
    len: usize,
    pub(super) page: PageLen,
    pub(super) traits: Traits,
    pub(super) owner: u32,
    pub(super) record: &'static Record,
}

// SAFETY: the range belongs to this value alone and no thread is special to it; it gives away raw
// pointers only.
unsafe impl Send for Reservation {}
// SAFETY: every field that changes behind `&self` is atomic; the system orders its own calls.
unsafe impl Sync for Reservation {}

/// One use of a verb: what was asked for and the pages that this means.
pub(super) struct Call {
    op: Op,
    pub(super) pages: Pages,
    addr: usize,
    len: usize,
    /// The state of all the pages, if `require` has found one state only.
    found: Option<PageState>,
    /// The way to them in the table, if there was one.
    way: Option<Way>,
}

impl Call {
    pub(super) fn refused(&self, kind: ErrorKind) -> Error {
        Error::new(self.op, kind, self.addr, self.len, 0)
    }

    pub(super) fn failed(&self, errno: Errno) -> Error {
        errno.of(self.op, self.addr, self.len)
    }

    /// The table of states could not grow.
    fn unprepared(&self, refusal: Refusal) -> Error {
        refusal.error(self.op, self.addr, self.len)
    }
}

impl Reservation {
    /// Free -> Reserved: `len` bytes, rounded up to whole pages, at an address of the system's
    /// choice that is a multiple of the granularity; policy [`CommitPolicy::Strict`].
    ///
    /// # Errors
    /// As for [`Builder::reserve`].
    pub fn reserve(len: usize) -> Result<Self, Error> {
        Self::builder().len(len).reserve()
    }

    /// A reservation with wishes: address, alignment, policy, guards.
    pub const fn builder() -> Builder {
        Builder::new()
    }

    /// Takes ownership of what record `owner` describes.
    ///
    /// # Safety
    /// 1. `record` is that of number `owner` and says truly: its range was reserved from `sys`
    ///    under its policy and is page-aligned. `base` is a pointer to its beginning.
    /// 2. There is no other owner, and nobody else will change or release the range.
    /// 3. If it says tracked, every page of the range is `owner`'s in the table of states.
    pub(super) unsafe fn from_record(
        owner: u32,
        record: &'static Record,
        base: NonNull<u8>,
        page: PageLen,
    ) -> Self {
        let Extent { len, traits, .. } = record.extent();
        Reservation { base, len, page, traits, owner, record }
    }

    /// The first byte of the range. Dereferencing it is `unsafe` and needs committed pages.
    pub const fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The address of the first byte.
    pub fn base(&self) -> usize {
        self.base.addr().get()
    }

    /// Bytes in the range: whole pages, never 0.
    #[expect(clippy::len_without_is_empty, reason = "a reservation is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// `len` rounded up to whole pages; at most the length of the reservation.
    #[inline]
    pub(crate) fn round_up(&self, len: usize) -> usize {
        self.page.round_up(len).map_or(self.len, |end| end.min(self.len))
    }

    /// What it was [named](Builder::name).
    pub fn name(&self) -> Option<Name> {
        self.record.name()
    }

    /// How this reservation makes its guards.
    pub const fn guard_kind(&self) -> GuardKind {
        self.traits.guard_kind
    }

    /// When this reservation takes the system's promise of memory.
    /// Never `Auto`: that was resolved when the reservation was made.
    pub fn policy(&self) -> CommitPolicy {
        self.traits.policy.into()
    }

    /// Reserved -> Committed. New pages read zero. Pages that are committed already, armed or not,
    /// keep their content and get the new rights.
    ///
    /// Under [`CommitPolicy::Strict`] the system's charge grows by exactly the new pages. Linux
    /// charges when pages become writable: pages committed for reading only are promised by the
    /// [`protect`](Self::protect) that lets them be written, and that is where it can be refused.
    ///
    /// Windows: `VirtualAlloc(MEM_COMMIT)`. Linux: mprotect.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is Guarded or Unknown.
    /// - `NoMemory`, `TooManyMappings`, `Denied`: the system refused. Every page is as it was.
    ///
    /// As in every verb that changes states, `NoMemory` can also mean that there was none for the
    /// table of states, before anything else was tried.
    pub fn commit(&self, range: Range<usize>, protection: Protection) -> Result<(), Error> {
        let mut call = self.call(Op::Commit, range)?;
        self.require(&mut call, |state| {
            matches!(state, PageState::Reserved | PageState::Committed(_) | PageState::Tripwire(_))
        })?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside.
        let done = unsafe { sys::commit(ptr, len, protection) };
        self.settle_as(&call, done, PageState::Committed(protection))
    }

    /// Any state -> Reserved. Memory and charge go back, the content is lost. Pages that
    /// are Reserved already may be in the range.
    ///
    /// Windows: `VirtualFree(MEM_DECOMMIT)`. Linux: mmap over the range, because the cheaper ways
    /// keep the charge; where that is refused, madvise and mprotect, which do keep it.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `TooManyMappings`, `Denied`: the system refused. The states are as they were; content may
    ///   be lost.
    pub fn decommit(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Decommit, range)?;
        self.prepare(&mut call)?;
        let done = self.take_back(call.pages);
        self.settle_as(&call, done, PageState::Reserved)
    }

    /// Committed or Tripwire -> Committed, with other rights. The content stays.
    ///
    /// Windows: `VirtualProtect`. Linux: mprotect.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is neither Committed nor Tripwire. No page was changed.
    /// - `TooManyMappings`, `NoMemory`, `Denied`: the system refused. Every page is as it was.
    pub fn protect(&self, range: Range<usize>, protection: Protection) -> Result<(), Error> {
        let mut call = self.call(Op::Protect, range)?;
        self.require(&mut call, |state| {
            matches!(state, PageState::Committed(_) | PageState::Tripwire(_))
        })?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside; whoever holds references into it promised that
        // nobody does this.
        let done = unsafe { sys::protect(ptr, len, protection) };
        self.settle_as(&call, done, PageState::Committed(protection))
    }

    /// The content of Committed pages is not needed any more; state and rights stay. Until the next
    /// write to it a page reads as before or zero.
    ///
    /// Windows: `VirtualAlloc(MEM_RESET)`. Linux: madvise(MADV_FREE).
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is not Committed, or it is locked in memory.
    /// - `Unsupported`: the pages are explicit huge ones, which never go back alone.
    #[doc(alias("MEM_RESET", "MADV_FREE"))]
    pub fn discard(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Discard, range)?;
        self.require(&mut call, |state| matches!(state, PageState::Committed(_)))?;
        if self.traits.huge.is_explicit() {
            return Err(call.refused(ErrorKind::Unsupported));
        }
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside; the content is the caller's to lose.
        let done = unsafe { sys::discard(ptr, len) };
        self.settle(&call, done, |state| state)
    }

    /// Committed or Tripwire -> Guarded: every touch faults, and the memory goes back. Pages that
    /// are Guarded already may be in the range.
    ///
    /// With [`GuardKind::Marker`] the charge stays, and no mapping is split. With
    /// [`GuardKind::Split`] the charge goes back and each guard may cost two mappings.
    ///
    /// Windows: `VirtualFree(MEM_DECOMMIT)`. Linux: madvise(MADV_GUARD_INSTALL), or the calls of
    /// [`decommit`](Self::decommit).
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is neither Committed, Tripwire nor Guarded. No page was changed.
    /// - `TooManyMappings`, `NoMemory`, `Denied`: the system refused. The states are as they were;
    ///   content may be lost.
    pub fn guard(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Guard, range)?;
        self.require(&mut call, PageState::is_promised)?;
        let done = self.install_guards(call.pages);
        self.settle(&call, done, |state| match state {
            PageState::Committed(protection) | PageState::Tripwire(protection) => {
                PageState::Guarded(protection)
            }
            other => other,
        })
    }

    /// Guarded -> Committed, with the rights from before; the pages read zero. Committed and armed
    /// pages in the range are left alone.
    ///
    /// Windows: `VirtualAlloc(MEM_COMMIT)`. Linux: madvise(MADV_GUARD_REMOVE), or mprotect.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is neither Guarded, Tripwire nor Committed. No page was changed.
    /// - `NoMemory` (with [`GuardKind::Split`], whose charge has to be taken again),
    ///   `TooManyMappings`, `Denied`: the system refused. Every page is as it was.
    pub fn unguard(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Unguard, range)?;
        self.require(&mut call, PageState::is_promised)?;
        let done = self.remove_guards(call.pages);
        self.settle(&call, done, |state| match state {
            PageState::Guarded(protection) => PageState::Committed(protection),
            other => other,
        })
    }

    /// The state of the page that has byte `offset`, and how far the same state reaches from there.
    /// Answers from the process's own table, without a system call, on every system.
    ///
    /// # Errors
    /// - `OutOfRange`: `offset` lies behind the reservation.
    /// - `Unsupported`: the reservation is [untracked](Builder::untracked).
    #[doc(alias = "VirtualQuery")]
    pub fn query(&self, offset: usize) -> Result<Region, Error> {
        if offset >= self.len || self.record.is_elsewhere() || !self.traits.is_tracked {
            return Err(self.unanswered(offset));
        }
        let first = self.page.index_of(self.base() + offset);
        let end = self.page.index_of(self.base() + self.len);
        let (value, count) = states::run_at(first..end);
        // Another owner can only be where the caller broke a rule: nothing is known then.
        let told = Told::from_code(value.state).filter(|_| value.owner == self.owner);
        let place = Place { base: self.page.offset_of(first), len: self.page.offset_of(count) };
        let told = told.unwrap_or(PageState::Unknown.told());
        Ok(Region::ours(place, told, self.base(), self.name()))
    }

    /// Why `query` tells nothing.
    #[cold]
    fn unanswered(&self, offset: usize) -> Error {
        match self.call(Op::Query, offset..offset.saturating_add(1)) {
            Ok(call) => call.refused(ErrorKind::Unsupported),
            Err(error) => error,
        }
    }

    /// Any state -> Free. Decommits by itself. Dropping a reservation does the same and keeps quiet
    /// about errors.
    ///
    /// Windows: `VirtualFree(MEM_RELEASE)`; for a piece of a reservation that was
    /// [split](Self::split) it is `VirtualFree(MEM_DECOMMIT)`, until the last piece goes. Linux:
    /// munmap.
    ///
    /// # Errors
    /// `TooManyMappings`: the range has grown together with neighbours, and the process has no
    /// mapping left to cut it out. Its memory went back, its addresses stay taken, and
    /// [`query`](super::query) goes on calling them Reserved.
    pub fn release(self) -> Result<(), Error> {
        ManuallyDrop::new(self).free()
    }

    /// Nothing happens in the child of a fork that may lack pages; there the record stays, too.
    ///
    /// The pages leave the table *before* the system takes them back: afterwards they may be
    /// somebody else's at any moment.
    fn free(&self) -> Result<(), Error> {
        if self.record.is_elsewhere() {
            return Ok(());
        }
        self.end_advice();
        let states = self.states();
        if let Some(states) = states {
            states.forget(self.all());
        }
        let Err(errno) = self.unmap() else {
            place::released(self.base(), self.len);
            records::give_back(self.owner);
            return Ok(());
        };
        let error = errno.of(Op::Release, self.base(), self.len);
        // SAFETY: (1) still ours, and nobody uses it any more. If this is refused too, nothing is
        // left to try.
        let emptied = unsafe { sys::decommit(self.base, self.len, self.traits.policy) };
        match states {
            // The record stays with them.
            Some(states) if emptied.is_ok() => states.set(self.all(), PageState::Reserved),
            Some(states) => states.set(self.all(), PageState::Unknown),
            None => records::give_back(self.owner),
        }
        Err(error)
    }

    /// Gives the range back to the system, or the piece of one.
    fn unmap(&self) -> Result<(), Errno> {
        let whole = self.record.whole.load(Ordering::Acquire);
        match records::get(whole).filter(|_| whole != 0) {
            // SAFETY: (1) the caller is `free`: nobody uses the range any more.
            None => unsafe { sys::release(self.base, self.len) },
            Some(record) => self.unmap_piece(whole, record),
        }
    }

    /// The part of the table that this reservation has; `None` if it is untracked.
    pub(super) fn states(&self) -> Option<PageStates> {
        let first = self.page.index_of(self.base());
        self.traits.is_tracked.then(|| PageStates::new(self.owner, first))
    }

    /// All pages.
    pub(super) fn all(&self) -> Pages {
        let count = self.page.index_of(self.len);
        Pages::new(0, count).expect("a reservation is never empty")
    }

    /// The pages that cover `range`.
    #[inline]
    pub(super) fn call(&self, op: Op, range: Range<usize>) -> Result<Call, Error> {
        let Range { start, end } = range;
        let addr = self.base().wrapping_add(start);
        let len = end.saturating_sub(start);
        let refused = |kind| Err(Error::new(op, kind, addr, len, 0));
        let Some(pages) = Pages::covering(range, self.page, self.len) else {
            return refused(ErrorKind::OutOfRange);
        };
        if self.record.is_elsewhere() {
            return refused(ErrorKind::BadState);
        }
        if self.traits.huge.is_explicit() && op != Op::Query {
            let unit = self.traits.huge.unit();
            if !(start.is_multiple_of(unit) && end.is_multiple_of(unit)) {
                return refused(ErrorKind::Misaligned);
            }
        }
        Ok(Call { op, pages, addr, len, found: None, way: None })
    }

    /// Where pages lie, and how many bytes they are.
    pub(super) fn place(&self, pages: Pages) -> (NonNull<u8>, usize) {
        let offset = self.page.offset_of(pages.first());
        // SAFETY: `pages` lies inside the reservation, whose whole range is one allocation.
        let ptr = unsafe { self.base.add(offset) };
        (ptr, self.page.offset_of(pages.count()))
    }

    /// Refuses the call unless every page is in an allowed state, and prepares the table for it.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn require(
        &self,
        call: &mut Call,
        allowed: fn(PageState) -> bool,
    ) -> Result<(), Error> {
        let Some(states) = self.states() else { return Ok(()) };
        let Some(way) = states.way(call.pages) else {
            return self.require_far(states, call, allowed);
        };
        let Some(first) = states.first_run_along(&way, call.pages) else {
            return self.require_far(states, call, allowed);
        };
        self.require_runs(states, call, first, allowed)?;
        let way = call.way.insert(way);
        states.prepare_along(way, call.pages).map_err(|refusal| call.unprepared(refusal))
    }

    /// The work of `require` for pages to which no way leads yet.
    #[inline(never)]
    fn require_far(
        &self,
        states: PageStates,
        call: &mut Call,
        allowed: fn(PageState) -> bool,
    ) -> Result<(), Error> {
        let first = states.first_run(call.pages);
        self.require_runs(states, call, first, allowed)?;
        states.prepare(call.pages).map_err(|refusal| call.unprepared(refusal))
    }

    /// The first run of the pages is known.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn require_runs(
        &self,
        states: PageStates,
        call: &mut Call,
        first: Run,
        allowed: fn(PageState) -> bool,
    ) -> Result<(), Error> {
        let is_allowed = match Pages::new(first.pages.end(), call.pages.end()) {
            None => {
                call.found = Some(first.state);
                allowed(first.state)
            }
            Some(rest) => allowed(first.state) && are_allowed(states, rest, allowed),
        };
        if is_allowed { Ok(()) } else { Err(call.refused(ErrorKind::BadState)) }
    }

    /// Sees to it that the table has room for what the call does. Has to come before the system
    /// call: a verb that the system did must not fail afterwards.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn prepare(&self, call: &mut Call) -> Result<(), Error> {
        let Some(states) = self.states() else { return Ok(()) };
        call.way = states.way(call.pages);
        let prepared = match &call.way {
            Some(way) => states.prepare_along(way, call.pages),
            None => states.prepare(call.pages),
        };
        prepared.map_err(|refusal| call.unprepared(refusal))
    }

    /// Ends a verb: writes the new states, or takes back what a failing system call has changed.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn settle(
        &self,
        call: &Call,
        done: Result<(), Errno>,
        next: impl Fn(PageState) -> PageState,
    ) -> Result<(), Error> {
        match (done, call.found) {
            (Ok(()), None) => self.settle_each(call.pages, &next),
            (done, found) => {
                return self.settle_as(call, done, next(found.unwrap_or(PageState::Unknown)));
            }
        }
        Ok(())
    }

    /// The same for a verb that leaves all its pages in one state.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn settle_as(
        &self,
        call: &Call,
        done: Result<(), Errno>,
        state: PageState,
    ) -> Result<(), Error> {
        if let Err(errno) = done {
            return Err(self.undone(call, errno));
        }
        let Some(states) = self.states() else { return Ok(()) };
        let is_set = |way| states.set_along(way, call.pages, state);
        if !call.way.as_ref().is_some_and(is_set) {
            states.set(call.pages, state);
        }
        Ok(())
    }

    /// The error of a failing system call, whose work was taken back.
    #[cold]
    #[inline(never)]
    fn undone(&self, call: &Call, errno: Errno) -> Error {
        // Explained first: taking back may set mappings free.
        let error = call.failed(errno);
        self.undo(call.pages);
        error
    }

    /// Writes the new states of pages that are not all in one state. Runs that become equal are
    /// written as one: a subtree that is equal again is one entry.
    #[inline(never)]
    fn settle_each(&self, pages: Pages, next: &dyn Fn(PageState) -> PageState) {
        let Some(states) = self.states() else { return };
        let mut first = pages.first();
        let mut before = None;
        for run in states.runs(pages) {
            let state = next(run.state);
            if let Some(old) = before.filter(|&old| old != state) {
                if let Some(pages) = Pages::new(first, run.pages.first()) {
                    states.set(pages, old);
                }
                first = run.pages.first();
            }
            before = Some(state);
        }
        if let (Some(state), Some(pages)) = (before, Pages::new(first, pages.end())) {
            states.set(pages, state);
        }
    }

    /// Puts every page back to what the table says; a page that cannot be put back is Unknown.
    #[cold]
    #[inline(never)]
    pub(super) fn undo(&self, pages: Pages) {
        let Some(states) = self.states() else { return };
        for run in states.runs(pages) {
            if self.restore(run).is_err() {
                states.set(run.pages, PageState::Unknown);
            }
        }
    }

    /// Brings the pages of a run into its state. Asks first whether they are: the usual failing
    /// call has changed nothing, and changing pages again may be what the system has no room for.
    fn restore(&self, Run { pages, state }: Run) -> Result<(), Errno> {
        let (ptr, len) = self.place(pages);
        let kind = self.traits.guard_kind;
        let rights = match (state, kind) {
            (PageState::Unknown, _) => return Ok(()),
            (PageState::Committed(protection), _)
            | (PageState::Guarded(protection), GuardKind::Marker) => protection,
            (PageState::Reserved | PageState::Tripwire(_), _)
            | (PageState::Guarded(_), GuardKind::Split) => Protection::NoAccess,
        };
        // Not every system tells committed pages without access from reserved ones.
        let can_be_seen = state != PageState::Committed(Protection::NoAccess);
        if !(can_be_seen && self.all_have(pages, rights)?) {
            match (state, kind) {
                (PageState::Reserved, _) | (PageState::Guarded(_), GuardKind::Split) => {
                    self.take_back(pages)?;
                }
                // SAFETY: (1) the pages are inside and were armed before the failing call.
                (PageState::Tripwire(protection), _) => unsafe { sys::arm(ptr, len, protection) }?,
                // It may have decommitted them. Where it did not, their content stays.
                // SAFETY: (1) the pages are inside and had these rights before the failing call.
                _ => unsafe { sys::commit(ptr, len, rights) }?,
            }
        }
        match (state, kind) {
            // SAFETY: (1) the pages are inside; where there is no marker nothing happens.
            (PageState::Committed(_) | PageState::Tripwire(_), GuardKind::Marker) => unsafe {
                sys::unguard(ptr, len, kind, rights)
            },
            (PageState::Guarded(_), GuardKind::Marker) => self.install_guards(pages),
            _ => Ok(()),
        }
    }

    /// Whether the system gives these rights to all of the pages.
    fn all_have(&self, pages: Pages, rights: Protection) -> Result<bool, Errno> {
        let (ptr, len) = self.place(pages);
        let (mut addr, end) = (ptr.addr().get(), ptr.addr().get() + len);
        while addr < end {
            match sys::mapping_at_or_above(addr)? {
                Some(mapping)
                    if mapping.start <= addr
                        && mapping.protection.unwrap_or(Protection::NoAccess) == rights =>
                {
                    addr = mapping.end;
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Whatever -> Reserved. The new mapping has forgotten what was advised, so it is told again.
    pub(super) fn take_back(&self, pages: Pages) -> Result<(), Errno> {
        let (ptr, len) = self.place(pages);
        if self.traits.huge.is_explicit() {
            // SAFETY: (1) as below, and `call` lets whole huge pages through only.
            return unsafe { sys::decommit_huge(ptr, len) };
        }
        // SAFETY: (1) the pages are inside; their content is the caller's to lose.
        unsafe { sys::decommit(ptr, len, self.traits.policy) }?;
        self.repeat_advice(pages);
        Ok(())
    }

    pub(super) fn install_guards(&self, pages: Pages) -> Result<(), Errno> {
        let Traits { guard_kind, policy, .. } = self.traits;
        if guard_kind == GuardKind::Split {
            return self.take_back(pages);
        }
        let (ptr, len) = self.place(pages);
        // SAFETY: (1) the pages are inside; their content is the caller's to lose.
        unsafe { sys::guard(ptr, len, guard_kind, policy) }?;
        // A marker lies on rights, and armed pages have none.
        self.end_tripwires(pages)
    }

    /// Markers go in one call; split guards one by one, each back to its own rights.
    pub(super) fn remove_guards(&self, pages: Pages) -> Result<(), Errno> {
        let kind = self.traits.guard_kind;
        let remove = |pages, protection| {
            let (ptr, len) = self.place(pages);
            // SAFETY: (1) the pages are inside.
            unsafe { sys::unguard(ptr, len, kind, protection) }
        };
        match (self.states(), kind) {
            (Some(states), GuardKind::Split) => {
                states.runs(pages).try_for_each(|run| match run.state {
                    PageState::Guarded(protection) => remove(run.pages, protection),
                    _ => Ok(()),
                })
            }
            _ => remove(pages, Protection::ReadWrite),
        }
    }
}

#[inline(never)]
fn are_allowed(states: PageStates, pages: Pages, allowed: fn(PageState) -> bool) -> bool {
    states.runs(pages).all(|run| allowed(run.state))
}

impl fmt::Debug for Reservation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reservation")
            .field("base", &self.base)
            .field("len", &self.len)
            .field("policy", &self.policy())
            .field("guard_kind", &self.guard_kind())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // A drop has nobody to tell; `release` does.
        let _ = self.free();
    }
}
