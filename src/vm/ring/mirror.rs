//! Floor 2, uses floors 0 and 1. The owner of memory that is mapped twice.

use crate::ds::positions::Extent;
use crate::error::Op;
use crate::sys::{self, Errno};
use core::ptr::NonNull;

/// `len` bytes that lie at `base` and once more at `base + len`.
#[derive(Debug)]
pub(super) struct Mirror {
    base: NonNull<u8>,
    len: usize,
    /// The copy of the process that has the memory.
    generation: u32,
    /// Two memories for one, for the tests of the story that `sys::reflect` tells.
    #[cfg(test)]
    is_simulated: bool,
}

// SAFETY: the range belongs to this value alone and no thread is special to it; it gives away raw
// pointers only.
unsafe impl Send for Mirror {}
// SAFETY: nothing in it changes.
unsafe impl Sync for Mirror {}

impl Mirror {
    /// `len` is a multiple of the granularity, not 0, and twice of it fits an address.
    pub(super) fn new(len: usize) -> Result<Self, (Op, Errno)> {
        let generation = sys::generation();
        let base = sys::mirror(len)?;
        Ok(Mirror {
            base,
            len,
            generation,
            #[cfg(test)]
            is_simulated: false,
        })
    }

    /// The byte at `offset`, which is below `len`; at least `len` bytes lie from there on.
    ///
    /// # Panics
    /// In a copy of the process that fork made, which has no memory there.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        self.check_generation();
        debug_assert!(offset < self.len);
        // SAFETY: both views are one range, and the offset lies in the first.
        unsafe { self.base.add(offset) }
    }

    /// Panics in the child of a fork.
    pub(super) fn check_generation(&self) {
        let is_here = self.generation == sys::generation();
        assert!(is_here, "a ring stays with the process that made it: this one is its child");
    }

    /// Makes what was written to the bytes of `extent` readable at their other addresses.
    ///
    /// # Safety
    /// 1. `extent` lies in the range.
    /// 2. Nobody has a reference to the bytes at either address, or uses them at this time.
    pub(super) unsafe fn reflect(&self, extent: Extent) {
        let start = self.at(extent.start);
        #[cfg(test)]
        if self.is_simulated {
            // SAFETY: (1) and (2) are passed on.
            return unsafe { self.copy_across(extent) };
        }
        // SAFETY: (1) of this function, and the range is a mirror; (2) is passed on.
        unsafe { sys::reflect(start, extent.len) };
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if self.generation != sys::generation() {
            // The child of a fork did not get the range; what is there now is somebody else's.
            return;
        }
        #[cfg(test)]
        if self.is_simulated {
            let parts = core::ptr::slice_from_raw_parts_mut(self.base.as_ptr(), 2 * self.len);
            // SAFETY: made by `simulated` from such a box, and not released before.
            drop(unsafe { std::boxed::Box::from_raw(parts) });
            return;
        }
        // SAFETY: (1) made by `new` in this generation; whoever had a pointer borrowed this value.
        // A drop has nobody to tell of a refusal.
        let _ = unsafe { sys::unmirror(self.base, self.len) };
    }
}

#[cfg(test)]
impl Mirror {
    /// Memory as the language sees it: two views that are different bytes.
    pub(super) fn simulated(len: usize) -> Self {
        let memory = std::vec![0u8; 2 * len].into_boxed_slice();
        let base = NonNull::new(std::boxed::Box::into_raw(memory).cast()).expect("a box");
        Mirror { base, len, generation: sys::generation(), is_simulated: true }
    }

    /// What `sys::reflect` is defined as.
    unsafe fn copy_across(&self, extent: Extent) {
        for offset in extent.start..extent.start + extent.len {
            let twin = if offset < self.len { offset + self.len } else { offset - self.len };
            // SAFETY: the offset lies in the range of two views.
            let from = unsafe { self.base.add(offset) };
            // SAFETY: and so does its twin.
            let to = unsafe { self.base.add(twin) };
            // SAFETY: the caller's (2): nobody else uses the two bytes.
            unsafe { from.copy_to_nonoverlapping(to, 1) };
        }
    }
}
