//! Floor 4. Stacks: taken at every allocation and free, kept once each.

use super::options::DEPTH_MAX;
use super::record::Stack;
use crate::ds::depot::Depot;
use crate::sys::{self, Registers};

/// The stacks of the process.
#[derive(Debug)]
pub(crate) struct Traces {
    depot: Depot<'static>,
}

impl Traces {
    pub(crate) const fn new(depot: Depot<'static>) -> Self {
        Traces { depot }
    }

    /// Walks the stack from `from`, at most `depth` frames, and returns its number; 0 if there is
    /// nothing or no room.
    pub(crate) fn remember(&self, from: &Registers, depth: usize) -> u32 {
        let mut frames = [0; DEPTH_MAX];
        let frames = &mut frames[..depth.min(DEPTH_MAX)];
        let count = sys::capture(from, frames);
        self.depot.insert(&frames[..count])
    }

    /// The stack with a number.
    pub(crate) fn recall(&self, id: u32) -> Stack {
        let mut frames = [0; DEPTH_MAX];
        let count = self.depot.get(id, &mut frames);
        Stack::from_frames(frames[..count].iter().copied())
    }
}

/// The stack of return addresses that starts at `from`, without keeping it.
pub(crate) fn now(from: &Registers) -> Stack {
    let mut frames = [0; DEPTH_MAX];
    let count = sys::capture(from, &mut frames);
    Stack::from_frames(frames[..count].iter().copied())
}

/// The stack of a fault: its first frame is the guilty instruction itself.
pub(crate) fn of_fault(from: &Registers) -> Stack {
    let mut frames = [0; DEPTH_MAX];
    let count = sys::capture(from, &mut frames);
    // A walk gives one more than an address inside the instruction.
    if let Some(first) = frames[..count].first_mut() {
        *first -= 1;
    }
    Stack::from_frames(frames[..count].iter().copied())
}
