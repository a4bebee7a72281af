//! Floor 4, uses floors 0 to 2. What others have freed while its owner sleeps: its memory goes back
//! in his place.
//!
//! A slab all of whose blocks are free, or a run, stays in the books of the core that has it until
//! that core's holder comes. But nobody needs its content: whoever gives the last block back lets
//! it wait, if not too much waits already (`ground`, 4), or has the system take its memory. He does
//! so before he returns that block, so that the slab stays where it is (`ds::returned`, 3).
//!
//! # Invariants
//! 1. What is emptied is no user's: the blocks that are announced and those that are free for the
//!    owner are all there are, each counted once, and the caches of the owner have none of them.
//! 2. The owner takes no block out of a slab while it is emptied. Announced blocks he collects by
//!    the rules of `ds::returned`. For those that were free already he writes how many are left,
//!    then looks whether the slab is shut. Who empties shuts it, has all threads pass a barrier,
//!    then looks how many are left: one of the two sees the other. The owner's side costs no
//!    barrier (Dice, Huang, Yang, "Asymmetric Dekker Synchronization", 2001).
//! 3. What was emptied goes back to the ground when its owner comes; he uses none of it before.
//!
//! Where the system has no such barrier, slabs with blocks that the owner himself has freed wait
//! for him.

use super::ground::Ground;
use super::held::freed_twice;
use super::place::Place;
use crate::ds::primitive::Ordering::{Acquire, Relaxed};
use crate::ds::returned::{self, EMPTIED, WAITING};
use crate::sys;

/// Looks after a slab of which `count` blocks are announced, and maybe all others free. Those that
/// are given back just now are the bits of a word: `given`.
#[cold]
#[inline(never)]
pub(super) fn look_after(ground: &'static Ground, from: Place, count: u32, given: (usize, u64)) {
    let announced = from.slab.announced();
    if keeps_memory(ground, from) || !returned::claim(announced, count) {
        return;
    }
    let (ours, theirs) = ground.bits(from.slab);
    for (word, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        // A block that is counted two times may hide one that is in use. In this order: what is
        // freed elsewhere was taken from the owner's bits before.
        let theirs = theirs.load(Acquire);
        let ours = ours.load(Relaxed);
        let new = if word == given.0 { given.1 } else { 0 };
        let twice = ours & theirs | (ours | theirs) & new;
        if twice != 0 {
            freed_twice(ground, from, word, twice);
        }
    }
    let free = from.slab.blocks.get() - count;
    let flag = if ground.let_wait(from.whole().len()) {
        WAITING
    } else if free == 0 || shut(ground, from, free) {
        ground.empty_for_owner(from.whole());
        EMPTIED
    } else {
        0
    };
    returned::end_claim(announced, flag);
}

/// True if the memory stays in any case: of a starter, which is little, and of what a heap began
/// with.
fn keeps_memory(ground: &'static Ground, from: Place) -> bool {
    from.slab.is_starter() || ground.is_stock(from)
}

/// Keeps the owner from taking blocks, if `free` of them are still there. (2)
fn shut(ground: &'static Ground, from: Place, free: u32) -> bool {
    ground.shut();
    let is_shut = sys::pass_barrier() && from.slab.free.look() == free;
    if !is_shut {
        ground.open();
    }
    is_shut
}

/// Looks after a run that was given back and not handed over yet; answers what to tell its owner.
pub(super) fn look_after_run(ground: &'static Ground, from: Place) -> u32 {
    if keeps_memory(ground, from) || from.slab.is_vacated() {
        return 0;
    }
    if ground.let_wait(from.whole().len()) {
        return WAITING;
    }
    ground.empty_for_owner(from.whole());
    EMPTIED
}

#[cfg(test)]
mod tests {
    use super::super::class::{Class, GRANULE_LEN};
    use super::super::ground::tests::{core_of, small};
    use super::super::held::{Held, give_back};
    use super::*;
    use crate::sys::inject::{Plan, Session};
    use core::ptr::NonNull;
    use std::vec::Vec;

    const SIZE: usize = 8 << 10;
    const SLABS: usize = 400;
    /// What may wait if little is taken, and nothing is free.
    const WAITING_MAX: usize = (16 << 20) / GRANULE_LEN;

    fn fill(heap: &Held, slabs: usize) -> Vec<NonNull<u8>> {
        let count = slabs * GRANULE_LEN / SIZE;
        let blocks = (0..count).map(|_| heap.allocate(Class::of(SIZE)).expect("memory"));
        let fill = |block: NonNull<u8>| {
            // SAFETY: a new block of that many bytes.
            unsafe { block.write_bytes(7, SIZE) };
            block
        };
        blocks.map(fill).collect()
    }

    fn give(heap: &Held, block: NonNull<u8>) {
        give_back(heap.ground, Place::of_given(heap.ground, block), block);
    }

    fn first_byte(block: NonNull<u8>) -> u8 {
        // SAFETY: memory of the ground, which is there, and which nobody writes to.
        unsafe { block.read() }
    }

    /// The owner comes again: all of it can be used, and nothing waits any more.
    fn come_again(heap: &Held) {
        let blocks = fill(heap, SLABS);
        assert_eq!((heap.validate(), heap.ground.waiting()), (Ok(()), (0, 0)));
        blocks.into_iter().for_each(|block| heap.free(Class::of(SIZE), block));
        heap.drop_all();
        heap.ground.rest(heap.core);
    }

    #[test]
    fn above_the_limit_slabs_are_emptied_and_come_back() {
        for is_counted in [false, true] {
            let heap = core_of(small(is_counted)).expect("memory");
            let blocks = fill(&heap, SLABS);
            blocks.iter().for_each(|&block| give(&heap, block));
            assert_eq!(heap.ground.waiting(), (WAITING_MAX, 0));
            let last = *blocks.last().expect("there are some");
            assert_eq!((first_byte(blocks[0]), first_byte(last)), (7, 0));
            come_again(&heap);
        }
    }

    #[test]
    fn the_owner_s_own_free_blocks_are_counted() {
        let heap = core_of(small(false)).expect("memory");
        let blocks = fill(&heap, SLABS);
        let (mine, theirs): (Vec<_>, Vec<_>) =
            blocks.iter().enumerate().partition(|(number, _)| number % 5 == 0);
        mine.iter().for_each(|&(_, &block)| heap.free(Class::of(SIZE), block));
        heap.flush(Class::of(SIZE), heap.core.own.count(Class::of(SIZE)));
        theirs.iter().for_each(|&(_, &block)| give(&heap, block));
        let (waiting, shut) = heap.ground.waiting();
        let emptied = if sys::pass_barrier() { SLABS - WAITING_MAX } else { 0 };
        assert_eq!((waiting, shut), (WAITING_MAX, emptied));
        come_again(&heap);
    }

    #[test]
    fn where_the_system_refuses_nothing_is_lost() {
        for is_counted in [false, true] {
            for own in [0, 1] {
                let heap = core_of(small(is_counted)).expect("memory");
                let blocks = fill(&heap, SLABS);
                let (mine, theirs) = blocks.split_at(own * GRANULE_LEN / SIZE / 2);
                mine.iter().for_each(|&block| heap.free(Class::of(SIZE), block));
                heap.flush(Class::of(SIZE), heap.core.own.count(Class::of(SIZE)));
                let session = Session::open(Plan { nth: 1, count: usize::MAX, choice: 0 });
                theirs.iter().rev().for_each(|&block| give(&heap, block));
                let shut = if sys::pass_barrier() { own } else { 0 };
                drop(session);
                assert_eq!(heap.ground.waiting(), (WAITING_MAX, shut));
                come_again(&heap);
            }
        }
    }

    #[test]
    fn runs_are_emptied_too() {
        let heap = core_of(small(false)).expect("memory");
        let runs: Vec<_> =
            (0..20).map(|_| heap.allocate_run(1 << 20, 1).expect("room").0).collect();
        // SAFETY: new blocks of that many bytes.
        runs.iter().for_each(|run| unsafe { run.write_bytes(7, 1 << 20) });
        runs.iter().for_each(|&run| give(&heap, run));
        assert_eq!(heap.ground.waiting(), (WAITING_MAX, 0));
        assert_eq!(runs.iter().filter(|&&run| first_byte(run) == 0).count(), 4);
        come_again(&heap);
    }

    #[test]
    fn a_heap_that_is_dropped_takes_along_what_waits() {
        let heap = core_of(small(false)).expect("memory");
        let blocks = fill(&heap, SLABS);
        blocks.iter().for_each(|&block| give(&heap, block));
        heap.drop_all();
        assert_eq!(heap.ground.waiting(), (0, 0));
        heap.ground.rest(heap.core);
        come_again(&core_of(heap.ground).expect("memory"));
    }
}
