//! Floor 4, uses floors 0 to 3. 64 bytes of shared memory that an event or a lock lies in.

use super::SharedMemory;
use crate::error::{Error, ErrorKind, Op};
use core::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a cell, and what its offset is a multiple of: a line of the cache.
pub(super) const CELL_LEN: usize = 64;

/// What lies in a cell. Memory that reads zero is a cell in its first state, whatever it becomes:
/// there is no moment in which it is half made.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Cell {
    /// 0, or what it has become.
    kind: AtomicU32,
    /// The state that is waited for.
    pub(super) word: AtomicU32,
    /// Who waits, or the key that is given out next.
    pub(super) count: AtomicU32,
}

/// What a cell is: letters that stand for version 1 of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    AutoEvent = u32::from_le_bytes(*b"gEa1"),
    ManualEvent = u32::from_le_bytes(*b"gEm1"),
    Lock = u32::from_le_bytes(*b"gLk1"),
}

impl Cell {
    /// The cell at an offset, which becomes of that kind if it is nothing yet.
    pub(super) fn at(memory: &SharedMemory, offset: usize, kind: Kind) -> Result<&Cell, Error> {
        let refused = |kind| Err(memory.error(Op::Share, kind, offset));
        if !offset.is_multiple_of(CELL_LEN) {
            return refused(ErrorKind::Misaligned);
        }
        if memory.len() < CELL_LEN || offset > memory.len() - CELL_LEN {
            return refused(ErrorKind::OutOfRange);
        }
        // SAFETY: inside the view.
        let place = unsafe { memory.view.as_ptr().add(offset) };
        // SAFETY: mapped for as long as `memory`, aligned as pages are and the offset is. All of it
        // is atomic, any bits are valid, and nothing else in this process uses these addresses.
        let cell = unsafe { place.cast::<Cell>().as_ref() };
        let wanted = kind as u32;
        let told = cell.kind.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire);
        memory.check_len(Op::Share)?;
        match told {
            Ok(_) => Ok(cell),
            Err(found) if found == wanted => Ok(cell),
            Err(_) => refused(ErrorKind::Corrupt),
        }
    }
}
