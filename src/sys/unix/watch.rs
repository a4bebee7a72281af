//! Floor 1. Write watch: these systems have none that a program could use.

use super::super::{CommitPolicy, Errno, GuardKind};
use crate::ds::extents::Extents;
use crate::error::{Call, Op};
use core::ptr::NonNull;

const NONE: Errno = Errno(libc::ENOSYS, Call::None);

/// Always ENOSYS. No call.
///
/// # Safety
/// 1. As for [`reserve`](super::reserve).
pub(crate) unsafe fn reserve_watched(
    _: usize,
    _: usize,
    _: usize,
    _: CommitPolicy,
) -> Result<NonNull<u8>, (Op, Errno)> {
    Err((Op::Watch, NONE))
}

/// Always ENOSYS. No call.
///
/// # Safety
/// 1. The range lies in one reservation of ours that is watched, of which there are none.
pub(crate) unsafe fn watch_again(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    Err(NONE)
}

/// Always ENOSYS. No call.
///
/// # Safety
/// 1. As for [`watch_again`].
pub(crate) unsafe fn written(
    _: NonNull<u8>,
    _: usize,
    _: bool,
    _: &mut Extents<'_>,
) -> Result<usize, Errno> {
    Err(NONE)
}

/// Always ENOSYS. No call.
///
/// # Safety
/// 1. As for [`watch_again`].
pub(crate) unsafe fn forget_written(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    Err(NONE)
}

/// Nothing is watched, so nothing can be taken for something else.
pub(crate) fn can_watch_guards(_: GuardKind) -> bool {
    true
}
