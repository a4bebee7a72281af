//! Floor 4, pure. Size classes: which size a block gets, and how many of them a slab has.
//!
//! ```text
//!   8 16 24 32 40 48 56 64 | 80 96 112 128 | 160 192 224 256 | 320 .. 512 | .. | 20480 .. 32768
//! ```
//! Steps of 8 bytes up to 64, of 16 up to 128, then four for each doubling: above 128 bytes at most
//! a fifth of a block is not used. A size that is a multiple of an alignment gets a class that is
//! one, too, and slabs begin at multiples of 64 KiB, so alignment costs nothing but rounding up.
//! Whoever asks for 16 bytes or more as C does (any type may lie there) gets a multiple of 16; the
//! classes 24, 40 and 56 are for those who say that 8 is enough, as Rust does.
#![forbid(unsafe_code)]

/// Size classes.
pub(super) const COUNT: usize = 44;
/// The next power of two: an index below it needs no check.
pub(super) const ROOM: usize = 64;

/// What blocks that do not lie in slabs have for a class; the cache of it is always full.
pub(super) const NONE: u8 = ROOM as u8 - 1;

/// The largest block that lies in a slab; longer ones are runs of granules of their own.
pub(super) const SIZE_MAX: usize = 32 << 10;

/// Bytes of a granule: what the ground gives out, and a slab of small blocks.
pub(super) const GRANULE_LEN: usize = 64 << 10;

/// The largest block in a slab of one granule.
const ONE_GRANULE_MAX: usize = 8 << 10;
/// Granules of the slabs above that.
const MANY: usize = 4;

/// Up to here the class is looked up in a table, by the size in words.
const TABLE_MAX: usize = 1024;
const WORD: usize = 8;
/// Any type of C may lie at a multiple of this.
pub(super) const C_ALIGN: usize = 16;

/// A size class: below `COUNT`, or `NONE`; always below `ROOM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u8);

const fn computed(size: usize) -> u8 {
    if size <= 64 {
        return (size.saturating_sub(1) / WORD) as u8;
    }
    if size <= 128 {
        return (8 + (size - 65) / 16) as u8;
    }
    // The doubling that `size` ends in begins at 2^doubling, and has four steps of 2^(doubling -
    // 2).
    let doubling = (size - 1).ilog2() as usize;
    let step = (size - 1 - (1 << doubling)) >> (doubling - 2);
    (12 + (doubling - 7) * 4 + step) as u8
}

pub(super) const fn size_of_number(number: usize) -> usize {
    if number < 8 {
        return (number + 1) * WORD;
    }
    if number < 12 {
        return 64 + (number - 7) * 16;
    }
    let (doubling, step) = (7 + (number - 12) / 4, (number - 12) % 4);
    (1 << doubling) + ((step + 1) << (doubling - 2))
}

const SIZES: [u32; ROOM] = {
    let mut sizes = [0; ROOM];
    let mut number = 0;
    while number < COUNT {
        sizes[number] = size_of_number(number) as u32;
        number += 1;
    }
    sizes
};

/// What an offset into a slab is multiplied with for the number of its block; 0 for what is none.
static RECIPROCALS: [u32; ROOM] = {
    let mut reciprocals = [0; ROOM];
    let mut number = 0;
    while number < COUNT {
        reciprocals[number] = (1_u64 << 32).div_ceil(size_of_number(number) as u64) as u32;
        number += 1;
    }
    reciprocals
};

const TABLE: [u8; TABLE_MAX / WORD + 1] = {
    let mut table = [0; TABLE_MAX / WORD + 1];
    let mut words = 0;
    while words < table.len() {
        table[words] = computed(words * WORD);
        words += 1;
    }
    table
};

/// The same for blocks that any type may lie in, as C wants them.
static TABLE_OF_C: [u8; TABLE_MAX / WORD + 1] = {
    let mut table = TABLE;
    let mut words = 2;
    while words <= 8 {
        table[words] = computed((words * WORD).next_multiple_of(C_ALIGN));
        words += 1;
    }
    table
};

impl Class {
    /// The class of blocks of `size` bytes, up to 1 KiB, for C: a block of more than 8 bytes begins
    /// at a multiple of 16.
    #[inline(always)]
    pub(super) fn of_c(size: usize) -> Option<Self> {
        TABLE_OF_C.get(size.checked_add(WORD - 1)? / WORD).map(|&number| Class(number))
    }

    /// The class of blocks of `size` bytes, at most `SIZE_MAX`, whose address is a multiple of 8.
    #[inline]
    pub(super) fn of(size: usize) -> Self {
        match TABLE.get(size.div_ceil(WORD)) {
            Some(&number) => Class(number),
            None => Class(computed(size)),
        }
    }

    /// The class of blocks with an alignment, a power of two; `None` if they do not lie in slabs.
    #[inline]
    pub(super) fn of_aligned(size: usize, align: usize) -> Option<Self> {
        if align <= WORD {
            return (size <= SIZE_MAX).then(|| Class::of(size));
        }
        if size > SIZE_MAX || align > SIZE_MAX {
            return None;
        }
        let rounded = size.next_multiple_of(align).max(align);
        Some(Class::of(rounded))
    }

    /// The class of that number.
    #[inline]
    pub(super) fn of_number(number: u8) -> Option<Self> {
        ((number as usize) < COUNT).then_some(Class(number))
    }

    /// The class of a number that is one, or `NONE`.
    #[inline]
    pub(super) const fn of_number_or_none(number: u8) -> Self {
        Class(number % ROOM as u8)
    }

    /// All of them, from the smallest.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..COUNT as u8).map(Class)
    }

    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// The number, below `ROOM` for the compiler to see.
    #[inline]
    pub(super) const fn index(self) -> usize {
        self.0 as usize % ROOM
    }

    /// Bytes of its blocks.
    #[inline]
    pub(super) fn size(self) -> usize {
        SIZES[self.index()] as usize
    }

    /// Granules of its slabs.
    pub(super) fn granules(self) -> usize {
        if self.size() <= ONE_GRANULE_MAX { 1 } else { MANY }
    }

    /// Blocks in a slab.
    pub(super) fn blocks(self) -> usize {
        self.granules() * GRANULE_LEN / self.size()
    }

    /// What an offset into a slab is multiplied with for the number of its block.
    #[inline]
    pub(super) fn reciprocal(self) -> u32 {
        RECIPROCALS[self.index()]
    }
}

/// The number of the block that an offset into a slab lies in.
#[inline]
pub(super) const fn block_at(offset: usize, reciprocal: u32) -> usize {
    ((offset as u64 * reciprocal as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in 0..=SIZE_MAX {
            let best = Class::all().find(|class| class.size() >= size).expect("there is one");
            assert_eq!(Class::of(size), best, "{size} bytes");
        }
    }

    #[test]
    fn at_most_a_fifth_is_not_used() {
        for size in 129..=SIZE_MAX {
            let block = Class::of(size).size();
            assert!((block - size) * 5 <= block, "{size} bytes in {block}");
        }
    }

    #[test]
    fn c_gets_the_smallest_class_that_any_type_may_lie_in() {
        for size in 0..=TABLE_MAX {
            let fits = |class: &Class| {
                let at_16 = class.size().is_multiple_of(C_ALIGN) || class.size() <= WORD;
                class.size() >= size && at_16
            };
            assert_eq!(Class::of_c(size), Class::all().find(fits), "{size} bytes");
        }
        assert_eq!([TABLE_MAX + 1, usize::MAX].map(Class::of_c), [None; 2]);
    }

    #[test]
    fn alignments_are_kept() {
        for align in (0..=16).map(|power| 1 << power) {
            for size in (0..=SIZE_MAX + 100).step_by(7).chain([1, 8, 16, SIZE_MAX]) {
                match Class::of_aligned(size, align) {
                    Some(class) => {
                        assert!(class.size() >= size);
                        assert!(class.size().is_multiple_of(align), "{size} bytes, {align}");
                    }
                    None => assert!(size > SIZE_MAX || align > SIZE_MAX),
                }
            }
        }
    }

    #[test]
    fn every_offset_finds_its_block() {
        for class in Class::all() {
            assert!(class.blocks() >= 8 && class.number() == Class::of(class.size()).number());
            for offset in 0..class.granules() * GRANULE_LEN {
                let found = block_at(offset, class.reciprocal());
                assert_eq!(found, offset / class.size(), "{offset} in {}", class.size());
            }
        }
    }
}
