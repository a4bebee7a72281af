//! Floor 1. Files that stay as they are, on macOS and FreeBSD: there is no proof to be had, and
//! bytes are copied.

use super::super::lease::{ForkHook, Proof};
use super::super::{Access, Errno};
use super::call::checked;
use super::pages::{place, refused};
use crate::error::Call;
use core::ffi::c_int;
use core::ptr::NonNull;
use std::fs::{File, OpenOptions};

/// These systems hold no writer back.
pub(crate) const HAS_LEASES: bool = false;

/// Nothing would be won: these systems hold no writer back.
///
/// # Safety
/// 1. `file` is an open file, or no file.
pub(crate) unsafe fn open_again(_: usize) -> Result<usize, Errno> {
    refused(libc::EOPNOTSUPP)
}

/// Nobody is kept out.
pub(crate) fn keep_others_out(_: &mut OpenOptions, _: Access) {}

/// The number of a file that is nobody else's any more.
pub(crate) fn into_number(file: File) -> usize {
    use std::os::fd::IntoRawFd;
    let number = file.into_raw_fd() as usize;
    #[cfg(test)]
    super::super::inject::opened(number);
    number
}

/// No file is known to stay as it is.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn standing_proof(_: usize) -> Result<Option<Proof>, Errno> {
    Ok(None)
}

/// These systems have no leases.
///
/// # Safety
/// 1. `file` is open, for this.
/// 2. `keeper` is a thread of ours that does not end.
pub(crate) unsafe fn take_lease(_: usize, _: Access, _: u32) -> Result<(), Errno> {
    refused(libc::EOPNOTSUPP)
}

/// Nobody waits.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn lease_is_wanted(_: usize, _: Access) -> bool {
    false
}

/// There is none.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn give_lease(_: usize) -> Result<(), Errno> {
    refused(libc::EOPNOTSUPP)
}

/// Nobody waits: any number would do.
pub(crate) fn lease_break_secs() -> u32 {
    u32::MAX
}

/// Reads bytes of a file, less than `len` at its end. Call: pread.
///
/// # Safety
/// 1. `file` is open for reading.
/// 2. `ptr..ptr + len` may be written, and nobody else uses it.
pub(crate) unsafe fn read_at(
    file: usize,
    offset: u64,
    ptr: NonNull<u8>,
    len: usize,
) -> Result<usize, Errno> {
    // SAFETY: (1), (2).
    let call = || unsafe { libc::pread(file as c_int, place(ptr), len, offset as libc::off_t) };
    loop {
        match checked(Call::Pread, [file, len], || usize::try_from(call()).ok()) {
            Err(Errno(libc::EINTR, _)) => {}
            told => return told,
        }
    }
}

/// These systems move no pages.
///
/// # Safety
/// 1. `from..from + len` are whole pages of ours.
/// 2. `to..to + len` are whole pages of ours.
pub(crate) unsafe fn move_over(_: NonNull<u8>, _: usize, _: NonNull<u8>) -> Result<(), Errno> {
    refused(libc::EOPNOTSUPP)
}

/// No view depends on it.
///
/// # Safety
/// 1. They could be called.
pub(crate) unsafe fn follow_forks(_: ForkHook, _: ForkHook, _: ForkHook) -> Result<(), Errno> {
    Ok(())
}

/// There is no keeper.
pub(crate) fn mask_of_keeper() {}
