//! Floor 1. Content that changes its place: what the systems have in common.

use super::{Errno, carry, renew};
use core::ptr::NonNull;

/// How content has come to another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// In how many pieces pages were moved.
    pub(crate) pieces: usize,
    /// Nothing had to be copied: the old place reads zero.
    pub(crate) is_whole: bool,
}

/// Copies content byte by byte.
///
/// # Safety
/// 1. Both ranges are ours, to be read and written, and do not overlap.
/// 2. Nobody else uses them during the call.
pub(crate) unsafe fn copy(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> Carried {
    // SAFETY: (1), (2).
    unsafe { from.copy_to_nonoverlapping(to, len) };
    Carried { pieces: 0, is_whole: false }
}

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _CARRY_CONTRACT: (
    unsafe fn(NonNull<u8>, NonNull<u8>, usize) -> Carried,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
) = (carry, renew);
