//! Floor 4. The books: one small record for each slot, kept far from the blocks.
//!
//! # A slot's life
//! ```text
//!   Fresh --take--> Busy --publish--> Live --claim--> Busy --retire--> Freed
//!                    ^                                                   |
//!                    +------------- take, after the quarantine ----------+
//! ```
//! 1. Only the thread that moved a slot to Busy may write its other fields.
//! 2. Live and Freed are published with release order after the fields are whole.
//! 3. A slot is on at most one list (the quarantine, or its class's ready stack), and only if Freed.
//!
//! Every arrow is one compare-and-swap or one store: a second free loses the swap and is a double
//! free, exactly, with any number of threads. There is no lock that a fork or a signal could leave held.

use super::layout::{CLASSES, Layout, SlotId};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Where a slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum State {
    /// Never used. Zero, so that untouched books need no writing.
    Fresh = 0,
    /// One thread is changing it.
    Busy = 1,
    /// It holds a block.
    Live = 2,
    /// Its block was freed; its pages are inaccessible.
    Freed = 3,
}

/// The record of one slot.
#[derive(Debug)]
pub(crate) struct Slot {
    state: AtomicU32,
    allocated_tid: AtomicU32,
    freed_tid: AtomicU32,
    allocated_stack: AtomicU32,
    freed_stack: AtomicU32,
    /// The next slot of the ready stack: its index + 1, or 0.
    next_ready: AtomicU32,
    start: AtomicUsize,
    size: AtomicUsize,
}

/// What happened to a block at one moment: which thread, and the id of its stack in the depot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) tid: u32,
    pub(crate) stack: u32,
}

/// A copy of a slot's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) live: bool,
    pub(crate) start: usize,
    pub(crate) size: usize,
    pub(crate) allocated: Moment,
    pub(crate) freed: Moment,
}

impl Snapshot {
    pub(crate) fn block(&self) -> Range<usize> {
        self.start..self.start + self.size
    }
}

impl Slot {
    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Fresh,
            2 => State::Live,
            3 => State::Freed,
            _ => State::Busy,
        }
    }

    /// `from` -> Busy. False if the slot is in another state: somebody else was faster.
    pub(crate) fn claim(&self, from: State) -> bool {
        let (from, to) = (from as u32, State::Busy as u32);
        self.state.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Busy -> Live, with a new block.
    pub(crate) fn publish(&self, block: Range<usize>, allocated: Moment) {
        self.start.store(block.start, Ordering::Relaxed);
        self.size.store(block.len(), Ordering::Relaxed);
        self.allocated_tid.store(allocated.tid, Ordering::Relaxed);
        self.allocated_stack.store(allocated.stack, Ordering::Relaxed);
        self.freed_tid.store(0, Ordering::Relaxed);
        self.freed_stack.store(0, Ordering::Relaxed);
        self.state.store(State::Live as u32, Ordering::Release);
    }

    /// Busy -> Live, unchanged: the one who looked is done.
    pub(crate) fn put_back(&self) {
        self.state.store(State::Live as u32, Ordering::Release);
    }

    /// Notes who frees, while Busy, so that a fault from now on already finds it.
    pub(crate) fn note_free(&self, freed: Moment) {
        self.freed_tid.store(freed.tid, Ordering::Relaxed);
        self.freed_stack.store(freed.stack, Ordering::Relaxed);
    }

    /// Busy -> Freed.
    pub(crate) fn retire(&self) {
        self.state.store(State::Freed as u32, Ordering::Release);
    }

    pub(crate) fn start(&self) -> usize {
        self.start.load(Ordering::Relaxed)
    }

    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// The fields, unless the slot never held a block. Busy counts as freed: its block is on the way
    /// in or out, and nobody may touch it either way.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state();
        let start = self.start();
        if state == State::Fresh || start == 0 {
            return None;
        }
        let moment = |tid: &AtomicU32, stack: &AtomicU32| Moment {
            tid: tid.load(Ordering::Relaxed),
            stack: stack.load(Ordering::Relaxed),
        };
        Some(Snapshot {
            live: state == State::Live,
            start,
            size: self.size(),
            allocated: moment(&self.allocated_tid, &self.allocated_stack),
            freed: moment(&self.freed_tid, &self.freed_stack),
        })
    }
}

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

/// Freed slots of one class whose addresses may be used again: a stack (Treiber 1986) linked through
/// the slots, with a counter beside the head so that a slot that left and came back is noticed.
#[derive(Debug)]
pub(crate) struct ReadyStack {
    /// Counter in the upper half, index + 1 (or 0) in the lower.
    head: AtomicU64,
}

impl ReadyStack {
    pub(crate) const fn new() -> Self {
        ReadyStack { head: AtomicU64::new(0) }
    }

    /// Puts a freed slot on the stack.
    pub(crate) fn push(&self, table: &Table, id: SlotId) {
        let slot = table.slot(id);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            slot.next_ready.store(head as u32, Ordering::Relaxed);
            let new = next_count(head) | (id.index as u64 + 1);
            match self.head.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes a slot off the stack; `of` gives the class and bank.
    pub(crate) fn pop(&self, table: &Table, of: SlotId) -> Option<SlotId> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)? as usize;
            let id = SlotId { index, ..of };
            let next = table.slot(id).next_ready.load(Ordering::Relaxed);
            let new = next_count(head) | u64::from(next);
            match self.head.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(id),
                Err(now) => head = now,
            }
        }
    }
}

fn next_count(head: u64) -> u64 {
    (head >> 32).wrapping_add(1) << 32
}
