//! Floor 4, uses floors 0 to 2. Blocks of other cores that a thread has freed and does not keep:
//! gathered by words of bits, so that up to 64 of them cost one message.
//!
//! They come from its caches, when those are full, and from starters, whose blocks no other thread
//! keeps. Whoever frees another thread's blocks does so, as a rule, in about the order that they
//! were allocated in: then most of them are of the word of bits that the last one was of. The core
//! keeps a few such words; one is sent when another takes its place. The idea to send blocks in
//! batches is snmalloc's (Lietar et al., ISMM 2019).
//!
//! # Invariants
//! 1. A gathered block is in use for its slab: its slab stays where it is, and its owner's.
//! 2. What is gathered is sent before the core is parked.

use super::core::{Core, Gathered};
use super::ground::Ground;
use super::held::{Held, block_of, freed_twice, give_back, give_back_bits};
use super::place::Place;
use super::report::{Finding, broken};
use crate::ds::primitive::{Ordering::SeqCst, fence};
use core::ptr::NonNull;

/// How often a core that is to rest is looked at again.
const TURNS: usize = 3;

impl Held {
    /// Takes a block of another core of this heap, to be sent there some time.
    #[inline]
    pub(super) fn gather(&self, place: Place, block: NonNull<u8>) {
        if !place.slab.has_bits() {
            check(self.ground, self.core.root(), place, block);
            send_run(self.ground, place, block);
            return;
        }
        let from = place.first(self.ground);
        let (word, mask) = from.bit_of(self.ground, block);
        self.gather_bits(from, word, mask);
    }

    /// Takes blocks of one word, to be sent there some time.
    pub(super) fn gather_bits(&self, from: Place, word: usize, mask: u64) {
        let gathered = self.core.own.gathered(from.granule, word);
        if !gathered.is_of(from.granule, word) {
            self.begin_to_gather(gathered, from, word, mask);
        }
        let twice = gathered.add(mask);
        if twice != 0 {
            freed_twice(self.ground, from, word, twice);
        }
    }

    /// Makes the place ready for blocks of another word.
    #[inline(never)]
    fn begin_to_gather(&self, gathered: &Gathered, from: Place, word: usize, mask: u64) {
        check(self.ground, self.core.root(), from, block_of(self.ground, from, word, mask));
        self.send(gathered);
        gathered.begin(from.granule, word);
    }

    /// Sends what is gathered in one word.
    fn send(&self, gathered: &Gathered) {
        if let Some((granule, word, mask)) = gathered.take() {
            send_word(self.ground, self.place(granule), word, mask);
        }
    }

    /// Sends everything that was gathered. (2)
    pub(super) fn send_gathered(&self) {
        self.core.own.all_gathered().for_each(|gathered| self.send(gathered));
    }

    /// Lets go of a core that is no thread's, without anything that was handed over meanwhile: who
    /// does that looks whether the core is at rest, and this looks once more for what came before
    /// it was. What is only announced after a few turns waits for the next one who comes.
    pub(super) fn rest(&self) {
        for _ in 0..TURNS {
            if !self.core.handed().is_empty() {
                self.trim();
            }
            self.core.unlock();
            fence(SeqCst);
            if self.core.handed().is_empty() || !self.core.try_lock() {
                return;
            }
        }
        self.core.unlock();
    }
}

/// Frees a block for a thread without a core: in the core that has it, or by its slab's bits.
pub(super) fn send_one(ground: &'static Ground, root: u32, block: NonNull<u8>) {
    let place = Place::of_given(ground, block);
    check(ground, root, place, block);
    if !place.slab.has_bits() {
        return send_run(ground, place, block);
    }
    let from = place.first(ground);
    let (word, mask) = from.bit_of(ground, block);
    send_word(ground, from, word, mask);
}

/// Reports a block that is not of the heap with that first core.
fn check(ground: &'static Ground, root: u32, place: Place, block: NonNull<u8>) {
    let owner = place.slab.owner().checked_sub(1);
    if owner.map(|number| ground.core(number).root()) != Some(root) {
        broken(Finding::OtherHeap, block);
    }
}

fn send_word(ground: &'static Ground, from: Place, word: usize, mask: u64) {
    let core = from.owner(ground);
    match at_rest(ground, core) {
        Some(owner) => {
            owner.free_word(from, word, mask);
            owner.rest();
        }
        None => {
            give_back_bits(ground, from, word, mask);
            look_again(ground, core);
        }
    }
}

#[inline(never)]
fn send_run(ground: &'static Ground, from: Place, block: NonNull<u8>) {
    let core = from.owner(ground);
    match at_rest(ground, core) {
        Some(owner) => {
            owner.free_at(from, block);
            owner.rest();
        }
        None => {
            give_back(ground, from, block);
            look_again(ground, core);
        }
    }
}

/// A core, locked, if nobody holds it.
fn at_rest(ground: &'static Ground, core: &'static Core) -> Option<Held> {
    // SAFETY: (1) the lock says so, and orders us behind whoever let go of it.
    core.try_lock().then(|| unsafe { Held::new(ground, core) })
}

/// After something was handed to a core: its thread may have parked it meanwhile.
fn look_again(ground: &'static Ground, core: &'static Core) {
    fence(SeqCst);
    if !core.handed().is_empty()
        && let Some(owner) = at_rest(ground, core)
    {
        owner.rest();
    }
}
