//! Floor 1. Handles of memory on macOS and FreeBSD, as the standard library has them: file numbers.

use super::super::section::Backing;
use super::super::{Access, Errno};
use super::section::{duplicate, file_backing};

/// What programs hand to one another.
pub(crate) use std::os::fd::{AsFd as AsHandle, OwnedFd as OwnedHandle};

/// Its number.
pub(crate) fn number_of_handle(handle: &impl AsHandle) -> usize {
    use std::os::fd::AsRawFd;
    handle.as_fd().as_raw_fd() as usize
}

/// A number of what views are made of, for somebody else. Call: fcntl.
pub(crate) fn handle_of(backing: Backing) -> Result<OwnedHandle, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: (1) open.
    let number = unsafe { duplicate(backing.mapped()) }?;
    // SAFETY: a file number of our own, which is handed over.
    Ok(unsafe { OwnedHandle::from_raw_fd(number as i32) })
}

/// Memory that somebody has handed to this process, and its length: a file. Calls: those of
/// `file_backing`.
///
/// # Safety
/// 1. The file is open.
pub(crate) unsafe fn received(number: usize) -> Result<(Backing, u64), Errno> {
    // SAFETY: (1).
    unsafe { file_backing(number, Access::Write) }
}
