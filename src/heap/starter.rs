//! Floor 4, uses floors 0 to 2. The first blocks of a thread: of all small classes, side by side in
//! one granule.
//!
//! A slab for each class costs a page for each class, however few blocks it has. So the core of a
//! thread begins with a starter: a granule whose cells of 128 bytes get a class when they are
//! needed. A hundred threads with 64 sizes each need 11 pages each in place of 24.
//!
//! A free without a size does not take its blocks back the quick way, because the record of the
//! granule has no class: their bits are set at once. One with a layout, as Rust's is, puts them
//! into the cache. A class that has drawn twice, or finds no room here, goes on with slabs of its
//! own, so that what is used again and again is quick. The starter goes back when none of its
//! blocks is in use.
//!
//! # Invariants (rule 7 of `slab.rs`)
//! 1. A block of a class begins at a multiple of its size, as in a slab of that class, and all
//!    cells that it touches are of that class; each such place is a block. So alignments are kept,
//!    and the class of a cell tells where its blocks begin.
//! 2. The record has the bits of a slab of the smallest class, one for each 8 bytes. Set are those
//!    where a free block begins that is not in the owner's cache. `free` is the number of all bits
//!    less that of the blocks that are in use or in the cache; it is never 0.
//! 3. Cells get a class in their order; of those from `used` on nothing is said.

use super::class::{Class, GRANULE_LEN, block_at};
use super::ground::Ground;
use super::held::Held;
use super::place::Place;
use super::report::{Finding, broken};
use super::slab::{Field, Slab};
use crate::ds::bits::{self, BITS};
use crate::ds::primitive::{AtomicU8, AtomicU64, Ordering::Relaxed};
use core::ptr::NonNull;

/// Bytes that have one class.
const CELL: usize = 128;
const CELLS: usize = GRANULE_LEN / CELL;

/// The largest blocks of a starter.
const SIZE_MAX: usize = 1024;

/// Blocks that are drawn at once.
const BATCH: usize = 4;
/// A class that is to draw as many has slabs of its own.
const BATCH_OF_SLABS: u32 = 16;

/// With as many free granules whose memory is there already, slabs cost nothing, and are quicker.
const IDLE_ENOUGH: usize = 16;

/// What a core knows of its starter.
pub(super) struct Starter {
    /// 1 if the core may have one.
    is_allowed: Field,
    /// The granule and 1; 0 if there is none.
    mark: Field,
    /// Cells that have a class.
    used: Field,
    classes: [AtomicU8; CELLS],
}

impl Starter {
    /// From now on the core is a thread's.
    pub(super) fn allow(&self) {
        self.is_allowed.set(1);
    }

    /// There is none, and there will be none.
    pub(super) fn forbid(&self) {
        self.is_allowed.set(0);
        self.end();
    }

    /// The granule is nobody's any more.
    pub(super) fn end(&self) {
        self.mark.set(0);
    }

    fn class_at(&self, offset: usize) -> Option<Class> {
        let cell = offset / CELL;
        let is_used = cell < self.used.get() as usize;
        is_used.then(|| Class::of_number(self.classes[cell].load(Relaxed))).flatten()
    }

    /// The class of the block that begins at an offset. (1)
    pub(super) fn class_of_block(&self, offset: usize) -> Option<Class> {
        let class = self.class_at(offset)?;
        let size = class.size();
        let is_begin = block_at(offset, class.reciprocal()) * size == offset;
        let mut cells = offset / CELL..=(offset + size - 1) / CELL;
        (is_begin && cells.all(|cell| self.class_at(cell * CELL) == Some(class))).then_some(class)
    }

    /// The block that an offset lies in: where it begins, and its class.
    pub(super) fn block_with(&self, offset: usize) -> Option<(usize, Class)> {
        let class = self.class_at(offset)?;
        let start = block_at(offset, class.reciprocal()) * class.size();
        (self.class_of_block(start)? == class).then_some((start, class))
    }

    /// Gives a class cells for a batch, and says where its new blocks begin. The last cell is
    /// nobody's, so that `free` is never 0.
    fn give_cells(&self, class: Class) -> Option<impl Iterator<Item = usize>> {
        let (used, size) = (self.used.get() as usize, class.size());
        let edge = used * CELL;
        // A block may begin in the last cell of the class and end in the next one.
        let is_behind_own = edge > 0 && self.class_at(edge - 1) == Some(class);
        let start = if is_behind_own { edge / size * size } else { edge.next_multiple_of(size) };
        let end = (start + BATCH * size).div_ceil(CELL);
        if end >= CELLS {
            return None;
        }
        self.classes[used..end].iter().for_each(|cell| cell.store(class.number(), Relaxed));
        self.used.set(end as u32);
        let blocks = (end * CELL - start) / size;
        Some((0..blocks).map(move |number| start + number * size))
    }

    /// The offsets of all blocks and their classes.
    fn blocks(&self) -> impl Iterator<Item = (usize, Class)> + '_ {
        let units = (0..self.used.get() as usize * CELL).step_by(shape().size());
        units.filter_map(|offset| Some((offset, self.class_of_block(offset)?)))
    }
}

/// The class whose slabs have a bit wherever a block may begin.
pub(super) fn shape() -> Class {
    Class::of(0)
}

/// The bit of a block.
pub(super) fn unit(offset: usize) -> usize {
    offset / shape().size()
}

/// Changes one of the owner's bits.
fn flip(words: &[AtomicU64], bit: usize) {
    let word = &words[bit / BITS];
    word.store(word.load(Relaxed) ^ 1 << (bit % BITS), Relaxed);
}

/// The numbers of the bits that are set.
fn ones(words: &[AtomicU64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(number, word)| {
        let mut left = word.load(Relaxed);
        core::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(number * BITS + bit)
        })
    })
}

impl Ground {
    /// The starter that has a granule: its owner's. `None` if it is nobody's any more, for who only
    /// looks.
    pub(super) fn starter_of(&'static self, from: Place) -> Option<&'static Starter> {
        let number = from.slab.owner().checked_sub(1)?;
        Some(&self.core(number).own.starter)
    }

    /// The blocks of a starter that are in use or in the cache: their offsets and classes.
    pub(super) fn blocks_of_starter(
        &'static self,
        from: Place,
    ) -> impl Iterator<Item = (usize, Class)> {
        // As many words as a starter has, whatever has the granule by now.
        let count = Slab::words_of(shape()) as usize;
        let words = self.words(from.slab.bits.get(), 2 * count);
        let is_free = move |bit| {
            let (ours, theirs) = words.split_at(count);
            bits::is_set(ours, bit) || bits::is_set(theirs, bit)
        };
        let blocks = self.starter_of(from).into_iter().flat_map(Starter::blocks);
        blocks.filter(move |&(offset, _)| !is_free(unit(offset)))
    }

    /// Bytes of the blocks that begin at some bits of a word of a slab or a starter.
    pub(super) fn bytes_of_bits(&'static self, from: Place, word: usize, mask: u64) -> usize {
        match from.slab.is_starter() {
            false => mask.count_ones() as usize * from.slab.size.get() as usize,
            true => {
                let mask = [AtomicU64::new(mask)];
                let offsets = ones(&mask).map(|bit| (word * BITS + bit) * shape().size());
                let Some(starter) = self.starter_of(from) else { return 0 };
                let classes = offsets.filter_map(|offset| starter.class_of_block(offset));
                classes.map(Class::size).sum()
            }
        }
    }
}

impl Held {
    /// Fills the empty cache of a class from the starter; false if that is not for it, or has none.
    pub(super) fn draw_first(&self, class: Class) -> bool {
        let own = &self.core.own;
        let batch = &own.batches[class.index()];
        let wanted = batch.get().max(BATCH as u32);
        let is_for_it = own.starter.is_allowed.get() == 1
            && class.size() <= SIZE_MAX
            && wanted < BATCH_OF_SLABS;
        if !is_for_it {
            return false;
        }
        let Some(from) = self.starter() else { return false };
        let is_filled = self.draw_free(class, from)
            || self.add_cells(class, from) && self.draw_free(class, from);
        if is_filled {
            batch.set(2 * wanted);
        }
        is_filled
    }

    /// The starter that this core has, or a new one; `None` if that would save nothing, or there is
    /// no memory.
    fn starter(&self) -> Option<Place> {
        let starter = &self.core.own.starter;
        if let Some(granule) = starter.mark.get().checked_sub(1) {
            return Some(self.place(granule as usize));
        }
        if self.ground.idle() >= IDLE_ENOUGH {
            return None;
        }
        let new = self.take_slab(1, Slab::words_of(shape())).ok()?;
        starter.used.set(0);
        new.slab.become_starter(self.core.tag(), shape());
        let (ours, theirs) = self.ground.bits(new.slab);
        ours.iter().chain(theirs).for_each(|word| word.store(0, Relaxed));
        new.slab.free.set(new.slab.blocks.get());
        starter.mark.set(new.granule as u32 + 1);
        self.link_in_all(new);
        Some(new)
    }

    /// Draws a batch of the blocks that are free.
    fn draw_free(&self, class: Class, from: Place) -> bool {
        let own = &self.core.own;
        let (ours, _) = self.ground.bits(from.slab);
        let (mut found, mut count) = ([0; BATCH], 0);
        let end = unit(own.starter.used.get() as usize * CELL);
        let offsets = ones(&ours[..end.div_ceil(BITS)]).map(|bit| bit * shape().size());
        let of_class = offsets.filter(|&offset| own.starter.class_at(offset) == Some(class));
        for (place, offset) in found.iter_mut().zip(of_class) {
            *place = offset;
            count += 1;
        }
        found[..count].iter().for_each(|&offset| flip(ours, unit(offset)));
        from.slab.free.set(from.slab.free.get() - count as u32);
        let start = self.ground.place(from.granule);
        own.fill(class, count, found[..count].iter().map(|&offset| start.wrapping_add(offset)));
        count > 0
    }

    /// Gives a class more cells, whose blocks are free; false if there is no room.
    fn add_cells(&self, class: Class, from: Place) -> bool {
        let Some(offsets) = self.core.own.starter.give_cells(class) else { return false };
        let (ours, _) = self.ground.bits(from.slab);
        offsets.for_each(|offset| flip(ours, unit(offset)));
        true
    }

    /// Takes back a block of this core's starter.
    pub(super) fn free_first(&self, from: Place, block: NonNull<u8>) {
        let offset = self.ground.offset_in(from.granule, block);
        if self.core.own.starter.class_of_block(offset).is_none() {
            broken(Finding::NotABlock, block);
        }
        self.free_word(from, unit(offset) / BITS, 1 << (unit(offset) % BITS));
    }

    /// The number of the rule of `slab.rs` that does not hold for the starter.
    pub(super) fn broken_rule_of_starter(&self, from: Place) -> Option<u8> {
        let Place { granule, slab } = from;
        let starter = &self.core.own.starter;
        let has_shape = slab.blocks.get() as usize == shape().blocks()
            && slab.size.get() as usize == shape().size()
            && slab.granules.get() == 1;
        if !has_shape || slab.class().is_some() || starter.mark.get() != granule as u32 + 1 {
            return Some(7);
        }
        let (ours, _) = self.ground.bits(slab);
        let mut set = ones(ours).map(|bit| bit * shape().size());
        if !set.all(|offset| starter.class_of_block(offset).is_some()) {
            return Some(7);
        }
        let all = starter.blocks().count();
        let in_use = (slab.blocks.get() - slab.free.get()) as usize;
        (all - ones(ours).count() != in_use).then_some(7)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ground::tests::small;
    use super::super::held::give_back;
    use super::super::{HeapOptions, LocalHeap};
    use super::*;
    use std::vec::Vec;

    fn heap() -> LocalHeap {
        // A ground of its own, where nobody leaves memory that is better than a starter.
        let heap = LocalHeap::on(small(false), HeapOptions::new()).expect("a heap");
        heap.held.core.own.starter.allow();
        heap
    }

    fn take(heap: &LocalHeap, size: usize) -> NonNull<u8> {
        heap.held.allocate(Class::of(size)).expect("memory")
    }

    fn is_of_starter(heap: &LocalHeap, block: NonNull<u8>) -> bool {
        Place::of_given(heap.held.ground, block).slab.is_starter()
    }

    fn give(heap: &LocalHeap, block: NonNull<u8>) {
        // SAFETY: (1) a block in use of this heap, not used again.
        unsafe { heap.deallocate(block) };
    }

    #[test]
    fn the_first_blocks_of_all_sizes_lie_side_by_side_and_are_aligned() {
        let heap = heap();
        let sizes: Vec<_> = (1..=64).map(|number| 16 * number).collect();
        let blocks: Vec<_> = sizes.iter().map(|&size| take(&heap, size)).collect();
        let pages = blocks.iter().map(|block| block.addr().get() / 4096);
        let first = blocks[0].addr().get() / 4096;
        assert!(pages.max() < Some(first + 12), "64 blocks of 33 KiB: {blocks:?}");
        for (size, block) in sizes.iter().zip(&blocks) {
            let align = 1 << Class::of(*size).size().trailing_zeros();
            assert!(block.addr().get().is_multiple_of(align), "{size} at {block:?}");
            assert_eq!(heap.usable_len(*block), Some(Class::of(*size).size()));
        }
        assert_eq!((heap.stats().slabs, heap.stats().blocks), (1, 64));
        blocks.into_iter().for_each(|block| give(&heap, block));
        assert_eq!(heap.validate(), Ok(()));
        heap.trim();
        assert_eq!(heap.stats(), Default::default(), "the starter has gone back");
    }

    /// Blocks of 224 bytes that would begin in their own cells and end there, with another class in
    /// between.
    #[test]
    fn what_lies_across_other_cells_is_no_block() {
        for (size, between) in [(224, 16), (320, 16), (448, 16)] {
            let heap = heap();
            let sizes = [8, size, size, size, size, between, size];
            let blocks = sizes.map(|size| take(&heap, size));
            assert_eq!((heap.validate(), heap.stats().blocks), (Ok(()), blocks.len()), "{size}");
            blocks.into_iter().for_each(|block| give(&heap, block));
            assert_eq!(heap.validate(), Ok(()));
        }
    }

    #[test]
    fn what_is_used_again_goes_on_with_slabs() {
        let heap = heap();
        let is_first = || {
            let block = take(&heap, 100);
            let is_first = is_of_starter(&heap, block);
            give(&heap, block);
            is_first
        };
        assert_eq!((0..100).filter(|_| is_first()).count(), 2 * BATCH);
    }

    #[test]
    fn a_full_starter_is_none_any_more() {
        let heap = heap();
        let mut blocks = Vec::new();
        // A trimmed core begins with batches again, as one does that has a new thread.
        loop {
            blocks.push(take(&heap, 24));
            heap.trim();
            if !blocks.last().is_some_and(|&block| is_of_starter(&heap, block)) {
                break;
            }
        }
        let room = (CELLS - 1) * CELL / 24;
        assert!(blocks.len() > room - BATCH && blocks.len() <= room + 1, "{}", blocks.len());
        assert_eq!((heap.validate(), heap.stats().blocks), (Ok(()), blocks.len()));
        blocks.drain(..).for_each(|block| give(&heap, block));
        heap.trim();
        assert_eq!(heap.stats(), Default::default());
    }

    #[test]
    fn what_others_give_back_is_collected() {
        let heap = heap();
        let blocks = [16, 100, 100, 1000].map(|size| take(&heap, size));
        for block in blocks {
            give_back(heap.held.ground, Place::of_given(heap.held.ground, block), block);
        }
        assert_eq!(heap.stats().blocks, 0);
        heap.trim();
        assert_eq!(heap.stats(), Default::default());
    }
}
