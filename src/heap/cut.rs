//! Floor 4, uses floors 0 to 2. Slabs without a block in use, of a heap for one thread at a time.
//!
//! Such a slab is not drawn into the cache block by block: the heap has it as a whole, and cuts one
//! block after the other from its beginning, as an arena does. What lies in the cache is used
//! first, then what is left to cut, then what other slabs have.
//!
//! # Invariants
//! 1. What is left to cut is the end of one slab of this class of this core, a whole number of
//!    blocks. Their bits are clear (rule 9 of `slab`): for their slab they are in use.
//! 2. Only a core that was told to [cut](Core::cut_slabs) has any. It is one whose slabs nobody
//!    else gives blocks back to: nobody looks after them in the owner's place (`waiting`).

use super::class::{self, Class};
use super::core::{Core, Own};
use super::held::Held;
use super::place::Place;
use crate::ds::bits;
use crate::ds::primitive::AtomicPtr;
use crate::ds::primitive::Ordering::Relaxed;
use crate::error::Error;
use core::ops::Range;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::compiler_fence;

/// What is left of one slab of each class.
#[derive(Debug)]
pub(super) struct Cuts([Cut; class::ROOM]);

/// From the next block to the end; both null if there was no slab yet.
#[derive(Debug)]
struct Cut {
    next: AtomicPtr<u8>,
    end: AtomicPtr<u8>,
}

impl Cut {
    /// In three steps, so that a signal handler that looks sees nothing or the right blocks.
    fn set(&self, next: *mut u8, end: *mut u8) {
        self.end.store(null_mut(), Relaxed);
        compiler_fence(SeqCst);
        self.next.store(next, Relaxed);
        compiler_fence(SeqCst);
        self.end.store(end, Relaxed);
    }
}

impl Core {
    /// It is a heap for one thread at a time.
    pub(super) fn cut_slabs(&self) {
        self.own.is_cutting.set(1);
    }
}

impl Own {
    /// True if new slabs are cut. Other cores do not even touch the pages of the cuts.
    #[inline(always)]
    pub(super) fn cuts_slabs(&self) -> bool {
        self.is_cutting.get() == 1
    }

    #[inline(always)]
    fn cut_of(&self, class: Class) -> &Cut {
        // SAFETY: the number of a class, or of none, is below `ROOM`: so says its file.
        unsafe { self.cuts.0.get_unchecked(usize::from(class.number())) }
    }

    /// Cuts a block, if this core [cuts slabs](Self::cuts_slabs); of others it finds nothing.
    #[inline(always)]
    pub(super) fn cut(&self, class: Class) -> Option<NonNull<u8>> {
        let cut = self.cut_of(class);
        let block = cut.next.load(Relaxed);
        if block == cut.end.load(Relaxed) {
            return None;
        }
        cut.next.store(block.wrapping_add(class.size()), Relaxed);
        NonNull::new(block)
    }

    /// What is left to cut.
    pub(super) fn uncut(&self, class: Class) -> Range<*mut u8> {
        if !self.cuts_slabs() {
            return null_mut()..null_mut();
        }
        let cut = self.cut_of(class);
        cut.next.load(Relaxed)..cut.end.load(Relaxed)
    }

    /// Bytes that are left to cut.
    pub(super) fn uncut_len(&self, class: Class) -> usize {
        let uncut = self.uncut(class);
        uncut.end.addr().saturating_sub(uncut.start.addr())
    }

    /// True if a block of a class lies in the cache, or was not cut yet.
    pub(super) fn keeps(&self, class: Class, block: NonNull<u8>) -> bool {
        self.uncut(class).contains(&block.as_ptr()) || self.has_cached(class, block)
    }

    /// Forgets what is left.
    pub(super) fn forget_cut(&self, class: Class) {
        if self.cuts_slabs() {
            self.cut_of(class).set(null_mut(), null_mut());
        }
    }
}

impl Held {
    /// The same as `allocate`, of a core that cuts slabs.
    #[inline]
    pub(super) fn allocate_cutting(&self, class: Class) -> Result<NonNull<u8>, Error> {
        match self.own().pop(class).or_else(|| self.own().cut(class)) {
            Some(block) => Ok(block),
            None => self.allocate_slowly(class),
        }
    }

    /// Takes a slab of the list of its class as a whole, while nothing of the last one is left to
    /// cut; false if it has blocks in use, or this core cuts none.
    pub(super) fn begin_cut(&self, class: Class, from: Place) -> bool {
        let is_whole = from.slab.free.get() == from.slab.blocks.get();
        let is_cut = is_whole && self.own().cuts_slabs();
        if is_cut {
            self.unlink_from_class(class, from);
            self.cut_whole(class, from);
        }
        is_cut
    }

    /// Begins to cut a slab that is in no list of its class, with none of its blocks in use.
    pub(super) fn cut_whole(&self, class: Class, from: Place) {
        let (bits, _) = self.ground.bits(from.slab);
        bits.iter().for_each(|word| word.store(0, Relaxed));
        from.slab.cursor.set(bits.len() as u32 - 1);
        from.slab.free.set(0);
        let first = self.ground.place(from.granule);
        let end = first.wrapping_add(from.slab.blocks.get() as usize * class.size());
        self.own().cut_of(class).set(first, end);
        self.own().open(class);
    }

    /// Gives what is left to cut back to its slab.
    pub(super) fn end_cut(&self, class: Class) {
        let Some((from, left)) = self.uncut_blocks(class) else { return };
        self.own().forget_cut(class);
        bits::masks(&left).for_each(|(word, mask)| self.free_bits(from, word, mask));
        self.settle(from);
    }

    /// The slab that is being cut, and the numbers of its blocks that are left.
    fn uncut_blocks(&self, class: Class) -> Option<(Place, Range<usize>)> {
        let left = self.own().uncut_len(class) / class.size();
        let next = NonNull::new(self.own().uncut(class).start).filter(|_| left > 0)?;
        let from = Place::of(self.ground, next).expect("a block of a slab").first(self.ground);
        let blocks = from.slab.blocks.get() as usize;
        Some((from, blocks - left..blocks))
    }

    /// True if no block of a slab is free that was not cut yet.
    pub(super) fn is_soundly_cut(&self, class: Class, from: Place) -> bool {
        self.uncut_blocks(class).is_none_or(|(cut, left)| {
            cut.granule != from.granule || bits::count(self.ground.bits(cut.slab).0, &left) == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ground::ground;
    use super::super::report::Finding;
    use super::super::{Heap, HeapOptions, LocalHeap};
    use super::*;
    use core::alloc::Layout;
    use std::vec::Vec;

    /// Classes of slabs of one granule and of several.
    const SIZES: [usize; 4] = [8, 24, 1024, 20_480];

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("a layout")
    }

    fn take(heap: &LocalHeap, size: usize) -> NonNull<u8> {
        heap.allocate(layout(size)).expect("memory")
    }

    fn give(heap: &LocalHeap, block: NonNull<u8>) {
        // SAFETY: (1) the callers took it there, and forget it.
        unsafe { heap.deallocate(block) };
    }

    #[test]
    fn blocks_stand_in_a_row_and_what_was_given_back_comes_first() {
        for size in SIZES {
            let heap = LocalHeap::new().expect("memory");
            let [first, second] = [take(&heap, size), take(&heap, size)];
            assert_eq!(second.addr().get() - first.addr().get(), size);
            give(&heap, first);
            assert_eq!(take(&heap, size), first);
            assert_eq!(take(&heap, size).addr().get() - first.addr().get(), 2 * size);
        }
    }

    #[test]
    fn what_is_left_is_free() {
        for (size, count) in SIZES.into_iter().zip([3000, 700, 10, 5]) {
            let mut heap = LocalHeap::new().expect("memory");
            let mut blocks: Vec<_> = (0..count).map(|_| take(&heap, size)).collect();
            let check = |heap: &mut LocalHeap, blocks: &[NonNull<u8>]| {
                let before = heap.stats();
                assert_eq!((before.blocks, before.bytes), (blocks.len(), blocks.len() * size));
                let mut seen = Vec::new();
                heap.walk(|block| seen.push(block.start));
                seen.sort();
                assert!(seen == blocks, "{size}");
                let after = heap.stats();
                assert_eq!(
                    (after.blocks, after.bytes, after.cached),
                    (blocks.len(), before.bytes, 0)
                );
                assert_eq!(heap.validate(), Ok(()));
            };
            blocks.sort();
            check(&mut heap, &blocks);
            blocks.extend((0..count).map(|_| take(&heap, size)));
            blocks.sort();
            check(&mut heap, &blocks);
            blocks.into_iter().for_each(|block| give(&heap, block));
            take(&heap, size);
            heap.trim();
            assert_eq!((heap.stats().blocks, heap.stats().slabs), (1, 1));
        }
    }

    #[test]
    fn a_block_that_was_not_cut_is_not_in_use() {
        let heap = HeapOptions::new().checked().local().expect("memory");
        let first = take(&heap, 32);
        let beside = |bytes| NonNull::new(first.as_ptr().wrapping_add(bytes)).expect("an address");
        assert_eq!(heap.in_use(first), Ok(32));
        assert_eq!(heap.in_use(beside(32)), Err(Finding::FreedTwice));
        assert_eq!(heap.in_use(beside(33)), Err(Finding::NotABlock));
        assert_eq!(take(&heap, 32), beside(32));
        assert_eq!(heap.in_use(beside(32)), Ok(32));
    }

    #[test]
    fn slabs_that_stood_in_a_list_of_their_last_heap_stand_in_none() {
        for _ in 0..3 {
            let heap = LocalHeap::new().expect("memory");
            let blocks: Vec<_> = (0..500).map(|_| take(&heap, 1024)).collect();
            assert_eq!(heap.validate(), Ok(()));
            // One of each slab stays, so that the slabs stay, too.
            let given = blocks.iter().enumerate().filter(|(number, _)| number % 5 != 0);
            given.for_each(|(_, &block)| give(&heap, block));
            heap.held.flush_all();
            assert_eq!(heap.validate(), Ok(()));
        }
    }

    #[test]
    fn a_bit_of_what_was_not_cut_is_a_broken_rule() {
        let heap = LocalHeap::new().expect("memory");
        let place = Place::of(heap.held.ground, take(&heap, 1024)).expect("of a heap");
        heap.held.free_bits(place, 0, 1 << 7);
        assert_eq!(heap.validate().map_err(|broken| broken.rule), Err(9));
    }

    #[test]
    fn a_whole_slab_beside_the_one_that_is_cut_goes_back() {
        let heap = LocalHeap::new().expect("memory");
        let blocks: Vec<_> = (0..100).map(|_| take(&heap, 1024)).collect();
        assert_eq!(heap.stats().slabs, 2);
        blocks[..64].iter().for_each(|&block| give(&heap, block));
        heap.held.flush(Class::of(1024), heap.held.core.own.count(Class::of(1024)));
        assert_eq!((heap.stats().slabs, heap.stats().blocks), (1, 36));
        assert_eq!(heap.validate(), Ok(()));
    }

    #[test]
    fn heaps_for_many_threads_cut_nothing_even_of_a_core_that_did() {
        let layout = layout(32);
        for _ in 0..3 {
            let heap = LocalHeap::new().expect("memory");
            take(&heap, 32);
            let core = heap.held.core;
            assert_ne!(core.own.uncut_len(Class::of(32)), 0);
            drop(heap);
            let heap = Heap::new().expect("memory");
            heap.allocate(layout).expect("memory");
            let cuts = |core: &Core| core.root() == heap.id().0 && core.own.is_cutting.get() != 0;
            assert!(!ground().expect("it is made").cores().any(cuts));
        }
    }
}
