//! Floor 4, uses floors 0 to 3. Pages of views that are not there any more: they lie behind the end
//! of a file that was made shorter, found no place on the disk, or cannot be read from it.
//!
//! Linux raises SIGBUS when such a page is touched. The fault floor hands that to [`Lost::patch`],
//! in the middle of the access:
//! 1. it notes how much of the view is still valid;
//! 2. it lays zero pages over everything behind the end of the file, in one call, so that there is
//!    one fault however long the lost part is; or over the one page that the file still has, but
//!    the disk has not;
//! 3. the access is repeated, and reads zero or writes to nowhere. Whoever wants to know looks at
//!    the note.

use super::mapped::Mapped;
use crate::addr::{align_down, align_up};
use crate::error::Error;
use crate::fault::{Cause, Fault, Handler, Outcome, Watch};
use crate::sys::{self, Backing};
use crate::vm::{Protection, Reservation};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What is lost of a view.
#[derive(Debug)]
pub(super) struct Lost {
    /// Where the mapped pages begin and end.
    pages: Range<usize>,
    /// Where the view begins in them.
    lead: usize,
    /// Where it begins in the file.
    offset: u64,
    /// How many bytes of the view are known not to be lost.
    valid: AtomicUsize,
}

impl Lost {
    /// Of a view that is not empty: nothing yet.
    pub(super) fn of(mapped: &Mapped) -> Self {
        let (start, lead) = mapped.start();
        let start = start.as_ptr().expose_provenance(); // the handler makes pointers of it
        let end = start + lead + mapped.len();
        let end = align_up(end, sys::limits().page_len).unwrap_or(end);
        let valid = AtomicUsize::new(usize::MAX);
        Lost { pages: start..end, lead, offset: mapped.offset(), valid }
    }

    /// The addresses of the mapped pages.
    pub(super) fn pages(&self) -> Range<usize> {
        self.pages.clone()
    }

    /// How many bytes are known not to be lost; `usize::MAX` if none is.
    pub(super) fn valid(&self) -> usize {
        self.valid.load(Ordering::Relaxed)
    }

    /// No more than the first `valid` bytes are what they were. True if that is news.
    pub(super) fn note(&self, valid: usize) -> bool {
        self.valid.fetch_min(valid, Ordering::Release) == usize::MAX
    }

    /// The same, counted from the first of the mapped pages on.
    #[cfg(feature = "std")]
    pub(super) fn note_pages(&self, valid: usize) -> bool {
        self.note(valid.saturating_sub(self.lead))
    }

    /// True for a fault that can be one of a lost page.
    pub(super) fn explains(fault: &Fault) -> bool {
        !fault.is_fetch() && fault.cause().is_none_or(|cause| cause == Cause::Page)
    }

    /// Lays zero pages where there is nothing. `file` is the view's, and open.
    pub(super) fn patch(&self, fault: &Fault, file: Backing) -> Outcome {
        let page_len = sys::limits().page_len;
        let touched = align_down(fault.addr(), page_len);
        // SAFETY: (1) the caller keeps it open.
        let file_len = unsafe { sys::stored_len(file) }.unwrap_or(u64::MAX);
        let kept = |from: u64| usize::try_from(file_len.saturating_sub(from)).unwrap_or(usize::MAX);
        // A page of which the file still has a byte is there, whole.
        let pages_len = align_up(kept(self.offset - self.lead as u64), page_len);
        let end = pages_len.and_then(|len| self.pages.start.checked_add(len));
        let (lost, valid) = match end {
            Some(end) if touched >= end => (end..self.pages.end, kept(self.offset)),
            // The file is long enough (again); this page has no place, or cannot be read.
            _ => {
                let first = self.pages.start + self.lead;
                (touched..touched + page_len, touched.saturating_sub(first))
            }
        };
        self.note(valid);
        let Some(start) = NonNull::new(core::ptr::with_exposed_provenance_mut(lost.start)) else {
            return Outcome::NotMine;
        };
        // SAFETY: (1) pages of the view; (2) what they show is noted as lost.
        match unsafe { sys::patch_view(start, lost.len()) } {
            Ok(()) => Outcome::Resume,
            Err(_) => Outcome::NotMine,
        }
    }
}

/// What the handler of a view works with: it lies in memory of its own, and does not move.
struct Shared {
    lost: Lost,
    file: Backing,
}

impl Handler for Shared {
    fn fault(&self, fault: &Fault) -> Outcome {
        if Lost::explains(fault) { self.lost.patch(fault, self.file) } else { Outcome::NotMine }
    }
}

/// Has the lost pages of a view patched, until it is dropped, which has to be before the view.
#[derive(Debug)]
pub(super) struct Patched {
    /// Dropped first: the handler must not run when the rest is gone.
    _watch: Watch,
    /// Has the [`Shared`].
    state: Reservation,
}

impl Patched {
    /// Of a view that is not empty.
    ///
    /// # Safety
    /// 1. `file` is the view's, and open as long as this lives.
    pub(super) unsafe fn new(mapped: &Mapped, file: Backing) -> Result<Self, Error> {
        let state = Reservation::builder().len(size_of::<Shared>()).untracked().reserve()?;
        state.commit(0..size_of::<Shared>(), Protection::ReadWrite)?;
        let place = state.as_ptr().cast::<Shared>();
        let lost = Lost::of(mapped);
        let pages = lost.pages();
        // SAFETY: committed, page-aligned, and ours alone.
        unsafe { place.write(Shared { lost, file }) };
        // SAFETY: it stays there as long as `state`, which goes after the watch.
        let shared: &'static Shared = unsafe { &*place };
        // SAFETY: (1) the handler makes bare calls and atomic accesses only; (2) it has laid a page
        // there then; (3) the view was made a moment ago, and nobody knows it.
        let watch = unsafe { Watch::new(pages, shared) }?;
        Ok(Patched { _watch: watch, state })
    }

    /// How many bytes are known not to be lost; `usize::MAX` if none is.
    pub(super) fn valid(&self) -> usize {
        // SAFETY: written when this was made, and shared from then on.
        let shared = unsafe { &*self.state.as_ptr().cast::<Shared>() };
        shared.lost.valid()
    }
}
