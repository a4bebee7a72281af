//! Floor 4, uses floor 0. What is known of a granule: whose it is, and which of its blocks are
//! free.
//!
//! One record for each granule, in a table of its own: a block's address gives its record by
//! arithmetic, without a look at memory. Nothing is kept in the blocks, so an overflow cannot break
//! the books, and memory that is free is not touched.
//!
//! The first line of a record is its owner's; the second is written by whoever frees from
//! elsewhere. All fields are atomics that are read and written without any order, as plain fields
//! would be: rule 1 says who may.
//!
//! # Invariants (`validate` quotes the numbers)
//! 1. The owner's line is written by its owner alone. `owner` is 0 if the granule is nobody's.
//! 2. A slab of a class has `blocks` blocks of `size` bytes, the first at its beginning.
//! 3. A bit is set for each block that is free, not in a cache and not left to cut; `free` is their
//!    number; no bit is set below word `cursor`, nor at or above block number `blocks`.
//! 4. A slab of a class stands in its owner's list of that if and only if `free` is not 0.
//! 5. Every slab and every run stands in its owner's list of all. The granules of it behind the
//!    first are of kind `Inside`, and know how far away that is.
//! 6. Those of them that belong to the stock of the heap (`supply`) are not free there.
//! 7. The starter of a core keeps the rules of its file.
//! 8. `moved` is 0 but for runs. It is written by who has the block, its owner or not.
//! 9. Of blocks that are left to cut (`cut`) no bit is set.
#![forbid(unsafe_code)]

use super::class::{self, Class};
use crate::ds::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::ds::primitive::{AtomicU32, AtomicU64};
use crate::ds::returned::{EMPTIED, WAITING};

/// What a granule is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Nothing: it is free.
    Free,
    /// The first granule of a slab.
    Slab,
    /// The first granule of one long block.
    Run,
    /// Not the first one.
    Inside,
    /// Blocks of several classes: see `starter`.
    Starter,
}

/// A core, as the records of its granules name it.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    pub(super) mark: u32,
    /// It is one of the threads of the process's heap.
    pub(super) is_common: bool,
}

/// Whose a granule is, and what, in one word: `free` looks at nothing else. The lower half is the
/// mark of the core that has it, the byte above is the kind, the bit above that says that every
/// thread may keep its blocks, the highest six bits are the class.
#[derive(Clone, Copy)]
pub(super) struct Head(u64);

impl Head {
    const KIND: u32 = u32::BITS;
    const COMMON: u32 = Self::KIND + u8::BITS;
    const CLASS: u32 = u64::BITS - class::ROOM.ilog2();

    fn new(owner: Tag, kind: Kind, class: Option<Class>) -> Self {
        // What has no class is in no cache.
        let common = u64::from(owner.is_common && class.is_some()) << Self::COMMON;
        let class = class.map_or(class::NONE, Class::number);
        let owner = u64::from(owner.mark) | common;
        Head(owner | (kind as u64) << Self::KIND | u64::from(class) << Self::CLASS)
    }

    /// True for blocks of a class that any thread may put into its own cache.
    #[inline(always)]
    pub(super) const fn is_common(self) -> bool {
        self.0 >> Self::COMMON & 1 != 0
    }

    /// The number of the core that has it and 1; 0 if it is nobody's.
    #[inline(always)]
    pub(super) const fn owner(self) -> u32 {
        self.0 as u32
    }

    pub(super) const fn kind(self) -> Kind {
        match (self.0 >> Self::KIND) as u8 {
            1 => Kind::Slab,
            2 => Kind::Run,
            3 => Kind::Inside,
            4 => Kind::Starter,
            _ => Kind::Free,
        }
    }

    /// The class of the blocks; `None` for runs and starters.
    pub(super) fn class(self) -> Option<Class> {
        Class::of_number(self.class_or_none().number())
    }

    /// The class for the quick way, on which `NONE` needs no question.
    #[inline(always)]
    pub(super) const fn class_or_none(self) -> Class {
        Class::of_number_or_none((self.0 >> Self::CLASS) as u8)
    }
}

/// A record. Zero is that of a granule that is free.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(super) struct Slab {
    /// Whose it is, and of which kind and class.
    head: AtomicU64,
    pub(super) free: Field,
    pub(super) cursor: Field,
    pub(super) size: Field,
    pub(super) reciprocal: Field,
    pub(super) blocks: Field,
    /// Granules of the slab or the run; of one that is inside, how far away the first is.
    pub(super) granules: Field,
    /// Where its bits lie in the pool, and for how many words there is room; they stay for good.
    pub(super) bits: Field,
    pub(super) room: Field,
    /// Neighbours in the list of the class.
    pub(super) in_class: Links,
    /// Neighbours in the list of all.
    pub(super) in_all: Links,
    /// What has become of a run's memory: see `ground::carried`.
    pub(super) moved: Field,
    line: Line,
}

/// In `moved`: this run has given all its pages away, and reads zero.
pub(super) const VACATED: u32 = 1 << 31;

/// What others write.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Line {
    announced: AtomicU32,
    handed: AtomicU32,
}

/// A number of the owner's.
#[derive(Debug, Default)]
pub(super) struct Field(AtomicU32);

impl Field {
    #[inline]
    pub(super) fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    #[inline]
    pub(super) fn set(&self, value: u32) {
        self.0.store(value, Relaxed);
    }

    /// Sets it for who [looks](Self::look) from another thread: what came before comes before.
    #[inline]
    pub(super) fn publish(&self, value: u32) {
        self.0.store(value, Release);
    }

    /// Another thread's look.
    pub(super) fn look(&self) -> u32 {
        self.0.load(Acquire)
    }
}

/// Neighbours in a list: granules and 1, or 0.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) next: Field,
    pub(super) previous: Field,
}

impl Slab {
    #[inline]
    pub(super) fn owner(&self) -> u32 {
        self.head().owner()
    }

    #[inline(always)]
    pub(super) fn head(&self) -> Head {
        Head(self.head.load(Relaxed))
    }

    /// The class of the blocks in this granule; `None` for runs and starters.
    #[inline]
    pub(super) fn class(&self) -> Option<Class> {
        self.head().class()
    }

    #[inline]
    pub(super) fn kind(&self) -> Kind {
        self.head().kind()
    }

    /// True if its blocks have bits: not for runs.
    #[inline]
    pub(super) fn has_bits(&self) -> bool {
        self.class().is_some() || self.is_starter()
    }

    #[inline]
    pub(super) fn is_starter(&self) -> bool {
        self.kind() == Kind::Starter
    }

    /// True if its content has gone elsewhere, page by page.
    pub(super) fn is_vacated(&self) -> bool {
        self.moved.get() & VACATED != 0
    }

    /// True if block `number` begins at `offset`.
    #[inline]
    pub(super) fn has_block(&self, number: usize, offset: usize) -> bool {
        number < self.blocks.get() as usize && number * self.size.get() as usize == offset
    }

    /// Nobody is on his way any more who announced something: of a slab or run that begins or ends.
    /// A fork may have left it announced. Answers what somebody who looked after it has said.
    pub(super) fn forget_announced(&self) -> u32 {
        let told = self.line.announced.load(Relaxed);
        self.line.announced.store(0, Relaxed);
        told & (WAITING | EMPTIED)
    }

    /// How many were announced: see `ds::returned`.
    pub(super) const fn announced(&self) -> &AtomicU32 {
        &self.line.announced
    }

    /// The link of the owner's stack of slabs that others handed to him.
    pub(super) const fn handed(&self) -> &AtomicU32 {
        &self.line.handed
    }

    /// Words of bits that a class needs, of each of the two kinds.
    pub(super) fn words_of(class: Class) -> u32 {
        class.blocks().div_ceil(64) as u32
    }

    /// Makes it a slab of a class, with no block free yet, and so in no list of its class.
    pub(super) fn become_slab(&self, owner: Tag, class: Class) {
        self.take_shape(class);
        self.become_kind(owner, Kind::Slab, Some(class));
    }

    /// Makes it a starter, with the bits of a slab of a class.
    pub(super) fn become_starter(&self, owner: Tag, shape: Class) {
        self.take_shape(shape);
        self.become_kind(owner, Kind::Starter, None);
    }

    fn take_shape(&self, class: Class) {
        self.free.set(0);
        self.cursor.set(0);
        self.size.set(class.size() as u32);
        self.reciprocal.set(class.reciprocal());
        self.blocks.set(class.blocks() as u32);
        self.granules.set(class.granules() as u32);
        // A heap that was dropped has left them as they were.
        self.in_class.next.set(0);
        self.in_class.previous.set(0);
    }

    /// Makes it the beginning of a run of `granules`: one block.
    pub(super) fn become_run(&self, owner: Tag, granules: u32) {
        self.granules.set(granules);
        self.become_kind(owner, Kind::Run, None);
    }

    /// Makes it a part of what begins `distance` granules before it.
    pub(super) fn become_inside(&self, owner: Tag, distance: u32, class: Option<Class>) {
        self.granules.set(distance);
        self.become_kind(owner, Kind::Inside, class);
    }

    pub(super) fn become_free(&self) {
        self.become_kind(Tag { mark: 0, is_common: false }, Kind::Free, None);
    }

    fn become_kind(&self, owner: Tag, kind: Kind, class: Option<Class>) {
        // After what it is and where its bits are, for who only looks.
        self.head.store(Head::new(owner, kind, class).0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn what_others_write_has_a_line_of_its_own() {
        assert_eq!((offset_of!(Slab, line), size_of::<Slab>()), (64, 128));
    }
}
