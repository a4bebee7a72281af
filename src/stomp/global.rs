//! Floor 4, uses floor 4 of this folder: the stomp finder as Rust's global allocator.

use super::{Caller, Stomp};
use crate::stomp;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

// SAFETY: `allocate` gives every live block memory of its own, of the layout's size and alignment;
// nothing here unwinds, and wrong pointers end the process before anything is given back.
unsafe impl GlobalAlloc for Stomp {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        stomp::keep_watch();
        let block = stomp::allocate(layout.size(), layout.align(), Caller::here());
        block.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the same contract; blocks read zero.
        unsafe { self.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        if let Some(block) = NonNull::new(block) {
            stomp::free(block, Caller::here());
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(block) = NonNull::new(block) else { return core::ptr::null_mut() };
        let new = stomp::reallocate(block, size, layout.align(), Caller::here());
        new.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }
}
