//! Floor 5, uses floors 0 to 4. `HeapValidate` and `HeapCompact`.

use super::HANDLE;
use super::blocks::given;
use super::record::{self, Made};
use super::tail::TAIL;
use super::walk::next_entry;
use crate::heap::{Entry, Last};
use crate::win32::error::Win32Error;
use core::ffi::c_void;

/// True if a block of the heap is in use and nobody has written behind its end; with null, if this
/// holds for all of its blocks, and the books of the heap agree with each other. False also if
/// there is no such heap.
///
/// # Safety
/// 1. As for [`HeapAlloc`](super::HeapAlloc).
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 0, 0)?;
/// // SAFETY: (1) the heap has a lock.
/// let block = unsafe { HeapAlloc(heap, 0, 10)? };
/// // SAFETY: (1) as above.
/// assert!(unsafe { HeapValidate(heap, 0, block) && HeapValidate(heap, 0, std::ptr::null()) });
/// // SAFETY: (1) (2) as above, and the block is ours.
/// unsafe { HeapFree(heap, 0, block)? };
/// // SAFETY: (1) as above.
/// assert!(!unsafe { HeapValidate(heap, 0, block) });
/// # // SAFETY: (1) (2) nobody uses its blocks any more.
/// # unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub unsafe fn HeapValidate(heap: HANDLE, flags: u32, block: *const c_void) -> bool {
    const CALL: &str = "HeapValidate";
    let work = |made: &Made| match block.is_null() {
        true => Ok(made.heap.validate().is_ok() && has_sound_blocks(CALL, made)),
        false => given(CALL, made, block).map(|_| true),
    };
    // SAFETY: (1).
    unsafe { record::with(CALL, heap, flags, work) }.unwrap_or(false)
}

fn has_sound_blocks(call: &'static str, made: &Made) -> bool {
    let mut last = Last::None;
    loop {
        match next_entry(call, made, last) {
            Ok(Some((entry, place))) => {
                last = place;
                if let Entry::Busy(block) = entry
                    && given(call, made, block.start.as_ptr().cast()).is_err()
                {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Gives back what the heap does not need, and tells the size of the largest block that it can give
/// out without more memory; 0 if there is none.
///
/// Windows, Linux: as for [`LocalHeap::trim`](crate::heap::LocalHeap::trim).
///
/// # Errors
/// - `ERROR_INVALID_HANDLE` (6): as for [`HeapAlloc`](super::HeapAlloc).
///
/// # Safety
/// 1. As for [`HeapAlloc`](super::HeapAlloc).
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 0, 0)?;
/// // SAFETY: (1) the heap has a lock.
/// assert_eq!(unsafe { HeapCompact(heap, 0)? }, 0, "it has no memory yet");
/// # // SAFETY: (1) (2) nobody uses its blocks.
/// # unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "malloc_trim")]
pub unsafe fn HeapCompact(heap: HANDLE, flags: u32) -> Result<usize, Win32Error> {
    let work = |made: &Made| {
        made.heap.trim();
        Ok(made.budget.most(made.heap.largest_free().saturating_sub(TAIL)))
    };
    // SAFETY: (1).
    unsafe { record::with("HeapCompact", heap, flags, work) }
}
