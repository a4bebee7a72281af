//! Floor 4, uses floors 0 to 2. Blocks that nobody vouches for: whether one is in use, exactly, and
//! what is wrong with it if not. For faces whose callers are told instead of aborted.

use super::block::LEN_MAX;
use super::class::{GRANULE_LEN, block_at};
use super::held::Held;
use super::local::LocalHeap;
use super::options::HeapOptions;
use super::place::Place;
use super::report::{Finding, broken};
use super::slab::Kind;
use crate::ds::bits;
use crate::ds::primitive::Ordering::Relaxed;
use crate::error::{Error, ErrorKind, Op};
use core::alloc::Layout;
use core::ptr::NonNull;

impl Held {
    /// Bytes of the block in use that begins at an address in this core's slabs and runs.
    ///
    /// Four places say that a block is free: its bit, the bit of those who gave it back from
    /// elsewhere, the cache of its class, which is looked through, and what was not cut yet.
    fn in_use(&self, place: Place, block: NonNull<u8>) -> Result<usize, Finding> {
        let Place { granule, slab } = place.first(self.ground);
        let offset = self.ground.offset_in(granule, block);
        let Some(class) = slab.class() else {
            return match (slab.kind(), offset, slab.announced().load(Relaxed)) {
                (Kind::Run, 0, 0) => Ok(slab.granules.get() as usize * GRANULE_LEN),
                (Kind::Run, 0, _) => Err(Finding::FreedTwice),
                _ => Err(Finding::NotABlock),
            };
        };
        let number = block_at(offset, slab.reciprocal.get());
        if !slab.has_block(number, offset) {
            return Err(Finding::NotABlock);
        }
        let (ours, theirs) = self.ground.bits(slab);
        let is_cached = || self.own().keeps(class, block);
        if bits::is_set(ours, number) || bits::is_set(theirs, number) || is_cached() {
            return Err(Finding::FreedTwice);
        }
        Ok(class.size())
    }
}

impl Held {
    /// Takes back a block of this core's after a look at whether it is in use, and overwrites it
    /// first if that is wished.
    #[cold]
    #[inline(never)]
    pub(super) fn free_checked(&self, place: Place, block: NonNull<u8>, options: &HeapOptions) {
        let len = self.in_use(place, block).unwrap_or_else(|finding| broken(finding, block));
        // What has gone elsewhere, page by page, has left nothing behind.
        if options.is_wiped && !place.slab.is_vacated() {
            // SAFETY: in use, that long, and its user has given it up.
            unsafe { block.write_bytes(0, len) };
        }
        self.free_at(place, block);
    }
}

impl LocalHeap {
    /// Bytes of the block in use that begins at an address, or why there is none.
    pub(crate) fn in_use(&self, block: NonNull<u8>) -> Result<usize, Finding> {
        let place = Place::of(self.held.ground, block).ok_or(Finding::Foreign)?;
        if place.slab.owner() != self.held.core.mark() {
            return Err(Finding::OtherHeap);
        }
        self.held.in_use(place, block)
    }

    /// Makes a block that is [in use](Self::in_use) longer or shorter where it stands, and tells
    /// how many bytes it has now; `None` if it would have to move.
    pub(crate) fn resize_in_place(
        &self,
        block: NonNull<u8>,
        layout: Layout,
    ) -> Result<Option<usize>, Error> {
        let refused = || {
            let (addr, len) = (block.addr().get(), layout.size().min(LEN_MAX));
            Error::new(Op::Allocate, ErrorKind::BadState, addr, len, 0)
        };
        let place = Place::of(self.held.ground, block).ok_or_else(refused)?;
        let is_done = self.held.resize(place, layout)?;
        Ok(if is_done { place.usable_len(self.held.ground, block) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Heap;
    use super::*;

    fn take(heap: &LocalHeap, size: usize) -> NonNull<u8> {
        heap.allocate(Layout::from_size_align(size, 16).expect("a layout")).expect("memory")
    }

    fn give(heap: &LocalHeap, block: NonNull<u8>) {
        // SAFETY: (1) a block in use of this heap, not used again.
        unsafe { heap.deallocate(block) };
    }

    #[test]
    fn free_is_told_from_in_use_in_caches_and_slabs() {
        let heap = LocalHeap::new().expect("a heap");
        // More than a cache holds, so that some go back to their slabs.
        let blocks: Vec<_> = (0..300).map(|_| take(&heap, 100)).collect();
        assert!(blocks.iter().all(|&block| heap.in_use(block) == Ok(112)));
        for (number, &block) in blocks.iter().enumerate() {
            give(&heap, block);
            assert_eq!(heap.in_use(block), Err(Finding::FreedTwice), "block {number}");
            let rest = &blocks[number + 1..];
            assert!(rest.iter().all(|&block| heap.in_use(block) == Ok(112)));
        }
        let again = take(&heap, 100);
        assert_eq!(heap.in_use(again), Ok(112));
    }

    #[test]
    fn long_blocks_are_told_too() {
        let heap = LocalHeap::new().expect("a heap");
        let long = take(&heap, 200_000);
        assert_eq!(heap.in_use(long), Ok(4 * GRANULE_LEN));
        for offset in [16, GRANULE_LEN] {
            // SAFETY: inside the block.
            let inside = unsafe { long.add(offset) };
            assert_eq!(heap.in_use(inside), Err(Finding::NotABlock));
        }
        give(&heap, long);
        assert_eq!(heap.in_use(long), Err(Finding::OtherHeap), "its granules are nobody's");
    }

    #[test]
    fn strangers_are_told() {
        let (heap, other) = (LocalHeap::new().expect("a heap"), Heap::new().expect("a heap"));
        let (mine, foreign) = (take(&heap, 48), NonNull::from(&heap).cast());
        let theirs = other.allocate(Layout::new::<u64>()).expect("memory");
        // SAFETY: inside the block.
        let inside = unsafe { mine.add(16) };
        assert_eq!(heap.in_use(inside), Err(Finding::NotABlock));
        assert_eq!(heap.in_use(theirs), Err(Finding::OtherHeap));
        assert_eq!(heap.in_use(foreign), Err(Finding::Foreign));
        // The slab has a tail of 16 bytes.
        let tail = NonNull::new(mine.as_ptr().wrapping_add(65_520)).expect("not at 0");
        assert_eq!(heap.in_use(tail), Err(Finding::NotABlock));
    }
}
