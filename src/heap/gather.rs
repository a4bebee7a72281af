//! Floor 4, uses floors 0 to 2. Blocks of other cores that a thread frees: gathered by words of
//! bits, so that up to 64 of them cost one message.
//!
//! Whoever frees another thread's blocks does so, as a rule, in about the order that they were
//! allocated in: then most of them are of the word of bits that the last one was of. The core
//! keeps a few such words; one is sent when another takes its place. The idea to send blocks in
//! batches is snmalloc's (Lietar et al., ISMM 2019).
//!
//! # Invariants
//! 1. A gathered block is in use for its slab: its slab stays where it is, and its owner's.
//! 2. What is gathered is sent before the core is parked.

use super::core::Gathered;
use super::held::{Held, give_back, give_back_bits};
use super::place::Place;
use super::report::{Finding, broken};
use core::ptr::NonNull;

impl Held {
    /// Takes a block of another core of this heap, to be sent there some time.
    #[inline]
    pub(super) fn gather(&self, place: Place, block: NonNull<u8>) {
        if place.slab.class().is_none() {
            self.send_run(place, block);
            return;
        }
        let from = place.first(self.ground);
        let (word, mask) = from.bit_of(self.ground, block);
        let gathered = self.core.own.gathered(from.granule, word);
        if !gathered.is_of(from.granule, word) {
            self.begin_to_gather(gathered, from, block);
        }
        if !gathered.add(mask) {
            broken(Finding::FreedTwice, block);
        }
    }

    /// Makes the place ready for blocks of another word.
    #[inline(never)]
    fn begin_to_gather(&self, gathered: &Gathered, from: Place, block: NonNull<u8>) {
        self.check(from, block);
        let (word, _) = from.bit_of(self.ground, block);
        self.send(gathered);
        gathered.begin(from.granule, word);
    }

    /// Reports a block that is not of this heap.
    fn check(&self, from: Place, block: NonNull<u8>) {
        let root = from.slab.owner().checked_sub(1).map(|number| self.ground.core(number).root());
        if root != Some(self.core.root()) {
            broken(Finding::OtherHeap, block);
        }
    }

    /// Sends what is gathered in one word.
    fn send(&self, gathered: &Gathered) {
        let Some((granule, word, mask)) = gathered.take() else { return };
        let from = self.place(granule);
        match self.owner_at_rest(from) {
            Some(owner) => {
                owner.free_word(from, word, mask);
                if !owner.core.handed().is_empty() {
                    owner.collect();
                }
                owner.core.unlock();
            }
            None => give_back_bits(self.ground, from, word, mask),
        }
    }

    /// Sends everything that was gathered. (2)
    pub(super) fn send_gathered(&self) {
        self.core.own.all_gathered().for_each(|gathered| self.send(gathered));
    }

    #[inline(never)]
    fn send_run(&self, from: Place, block: NonNull<u8>) {
        self.check(from, block);
        match self.owner_at_rest(from) {
            Some(owner) => {
                owner.free_at(from, block);
                owner.core.unlock();
            }
            None => give_back(self.ground, from, block),
        }
    }

    /// The core that has a slab, locked, if nobody holds it.
    fn owner_at_rest(&self, from: Place) -> Option<Held> {
        let core = self.ground.core(from.slab.owner() - 1);
        // SAFETY: (1) the lock says so, and orders us behind whoever let go of it.
        core.try_lock().then(|| unsafe { Held::new(self.ground, core) })
    }
}
