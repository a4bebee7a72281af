//! Floor 4, uses floors 0 to 2. What a heap knows of itself, and its two quick ways: a block from
//! the cache of its class, and a block back to it.
//!
//! The cache of a class is a small stack of addresses beside the heap, as in jemalloc; neither way
//! touches the block or its slab. When it is empty a batch is drawn from one slab of the class, in
//! the order of addresses; when it is full the older half goes back to the slabs it came from.
//!
//! # Invariants
//! 1. `Own` is used by one thread at a time: who holds the core. A heap's caller (not `Sync`), the
//!    holder of its lock, or the thread whose core it is.
//! 2. Place 0 of a cache is null for ever, places 1 to `top` are blocks: free, of this class, in
//!    slabs of this core. Their bits are clear: for their slab they are in use.
//! 3. A core without a holder that is not in a heap is on the stack of those that rest, and has
//!    nothing.

use super::class::{self, Class, SIZE_MAX};
use super::slab::Field;
use crate::ds::primitive::{AtomicU32, AtomicUsize, Ordering};
use crate::sys;
use core::cell::Cell;
use core::ptr::NonNull;

/// Nobody holds it: no process is of generation 0.
const FREE: u32 = 0;

/// Places in a cache, the null one included.
pub(super) const PLACES: usize = 64;

/// Blocks that a cache holds at most, by class: 63, or some 32 KiB of them, or two.
pub(super) static CAPACITY: [u8; class::ROOM] = {
    let mut capacity = [2; class::ROOM];
    let mut number = 0;
    while number < class::COUNT {
        let fit = (32 << 10) / class::size_of_number(number);
        capacity[number] = if fit > PLACES - 1 {
            PLACES as u8 - 1
        } else if fit < 2 {
            2
        } else {
            fit as u8
        };
        number += 1;
    }
    capacity
};

/// A record of the ground's table. Zero is an empty one.
pub(super) struct Core {
    /// Its number and 1: what `Slab::owner` says.
    mark: Field,
    link: AtomicU32,
    /// The slabs that others have handed over: a stack of granules and 1.
    pub(super) handed: AtomicU32,
    /// The generation of the process that holds the core of a heap that many use, or `FREE`.
    busy: AtomicU32,
    /// The core that has the budget of the heap: this one, or the heap's first.
    root: Field,
    /// What the heap has and may have, if this is its first core.
    pub(super) budget: Budget,
    pub(super) own: Own,
}

/// Granules, counted against a limit by any number of threads.
pub(super) struct Budget {
    taken: AtomicUsize,
    max: AtomicUsize,
}

impl Budget {
    /// Takes as many, if the limit allows it.
    pub(super) fn take(&self, granules: usize) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        let more = |taken: usize| taken.checked_add(granules).filter(|&taken| taken <= max);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn give(&self, granules: usize) {
        self.taken.fetch_sub(granules, Ordering::Relaxed);
    }

    /// Begins with nothing taken.
    pub(super) fn begin(&self, max: usize) {
        self.taken.store(0, Ordering::Relaxed);
        self.max.store(max, Ordering::Relaxed);
    }
}

/// What its holder alone uses.
pub(super) struct Own {
    tops: [Cell<u32>; class::ROOM],
    /// How many blocks the next batch has: few at first.
    pub(super) batches: [Cell<u32>; class::ROOM],
    /// The slabs of a class that have free blocks: granules and 1.
    pub(super) slabs: [Cell<u32>; class::ROOM],
    /// All slabs and runs.
    pub(super) all: Cell<u32>,
    places: [[Cell<*mut u8>; PLACES]; class::ROOM],
}

// SAFETY: rule 1: `own` has one user at a time, who orders himself with the one before; the rest is
// atomics.
unsafe impl Sync for Core {}

impl Core {
    /// What the slabs of this core say.
    #[inline]
    pub(super) fn mark(&self) -> u32 {
        self.mark.get()
    }

    pub(super) const fn link(&self) -> &AtomicU32 {
        &self.link
    }

    pub(super) fn number(&self) -> u32 {
        self.mark.get() - 1
    }

    /// The first thing that happens to a record.
    pub(super) fn name_it(&self, number: u32) {
        self.mark.set(number + 1);
    }

    /// Makes it the first core of a heap (its own number), or another one of it.
    pub(super) fn begin(&self, root: u32, granules_max: usize) {
        self.root.set(root);
        self.budget.begin(granules_max);
    }

    /// The number of the heap's first core.
    #[inline]
    pub(super) fn root(&self) -> u32 {
        self.root.get()
    }

    /// Takes hold of it, unless somebody else has.
    #[inline]
    pub(super) fn try_lock(&self) -> bool {
        if self.busy.load(Ordering::Relaxed) != FREE {
            return false;
        }
        let (done, failed) = (Ordering::Acquire, Ordering::Relaxed);
        self.busy.compare_exchange(FREE, sys::generation(), done, failed).is_ok()
    }

    /// Lets go of it.
    #[inline]
    pub(super) fn unlock(&self) {
        self.busy.store(FREE, Ordering::Release);
    }

    /// True if a thread of the parent held it when this process was forked: nobody lets go of it
    /// any more, and its books may be half changed.
    pub(super) fn is_left(&self) -> bool {
        let holder = self.busy.load(Ordering::Relaxed);
        holder != FREE && holder != sys::generation()
    }

    /// Hands a slab to whoever holds this core.
    pub(super) fn hand_over(&self, granule: usize, link: &AtomicU32) {
        let mark = granule as u32 + 1;
        let mut head = self.handed.load(Ordering::Relaxed);
        loop {
            link.store(head, Ordering::Relaxed);
            let (done, failed) = (Ordering::Release, Ordering::Relaxed);
            match self.handed.compare_exchange_weak(head, mark, done, failed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

impl Own {
    /// Takes a block from the cache of a class.
    #[inline]
    pub(super) fn pop(&self, class: Class) -> Option<NonNull<u8>> {
        let index = class.index();
        let top = self.tops[index].get() as usize % PLACES;
        let block = NonNull::new(self.places[index][top].get())?;
        self.tops[index].set(top as u32 - 1);
        Some(block)
    }

    /// Puts a block into the cache of its class; false if that is full.
    #[inline]
    pub(super) fn push(&self, class: Class, block: NonNull<u8>) -> bool {
        let index = class.index();
        let top = self.tops[index].get() as usize;
        if top >= CAPACITY[index] as usize {
            return false;
        }
        let top = (top + 1) % PLACES;
        self.places[index][top].set(block.as_ptr());
        self.tops[index].set(top as u32);
        true
    }

    /// The blocks in the cache of a class, the oldest first.
    pub(super) fn cached(&self, class: Class) -> &[Cell<*mut u8>] {
        let index = class.index();
        &self.places[index][1..=self.tops[index].get() as usize % PLACES]
    }

    /// Fills the empty cache of a class with `count` blocks, of which the first one of `blocks` is
    /// popped first.
    pub(super) fn fill(&self, class: Class, count: usize, blocks: impl Iterator<Item = *mut u8>) {
        let index = class.index();
        let places = self.places[index][1..=count].iter().rev();
        places.zip(blocks).for_each(|(place, block)| place.set(block));
        self.tops[index].set(count as u32);
    }

    /// Takes the `count` oldest blocks out of the cache of a class.
    pub(super) fn take_oldest(&self, class: Class, count: usize, mut take: impl FnMut(*mut u8)) {
        let (index, cached) = (class.index(), self.cached(class));
        let left = cached.len() - count;
        cached[..count].iter().for_each(|place| take(place.get()));
        for number in 0..left {
            cached[number].set(cached[number + count].get());
        }
        self.tops[index].set(left as u32);
    }

    /// Forgets everything, for the next one who has the core. (2)
    pub(super) fn reset(&self) {
        self.tops.iter().for_each(|top| top.set(0));
        self.batches.iter().for_each(|batch| batch.set(0));
        self.slabs.iter().for_each(|slabs| slabs.set(0));
        self.all.set(0);
        debug_assert!(self.places.iter().all(|places| places[0].get().is_null()));
    }
}

const _: () = assert!(CAPACITY[class::COUNT - 1] >= 1 && SIZE_MAX <= u32::MAX as usize);
