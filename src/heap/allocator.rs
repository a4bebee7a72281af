//! Floor 4, uses floors 0 to 2. Heaps as allocators of collections: `Allocator` of the crate
//! allocator-api2, versions 0.2 and 0.4, and of the standard library (`nightly`).
//!
//! The three traits are one and the same, so one macro has the text.
//!
//! A layout of 0 bytes has no block, but an address that is aligned: the `Box` of allocator-api2
//! gives such an address back that came from no allocator.

use super::block::zero_rest;
use super::{Heap, HeapHandle, LocalHeap};
use crate::error::Error;
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// What the kinds of heaps have in common.
trait Blocks {
    fn block(&self, layout: Layout) -> Result<NonNull<u8>, Error>;
    fn zeroed_block(&self, layout: Layout) -> Result<NonNull<u8>, Error>;

    /// # Safety
    /// 1. The block is in use in this heap, and not used again.
    unsafe fn give_block(&self, block: NonNull<u8>);

    /// # Safety
    /// 1. As for [`give_block`](Self::give_block), if it succeeds.
    /// 2. The block has at least `layout.size()` bytes, and the layout's alignment.
    unsafe fn change(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        size: usize,
    ) -> Result<NonNull<u8>, Error>;

    #[inline]
    fn take(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if layout.size() == 0 { Ok(nothing(layout)) } else { self.block(layout) }
    }

    fn take_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if layout.size() == 0 { Ok(nothing(layout)) } else { self.zeroed_block(layout) }
    }

    /// # Safety
    /// 1. As for [`give_block`](Self::give_block), unless the layout has 0 bytes.
    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: (1).
            unsafe { self.give_block(block) };
        }
    }

    /// Gives a block another layout: its bytes stay as far as both have them, and from there on may
    /// be anything.
    ///
    /// # Safety
    /// 1. As for [`give`](Self::give), if it succeeds.
    /// 2. `old` is the layout of the block.
    unsafe fn fit(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<u8>, Error> {
        let has_bytes = old.size() != 0 && new.size() != 0;
        let is_aligned = has_bytes && block.addr().get().is_multiple_of(new.align());
        if let (true, Ok(layout)) = (is_aligned, Layout::from_size_align(old.size(), new.align())) {
            // SAFETY: (1); (2) the alignment was looked at.
            return unsafe { self.change(block, layout, new.size()) };
        }
        let moved = self.take(new)?;
        // SAFETY: both are in use and as long as that, and the new one is another block.
        unsafe { block.copy_to_nonoverlapping(moved, old.size().min(new.size())) };
        // SAFETY: (1).
        unsafe { self.give(block, old) };
        Ok(moved)
    }
}

macro_rules! blocks {
    ($($heap:ty)*) => { $(
        impl Blocks for $heap {
            #[inline]
            fn block(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
                self.allocate(layout)
            }

            fn zeroed_block(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
                self.allocate_zeroed(layout)
            }

            #[inline]
            unsafe fn give_block(&self, block: NonNull<u8>) {
                // SAFETY: (1).
                unsafe { self.deallocate(block) };
            }

            unsafe fn change(
                &self,
                block: NonNull<u8>,
                layout: Layout,
                size: usize,
            ) -> Result<NonNull<u8>, Error> {
                // SAFETY: (1) (2): of the layout only the bytes and the alignment to keep count.
                unsafe { self.reallocate(block, layout, size) }
            }
        }
    )* };
}

blocks!(Heap LocalHeap HeapHandle);

/// An address for 0 bytes.
fn nothing(layout: Layout) -> NonNull<u8> {
    NonNull::new(ptr::without_provenance_mut(layout.align())).expect("alignments are not 0")
}

/// The answer in the words of the traits: as many bytes as were asked for.
fn told<E>(block: Result<NonNull<u8>, Error>, len: usize, refused: E) -> Result<NonNull<[u8]>, E> {
    match block {
        Ok(block) => Ok(NonNull::slice_from_raw_parts(block, len)),
        Err(_) => Err(refused),
    }
}

/// `Allocator` and `AllocError` are those of the module that this is written in.
macro_rules! allocators {
    ($($heap:ty)*) => { $(
        /// All blocks are gone when the heap is, or its last handle.
        // SAFETY: blocks are in use until they are given back or the heap is dropped; a heap may be
        // moved, because its blocks are not in it; a clone of a handle is the same heap.
        unsafe impl Allocator for $heap {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                told(self.take(layout), layout.size(), AllocError)
            }

            fn allocate_zeroed(
                &self,
                layout: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                told(self.take_zeroed(layout), layout.size(), AllocError)
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: (1) the trait's contract.
                unsafe { self.give(block, layout) };
            }

            unsafe fn grow(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: (1) (2) the trait's contract.
                told(unsafe { self.fit(block, old, new) }, new.size(), AllocError)
            }

            unsafe fn grow_zeroed(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: (1) (2) the trait's contract.
                let grown = unsafe { self.fit(block, old, new) };
                if let Ok(block) = grown {
                    // SAFETY: (1) it was made that long.
                    unsafe { zero_rest(block, old.size(), new.size()) };
                }
                told(grown, new.size(), AllocError)
            }

            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: (1) (2) the trait's contract.
                told(unsafe { self.fit(block, old, new) }, new.size(), AllocError)
            }
        }
    )* };
}

#[cfg(feature = "allocator-api2-02")]
mod version_02 {
    use super::*;
    use allocator_api2_02::alloc::{AllocError, Allocator};

    allocators!(Heap LocalHeap HeapHandle);
}

#[cfg(feature = "allocator-api2-04")]
mod version_04 {
    use super::*;
    use allocator_api2_04::alloc::{AllocError, Allocator};

    allocators!(Heap LocalHeap HeapHandle);
}

#[cfg(feature = "nightly")]
mod standard {
    use super::*;
    use core::alloc::{AllocError, Allocator};

    allocators!(Heap LocalHeap HeapHandle);
}
