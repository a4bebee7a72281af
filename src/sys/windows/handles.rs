//! Floor 1. Handles of memory on Windows, as the standard library has them.

use super::super::Errno;
#[cfg(test)]
use super::super::inject;
use super::super::section::Backing;
use super::section::{duplicate, handle};
use super::shared::{close, len_of, section};

/// What programs hand to one another.
pub(crate) use std::os::windows::io::{AsHandle, OwnedHandle};

/// Its number.
pub(crate) fn number_of_handle(handle: &impl AsHandle) -> usize {
    use std::os::windows::io::AsRawHandle;
    handle.as_handle().as_raw_handle().expose_provenance()
}

/// A handle of what views are made of, for somebody else.
pub(crate) fn handle_of(backing: Backing) -> Result<OwnedHandle, Errno> {
    use std::os::windows::io::FromRawHandle;
    // SAFETY: (1) open.
    let number = unsafe { duplicate(backing.object) }?;
    #[cfg(test)]
    inject::closed(number);
    // SAFETY: a handle of our own, which is handed over.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle(number)) })
}

/// A section that somebody has handed to this process, and its length in whole pages. Calls:
/// DuplicateHandle and those of [`open_named`] behind the first.
///
/// # Safety
/// 1. The handle is open.
pub(crate) unsafe fn received(number: usize) -> Result<(Backing, u64), Errno> {
    // SAFETY: (1).
    let object = unsafe { duplicate(number) }?;
    match len_of(object) {
        Ok(len) => Ok((section(object), len)),
        Err(errno) => {
            close(object);
            Err(errno)
        }
    }
}
