//! Floor 4. The seam: how pages of the region become accessible and inaccessible.
//!
//! Everything above it speaks of three verbs; a new mechanism is a new variant here and nothing else.
//! A backend may be used by any number of threads at once as long as they name different pages.

use super::layout::{Bank, Layout, SlotId};
use crate::sys::{self, CommitPolicy, Errno, GuardKind, Protection};
use core::ops::Range;
use core::ptr::NonNull;

/// Classes up to this stride are prepared many slots at a time, the others one by one.
const BATCH_STRIDE_MAX: usize = 64;

/// Pages prepared at a time.
const BATCH_PAGES: usize = 1024;

/// Slots of a class that are prepared together.
pub(crate) const fn batch_slots(stride_pages: usize) -> usize {
    if stride_pages > BATCH_STRIDE_MAX { 1 } else { BATCH_PAGES / stride_pages }
}

/// The region and the mechanism that guards it.
#[derive(Debug)]
pub(crate) struct Backend {
    base: NonNull<u8>,
    kind: GuardKind,
}

// SAFETY: the region is raw memory that lives as long as the process; the type has no interior state.
unsafe impl Send for Backend {}
// SAFETY: as above.
unsafe impl Sync for Backend {}

impl Backend {
    /// Reserves the region; all of it is inaccessible.
    pub(crate) fn new(layout: &Layout, kind: GuardKind) -> Result<Backend, Errno> {
        let (len, align) = (layout.region_len(), layout.zone_len());
        // SAFETY: both are multiples of the page, and the alignment is a power of two.
        let base = unsafe { sys::reserve(0, len, align, CommitPolicy::Lazy) }?;
        let backend = Backend { base, kind };
        // Huge pages would give every block 2 MiB; a machine without them refuses the advice.
        // SAFETY: the range is the region reserved above.
        let _ = unsafe { sys::advise(base, len, sys::Advice::NoHugePages) };
        if kind == GuardKind::Split {
            backend.commit(layout.bank_range(Bank::Plain))?;
        }
        Ok(backend)
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn kind(&self) -> GuardKind {
        self.kind
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: offsets come from `Layout` and lie inside the region.
        unsafe { self.base.add(offset) }
    }

    fn commit(&self, range: Range<usize>) -> Result<(), Errno> {
        // SAFETY: whole pages of the region.
        unsafe { sys::commit(self.at(range.start), range.len(), Protection::ReadWrite) }
    }

    /// Makes ready, for the first time, slots that nobody else knows yet. For a batch everything in
    /// them is inaccessible afterwards; for a single slot see [`Backend::show`].
    pub(crate) fn prepare(
        &self,
        layout: &Layout,
        first: SlotId,
        count: usize,
    ) -> Result<(), Errno> {
        if self.kind == GuardKind::Split || first.bank == Bank::Plain {
            return Ok(());
        }
        let start = layout.slot_start(first);
        let range = start..start + count * layout.stride(first.class);
        self.commit(range.clone())?;
        if count > 1 { self.hide(first.bank, range) } else { Ok(()) }
    }

    /// Makes the pages of a block accessible; they read zero. `fresh` means that the slot was
    /// prepared alone and has never been used: then its other pages are made inaccessible here,
    /// which is far cheaper than to hide all and show most.
    pub(crate) fn show(
        &self,
        bank: Bank,
        slot: Range<usize>,
        pages: Range<usize>,
        fresh: bool,
    ) -> Result<(), Errno> {
        if bank == Bank::Plain {
            return Ok(());
        }
        if fresh && self.kind == GuardKind::Marker {
            self.hide(bank, slot.start..pages.start)?;
            return self.hide(bank, pages.end..slot.end);
        }
        if pages.is_empty() {
            return Ok(());
        }
        // SAFETY: whole pages of the region, which no block uses.
        unsafe { sys::unguard(self.at(pages.start), pages.len(), self.kind, Protection::ReadWrite) }
    }

    /// Makes pages inaccessible; their memory goes back to the system.
    pub(crate) fn hide(&self, bank: Bank, pages: Range<usize>) -> Result<(), Errno> {
        if pages.is_empty() {
            return Ok(());
        }
        let (ptr, len) = (self.at(pages.start), pages.len());
        match bank {
            // SAFETY: whole pages of the region whose block is gone.
            Bank::Guarded => unsafe { sys::guard(ptr, len, self.kind, CommitPolicy::Lazy) },
            // SAFETY: as above.
            Bank::Plain => unsafe { sys::empty(ptr, len) },
        }
    }
}
