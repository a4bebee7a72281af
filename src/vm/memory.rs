//! Floor 2, uses floors 0 and 1. The verbs that change no page's state: lock, fill, advise.

use super::advice::Remembered;
use super::reservation::Reservation;
use super::states::PageState;
use crate::addr::Pages;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Access, Advice, Carried, Protection};
use core::ops::Range;
use core::sync::atomic::Ordering;

impl Reservation {
    /// Keeps Committed pages in memory, and brings them there now: no touch of them waits for a
    /// disk, and they are never written to one. Pages that are locked already may be in the range;
    /// locks are not counted, one [`unlock`](Self::unlock) ends them.
    ///
    /// A lock ends with the pages: decommit, guard and release take it along, and pages that are
    /// committed again or unguarded are not locked. Locked pages refuse
    /// [`discard`](Self::discard); protect and arm leave the lock alone.
    ///
    /// Windows: `VirtualLock`; a process may lock little more than its minimum working set
    /// (`SetProcessWorkingSetSize`). Linux: mlock; an unprivileged process may lock `ulimit -l`.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is not Committed with the right to be read.
    /// - `Denied`: the limit of this process is reached. Nothing was changed.
    /// - `NoMemory`, `TooManyMappings`: the system stumbled on its way, and a part of the pages may
    ///   be locked, or not any more.
    #[doc(alias("VirtualLock", "mlock"))]
    pub fn lock(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Lock, range)?;
        self.require(&mut call, is_readable)?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside.
        unsafe { sys::lock(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    /// Lets locked pages be swapped again. Pages that are not locked may be in the range.
    ///
    /// Windows: `VirtualUnlock`; it takes pages that were not locked out of the working set. Linux:
    /// munlock.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is not Committed.
    /// - `TooManyMappings`, `NoMemory`: the system refused; a part of the pages may be unlocked.
    #[doc(alias("VirtualUnlock", "munlock"))]
    pub fn unlock(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Unlock, range)?;
        self.require(&mut call, is_committed)?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside.
        unsafe { sys::unlock(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    /// Begins to bring Committed pages into memory that were swapped out, and returns at once. A
    /// hint: the system may do nothing. Pages that were never touched stay so; see
    /// [`populate`](Self::populate) for those.
    ///
    /// Windows: `PrefetchVirtualMemory` (Windows 8). Linux: madvise(MADV_WILLNEED).
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is not Committed.
    /// - `Unsupported`: this Windows does not have the call.
    #[doc(alias("PrefetchVirtualMemory", "MADV_WILLNEED"))]
    pub fn prefetch(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Prefetch, range)?;
        self.require(&mut call, is_committed)?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside.
        unsafe { sys::prefetch(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    /// Brings Committed pages into memory now, as a touch of each would. The content stays. After
    /// [`Access::Write`] no later touch waits for the system; after [`Access::Read`] the first
    /// write to a page that was never written still may.
    ///
    /// Linux: madvise(MADV_POPULATE_READ or MADV_POPULATE_WRITE); before 5.14 the pages are
    /// touched. Windows: the pages are touched. A touch faults like any other if another thread
    /// takes the pages away meanwhile.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is not Committed with the right to be read, or written.
    /// - `NoMemory`: there is not so much memory. A part of the pages may be there.
    #[doc(alias("MADV_POPULATE_WRITE", "MAP_POPULATE"))]
    pub fn populate(&self, range: Range<usize>, access: Access) -> Result<(), Error> {
        let mut call = self.call(Op::Populate, range)?;
        self.require(
            &mut call,
            match access {
                Access::Read => is_readable,
                Access::Write => is_writable,
            },
        )?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside, and the states have the right; that they keep
        // it is what the callers of verbs on the same pages have to agree on.
        unsafe { sys::populate(ptr, len, access) }.map_err(|errno| call.failed(errno))
    }

    /// How many pages have been touched since they were committed, swapped out or not. Where the
    /// system does not tell, all were.
    ///
    /// Linux: ioctl(PAGEMAP_SCAN), or mincore before 6.7.
    ///
    /// # Errors
    /// Those of the system's answer.
    pub(crate) fn touched_pages(&self) -> Result<usize, Error> {
        let call = self.call(Op::Query, 0..self.len())?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) the range is ours.
        unsafe { sys::touched(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    /// How many bytes of a range are memory just now.
    ///
    /// Linux: mincore. Others do not tell.
    pub(crate) fn resident_len(&self, range: Range<usize>) -> Result<usize, Error> {
        let call = self.call(Op::Query, range)?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) the range is ours.
        let pages = unsafe { sys::resident(ptr, len) }.map_err(|errno| call.failed(errno))?;
        Ok(pages * sys::limits().page_len)
    }

    /// Brings pages that were not touched into memory, and says how many nanoseconds that took. For
    /// reservations without a table of states, of pages to be written.
    ///
    /// As [`populate`](Self::populate).
    pub(crate) fn first_touch_ns(&self, range: Range<usize>) -> Result<u64, Error> {
        let call = self.call(Op::Populate, range)?;
        let (ptr, len) = self.place(call.pages);
        let begun = sys::monotonic_ns();
        // SAFETY: (1) `call` keeps the range inside, and the caller has committed it.
        unsafe { sys::populate(ptr, len, Access::Write) }.map_err(|errno| call.failed(errno))?;
        Ok(sys::monotonic_ns().saturating_sub(begun))
    }

    /// Takes a [`discard`](Self::discard) back: the content of the pages is needed after all. After
    /// success it is as it was, after an error some of it may be lost.
    ///
    /// Windows: `VirtualAlloc(MEM_RESET_UNDO)` (Windows 8). Linux has no such call: a discard ends
    /// for each page at the next write to it, and a page that was taken by then reads zero.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or leaves the reservation.
    /// - `BadState`: a page is not Committed.
    /// - `Unsupported`: on Linux, always; on a Windows that does not know it.
    /// - `Other`: some of the content is lost.
    #[doc(alias = "MEM_RESET_UNDO")]
    pub fn undiscard(&self, range: Range<usize>) -> Result<(), Error> {
        let mut call = self.call(Op::Undiscard, range)?;
        self.require(&mut call, is_committed)?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside.
        unsafe { sys::undiscard(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    /// Tells the system how the whole reservation will be used. What [`Advice`] lists as remembered
    /// holds for later commits too: it is repeated when pages are decommitted. A hint: should the
    /// system refuse to repeat it, that is no error.
    ///
    /// Linux: madvise. Windows: `NoDump` and `Dump` are `WerRegisterExcludedMemoryBlock` and its
    /// counterpart (Windows 10, for less than 4 GiB), `WillNeed` is `PrefetchVirtualMemory`,
    /// `PageOut` is `VirtualUnlock`; nothing has to be done for `Normal`, `NoHugePages`, and what
    /// concerns forks, because there are none; the others are `Unsupported`.
    ///
    /// # Errors
    /// - `Unsupported`: the system does not know the advice, or cannot follow it on these pages
    ///   (locked ones cannot be `Cold`, huge pages from the pool not `HugePages`).
    /// - `TooManyMappings`, `NoMemory`, `Other`: it did not succeed.
    #[doc(alias = "madvise")]
    pub fn advise(&self, advice: Advice) -> Result<(), Error> {
        self.advise_range(0..self.len(), advice)?;
        self.remember(advice);
        if matches!(advice, Advice::Fork | Advice::WipeOnFork) {
            self.record.kept_by.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Committed pages, to be read and written, lose content and memory at once and stay committed:
    /// they read zero. For reservations without a table of states; a failure may leave some of the
    /// pages Reserved.
    ///
    /// Windows: `VirtualFree(MEM_DECOMMIT)`, `VirtualAlloc(MEM_COMMIT)`. Linux:
    /// madvise(MADV_DONTNEED).
    pub(crate) fn empty(&self, range: Range<usize>) -> Result<(), Error> {
        let call = self.call(Op::Discard, range)?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside; the content is the caller's to lose.
        unsafe { sys::empty(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    /// The same with new memory for addresses that other memory was [carried](Self::carry) to: they
    /// are a part of the reservation's mapping again. Lazily committed reservations only.
    ///
    /// Linux: madvise(MADV_COLD), which says whether they are locked; mmap. Others: as for `empty`.
    pub(crate) fn renew(&self, range: Range<usize>) -> Result<(), Error> {
        let call = self.call(Op::Discard, range)?;
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside; the content is the caller's to lose.
        unsafe { sys::renew(ptr, len) }.map_err(|errno| call.failed(errno))
    }

    /// Moves the content of a range to the one that begins at `to`, which loses its own, and says
    /// how. For reservations without a table of states that commit lazily.
    ///
    /// Linux: mremap, piece by piece where that can be; the rest is copied, as all of it elsewhere.
    ///
    /// # Errors
    /// `OutOfRange`: one of the two is not inside, or nothing is behind the first, or they overlap.
    ///
    /// # Safety
    /// 1. Both are committed to be read and written, and nobody else uses them during the call, or
    ///    gives advice about a part of the first.
    pub(crate) unsafe fn carry(&self, from: Range<usize>, to: usize) -> Result<Carried, Error> {
        let there = to..to.saturating_add(from.len());
        let is_apart = from.end <= there.start || there.end <= from.start;
        if !is_apart || from.end >= self.len() {
            let addr = self.base().wrapping_add(to);
            return Err(Error::new(Op::Allocate, ErrorKind::OutOfRange, addr, from.len(), 0));
        }
        let call = self.call(Op::Allocate, there)?;
        let (to, _) = self.place(call.pages);
        let (from, len) = self.place(self.call(Op::Allocate, from)?.pages);
        // SAFETY: (1) inside, apart, and the reservation goes on behind; the caller's (1). (2) the
        // caller's (1).
        Ok(unsafe { sys::carry(from, to, len) })
    }

    /// Tells the system how some pages will be used, whatever their state. It holds until they are
    /// decommitted, or until guards that are no markers are put on them; from then on what was last
    /// advised for the whole reservation holds.
    ///
    /// Windows, Linux: as for [`advise`](Self::advise); on Windows `NoDump` and `Dump` are for the
    /// whole reservation only.
    ///
    /// # Errors
    /// `OutOfRange`: the range is empty, inverted or leaves the reservation; else as for
    /// [`advise`](Self::advise).
    pub fn advise_range(&self, range: Range<usize>, advice: Advice) -> Result<(), Error> {
        let is_whole = range == (0..self.len());
        let call = self.call(Op::Advise, range)?;
        if sys::ADVICE_OUTLIVES_PAGES && !is_whole && is_about_dumps(advice) {
            return Err(call.refused(ErrorKind::Unsupported));
        }
        if advice == Advice::NoFork {
            // Noted before it is so: another thread may fork in between.
            self.record.keep_here();
        }
        let (ptr, len) = self.place(call.pages);
        // SAFETY: (1) `call` keeps the range inside.
        unsafe { sys::advise(ptr, len, advice) }.map_err(|errno| call.failed(errno))
    }

    pub(super) fn remember(&self, advice: Advice) {
        let with = |bits| Some(Remembered::from_bits(bits).with(advice).bits());
        // The closure never declines, so this cannot fail.
        let _ = self.record.advice.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with);
    }

    /// Tells a fresh mapping what the whole reservation was told, and its name.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn repeat_advice(&self, pages: Pages) {
        let is_advised = || self.record.advice.load(Ordering::Relaxed) != 0;
        let is_told = || is_advised() || self.traits.node.is_some() || self.record.is_named();
        if self.traits.is_watched || (!sys::ADVICE_OUTLIVES_PAGES && is_told()) {
            self.repeat_each(pages);
        }
    }

    #[inline(never)]
    fn repeat_each(&self, pages: Pages) {
        self.repeat_watch(pages);
        if sys::ADVICE_OUTLIVES_PAGES {
            return;
        }
        let (ptr, len) = self.place(pages);
        for advice in Remembered::from_bits(self.record.advice.load(Ordering::Relaxed)).iter() {
            // SAFETY: (1) the pages are inside. A hint: see `advise`.
            let _ = unsafe { sys::advise(ptr, len, advice) };
        }
        if let Some(node) = self.traits.node {
            // SAFETY: (1) as above, and as much a hint.
            let _ = unsafe { sys::prefer_node(ptr, len, node) };
        }
        self.tell_name(pages);
    }

    /// Says once more, of what is one reservation now, what the system keeps by address.
    pub(super) fn renew_advice(&self) {
        let given = Remembered::from_bits(self.record.advice.load(Ordering::Relaxed));
        if sys::ADVICE_OUTLIVES_PAGES && given.iter().any(is_about_dumps) {
            self.end_advice();
            let (ptr, len) = self.place(self.all());
            // SAFETY: (1) exactly our range. A hint: see `advise`.
            let _ = unsafe { sys::advise(ptr, len, Advice::NoDump) };
        }
    }

    /// Tells the system what its list of mappings is to call the pages. Should it refuse, our own
    /// books have the name all the same.
    pub(super) fn tell_name(&self, pages: Pages) {
        let Some(name) = self.name() else { return };
        let (ptr, len) = self.place(pages);
        // SAFETY: (1) the pages are inside.
        let _ = unsafe { sys::name(ptr, len, name) };
    }

    /// Takes advice back that the system would apply to whatever lies at these addresses next.
    pub(super) fn end_advice(&self) {
        let given = Remembered::from_bits(self.record.advice.load(Ordering::Relaxed));
        if sys::ADVICE_OUTLIVES_PAGES && given.iter().any(is_about_dumps) {
            let (ptr, len) = self.place(self.all());
            // SAFETY: (1) exactly our range. A hint: see `advise`.
            let _ = unsafe { sys::advise(ptr, len, Advice::Dump) };
        }
    }
}

fn is_about_dumps(advice: Advice) -> bool {
    matches!(advice, Advice::NoDump | Advice::Dump)
}

fn is_committed(state: PageState) -> bool {
    matches!(state, PageState::Committed(_))
}

fn is_readable(state: PageState) -> bool {
    use Protection::{ExecuteRead, ExecuteReadWrite, Read, ReadWrite};
    matches!(state, PageState::Committed(Read | ReadWrite | ExecuteRead | ExecuteReadWrite))
}

fn is_writable(state: PageState) -> bool {
    use Protection::{ExecuteReadWrite, ReadWrite};
    matches!(state, PageState::Committed(ReadWrite | ExecuteReadWrite))
}
