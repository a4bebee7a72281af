//! Floor 1. Files that stay as they are, on Windows: share modes.
//!
//! Who opens a file says what others may open it for while he has it, and is refused if somebody
//! has it already for more (ERROR_SHARING_VIOLATION, 32). Nobody is asked to wait, and nothing is
//! taken back. File systems also refuse whoever denies writing while a view that can be written
//! outlives the handle that it was made with (MmDoesFileHaveUserWritableReferences, as in the
//! fastfat sample of the Windows Driver Kit).

use super::super::lease::{ForkHook, Proof};
use super::super::{Access, Errno};
use super::call::checked;
use super::pages::refused;
use super::section::handle;
use crate::error::Call;
#[cfg(test)]
use crate::sys::inject;
use core::ptr::NonNull;
use std::fs::{File, OpenOptions};
use windows_sys::Win32::Foundation::{
    ERROR_HANDLE_EOF, ERROR_NOT_SUPPORTED, GENERIC_READ, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_READ, ReOpenFile, ReadFile};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};

/// Its opportunistic locks are for servers of files.
pub(crate) const HAS_LEASES: bool = false;

/// The same file, opened once more, to be read while nobody writes. ERROR_SHARING_VIOLATION:
/// somebody has it open for more, this process with `file` itself perhaps. Call: ReOpenFile.
///
/// # Safety
/// 1. `file` is an open file, or no file.
pub(crate) unsafe fn open_again(file: usize) -> Result<usize, Errno> {
    // SAFETY: (1); makes another handle for it, which no child gets.
    let call = || unsafe { ReOpenFile(handle(file), GENERIC_READ, FILE_SHARE_READ, 0) };
    let opened = || Some(call()).filter(|&again| again != INVALID_HANDLE_VALUE);
    let again = checked(Call::ReOpenFile, opened)?.expose_provenance();
    #[cfg(test)]
    inject::opened(again);
    Ok(again)
}

/// What is opened this way nobody else has open for writing, or with [`Access::Write`] at all.
pub(crate) fn keep_others_out(options: &mut OpenOptions, access: Access) {
    use std::os::windows::fs::OpenOptionsExt;
    options.share_mode(match access {
        Access::Read => FILE_SHARE_READ,
        Access::Write => 0,
    });
}

/// The number of a file that is nobody else's any more.
pub(crate) fn into_number(file: File) -> usize {
    use std::os::windows::io::IntoRawHandle;
    let number = file.into_raw_handle().expose_provenance();
    #[cfg(test)]
    inject::opened(number);
    number
}

/// What proves for good that the file does not change: the way it was opened.
///
/// # Safety
/// 1. `file` is open, by [`open_again`] or as [`keep_others_out`] says.
pub(crate) unsafe fn standing_proof(_: usize) -> Result<Option<Proof>, Errno> {
    Ok(Some(Proof::ShareMode))
}

/// Windows has no leases for its programs: its opportunistic locks are for servers of files.
///
/// # Safety
/// 1. `file` is open, for this.
/// 2. `keeper` is a thread of ours that does not end.
pub(crate) unsafe fn take_lease(_: usize, _: Access, _: u32) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
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
    refused(ERROR_NOT_SUPPORTED)
}

/// Nobody waits: any number would do.
pub(crate) fn lease_break_secs() -> u32 {
    u32::MAX
}

/// Reads bytes of a file, less than `len` at its end. Call: ReadFile.
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
    let place = OVERLAPPED_0_0 { Offset: offset as u32, OffsetHigh: (offset >> 32) as u32 };
    let mut request =
        OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: place }, ..OVERLAPPED::default() };
    let (len, mut count) = (u32::try_from(len).unwrap_or(u32::MAX), 0);
    // SAFETY: (1), (2). A file that was not opened for it answers only when it is done.
    let mut call =
        || unsafe { ReadFile(handle(file), ptr.as_ptr(), len, &raw mut count, &raw mut request) };
    match checked(Call::ReadFile, || (call() != 0).then_some(())) {
        Err(Errno(code, _)) if code as u32 == ERROR_HANDLE_EOF => Ok(0),
        done => done.map(|()| count as usize),
    }
}

/// Windows lays nothing over a view.
///
/// # Safety
/// 1. `from..from + len` are whole pages of ours.
/// 2. `to..to + len` are whole pages of ours.
pub(crate) unsafe fn move_over(_: NonNull<u8>, _: usize, _: NonNull<u8>) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Windows has no fork.
///
/// # Safety
/// 1. They could be called.
pub(crate) unsafe fn follow_forks(_: ForkHook, _: ForkHook, _: ForkHook) -> Result<(), Errno> {
    Ok(())
}

/// Windows has no signals that a thread could take.
pub(crate) fn mask_of_keeper() {}
