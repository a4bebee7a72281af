//! Floor 4. The books: one small record for each slot, kept far from the blocks.

use super::layout::{CLASSES, Layout, SlotId};
use super::slot::Slot;
use core::ptr::NonNull;

/// The books of a whole region.
#[derive(Debug)]
pub(crate) struct Table {
    slots: NonNull<Slot>,
    /// Slots of the classes before each one; the last entry is the sum of a bank.
    before: [usize; CLASSES + 1],
}

// SAFETY: the table is a shared array of atomics that lives as long as the process.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    const fn slots_before(layout: &Layout) -> [usize; CLASSES + 1] {
        let mut before = [0; CLASSES + 1];
        let mut class = 0;
        while class < CLASSES {
            before[class + 1] = before[class] + layout.slots(class);
            class += 1;
        }
        before
    }

    /// Bytes of memory that [`Table::new`] wants.
    pub(crate) const fn len(layout: &Layout) -> usize {
        2 * Table::slots_before(layout)[CLASSES] * size_of::<Slot>()
    }

    /// A table in `memory`.
    ///
    /// # Safety
    /// 1. `memory` is aligned to 8, has [`Table::len`] bytes that read zero, is used by nothing else,
    ///    and is never released.
    pub(crate) const unsafe fn new(memory: NonNull<u8>, layout: &Layout) -> Self {
        Table { slots: memory.cast(), before: Table::slots_before(layout) }
    }

    pub(crate) fn slot(&self, id: SlotId) -> &Slot {
        let index = self.before[id.class] + id.index;
        assert!(index < self.before[id.class + 1], "no such slot");
        let index = self.before[CLASSES] * id.bank as usize + index;
        // SAFETY: promise (1) of `new`; the index is below the number of slots, as asserted.
        let slot = unsafe { self.slots.add(index) };
        // SAFETY: zero bytes are a valid Fresh slot, and all fields are atomics.
        unsafe { slot.as_ref() }
    }
}
