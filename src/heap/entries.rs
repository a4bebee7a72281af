//! Floor 4, uses floors 0 to 2. A heap entry by entry, for whoever keeps the place himself:
//! each slab and long block, and in it what is in use and what is free.

use super::class::{GRANULE_LEN, block_at};
use super::held::Held;
use super::inspect::Block;
use super::local::LocalHeap;
use super::place::Place;
use super::report::Finding;
use super::slab::{Kind, Slab};
use crate::ds::bits;
use crate::ds::primitive::Ordering::Relaxed;
use core::ptr::NonNull;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A slab or a long block begins: its bytes, and its last block.
    Region { start: NonNull<u8>, len: usize, last_block: NonNull<u8> },
    /// A block in use.
    Busy(Block),
    /// Free blocks, side by side: their bytes.
    Free(Block),
}

/// The entry that was shown last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// None: begin.
    None,
    Region(NonNull<u8>),
    Busy(NonNull<u8>),
    /// So many bytes.
    Free(NonNull<u8>, usize),
}

impl LocalHeap {
    /// The entry behind the last one; `None` at the end. The caches are emptied for that.
    ///
    /// # Errors
    /// The last one is none of this heap's, or not any more.
    pub(crate) fn entry_after(&self, last: Last) -> Result<Option<Entry>, Finding> {
        let (address, passed) = match last {
            Last::None => {
                self.held.flush_all();
                return Ok(self.held.region(self.held.core.own.all.get()));
            }
            Last::Region(start) => (start, None),
            Last::Busy(start) => (start, Some(1)),
            Last::Free(start, len) => (start, Some(len)),
        };
        let place = Place::of(self.held.ground, address).ok_or(Finding::Foreign)?;
        if place.slab.owner() != self.held.core.mark() {
            return Err(Finding::OtherHeap);
        }
        self.held.entry_behind(place.first(self.held.ground), address, passed)
    }

    /// Bytes of the largest block that is free in a slab, or that fits into what is left of the
    /// initial length.
    pub(crate) fn largest_free(&self) -> usize {
        let slabs = self.held.all().filter(|from| from.slab.kind() == Kind::Slab);
        let sizes = slabs.map(|from| match from.slab.free.get() {
            0 => 0,
            _ => from.slab.size.get() as usize,
        });
        sizes.max().unwrap_or(0).max(self.held.stock().longest(self.held.ground))
    }
}

impl Held {
    /// The entry of the slab or run with this mark: a granule and 1, or 0 behind the last one.
    fn region(&self, mark: u32) -> Option<Entry> {
        let from = self.place(mark.checked_sub(1)? as usize);
        let start = self.at(from, 0);
        let len = from.slab.granules.get() as usize * GRANULE_LEN;
        let last_block = match from.slab.kind() {
            Kind::Run => start,
            _ => {
                let before = from.slab.blocks.get() as usize - 1;
                self.at(from, before * from.slab.size.get() as usize)
            }
        };
        Some(Entry::Region { start, len, last_block })
    }

    fn at(&self, from: Place, offset: usize) -> NonNull<u8> {
        let place = self.ground.place(from.granule).wrapping_add(offset);
        NonNull::new(place).expect("not at address 0")
    }

    /// What comes behind `passed` bytes from `address` on, rounded up to blocks; `None`: the region
    /// alone has passed.
    fn entry_behind(
        &self,
        from: Place,
        address: NonNull<u8>,
        passed: Option<usize>,
    ) -> Result<Option<Entry>, Finding> {
        let Place { granule, slab } = from;
        let offset = self.ground.offset_in(granule, address);
        let next_region = || self.region(slab.in_all.next.get());
        if slab.kind() == Kind::Run {
            return match (offset, passed) {
                (0, None) if slab.announced().load(Relaxed) == 0 => {
                    let usable_len = slab.granules.get() as usize * GRANULE_LEN;
                    Ok(Some(Entry::Busy(Block { start: address, usable_len })))
                }
                (0, _) => Ok(next_region()),
                _ => Err(Finding::NotABlock),
            };
        }
        let size = slab.size.get() as usize;
        let number = block_at(offset, slab.reciprocal.get());
        if !slab.has_block(number, offset) {
            return Err(Finding::NotABlock);
        }
        let next = number + passed.map_or(0, |bytes| bytes.div_ceil(size));
        let blocks = slab.blocks.get() as usize;
        if next >= blocks {
            return Ok(next_region());
        }
        let start = self.at(from, next * size);
        if !self.is_free(slab, next) {
            return Ok(Some(Entry::Busy(Block { start, usable_len: size })));
        }
        let end = (next..blocks).find(|&number| !self.is_free(slab, number)).unwrap_or(blocks);
        Ok(Some(Entry::Free(Block { start, usable_len: (end - next) * size })))
    }

    /// Whether a block is in no cache, and free.
    fn is_free(&self, slab: &Slab, number: usize) -> bool {
        let (ours, theirs) = self.ground.bits(slab);
        bits::is_set(ours, number) || bits::is_set(theirs, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::alloc::Layout;

    fn entries(heap: &LocalHeap) -> Vec<Entry> {
        let mut last = Last::None;
        let next = || {
            let entry = heap.entry_after(last).expect("the last one is there")?;
            last = match entry {
                Entry::Region { start, .. } => Last::Region(start),
                Entry::Busy(block) => Last::Busy(block.start),
                Entry::Free(block) => Last::Free(block.start, block.usable_len),
            };
            Some(entry)
        };
        core::iter::from_fn(next).collect()
    }

    #[test]
    fn every_block_is_shown_once_and_the_bytes_add_up() {
        let mut heap = LocalHeap::new().expect("a heap");
        assert!(entries(&heap).is_empty());
        let take = |size| {
            heap.allocate(Layout::from_size_align(size, 8).expect("a layout")).expect("memory")
        };
        let blocks: Vec<_> = [8, 100, 100, 5000, 20_000, 300_000].map(take).into();
        let many: Vec<_> = (0..700).map(|_| take(100)).collect();
        for &block in many.iter().step_by(3) {
            // SAFETY: (1) a block in use of this heap, not used again.
            unsafe { heap.deallocate(block) };
        }
        let (mut regions, mut free, mut seen) = (0, 0, Vec::new());
        for entry in entries(&heap) {
            match entry {
                Entry::Region { start, len, last_block } => {
                    assert!(start <= last_block && heap.owns(last_block));
                    regions += len;
                }
                Entry::Busy(block) => seen.push(block),
                Entry::Free(block) => free += block.usable_len,
            }
        }
        assert_eq!(regions, heap.stats().len);
        let busy: usize = seen.iter().map(|block| block.usable_len).sum();
        // Behind the last block of a slab may be a rest.
        assert!(busy + free <= regions && busy + free > regions - regions / 10);
        let mut expected = Vec::new();
        heap.walk(|block| expected.push(block));
        assert_eq!((seen.len(), seen), (expected.len(), expected));
        assert!(blocks.iter().all(|&block| heap.in_use(block).is_ok()));
        assert_eq!(heap.largest_free(), 20_480);
    }

    #[test]
    fn a_place_that_is_none_is_told() {
        let heap = LocalHeap::new().expect("a heap");
        let block = heap.allocate(Layout::new::<[u64; 6]>()).expect("memory");
        // SAFETY: inside the block.
        let inside = unsafe { block.add(8) };
        assert_eq!(heap.entry_after(Last::Busy(inside)), Err(Finding::NotABlock));
        let foreign = NonNull::from(&heap).cast();
        assert_eq!(heap.entry_after(Last::Busy(foreign)), Err(Finding::Foreign));
    }
}
