//! Floor 4, uses floors 0 to 2. Long blocks that get another place: their pages go there, not their
//! bytes.
//!
//! What was moved is a mapping of its own, and each of its pages is still counted by the system as
//! if it stood where it was first written: it never becomes one with its neighbours again. A
//! process may have 65,530 mappings. So when such a run is given back new memory is laid over it,
//! which is one with the ground again; until then it counts against a limit. Of a run that is
//! shortened the rest is a run such as that.
//!
//! A block that is shorter than 16 MiB is copied: what is given back of it may stay with the
//! process for the next one, which memory that was moved cannot.

use super::super::block::ROOMY;
use super::super::class::GRANULE_LEN;
use super::super::place::Place;
use super::super::slab::{Kind, VACATED};
use super::Ground;
use crate::ds::primitive::Ordering::Relaxed;
use crate::sys;
use core::ops::Range;
use core::ptr::NonNull;

/// Moved pieces that there may be before another is moved. Each is a mapping, and the end of two
/// others.
const PIECES_MAX: usize = 8 << 10;
/// How often another thread that moves pages is waited for.
const TURNS: usize = 1000;

/// In a record: the run has pages from elsewhere. The rest of the number says in how many pieces
/// they have come, of those that count.
const SETTLED: u32 = 1 << 30;

impl Ground {
    /// How much of a block's content goes to another place by pages.
    pub(in super::super) fn movable(&self, len: usize) -> usize {
        let may_move = len >= ROOMY && !self.is_counted() && self.pieces.load(Relaxed) < PIECES_MAX;
        if may_move { len } else { 0 }
    }

    /// The content of a block, `len` bytes, goes to another one.
    ///
    /// # Safety
    /// 1. Both are the caller's, at least as long, and nobody else uses them.
    /// 2. What is left of the first is not read.
    pub(in super::super) unsafe fn carry(
        &'static self,
        from: NonNull<u8>,
        to: NonNull<u8>,
        len: usize,
    ) {
        // SAFETY: (1), (2).
        if self.movable(len) == 0 || !unsafe { self.carry_pages(from, to) } {
            // SAFETY: (1): two blocks.
            unsafe { from.copy_to_nonoverlapping(to, len) };
        }
    }

    /// The same by whole granules, those that both have; false if nothing was done.
    ///
    /// # Safety
    /// As for [`carry`](Self::carry).
    unsafe fn carry_pages(&'static self, from: NonNull<u8>, to: NonNull<u8>) -> bool {
        let [from, to] = [from, to].map(|block| Place::of_given(self, block));
        if [from, to].iter().any(|at| at.slab.kind() != Kind::Run || self.is_stock(*at)) {
            return false;
        }
        let granules = from.whole().len().min(to.whole().len());
        let old = Self::bytes(&(from.granule..from.granule + granules));
        let new = to.granule * GRANULE_LEN;
        // SAFETY: (1): two runs, which are committed; `alone` keeps advice away.
        let carry = || unsafe { self.memory.carry(old.clone(), new) };
        let carried = (0..TURNS).find_map(|_| {
            let carried = self.huge.alone(carry);
            if carried.is_none() {
                sys::yield_now();
            }
            carried
        });
        let Some(Ok(carried)) = carried else { return false };
        if carried.pieces > 0 {
            self.pieces.fetch_add(carried.pieces, Relaxed);
            to.slab.moved.set(SETTLED | carried.pieces as u32);
        }
        if carried.is_whole && granules == from.whole().len() {
            from.slab.moved.set(from.slab.moved.get() | VACATED);
        }
        true
    }

    /// True if the granules of a slab or a run are what a heap began with, which stays with it.
    pub(in super::super) fn is_stock(&'static self, from: Place) -> bool {
        let root = self.core(from.owner(self).root());
        root.stock().has(from.granule)
    }

    /// A run is about to lose its granules from `granule` on.
    pub(in super::super) fn cut_moved(&self, run: Place, granule: usize) {
        self.slab(granule).moved.set(run.slab.moved.get() & SETTLED);
    }

    /// A run goes back to the ground. True if its pages have gone elsewhere, or new ones were laid
    /// there: it reads zero.
    pub(super) fn end_move(&self, run: &Range<usize>) -> bool {
        let moved = self.slab(run.start).moved.get();
        if moved == 0 {
            return false;
        }
        self.slab(run.start).moved.set(0);
        if moved & SETTLED == 0 {
            self.huge.forget(&self.memory, run);
            return true;
        }
        // What the system refuses goes on to count.
        let is_new = self.memory.renew(Self::bytes(run)).is_ok();
        if is_new {
            self.pieces.fetch_sub((moved & !(VACATED | SETTLED)) as usize, Relaxed);
            self.huge.renewed(&self.memory, run);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::held::Held;
    use super::super::super::huge::CHUNK;
    use super::super::tests::core_of;
    use super::*;
    use core::alloc::Layout;
    use std::vec::Vec;

    const LEN: usize = ROOMY + (5 << 16);

    fn heap() -> Held {
        let ground = Ground::new(1 << 13, false).expect("512 MiB of addresses");
        core_of(std::boxed::Box::leak(std::boxed::Box::new(ground))).expect("memory")
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, 16).expect("a layout")
    }

    fn words<'a>(block: NonNull<u8>, len: usize) -> &'a mut [usize] {
        // SAFETY: a block of the test's, that long, which nothing else looks at.
        unsafe { core::slice::from_raw_parts_mut(block.cast().as_ptr(), len / size_of::<usize>()) }
    }

    fn fill(block: NonNull<u8>, len: usize) {
        words(block, len).iter_mut().enumerate().for_each(|(at, word)| *word = at ^ 0xB10C);
    }

    fn is_filled(block: NonNull<u8>, len: usize) -> bool {
        words(block, len).iter().enumerate().all(|(at, &word)| word == at ^ 0xB10C)
    }

    /// Makes a block longer that cannot grow where it is.
    fn grown(heap: &Held, block: NonNull<u8>, kept: usize, len: usize) -> NonNull<u8> {
        let new = heap.allocate_grown(layout(len), kept).expect("room");
        // SAFETY: (1) two blocks of the test's; (2) it is given back.
        unsafe { heap.ground.carry(block, new, kept) };
        heap.free_at(Place::of_given(heap.ground, block), block);
        new
    }

    /// The mappings that the ground's addresses are a part of.
    fn mappings(ground: &Ground) -> usize {
        let (base, len) = (ground.memory.base(), ground.memory.len());
        let mut count = 0;
        let mut at = base;
        while let Ok(Some(mapping)) = sys::mapping_at_or_above(at)
            && mapping.start < base + len
        {
            count += 1;
            at = mapping.end;
        }
        count
    }

    fn resident(ground: &Ground, run: Range<usize>) -> usize {
        ground.memory.resident_len(Ground::bytes(&run)).expect("the kernel tells")
    }

    /// True if this system moves pages, by trying: its own tests say whether it should.
    fn moves_pages(ground: &'static Ground) -> bool {
        let pair = ground.take(2 * CHUNK, CHUNK).expect("room").0;
        let [from, to] = [pair, pair + CHUNK].map(|first| Ground::bytes(&(first..first + CHUNK)));
        // SAFETY: (1) taken a moment ago.
        let carried = unsafe { ground.memory.carry(from, to.start) }.expect("two ranges");
        ground.slab(pair + CHUNK).moved.set(SETTLED);
        ground.give(pair + CHUNK..pair + 2 * CHUNK);
        ground.give(pair..pair + CHUNK);
        ground.empty_idle(0);
        carried.pieces > 0
    }

    #[test]
    fn a_long_block_takes_its_pages_along() {
        let heap = heap();
        let ground = heap.ground;
        let moves = moves_pages(ground);
        let before = mappings(ground);
        let (block, _) = heap.allocate_run(LEN, 1).expect("room");
        fill(block, LEN);
        let old = Place::of_given(ground, block).whole();
        let new = grown(&heap, block, LEN, 2 * LEN);
        assert!(is_filled(new, LEN));
        assert_eq!(heap.validate(), Ok(()));
        if moves {
            assert_ne!(ground.pieces.load(Relaxed), 0);
            assert_eq!(ground.idle(), 0);
            assert_eq!(resident(ground, old), 0, "nothing was left behind");
        }
        // What a new block finds at either place reads zero if it is said to.
        heap.free_at(Place::of_given(ground, new), new);
        assert_eq!(ground.pieces.load(Relaxed), 0);
        for _ in 0..3 {
            let (again, is_zero) = heap.allocate_run(LEN, 1).expect("room");
            assert!(!is_zero || words(again, LEN).iter().all(|&word| word == 0));
            fill(again, LEN);
        }
        heap.drop_all();
        ground.empty_idle(0);
        assert!(mappings(ground) <= before + 1, "the committed part and the rest are one each");
        ground.rest(heap.core);
    }

    #[test]
    fn what_has_moved_is_cut_moved_again_and_counted_to_the_end() {
        let heap = heap();
        let ground = heap.ground;
        let moves = moves_pages(ground);
        let (block, _) = heap.allocate_run(2 * LEN, 1).expect("room");
        fill(block, 2 * LEN);
        let second = grown(&heap, block, 2 * LEN, 2 * LEN + GRANULE_LEN);
        let place = Place::of_given(ground, second);
        assert_eq!(heap.resize_run(place.granule, LEN), Ok(true));
        let wall = ground.take_behind(place.whole().end..place.whole().end + 1);
        assert_eq!(wall, Ok(true), "it was given back");
        let third = grown(&heap, second, LEN, 2 * LEN);
        assert!(is_filled(third, LEN));
        if moves {
            assert_ne!(ground.pieces.load(Relaxed), 0, "one run is elsewhere now");
        }
        assert_eq!(heap.validate(), Ok(()));
        heap.drop_all();
        assert_eq!(ground.pieces.load(Relaxed), 0);
        ground.give(place.whole().end..place.whole().end + 1);
        ground.rest(heap.core);
    }

    #[test]
    fn above_the_limit_content_is_copied() {
        let heap = heap();
        let ground = heap.ground;
        ground.pieces.store(PIECES_MAX, Relaxed);
        let (block, _) = heap.allocate_run(LEN, 1).expect("room");
        fill(block, LEN);
        let new = grown(&heap, block, LEN, 2 * LEN);
        assert!(is_filled(new, LEN));
        heap.drop_all();
        assert_eq!(ground.pieces.load(Relaxed), PIECES_MAX);
        ground.rest(heap.core);
    }

    #[test]
    fn what_a_heap_began_with_is_copied() {
        let heap = crate::heap::HeapOptions::new().initial_len(4 * LEN).local().expect("memory");
        let block = heap.allocate(layout(LEN)).expect("room");
        fill(block, LEN);
        let wall = heap.allocate(layout(GRANULE_LEN * 4)).expect("room");
        // SAFETY: a block of this heap with this layout, not used again.
        let new = unsafe { heap.reallocate(block, layout(LEN), 2 * LEN) }.expect("room");
        assert!(is_filled(new, LEN));
        let place = Place::of_given(super::super::ground().expect("made"), new);
        assert_eq!(place.slab.moved.get(), 0);
        // SAFETY: blocks of this heap, not used again.
        [wall, new].iter().for_each(|&block| unsafe { heap.deallocate(block) });
    }

    #[test]
    fn threads_move_each_other_s_blocks() {
        let granule = crate::heap::Granule;
        for _ in 0..4 {
            let blocks: Vec<usize> = (0..2)
                .map(|_| {
                    let block = granule.allocate(layout(LEN)).expect("room");
                    fill(block, LEN);
                    block.expose_provenance().get()
                })
                .collect();
            let grow = |addr: usize| {
                let block = NonNull::new(core::ptr::with_exposed_provenance_mut(addr));
                let block = block.expect("not at address 0");
                // SAFETY: (1) a block of the heap; (2) not used again.
                let new = unsafe { granule.reallocate(block, layout(LEN), 3 * LEN) };
                let new = new.expect("room");
                assert!(is_filled(new, LEN));
                // SAFETY: (1) not used again.
                unsafe { granule.deallocate(new) };
            };
            std::thread::scope(|scope| {
                blocks.iter().for_each(|&addr| drop(scope.spawn(move || grow(addr))));
            });
        }
    }
}
