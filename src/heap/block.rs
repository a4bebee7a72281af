//! Floor 4, uses floors 0 to 2. What both kinds of heaps do with one block of theirs.

use super::class::{Class, GRANULE_LEN, block_at};
use super::ground::Ground;
use super::held::Held;
use super::report::{Finding, broken};
use super::slab::{Kind, Slab};
use crate::ds::primitive::Ordering::Relaxed;
use crate::error::{Error, ErrorKind, Op};
use core::alloc::Layout;
use core::ptr::NonNull;

/// The largest block: what the largest `Layout` has.
const LEN_MAX: usize = isize::MAX as usize;

/// Where a block lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) granule: usize,
    pub(super) slab: &'static Slab,
}

impl Place {
    /// The place of an address; `None` if it is not in the ground.
    #[inline]
    pub(super) fn of(ground: &'static Ground, block: NonNull<u8>) -> Option<Self> {
        let granule = ground.granule_of(block)?;
        Some(Place { granule, slab: ground.slab(granule) })
    }

    /// The place of a block that its user gives back.
    #[inline]
    pub(super) fn of_given(ground: &'static Ground, block: NonNull<u8>) -> Self {
        Self::of(ground, block).unwrap_or_else(|| broken(Finding::Foreign, block))
    }

    /// The first granule of the slab or run.
    pub(super) fn first(self, ground: &'static Ground) -> Self {
        match self.slab.kind() {
            Kind::Inside => {
                let granule = self.granule - self.slab.granules.get() as usize;
                Place { granule, slab: ground.slab(granule) }
            }
            _ => self,
        }
    }

    /// Bytes of the block that begins at this address; `None` if none does.
    pub(super) fn usable_len(self, ground: &'static Ground, block: NonNull<u8>) -> Option<usize> {
        let Place { granule, slab } = self.first(ground);
        let offset = ground.offset_in(granule, block);
        match slab.class() {
            Some(class) => {
                let number = block_at(offset, class.reciprocal());
                slab.has_block(number, offset).then(|| class.size())
            }
            None => (offset == 0).then(|| slab.granules.get() as usize * GRANULE_LEN),
        }
    }
}

impl Held {
    /// A block for a layout; its content is anything.
    #[inline]
    pub(super) fn allocate_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        match Class::of_aligned(layout.size(), layout.align()) {
            Some(class) => self.allocate(class),
            None => self.allocate_long(layout).map(|(block, _)| block),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_long(&self, layout: Layout) -> Result<(NonNull<u8>, bool), Error> {
        self.allocate_run(layout.size(), layout.align())
    }

    /// The same, reading zero.
    pub(super) fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        let (block, is_zero) = match Class::of_aligned(layout.size(), layout.align()) {
            Some(class) => (self.allocate(class)?, false),
            None => self.allocate_long(layout)?,
        };
        if !is_zero {
            let class = Class::of_aligned(layout.size(), layout.align());
            let len = class.map_or(layout.size(), Class::size);
            // SAFETY: a new block of that many bytes.
            unsafe { block.write_bytes(0, len) };
        }
        Ok(block)
    }

    /// Takes back a block that lies in this core's slabs or runs.
    #[inline]
    pub(super) fn free_at(&self, place: Place, block: NonNull<u8>) {
        match place.slab.class() {
            Some(class) => self.free(class, block),
            None => self.free_long(place, block),
        }
    }

    #[cold]
    #[inline(never)]
    fn free_long(&self, place: Place, block: NonNull<u8>) {
        if self.ground.place(place.granule) != block.as_ptr() || place.slab.kind() != Kind::Run {
            broken(Finding::NotABlock, block);
        }
        if place.slab.announced().load(Relaxed) != 0 {
            broken(Finding::FreedTwice, block);
        }
        self.free_run(place.granule);
    }

    /// Makes a block longer or shorter without moving it; false if it has to move.
    pub(super) fn resize(&self, place: Place, new: Layout) -> Result<bool, Error> {
        match (place.slab.class(), Class::of_aligned(new.size(), new.align())) {
            (Some(old), Some(new)) => Ok(old == new),
            (None, None) => self.resize_run(place.granule, new.size()),
            _ => Ok(false),
        }
    }
}

/// The layout of a block that gets another size.
pub(super) fn resized(block: NonNull<u8>, old: Layout, size: usize) -> Result<Layout, Error> {
    Layout::from_size_align(size, old.align()).map_err(|_| {
        let addr = block.addr().get();
        Error::new(Op::Allocate, ErrorKind::OutOfRange, addr, size.min(LEN_MAX), 0)
    })
}

/// Copies the content of a block to its new one.
///
/// # Safety
/// 1. Both blocks are as long as `len` says, in use, and not the same.
pub(super) unsafe fn copy_content(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    // SAFETY: (1).
    unsafe { from.copy_to_nonoverlapping(to, len) }
}
