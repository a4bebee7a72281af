//! Floor 4, uses floors 0 to 2. What both kinds of heaps do with one block of theirs.

use super::class::{Class, GRANULE_LEN};
use super::held::Held;
use super::place::Place;
use super::report::{Finding, broken};
use super::slab::Kind;
use super::supply::Take;
use crate::ds::primitive::Ordering::Relaxed;
use crate::error::{Error, ErrorKind, Op};
use core::alloc::Layout;
use core::ptr::NonNull;

/// The largest block: what the largest `Layout` has.
pub(super) const LEN_MAX: usize = isize::MAX as usize;

/// Bytes of a block that gets room to grow when it has to move, and takes its pages along.
pub(super) const ROOMY: usize = 16 << 20;

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

    /// A block for a layout in place of one that is too short. If it is long it will probably get
    /// longer still, as vectors do: it stands where there is room for that, so that the next times
    /// are done where it is. `kept` bytes of content will come to it.
    pub(super) fn allocate_grown(&self, layout: Layout, kept: usize) -> Result<NonNull<u8>, Error> {
        if layout.size() < ROOMY {
            return self.allocate_layout(layout);
        }
        let take = Take::Roomy(self.ground.movable(kept) / GRANULE_LEN);
        let run = self.allocate_run_by(layout.size(), layout.align(), take);
        run.map(|(block, _)| block)
    }

    /// The same as `allocate_layout`, reading zero.
    pub(super) fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        let (block, len) = match Class::of_aligned(layout.size(), layout.align()) {
            Some(class) => (self.allocate(class)?, class.size()),
            None => {
                let (block, is_zero) = self.allocate_long(layout)?;
                (block, if is_zero { 0 } else { layout.size() })
            }
        };
        // SAFETY: a new block of that many bytes.
        unsafe { block.write_bytes(0, len) };
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
        if place.slab.is_starter() {
            return self.free_first(place, block);
        }
        if self.ground.place(place.granule) != block.as_ptr() || place.slab.kind() != Kind::Run {
            broken(Finding::NotABlock, block);
        }
        if place.slab.announced().load(Relaxed) != 0 {
            broken(Finding::FreedTwice, block);
        }
        self.drop_whole(place);
    }

    /// Makes a block longer or shorter without moving it; false if it has to move.
    pub(super) fn resize(&self, place: Place, new: Layout) -> Result<bool, Error> {
        match (place.slab.class(), Class::of_aligned(new.size(), new.align())) {
            (Some(old), Some(new)) => Ok(old == new),
            (None, _) if place.slab.is_starter() => Ok(false),
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

/// Makes what a block has got more than `kept` bytes read zero, up to `len`.
///
/// # Safety
/// 1. The block is in use, and at least `len` bytes long.
pub(super) unsafe fn zero_rest(block: NonNull<u8>, kept: usize, len: usize) {
    let more = len.saturating_sub(kept);
    // SAFETY: (1): not behind its end.
    let rest = unsafe { block.add(len - more) };
    // SAFETY: (1).
    unsafe { rest.write_bytes(0, more) };
}
