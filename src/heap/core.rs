//! Floor 4, uses floors 0 to 2. What a heap knows of itself, and its two quick ways: a block from
//! the cache of its class, and a block back to it.
//!
//! The cache of a class is a small stack of addresses beside the heap, as in jemalloc; neither way
//! touches the block or its slab. When it is empty a batch is drawn from one slab of the class, in
//! the order of addresses; when it is full the older half goes back to the slabs it came from. A
//! heap for one thread takes new slabs as a whole instead: see `cut`.
//!
//! # Invariants
//! 1. `Own` is used by one thread at a time: who holds the core. A heap's caller (not `Sync`), the
//!    holder of its lock, or the thread whose core it is.
//! 2. The row of a class has a place that is null for ever, where `top` points when the cache is
//!    empty, and then up to 15 or, if it is the long row, as many as the class may keep, to `end`.
//!    Those behind the first up to `top` are blocks: free, of this class, in slabs or the starter
//!    of this core, or in slabs of other threads of the process's heap. Their bits are clear: for
//!    their slab they are in use. A row that was not used is not touched: `top` and `end` are
//!    `nothing` then.
//! 3. A core without a holder that is not in a heap is on the stack of those that rest, and has
//!    nothing but a spare granule at most; a parked core of the process's heap has its slabs.

use super::class::{self, Class, SIZE_MAX};
use super::cut::Cuts;
use super::slab::{Field, Tag};
use super::starter::Starter;
use super::supply::Stock;
use crate::ds::handed::Handed;
use crate::ds::primitive::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sys;
use crate::vm::Name;
use core::ptr::NonNull;

/// Nobody holds it: no process is of generation 0.
const FREE: u32 = 0;

/// Words of other cores' bits that wait to be sent.
const GATHERED: usize = 32;

/// Blocks that a cache holds at most, by class: 2047, or 128 KiB of them; none of what is no class.
static CAPACITY: [u16; class::ROOM] = {
    let mut capacity = [0; class::ROOM];
    let mut number = 0;
    while number < class::COUNT {
        capacity[number] = capacity_of(number);
        number += 1;
    }
    capacity
};

const fn capacity_of(number: usize) -> u16 {
    match (128 << 10) / class::size_of_number(number) {
        fit @ 0..2047 => fit as u16,
        _ => 2047,
    }
}

/// Blocks in the short row that the cache of a class begins with: the short rows of all classes lie
/// side by side, so that a thread with a few blocks of many sizes touches few pages.
const FEW: usize = 15;

/// Where the long row of a class begins, and behind the last one where they end.
static ROWS: [u16; class::ROOM + 1] = {
    let mut rows = [0; class::ROOM + 1];
    let mut number = 0;
    while number < class::ROOM {
        let places = if number < class::COUNT { 1 + capacity_of(number) } else { 0 };
        rows[number + 1] = rows[number] + places;
        number += 1;
    }
    rows
};

/// Where a cache keeps a block.
type Place = AtomicPtr<u8>;

/// A record of the ground's table. Zero is one that was not named yet. What every core needs lies
/// in its first page.
#[repr(C, align(4096))]
pub(super) struct Core {
    /// Its number and 1: what `Slab::owner` says.
    mark: Field,
    /// The core that has the budget of the heap, this one or the heap's first, and 1; 0 if it is in
    /// no heap.
    root: Field,
    shared: Line,
    pub(super) own: Own,
}

/// What others write: lines of their own, so that they do not slow the holder down.
#[repr(C, align(128))]
struct Line {
    /// The slabs that others have handed over.
    handed: Handed,
    /// The generation of the process that holds the core, or `FREE`.
    busy: AtomicU32,
    link: AtomicU32,
    /// What the heap has and may have, if this is its first core.
    budget: Budget,
    /// What it was made with, if this is its first core.
    stock: Stock,
    /// Its name, in words, if this is its first core.
    name: [AtomicU64; Name::WORDS],
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

/// What its holder alone writes. All are atomics without any order, as plain fields would be:
/// others may look at numbers that are about right.
#[repr(C)]
pub(super) struct Own {
    tops: [AtomicPtr<Place>; class::ROOM],
    ends: [AtomicPtr<Place>; class::ROOM],
    /// Null for ever.
    nothing: Place,
    /// A bit for each class whose row was used; the others have nothing at all.
    used: AtomicU64,
    /// A bit for each class that has its long row.
    long: AtomicU64,
    /// 1 if there are no long rows: of heaps that look through them.
    is_short: Field,
    /// 1 if it is a thread's of the process's heap, whose threads keep each other's blocks.
    is_common: Field,
    /// 1 if it is a heap's for one thread at a time: see `cut`.
    pub(super) is_cutting: Field,
    /// A granule and 1 that nobody uses: see `Held::drop_all`.
    pub(super) spare: Field,
    /// How many blocks the next batch has: few at first.
    pub(super) batches: [Field; class::ROOM],
    /// The slabs of a class that have free blocks: granules and 1.
    pub(super) slabs: [Field; class::ROOM],
    /// All slabs and runs.
    pub(super) all: Field,
    gathered: [Gathered; GATHERED],
    pub(super) starter: Starter,
    short_rows: [[Place; FEW + 1]; class::ROOM],
    long_rows: [Place; ROWS[class::ROOM] as usize],
    /// Behind what threads of the process's heap use, who cut nothing.
    pub(super) cuts: Cuts,
}

/// Blocks of another core's slab that wait to be sent there: see `gather`.
#[derive(Default)]
pub(super) struct Gathered {
    /// The granule and 1; 0 if there are none.
    mark: Field,
    word: Field,
    mask: AtomicU64,
}

impl Gathered {
    #[inline]
    pub(super) fn is_of(&self, granule: usize, word: usize) -> bool {
        self.mark.get() == granule as u32 + 1 && self.word.get() == word as u32
    }

    /// Adds blocks, and answers which of them are there already.
    #[inline]
    pub(super) fn add(&self, mask: u64) -> u64 {
        let old = self.mask.load(Ordering::Relaxed);
        self.mask.store(old | mask, Ordering::Relaxed);
        old & mask
    }

    /// Begins with another word, without a block; it must be empty.
    pub(super) fn begin(&self, granule: usize, word: usize) {
        // In this order for who only looks.
        self.mask.store(0, Ordering::Relaxed);
        self.word.set(word as u32);
        self.mark.set(granule as u32 + 1);
    }

    /// True if a block is there, for who only looks.
    pub(super) fn has(&self, granule: usize, word: usize, mask: u64) -> bool {
        self.is_of(granule, word) && self.mask.load(Ordering::Relaxed) & mask != 0
    }

    /// The granule, the word and the bits of it.
    pub(super) fn shown(&self) -> Option<(usize, usize, u64)> {
        let granule = self.mark.get().checked_sub(1)?;
        Some((granule as usize, self.word.get() as usize, self.mask.load(Ordering::Relaxed)))
    }

    /// The same, which is empty then.
    pub(super) fn take(&self) -> Option<(usize, usize, u64)> {
        let shown = self.shown();
        self.mark.set(0);
        shown
    }
}

impl Core {
    /// What the slabs of this core say.
    #[inline]
    pub(super) fn mark(&self) -> u32 {
        self.mark.get()
    }

    pub(super) const fn link(&self) -> &AtomicU32 {
        &self.shared.link
    }

    /// The slabs that others have handed over.
    pub(super) const fn handed(&self) -> &Handed {
        &self.shared.handed
    }

    /// What the heap has and may have, if this is its first core.
    pub(super) const fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// What the heap was made with, if this is its first core.
    pub(super) const fn stock(&self) -> &Stock {
        &self.shared.stock
    }

    /// What the heap is called, if this is its first core; for who only looks.
    pub(super) fn name(&self) -> Option<Name> {
        Name::from_words(self.shared.name.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }

    pub(super) fn set_name(&self, name: Option<Name>) {
        let words = name.map_or([0; Name::WORDS], Name::to_words);
        self.shared.name.iter().zip(words).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
    }

    pub(super) fn number(&self) -> u32 {
        self.mark.get() - 1
    }

    /// The first thing that happens to a record.
    pub(super) fn name_it(&self, number: u32) {
        self.mark.set(number + 1);
        self.own.begin();
    }

    /// Makes it the first core of a heap (its own number), or another one of it, maybe without long
    /// rows.
    pub(super) fn begin(&self, root: u32, granules_max: usize, is_short: bool) {
        self.own.is_short.set(u32::from(is_short));
        self.shared.budget.begin(granules_max);
        self.root.set(root + 1);
    }

    /// It is one of the threads of the process's heap.
    pub(super) fn serve_a_thread(&self) {
        self.own.is_common.set(1);
    }

    /// How the records of its granules name it.
    pub(super) fn tag(&self) -> Tag {
        Tag { mark: self.mark(), is_common: self.own.is_common.get() != 0 }
    }

    /// It is in no heap any more.
    pub(super) fn end(&self) {
        self.own.is_common.set(0);
        self.own.is_cutting.set(0);
        self.root.set(0);
    }

    /// The number of the heap's first core; of a core that is in no heap one that no core has.
    #[inline]
    pub(super) fn root(&self) -> u32 {
        self.root.get().wrapping_sub(1)
    }

    /// The same, for who only looks.
    pub(super) fn root_if_any(&self) -> Option<u32> {
        self.root.get().checked_sub(1)
    }

    /// Takes hold of it, unless somebody else has.
    #[inline]
    pub(super) fn try_lock(&self) -> bool {
        if self.shared.busy.load(Ordering::Relaxed) != FREE {
            return false;
        }
        let (done, failed) = (Ordering::Acquire, Ordering::Relaxed);
        self.shared.busy.compare_exchange(FREE, sys::generation(), done, failed).is_ok()
    }

    /// Lets go of it.
    #[inline]
    pub(super) fn unlock(&self) {
        self.shared.busy.store(FREE, Ordering::Release);
    }

    /// True if a thread of the parent held it when this process was forked: nobody lets go of it
    /// any more, and its books may be half changed.
    pub(super) fn is_left(&self) -> bool {
        let holder = self.shared.busy.load(Ordering::Relaxed);
        holder != FREE && holder != sys::generation()
    }
}

impl Own {
    /// Takes a block from the cache of a class.
    #[inline(always)]
    pub(super) fn pop(&self, class: Class) -> Option<NonNull<u8>> {
        let kept = self.top(class);
        let top = kept.load(Ordering::Relaxed);
        // SAFETY: rule 2: a place of the row, and they are there for ever.
        let block = unsafe { (*top).load(Ordering::Relaxed) };
        let block = NonNull::new(block)?;
        kept.store(top.wrapping_sub(1), Ordering::Relaxed);
        Some(block)
    }

    #[inline(always)]
    fn top(&self, class: Class) -> &AtomicPtr<Place> {
        // SAFETY: the number of a class, or of none, is below `ROOM`: so says its file.
        unsafe { self.tops.get_unchecked(usize::from(class.number())) }
    }

    #[inline(always)]
    fn end(&self, class: Class) -> &AtomicPtr<Place> {
        // SAFETY: as above.
        unsafe { self.ends.get_unchecked(usize::from(class.number())) }
    }

    /// Puts a block into the cache of its class; false if that is full.
    #[inline(always)]
    pub(super) fn push(&self, class: Class, block: *mut u8) -> bool {
        let kept = self.top(class);
        let top = kept.load(Ordering::Relaxed);
        if top == self.end(class).load(Ordering::Relaxed) {
            return false;
        }
        let top = top.wrapping_add(1);
        // SAFETY: rule 2: it was not the last place of the row.
        unsafe { (*top).store(block, Ordering::Relaxed) };
        kept.store(top, Ordering::Relaxed);
        true
    }

    /// Where blocks of a word are gathered.
    #[inline]
    pub(super) fn gathered(&self, granule: usize, word: usize) -> &Gathered {
        &self.gathered[(granule * 5 + word) % GATHERED]
    }

    /// All such places.
    pub(super) fn all_gathered(&self) -> impl Iterator<Item = &Gathered> {
        self.gathered.iter()
    }

    /// The row of a class, from its null place to its end.
    fn row(&self, class: Class) -> &[Place] {
        let number = class.index();
        if self.long.load(Ordering::Relaxed) >> number & 1 == 1 {
            &self.long_rows[usize::from(ROWS[number])..usize::from(ROWS[number + 1])]
        } else {
            &self.short_rows[number][..=self.capacity_max(class).min(FEW)]
        }
    }

    /// Blocks that the cache of a class holds at most.
    #[inline]
    pub(super) fn capacity_max(&self, class: Class) -> usize {
        let most = usize::from(CAPACITY[class.index()]);
        if self.is_short.get() == 1 { most.min(FEW) } else { most }
    }

    /// Opens the row of a class, or gives it its long one; false if it has that.
    pub(super) fn make_room(&self, class: Class) -> bool {
        self.open(class) || self.lengthen(class)
    }

    /// Opens the row of a class; false if it was not closed.
    pub(super) fn open(&self, class: Class) -> bool {
        let is_closed =
            self.end(class).load(Ordering::Relaxed).cast_const() == &raw const self.nothing;
        if is_closed {
            self.set_count(class, 0);
        }
        is_closed
    }

    fn lengthen(&self, class: Class) -> bool {
        let short = self.places(class);
        if short.len() == self.capacity_max(class) {
            return false;
        }
        let count = self.count(class);
        self.long.store(self.long.load(Ordering::Relaxed) | self.bit(class), Ordering::Relaxed);
        for (to, from) in self.places(class).iter().zip(&short[..count]) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.set_count(class, count);
        true
    }

    /// Back to the short row, of a class whose cache is empty.
    pub(super) fn shorten(&self, class: Class) {
        self.long.store(self.long.load(Ordering::Relaxed) & !self.bit(class), Ordering::Relaxed);
        self.close(class);
    }

    const fn bit(&self, class: Class) -> u64 {
        1 << class.number()
    }

    /// How many blocks the row of a class has.
    pub(super) fn count(&self, class: Class) -> usize {
        match self.top(class).load(Ordering::Relaxed) {
            // A core that was taken a moment ago has no rows yet, for who only looks.
            top if top.is_null() || top.cast_const() == &raw const self.nothing => 0,
            top => {
                // Of another row, for who only looks while this one is made longer: then it is
                // wrong, but never too much.
                let row = self.row(class);
                let bytes = top.addr().wrapping_sub(row.as_ptr().addr());
                (bytes / size_of::<Place>()).min(row.len() - 1)
            }
        }
    }

    /// The places of a class that blocks may lie in, from the oldest.
    fn places(&self, class: Class) -> &[Place] {
        &self.row(class)[1..]
    }

    /// True if the cache of a class has a block: it is looked through.
    pub(super) fn has_cached(&self, class: Class, block: NonNull<u8>) -> bool {
        let row = self.row(class);
        // For who only looks: what lies above the top is old, and the top may be in the other row
        // by now. Then nothing is known.
        let top = self.top(class).load(Ordering::Acquire);
        let count = top.addr().wrapping_sub(row.as_ptr().addr()) / size_of::<Place>();
        let cached = row.get(1..count.saturating_add(1)).unwrap_or_default();
        cached.iter().any(|place| place.load(Ordering::Relaxed) == block.as_ptr())
    }

    pub(super) fn set_count(&self, class: Class, count: usize) {
        let row = self.row(class);
        let (bottom, last) = (row.as_ptr().cast_mut(), row.len() - 1);
        self.top(class).store(bottom.wrapping_add(count), Ordering::Relaxed);
        self.end(class).store(bottom.wrapping_add(last), Ordering::Relaxed);
        self.used.store(self.used.load(Ordering::Relaxed) | self.bit(class), Ordering::Relaxed);
    }

    /// Fills the empty cache of a class with `count` blocks, of which the first one of `blocks` is
    /// popped first.
    pub(super) fn fill(&self, class: Class, count: usize, blocks: impl Iterator<Item = *mut u8>) {
        let places = self.row_for(class, count).iter().rev();
        places.zip(blocks).for_each(|(place, block)| place.store(block, Ordering::Relaxed));
        self.set_count(class, count);
    }

    /// The places of `count` blocks in the empty cache of a class, of which the last is popped
    /// first. They are blocks from [`set_count`](Self::set_count) on.
    pub(super) fn row_for(&self, class: Class, count: usize) -> &[Place] {
        if count > self.places(class).len() {
            self.lengthen(class);
        }
        &self.places(class)[..count]
    }

    /// Takes the `count` oldest blocks out of the cache of a class.
    pub(super) fn take_oldest(&self, class: Class, count: usize, mut take: impl FnMut(*mut u8)) {
        let cached = &self.places(class)[..self.count(class)];
        let left = cached.len() - count;
        cached[..count].iter().for_each(|place| take(place.load(Ordering::Relaxed)));
        for (to, from) in cached.iter().zip(&cached[count..]) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.set_count(class, left);
    }

    /// The classes that this core ever had blocks of since it was reset.
    pub(super) fn used(&self) -> impl Iterator<Item = Class> + use<> {
        let mut left = self.used.load(Ordering::Relaxed);
        core::iter::from_fn(move || {
            let number = left.trailing_zeros() as u8;
            left &= left.wrapping_sub(1);
            Class::of_number(number)
        })
    }

    /// Begins: no row was used. (2)
    fn begin(&self) {
        (0..class::ROOM as u8).map(Class::of_number_or_none).for_each(|class| self.close(class));
    }

    fn close(&self, class: Class) {
        let nothing = (&raw const self.nothing).cast_mut();
        self.top(class).store(nothing, Ordering::Relaxed);
        self.end(class).store(nothing, Ordering::Relaxed);
    }

    /// Forgets everything but the spare, for the next one who has the core.
    pub(super) fn reset(&self) {
        for class in self.used() {
            self.close(class);
            self.forget_cut(class);
            self.batches[class.index()].set(0);
            self.slabs[class.index()].set(0);
        }
        self.used.store(0, Ordering::Relaxed);
        self.long.store(0, Ordering::Relaxed);
        self.all.set(0);
        self.starter.forbid();
    }
}

const _: () = assert!(capacity_of(class::COUNT - 1) >= 1 && SIZE_MAX <= u32::MAX as usize);
