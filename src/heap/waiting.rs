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
//!    owner are all there are, and the caches of the owner have none of them.
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
use super::place::Place;
use crate::ds::returned::{self, EMPTIED, WAITING};
use crate::sys;

/// Looks after a slab of which `count` blocks are announced, and maybe all others free.
#[cold]
#[inline(never)]
pub(super) fn look_after(ground: &'static Ground, from: Place, count: u32) {
    let announced = from.slab.announced();
    if !returned::claim(announced, count) {
        return;
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
    if ground.let_wait(from.whole().len()) {
        return WAITING;
    }
    ground.empty_for_owner(from.whole());
    EMPTIED
}
