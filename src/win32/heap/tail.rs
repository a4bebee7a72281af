//! Floor 5, uses floors 0 to 4. The exact size of a block, in the last 8 bytes of its room.
//!
//! ```text
//!   | the caller's bytes      | not used | size and mark |
//!   ^ block        block + size ^                       ^ block + room
//! ```
//! Whoever writes behind the end of a block runs over the mark sooner or later, and is told so when
//! the block comes back.

use crate::heap::LocalHeap;
use core::alloc::Layout;
use core::ptr::NonNull;

/// Bytes of the size and the mark.
pub(super) const TAIL: usize = size_of::<u64>();

/// `MEMORY_ALLOCATION_ALIGNMENT`
pub(super) const ALIGN: usize = 16;

/// Bits of the size; the others are the mark.
const SIZE_BITS: u32 = 48;
const MARK: u64 = 0xb10c << SIZE_BITS;

/// The layout of a block for so many bytes of the caller's, with its tail. `None`: too long for any
/// heap.
pub(super) fn layout(size: usize) -> Option<Layout> {
    let room = size.checked_add(TAIL)?;
    if room as u64 >> SIZE_BITS != 0 {
        return None;
    }
    Layout::from_size_align(room, ALIGN).ok()
}

/// Where the tail of a block lies.
///
/// # Safety
/// 1. The block is in use and has `room` bytes, at least [`TAIL`] of them.
unsafe fn place(block: NonNull<u8>, room: usize) -> NonNull<u64> {
    // SAFETY: (1).
    unsafe { block.add(room - TAIL) }.cast()
}

/// Notes the size of a block.
///
/// # Safety
/// 1. The block is in use, and has `room` bytes.
/// 2. `size` was accepted by [`layout`], and leaves room for the tail.
pub(super) unsafe fn write(block: NonNull<u8>, room: usize, size: usize) {
    debug_assert!(size + TAIL <= room);
    // SAFETY: (1).
    let tail = unsafe { place(block, room) };
    // SAFETY: (1): nobody else uses the block's memory; its room is a multiple of 8.
    unsafe { tail.write(MARK | size as u64) };
}

/// The size of a block; `None` if the tail was written over.
///
/// # Safety
/// 1. The block is in use, has `room` bytes, and [`write`] was called for it.
pub(super) unsafe fn read(block: NonNull<u8>, room: usize) -> Option<usize> {
    // SAFETY: (1).
    let tail = unsafe { place(block, room) };
    // SAFETY: (1).
    let word = unsafe { tail.read() };
    let size = (word & ((1 << SIZE_BITS) - 1)) as usize;
    (word ^ size as u64 == MARK && size + TAIL <= room).then_some(size)
}

/// Bytes of a new block's room.
pub(super) fn room_of(heap: &LocalHeap, block: NonNull<u8>) -> usize {
    heap.usable_len(block).expect("the heap has just given it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_heap_can_have_has_no_layout() {
        assert!(layout(usize::MAX).is_none() && layout(isize::MAX as usize).is_none());
        assert!(layout(1 << SIZE_BITS).is_none());
        assert_eq!(layout(10).map(|layout| (layout.size(), layout.align())), Some((18, 16)));
    }

    #[test]
    fn a_tail_that_was_written_over_is_seen() {
        let mut words = [0_u64; 4];
        let block = NonNull::from(&mut words).cast::<u8>();
        for size in [0, 1, 10, 24] {
            // SAFETY: (1) the array is ours and 32 bytes long; (2) 24 and 8 are 32.
            unsafe { write(block, 32, size) };
            // SAFETY: (1) as above.
            assert_eq!(unsafe { read(block, 32) }, Some(size));
            for offset in 24..32 {
                // SAFETY: inside the array.
                let byte = unsafe { block.add(offset) };
                // SAFETY: as above.
                let old = unsafe { byte.read() };
                // SAFETY: as above.
                unsafe { byte.write(!old) };
                // SAFETY: (1) as above.
                assert_eq!(unsafe { read(block, 32) }, None, "byte {offset}");
                // SAFETY: as above.
                unsafe { byte.write(old) };
            }
        }
    }
}
