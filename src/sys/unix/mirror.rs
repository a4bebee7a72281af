//! Floor 1. The same memory twice, side by side: not on this system yet.

use super::super::Errno;
use crate::error::{Call, Op};
use core::ptr::NonNull;

/// Always ENOSYS. No call.
pub(crate) fn mirror(_: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    Err((Op::Mirror, Errno(libc::ENOSYS, Call::None)))
}

/// Gives a mirror back, of which there are none. No call.
///
/// # Safety
/// 1. `ptr` was made by [`mirror`] of `len` bytes in this generation of the process, and nobody
///    uses it any more.
pub(crate) unsafe fn unmirror(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    Err(Errno(libc::ENOSYS, Call::None))
}
