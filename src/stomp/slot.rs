//! Floor 4, pure. The record of one slot, and who may change it when.
//!
//! # A slot's life
//! ```text
//!   Fresh --take--> Busy --publish--> Live --claim--> Busy --retire--> Freed
//!                    ^                                                   |
//!                    +------------- take, after the quarantine ----------+
//!
//!   Live --look--> Looked --put back--> Live      the sweep at exit reads the slack
//! ```
//! 1. Only the thread that moved a slot to Busy may write its other fields.
//! 2. Live and Freed are published with release order after the fields are whole.
//! 3. A slot is on at most one list (the quarantine, or its class's ready stack), and only if
//!    Freed.
//!
//! Every arrow is one compare-and-swap or one store: a second free loses the swap and is a double
//! free, exactly, with any number of threads. There is no lock that a fork or a signal could leave
//! held; a Looked slot, which a free waits for, is given up on after a while.
#![forbid(unsafe_code)]

use crate::ds::primitive::{AtomicU32, AtomicUsize, Ordering};
use core::ops::Range;

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
    /// Live, and the sweep is reading its slack: whoever frees it waits a moment.
    Looked = 4,
}

/// The record of one slot. All zeros is a fresh one.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: AtomicU32,
    allocated_tid: AtomicU32,
    freed_tid: AtomicU32,
    allocated_stack: AtomicU32,
    freed_stack: AtomicU32,
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
            4 => State::Looked,
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

    /// Live -> Looked. False if the slot holds no block, or not any more.
    pub(crate) fn look(&self) -> bool {
        let (from, to) = (State::Live as u32, State::Looked as u32);
        self.state.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Looked -> Live, unchanged: the one who looked is done.
    pub(crate) fn put_back(&self) {
        self.state.store(State::Live as u32, Ordering::Release);
    }

    /// True while it holds a block that the program may use.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state(), State::Live | State::Looked)
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

    /// The link that its class's ready stack uses.
    pub(crate) fn next_ready(&self) -> &AtomicU32 {
        &self.next_ready
    }

    pub(crate) fn start(&self) -> usize {
        self.start.load(Ordering::Relaxed)
    }

    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// The fields, unless the slot never held a block. Busy counts as freed: its block is on the
    /// way in or out, and nobody may touch it either way.
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
            live: matches!(state, State::Live | State::Looked),
            start,
            size: self.size(),
            allocated: moment(&self.allocated_tid, &self.allocated_stack),
            freed: moment(&self.freed_tid, &self.freed_stack),
        })
    }
}
