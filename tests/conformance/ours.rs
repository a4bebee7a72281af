//! Our allocators, and those of the standard library, as the suite wants them.

use super::conformance::Allocator;
use granule::heap::{Heap, LocalHeap};
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

/// A global allocator as one.
pub(crate) struct Global<A>(pub(crate) A);

impl<A: GlobalAlloc> Allocator for Global<A> {
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the suite asks for no layout of 0 bytes.
        NonNull::new(unsafe { self.0.alloc(layout) })
    }

    fn take_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: as above.
        NonNull::new(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the same contract.
        unsafe { self.0.dealloc(block.as_ptr(), layout) }
    }

    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the same contract.
        NonNull::new(unsafe { self.0.realloc(block.as_ptr(), layout, size) })
    }
}

macro_rules! heaps {
    ($($heap:ty)*) => { $(
        impl Allocator for $heap {
            fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
                self.allocate(layout).ok()
            }

            fn take_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
                self.allocate_zeroed(layout).ok()
            }

            unsafe fn give(&self, block: NonNull<u8>, _: Layout) {
                // SAFETY: the same contract.
                unsafe { self.deallocate(block) }
            }

            unsafe fn resize(
                &self,
                block: NonNull<u8>,
                layout: Layout,
                size: usize,
            ) -> Option<NonNull<u8>> {
                // SAFETY: the same contract.
                unsafe { self.reallocate(block, layout, size) }.ok()
            }
        }
    )* };
}

heaps!(LocalHeap Heap);
