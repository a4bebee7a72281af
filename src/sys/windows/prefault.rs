//! Floor 1. What a touch of a page of a file brings with it, on Windows: nobody tells.

use super::super::Errno;
use super::pages::refused;
use core::ops::Range;
use core::ptr::NonNull;
use windows_sys::Win32::Foundation::ERROR_NOT_SUPPORTED;

/// Pages come by being touched.
pub(crate) const CAN_POPULATE: bool = false;

/// Not asked: see above.
pub(crate) fn fault_count() -> Result<u64, Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Not asked: see above.
///
/// # Safety
/// 1. The range consists of whole pages that are mapped.
pub(crate) unsafe fn first_mapped(_: NonNull<u8>, _: usize) -> Result<Option<Range<usize>>, Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Not asked: see above.
pub(crate) fn memory_len() -> Result<usize, Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Not done: what it would win was not measured.
///
/// # Safety
/// 1. `file` is open for writing, and so long.
/// 2. Nobody needs what is there.
pub(crate) unsafe fn write_ahead(_: usize, _: u64, _: u64) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}
