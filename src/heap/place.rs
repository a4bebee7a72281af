//! Floor 4, uses floors 0 to 2. A granule with its record, and where in it a block lies.

use super::class::{Class, GRANULE_LEN, block_at};
use super::core::Core;
use super::ground::Ground;
use super::report::{Finding, broken};
use super::slab::{Kind, Slab};
use crate::ds::bits::BITS;
use core::ops::Range;
use core::ptr::NonNull;

/// A granule and its record.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) granule: usize,
    pub(super) slab: &'static Slab,
}

impl Place {
    /// The place of a granule.
    #[inline]
    pub(super) fn at(ground: &'static Ground, granule: usize) -> Self {
        Place { granule, slab: ground.slab(granule) }
    }

    /// The place of an address; `None` if it is not in the ground.
    #[inline]
    pub(super) fn of(ground: &'static Ground, block: NonNull<u8>) -> Option<Self> {
        ground.granule_of(block).map(|granule| Self::at(ground, granule))
    }

    /// The place of a block that its user gives back.
    #[inline]
    pub(super) fn of_given(ground: &'static Ground, block: NonNull<u8>) -> Self {
        Self::of(ground, block).unwrap_or_else(|| broken(Finding::Foreign, block))
    }

    /// The first granule of the slab or run.
    #[inline]
    pub(super) fn first(self, ground: &'static Ground) -> Self {
        match self.slab.kind() {
            Kind::Inside => Self::at(ground, self.granule - self.slab.granules.get() as usize),
            _ => self,
        }
    }

    /// The core that has it. A slab that nobody has any more is reported.
    #[inline]
    pub(super) fn owner(self, ground: &'static Ground) -> &'static Core {
        let Some(number) = self.slab.owner().checked_sub(1) else {
            let place = NonNull::new(ground.place(self.granule));
            broken(Finding::OtherHeap, place.expect("not at address 0"))
        };
        ground.core(number)
    }

    /// All granules of the slab or run that begins here.
    pub(super) fn whole(self) -> Range<usize> {
        self.granule..self.granule + self.slab.granules.get() as usize
    }

    /// The word and the bit of a block in the slab that begins here. An address that no block
    /// begins at is reported.
    #[inline(always)]
    pub(super) fn bit_of(self, ground: &'static Ground, block: NonNull<u8>) -> (usize, u64) {
        let offset = ground.offset_in(self.granule, block);
        let number = block_at(offset, self.slab.reciprocal.get());
        let is_block = self.slab.has_block(number, offset)
            && (!self.slab.is_starter()
                || ground.starter_of(self).is_some_and(|it| it.class_of_block(offset).is_some()));
        if !is_block {
            broken(Finding::NotABlock, block);
        }
        (number / BITS, 1 << (number % BITS))
    }

    /// Bytes of the block that begins at this address; `None` if none does.
    pub(super) fn usable_len(self, ground: &'static Ground, block: NonNull<u8>) -> Option<usize> {
        let from = self.first(ground);
        let Place { granule, slab } = from;
        let offset = ground.offset_in(granule, block);
        match slab.class() {
            Some(class) => {
                let number = block_at(offset, class.reciprocal());
                slab.has_block(number, offset).then(|| class.size())
            }
            None if slab.is_starter() => {
                ground.starter_of(from)?.class_of_block(offset).map(Class::size)
            }
            None => (offset == 0).then(|| slab.granules.get() as usize * GRANULE_LEN),
        }
    }
}
