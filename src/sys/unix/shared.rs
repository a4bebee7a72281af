//! Floor 1. Memory with a name on macOS and FreeBSD: these systems have no locks that end with the
//! process for it, so that there is none.

use super::super::Errno;
use super::super::shared::{Named, Process};
use super::pages::refused;
use crate::ds::share_name::ShareName;
use core::sync::atomic::AtomicU32;

/// ENOTSUP, as all that is about names.
pub(crate) fn create_named(_: &ShareName, _: u64, _: u32) -> Result<Named, Errno> {
    refused(libc::ENOTSUP)
}

/// ENOTSUP.
pub(crate) fn open_named(_: &ShareName, _: bool) -> Result<(Named, u64), Errno> {
    refused(libc::ENOTSUP)
}

/// ENOTSUP.
pub(crate) fn reclaim_abandoned() -> Result<usize, Errno> {
    refused(libc::ENOTSUP)
}

/// ENOTSUP.
///
/// # Safety
/// 1. `named` is open: there is none.
pub(crate) unsafe fn unlink_named(_: &ShareName, _: Named) -> Result<(), Errno> {
    refused(libc::ENOTSUP)
}

/// # Safety
/// 1. `named` is open: there is none.
pub(crate) unsafe fn leave_named(_: &ShareName, _: Named, _: bool) {}

/// ENOTSUP.
///
/// # Safety
/// 1. `named` is open: there is none.
pub(crate) unsafe fn creator(_: &ShareName, _: Named) -> Result<Option<Process>, Errno> {
    refused(libc::ENOTSUP)
}

/// ENOTSUP.
///
/// # Safety
/// 1. `named` is open: there is none.
/// 2. `number` is below `CLAIMS`.
pub(crate) unsafe fn claim(_: &ShareName, _: Named, _: u64) -> Result<Option<usize>, Errno> {
    refused(libc::ENOTSUP)
}

/// ENOTSUP.
///
/// # Safety
/// 1. `named` is open: there is none.
/// 2. `number` is below `CLAIMS`.
pub(crate) unsafe fn is_claimed(_: &ShareName, _: Named, _: u64) -> Result<bool, Errno> {
    refused(libc::ENOTSUP)
}

/// # Safety
/// 1. `seat` was taken by [`claim`]: there is none.
pub(crate) unsafe fn release_claim(_: usize) {}

/// ENOTSUP.
pub(crate) fn open_bell(_: &ShareName, _: u64) -> Result<usize, Errno> {
    refused(libc::ENOTSUP)
}

/// # Safety
/// 1. `bell` was opened by [`open_bell`]: there is none.
pub(crate) unsafe fn close_bell(_: usize) {}

/// ENOTSUP.
///
/// # Safety
/// 1. `bell` is open, and the one of `word`: there is none.
pub(crate) unsafe fn wait_bell(_: usize, _: &AtomicU32, _: u32, _: u64) -> Result<(), Errno> {
    refused(libc::ENOTSUP)
}

/// # Safety
/// 1. `bell` is open, and the one of `word`: there is none.
pub(crate) unsafe fn ring_bell(_: usize, _: &AtomicU32, _: u32) {}

/// Nothing waits here, so that no clock is needed.
pub(crate) fn monotonic_ns() -> u64 {
    0
}
