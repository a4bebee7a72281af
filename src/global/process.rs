//! Floor 5. The heap of the process as Rust's global allocator.

use crate::heap::{Granule, allocate_or_none};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

// SAFETY: `allocate` gives every live block memory of its own, of the layout's size and alignment;
// nothing here unwinds, and wrong pointers end the process before anything is given back.
unsafe impl GlobalAlloc for Granule {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocate_or_none(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.allocate_zeroed(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller gives a block of this allocator back, with its layout.
            unsafe { self.deallocate_layout(block, layout) };
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(block) = NonNull::new(block) else { return null_mut() };
        // SAFETY: the caller's block, with its layout.
        let moved = unsafe { self.reallocate(block, layout, size) };
        moved.map_or(null_mut(), NonNull::as_ptr)
    }
}
