//! Floor 4. The seam: how pages of the region become accessible and inaccessible.
//!
//! Everything above it speaks of three verbs; a new mechanism is a new variant here and nothing
//! else. A backend may be used by any number of threads at once as long as they name different
//! pages.

use super::layout::{Bank, Layout, SlotId};
use crate::error::Error;
use crate::sys;
use crate::vm::{Advice, CommitPolicy, GuardKind, Protection, Reservation};
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

/// What a slot was before its pages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Prepared with many others: all of it is inaccessible.
    FreshInBatch,
    /// Prepared alone: all of it is accessible still.
    FreshAlone,
    /// It held a block, which was hidden.
    Used,
}

/// The region and the mechanism that guards it.
#[derive(Debug)]
pub(crate) struct Backend {
    region: Reservation,
}

impl Backend {
    /// Reserves the region; all of it is inaccessible.
    pub(crate) fn new(layout: &Layout, kind: GuardKind) -> Result<Backend, Error> {
        let region = Reservation::builder()
            .len(layout.region_len())
            .align(layout.zone_len())
            .policy(CommitPolicy::Lazy)
            .guard_kind(kind)
            .untracked()
            .reserve()?;
        // Huge pages would give every block 2 MiB; a kernel without them refuses the advice.
        let _ = region.advise(Advice::NoHugePages);
        if kind == GuardKind::Split {
            let plain = layout.bank_range(Bank::Plain);
            region.commit(plain.clone(), Protection::ReadWrite)?;
            let start = NonNull::new(region.as_ptr()).expect("a reservation is not at address 0");
            // SAFETY: the bank is a part of the region.
            let start = unsafe { start.add(plain.start) };
            // A core dump would walk through all of it; a kernel that refuses the advice does.
            // SAFETY: whole pages of the region.
            let _ = unsafe { sys::advise(start, plain.len(), Advice::NoDump) };
        }
        Ok(Backend { region })
    }

    /// The address of the region.
    pub(crate) fn base(&self) -> usize {
        self.region.base()
    }

    pub(crate) fn kind(&self) -> GuardKind {
        self.region.guard_kind()
    }

    /// The byte at an offset of the region.
    pub(crate) fn pointer(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.region.len(), "outside the region");
        let base = NonNull::new(self.region.as_ptr()).expect("a reservation is not at address 0");
        // SAFETY: the offset lies inside the reservation.
        unsafe { base.add(offset) }
    }

    /// Makes ready, for the first time, slots that nobody else knows yet; see [`Before`] for what
    /// they are then.
    pub(crate) fn prepare(
        &self,
        layout: &Layout,
        first: SlotId,
        count: usize,
    ) -> Result<(), Error> {
        if self.kind() == GuardKind::Split || first.bank == Bank::Plain {
            return Ok(());
        }
        let start = layout.slot_start(first);
        let range = start..start + count * layout.stride(first.class);
        self.region.commit(range.clone(), Protection::ReadWrite)?;
        if batch_slots(layout.stride_pages(first.class)) > 1 {
            self.region.guard(range)?;
        }
        Ok(())
    }

    /// Makes the pages of a block accessible and all else in its slot not; they read zero.
    pub(crate) fn show(
        &self,
        bank: Bank,
        slot: Range<usize>,
        pages: Range<usize>,
        before: Before,
    ) -> Result<(), Error> {
        match (bank, self.kind(), before) {
            (Bank::Plain, _, Before::Used) => {
                // SAFETY: the pages are accessible, and the caller owns the slot.
                unsafe { self.pointer(pages.start).write_bytes(0, pages.len()) };
                Ok(())
            }
            (Bank::Plain, _, _) => Ok(()),
            // Far cheaper than to hide the whole slot first and show most of it again.
            (Bank::Guarded, GuardKind::Marker, Before::FreshAlone) => {
                self.guard(slot.start..pages.start)?;
                self.guard(pages.end..slot.end)
            }
            _ if pages.is_empty() => Ok(()),
            _ => self.region.unguard(pages),
        }
    }

    /// Makes the pages of a block inaccessible; their memory goes back to the system.
    pub(crate) fn hide(&self, bank: Bank, pages: Range<usize>) -> Result<(), Error> {
        match bank {
            Bank::Guarded => self.guard(pages),
            Bank::Plain if pages.is_empty() => Ok(()),
            Bank::Plain => self.region.discard(pages),
        }
    }

    fn guard(&self, pages: Range<usize>) -> Result<(), Error> {
        if pages.is_empty() { Ok(()) } else { self.region.guard(pages) }
    }
}
