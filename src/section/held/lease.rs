//! Floor 4, uses floors 0 to 3. A view of a file that is leased, and what becomes of it when
//! somebody wants the file.
//!
//! ```text
//!   Held --somebody wants the file--> Moving --copied, moved over the view--> Private
//!     |                                  |                                       ^
//!     | dropped                          +-- no memory, no time: reads zero -----+
//!     v
//!    Left
//! ```
//! Whoever wants the file waits until the arrow to the right is done. The bytes of a view are the
//! same before and after it, at the same addresses. A view that can be written is made read-only
//! for the time of Moving: a thread that writes to it then faults, and waits in [`Entry::fault`].
//!
//! In the child of a fork the view is not there: the lease is the parent's, who may give it up at
//! any time. Its addresses stay taken, so that a touch ends the child and reads nothing else.

use super::keeper;
use super::own_copy::fill;
use crate::addr::align_up;
use crate::error::{Error, ErrorKind, Op};
use crate::fault::{Cause, Fault, Handler, Outcome, Watch};
use crate::section::lost::Lost;
use crate::section::mapped::Mapped;
use crate::sys::{self, Access, Advice, Backing, CommitPolicy, Errno, Protection};
use crate::vm::Reservation;
use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr::{NonNull, null};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;
use std::time::Instant;

/// A file that is open for a view, and closed with this.
#[derive(Debug)]
pub(super) struct OwnFile {
    number: usize,
    is_leased: bool,
}

impl OwnFile {
    /// Takes a file over.
    ///
    /// # Safety
    /// 1. It is open, and nobody else's.
    pub(super) const unsafe fn new(number: usize) -> Self {
        OwnFile { number, is_leased: false }
    }

    pub(super) const fn backing(&self) -> Backing {
        Backing { file: self.number, object: Backing::NOTHING }
    }

    pub(super) const fn is_leased(&self) -> bool {
        self.is_leased
    }

    /// Takes a lease, kept by the keeper.
    pub(super) fn lease(&mut self, access: Access) -> Result<(), Error> {
        if !sys::HAS_LEASES {
            return Err(Error::new(Op::Hold, ErrorKind::Unsupported, 0, 0, 0));
        }
        let keeper = keeper::start()?;
        // SAFETY: (1) ours; (2) the keeper.
        unsafe { sys::take_lease(self.number, access, keeper) }
            .map_err(|errno| errno.of(Op::Hold, 0, 0))?;
        self.is_leased = true;
        Ok(())
    }

    /// Gives the lease up: `Err` if the system had taken it.
    fn give(&mut self) -> Result<(), Errno> {
        self.is_leased = false;
        // SAFETY: (1) the caller has seen to that.
        unsafe { sys::give_lease(self.number) }
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.is_leased {
            // Lost or not: nobody relies on it any more.
            let _ = self.give();
        }
        // SAFETY: (1) ours, and not used again.
        unsafe { sys::close_backing(self.backing()) }
    }
}

const HELD: u8 = 0;
/// Held, and a thread lays pages over those that were lost.
const PATCHING: u8 = 1;
const MOVING: u8 = 2;
const PRIVATE: u8 = 3;
const LEFT: u8 = 4;

/// What the keeper knows of a view. It lies in memory of its own, and does not move.
pub(super) struct Entry {
    /// The mapped pages, whole.
    pages: NonNull<u8>,
    len: usize,
    /// Where they begin in the file, and how many bytes of it they show.
    offset: u64,
    used: usize,
    file: usize,
    access: Access,
    /// The copy of the process that has the lease.
    generation: u32,
    /// How long somebody who wants the file waits before the view is moved, in milliseconds.
    patience: AtomicU64,
    stage: AtomicU8,
    /// What has gone of the file under the view.
    lost: Lost,
    /// When it was made.
    since: Instant,
    /// When it was first seen that somebody wants the file. This and the rest are read and written
    /// with the registry locked.
    wanted: Cell<Option<Instant>>,
    /// The keeper is moving it.
    is_busy: Cell<bool>,
    pub(super) previous: Cell<*const Entry>,
    pub(super) next: Cell<*const Entry>,
}

// SAFETY: atomics, what never changes, and cells that are the registry's, which is locked.
unsafe impl Sync for Entry {}

impl Entry {
    fn stage(&self) -> u8 {
        self.stage.load(Ordering::Acquire)
    }

    fn is_ours(&self) -> bool {
        self.generation == sys::generation()
    }

    /// Looks whether somebody wants the file, who did not at `looked`. With the registry locked.
    pub(super) fn look(&self, looked: Instant) {
        // SAFETY: (1) an entry of the registry has its lease.
        let ask = || unsafe { sys::lease_is_wanted(self.file, self.access) };
        if self.wanted.get().is_none() && ask() {
            // At the earliest. What is taken for too long is given up too early, and not too late.
            self.wanted.set(Some(looked.max(self.since)));
        }
    }

    /// Since when somebody wants the file, if it is time to move the view. With the registry
    /// locked.
    pub(super) fn is_due(&self, now: Instant) -> Option<Instant> {
        let since = self.wanted.get()?;
        let patience = Duration::from_millis(self.patience.load(Ordering::Relaxed));
        (now.saturating_duration_since(since) >= patience).then_some(since)
    }

    /// The keeper begins to move it. With the registry locked, which it need not be meanwhile.
    pub(super) fn begin(&self) {
        self.is_busy.set(true);
        while !self.goes(HELD, MOVING) {
            sys::yield_now(); // a handler makes one call, and is done
        }
    }

    fn goes(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The view shows the file.
    fn is_held(&self) -> bool {
        matches!(self.stage(), HELD | PATCHING)
    }

    /// The keeper is done with it. With the registry locked.
    pub(super) fn end(&self) {
        self.is_busy.set(false);
        if self.access == Access::Read {
            // Kept open it would be in the way of others. A view for writing may be flushing it.
            self.close();
        }
    }

    /// Makes the bytes this process' own, and gives the lease up, before `end`.
    pub(super) fn make_private(&self, end: Instant) {
        if let Err(error) = self.move_copy(end) {
            self.take_away(error);
        }
        self.stage.store(PRIVATE, Ordering::Release);
        // SAFETY: (1) the pages do not show the file any more.
        if unsafe { sys::give_lease(self.file) }.is_err() {
            die(
                b"granule: this process was stopped for longer than the system lets a file wait;\n\
                  granule: a view that must not change may have changed, so the process ends\n",
            );
        }
    }

    /// Lays a copy of the bytes over the view.
    pub(super) fn move_copy(&self, end: Instant) -> Result<(), Error> {
        let failed = |errno: Errno| errno.of(Op::Hold, self.offset as usize, self.used);
        let policy = CommitPolicy::Strict;
        // SAFETY: (1) whole pages.
        let copy = unsafe { sys::reserve(0, self.len, sys::limits().page_len, policy) };
        let copy = copy.map_err(failed)?;
        self.fill_copy(copy, end)
            .and_then(|()| {
                // SAFETY: (1) made a moment ago; (2) the same bytes.
                unsafe { sys::move_over(copy, self.len, self.pages) }.map_err(failed)
            })
            .inspect_err(|_| {
                // SAFETY: (1) as above. A refusal leaves memory behind, and there is worse.
                let _ = unsafe { sys::release(copy, self.len) };
            })
    }

    fn fill_copy(&self, copy: NonNull<u8>, end: Instant) -> Result<(), Error> {
        let failed = |errno: Errno| errno.of(Op::Hold, self.offset as usize, self.used);
        // SAFETY: (1) ours.
        unsafe { sys::commit(copy, self.len, Protection::ReadWrite) }.map_err(failed)?;
        if self.access == Access::Write {
            // SAFETY: (1) ours; who writes to it meanwhile waits (`fault`).
            unsafe { sys::protect(self.pages, self.len, Protection::Read) }.map_err(failed)?;
        }
        let goes_on = || Instant::now() < end;
        // SAFETY: (1) open; (2) ours, and known to nobody.
        let count = unsafe { fill(self.file, self.offset, copy, self.used, goes_on) };
        let count = count.map_err(failed)?;
        if count < self.used && !goes_on() {
            let offset = self.offset as usize;
            return Err(Error::new(Op::Hold, ErrorKind::InUse, offset, self.used, 0));
        }
        if count < self.used {
            self.lost.note_pages(count); // the rest reads zero
        }
        if self.access == Access::Read {
            // SAFETY: (1) ours.
            unsafe { sys::protect(copy, self.len, Protection::Read) }.map_err(failed)?;
        }
        Ok(())
    }

    /// The bytes cannot be kept, and nobody may see those that others write: they read zero.
    fn take_away(&self, error: Error) {
        self.lost.note(0);
        keeper::warn(format_args!(
            "granule: somebody wants a file, and a view of it could not be copied: {error}\n\
             granule: the view is lost, and reads zero from now on\n"
        ));
        // SAFETY: (1) ours; (2) they are noted as lost.
        if unsafe { sys::patch_view(self.pages, self.len) }.is_err() {
            die(b"granule: the view cannot be taken away, so the process ends\n");
        }
    }

    /// In the child of a fork: the file is the parent's, and so are the pages. With the registry
    /// locked.
    pub(super) fn orphan(&self) {
        self.close();
        // Where a copy was just laid over the view the child has that copy, and this is refused.
        // SAFETY: (1) whole pages, of which the child has none.
        let _ = unsafe { sys::reserve_at(self.pages.addr().get(), self.len, CommitPolicy::Lazy) };
    }

    fn backing(&self) -> Backing {
        Backing { file: self.file, object: Backing::NOTHING }
    }

    /// True for a write to a page that can only be read.
    fn explains(fault: &Fault) -> bool {
        !fault.is_fetch() && fault.cause().is_none_or(|cause| cause == Cause::Right)
    }

    fn close(&self) {
        // SAFETY: (1) ours, and not used again.
        unsafe { sys::close_backing(self.backing()) }
    }
}

impl Handler for Entry {
    /// A thread has touched a page that the file has lost, or has written to a view that is
    /// read-only while it is copied.
    fn fault(&self, fault: &Fault) -> Outcome {
        let (is_loss, is_right) = (Lost::explains(fault), Self::explains(fault));
        let mut has_waited = false;
        loop {
            match self.stage() {
                HELD if is_loss && self.goes(HELD, PATCHING) => {
                    let outcome = self.lost.patch(fault, self.backing());
                    self.stage.store(HELD, Ordering::Release);
                    return outcome;
                }
                HELD if is_loss => {}
                MOVING | PATCHING => {
                    has_waited = true;
                    sys::yield_now();
                }
                // What it touches is memory of this process' own; it has no lost pages.
                PRIVATE if is_right || has_waited => return Outcome::Resume,
                _ => return Outcome::NotMine,
            }
        }
    }
}

fn die(words: &[u8]) -> ! {
    sys::write_error(words);
    std::process::abort()
}

/// A mapped range of a leased file.
#[derive(Debug)]
pub(super) struct Leased {
    /// None for a moment only: while this is made, and while it goes.
    watch: Option<Watch>,
    mapped: ManuallyDrop<Mapped>,
    /// Has the [`Entry`].
    memory: Reservation,
}

// SAFETY: what it refers to is the process'; see `Mapped` and `Entry`.
unsafe impl Send for Leased {}
// SAFETY: as above.
unsafe impl Sync for Leased {}

impl Leased {
    /// Puts a view that is not empty, of a file that has its lease, into the keeper's care.
    /// `patience` is how long others wait.
    pub(super) fn new(
        file: OwnFile,
        mapped: Mapped,
        access: Access,
        patience: Duration,
    ) -> Result<Self, Error> {
        let (pages, lead) = mapped.start();
        let used = lead + mapped.len();
        let len = align_up(used, sys::limits().page_len).unwrap_or(used);
        let offset = mapped.offset() - lead as u64;
        let of_file = |error: Error| error.as_part_of_file(Op::Hold, mapped.offset(), mapped.len());
        // SAFETY: (1) whole pages of the view.
        unsafe { sys::advise(pages, len, Advice::NoFork) }
            .map_err(|errno| errno.of(Op::Hold, mapped.offset() as usize, mapped.len()))?;
        let memory = Reservation::builder().len(size_of::<Entry>()).untracked().reserve();
        let memory = memory.map_err(of_file)?;
        memory.commit(0..size_of::<Entry>(), Protection::ReadWrite).map_err(of_file)?;
        let place = memory.as_ptr().cast::<Entry>();
        let entry = Entry {
            pages,
            len,
            offset,
            used,
            file: file.number,
            access,
            generation: sys::generation(),
            patience: AtomicU64::new(0),
            stage: AtomicU8::new(HELD),
            lost: Lost::of(&mapped),
            since: Instant::now(),
            wanted: Cell::new(None),
            is_busy: Cell::new(false),
            previous: Cell::new(null()),
            next: Cell::new(null()),
        };
        // SAFETY: committed, page-aligned, and ours alone.
        unsafe { place.write(entry) };
        core::mem::forget(file); // it is the entry's
        let mut leased = Leased { watch: None, mapped: ManuallyDrop::new(mapped), memory };
        leased.set_patience(patience);
        keeper::add(leased.entry());
        // SAFETY: (1) it waits for the keeper, who needs nothing of this thread's, and makes bare
        // calls; (2) the page is there then; (3) nobody knows the pages yet.
        let watch = unsafe { Watch::new(leased.pages(), leased.entry()) };
        let of_file = |error: Error| error.as_part_of_file(Op::Hold, leased.mapped.offset(), used);
        leased.watch = Some(watch.map_err(of_file)?);
        Ok(leased)
    }

    /// What the keeper knows of it, for as long as this lives.
    pub(super) fn entry(&self) -> &'static Entry {
        // SAFETY: written when this was made; it stays there as long as `memory`, and whoever asks
        // uses it no longer.
        unsafe { &*self.memory.as_ptr().cast::<Entry>() }
    }

    pub(super) fn mapped(&self) -> &Mapped {
        &self.mapped
    }

    /// The addresses of the mapped pages.
    fn pages(&self) -> core::ops::Range<usize> {
        self.entry().lost.pages()
    }

    /// How many bytes of the view are known not to be lost; `usize::MAX` if none is.
    pub(super) fn valid(&self) -> usize {
        self.entry().lost.valid()
    }

    /// The file, which a view for writing keeps open.
    pub(super) fn file(&self) -> Backing {
        self.entry().backing()
    }

    /// How long somebody who wants the file waits; at most half of the time that the system lets
    /// him wait.
    pub(super) fn set_patience(&self, patience: Duration) {
        let patience = patience.min(keeper::break_time() / 2);
        self.entry().patience.store(patience.as_millis() as u64, Ordering::Relaxed);
    }

    /// True while the view shows the file.
    pub(super) fn is_held(&self) -> bool {
        self.entry().is_ours() && self.entry().is_held()
    }

    /// True if somebody waits for the file.
    pub(super) fn is_wanted(&self) -> bool {
        let entry = self.entry();
        entry.is_ours()
            && keeper::with_lock(|| {
                // SAFETY: (1) the keeper gives it up with the stage changed first, under this lock.
                entry.is_held() && unsafe { sys::lease_is_wanted(entry.file, entry.access) }
            })
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        drop(self.watch.take()); // its handler uses all the rest
        let entry = self.entry();
        if !entry.is_ours() {
            return; // the child of a fork: its addresses stay taken
        }
        let leave = || entry.stage.swap(LEFT, Ordering::AcqRel);
        let stage = keeper::remove(entry, || (!entry.is_busy.get()).then(leave));
        // SAFETY: not used again. The view has to be gone before others get at the file.
        unsafe { ManuallyDrop::drop(&mut self.mapped) };
        if stage == HELD {
            // SAFETY: (1) the view is gone. That the lease was lost meanwhile hurts nobody now.
            let _ = unsafe { sys::give_lease(entry.file) };
        }
        if stage == HELD || entry.access == Access::Write {
            entry.close();
        }
    }
}
