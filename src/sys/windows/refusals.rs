//! Floor 1, tests only. What the calls of Windows answer when they refuse; what they take and give.

use super::super::inject;
use crate::error::Call;
use core::ptr::NonNull;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_COMMITMENT_LIMIT, ERROR_DISK_FULL, ERROR_INVALID_ADDRESS,
    ERROR_INVALID_PARAMETER, ERROR_IO_DEVICE, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOACCESS,
    ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_LOCKED, ERROR_SHARING_VIOLATION, ERROR_WORKING_SET_QUOTA,
};
use windows_sys::Win32::System::Memory::{MEM_PRESERVE_PLACEHOLDER, MEM_RELEASE, MEM_RESERVE};

/// The numbers that a call really gives, the usual one first. Empty: the call is never refused,
/// because it cannot be or because nobody reads its answer.
///
/// | call | number | when the system gives it |
/// |---|---|---|
/// | VirtualAlloc, VirtualAllocExNuma | ERROR_NOT_ENOUGH_MEMORY | no addresses, no memory |
/// | | ERROR_COMMITMENT_LIMIT | no memory to promise |
/// | VirtualAlloc2 | the same | |
/// | | ERROR_INVALID_PARAMETER | a system that does not know the request |
/// | VirtualFree | ERROR_NO_SYSTEM_RESOURCES | no pool to split the range's descriptor |
/// | VirtualProtect | ERROR_NOT_ENOUGH_MEMORY, ERROR_COMMITMENT_LIMIT | no memory to promise |
/// | VirtualQuery | ERROR_NO_SYSTEM_RESOURCES | short of something for a moment |
/// | VirtualLock | ERROR_WORKING_SET_QUOTA, ERROR_NOACCESS | the limit; some page not there |
/// | VirtualUnlock | ERROR_NOT_LOCKED | the system had to drop the lock |
/// | PrefetchVirtualMemory, DiscardVirtualMemory | ERROR_NOT_ENOUGH_MEMORY | short of memory |
/// | GetWriteWatch, ResetWriteWatch | ERROR_INVALID_PARAMETER | the range is not watched |
/// | CreateFileMapping | ERROR_COMMITMENT_LIMIT | no memory to promise |
/// | OpenFileMapping, CreateSemaphore | ERROR_NOT_ENOUGH_MEMORY | no memory for the handle |
/// | MapViewOfFile, MapViewOfFile3 | ERROR_NOT_ENOUGH_MEMORY | no addresses |
/// | | ERROR_INVALID_ADDRESS | the wanted ones are taken |
/// | UnmapViewOfFile | ERROR_NO_SYSTEM_RESOURCES | as for VirtualFree |
/// | DuplicateHandle | ERROR_NOT_ENOUGH_MEMORY | no memory for the table of handles |
/// | ReOpenFile | ERROR_SHARING_VIOLATION | somebody has it open for more |
/// | ReadFile | ERROR_IO_DEVICE | the device |
/// | GetFileSizeEx | ERROR_NO_SYSTEM_RESOURCES | short of something for a moment |
/// | SetFileInformationByHandle, WriteFile | ERROR_DISK_FULL | as it says |
/// | FlushViewOfFile, FlushFileBuffers | ERROR_DISK_FULL | as it says, after all |
/// | QueryWorkingSetEx | ERROR_ACCESS_DENIED | a policy |
/// | AddVectoredExceptionHandler | ERROR_NOT_ENOUGH_MEMORY | no memory for the list of handlers |
pub(crate) const fn refusals(call: Call) -> &'static [i32] {
    const NO_MEMORY: i32 = ERROR_NOT_ENOUGH_MEMORY as i32;
    const NO_PROMISE: i32 = ERROR_COMMITMENT_LIMIT as i32;
    const NO_RESOURCES: i32 = ERROR_NO_SYSTEM_RESOURCES as i32;
    const NOT_KNOWN: i32 = ERROR_INVALID_PARAMETER as i32;
    match call {
        Call::VirtualAlloc | Call::VirtualAllocExNuma | Call::VirtualProtect => {
            &[NO_MEMORY, NO_PROMISE]
        }
        Call::VirtualAlloc2 => &[NO_MEMORY, NO_PROMISE, NOT_KNOWN],
        Call::VirtualFree | Call::VirtualQuery | Call::UnmapViewOfFile => &[NO_RESOURCES],
        Call::VirtualLock => &[ERROR_WORKING_SET_QUOTA as i32, ERROR_NOACCESS as i32],
        Call::VirtualUnlock => &[ERROR_NOT_LOCKED as i32],
        Call::PrefetchVirtualMemory
        | Call::DiscardVirtualMemory
        | Call::AddVectoredExceptionHandler => &[NO_MEMORY],
        Call::GetWriteWatch | Call::ResetWriteWatch => &[NOT_KNOWN],
        Call::CreateFileMapping => &[NO_PROMISE],
        Call::MapViewOfFile | Call::MapViewOfFile3 => &[NO_MEMORY, ERROR_INVALID_ADDRESS as i32],
        Call::ReOpenFile => &[ERROR_SHARING_VIOLATION as i32],
        Call::ReadFile => &[ERROR_IO_DEVICE as i32],
        Call::DuplicateHandle | Call::OpenFileMapping | Call::CreateSemaphore => &[NO_MEMORY],
        Call::GetFileSizeEx => &[NO_RESOURCES],
        Call::SetFileInformationByHandle
        | Call::WriteFile
        | Call::FlushViewOfFile
        | Call::FlushFileBuffers => &[ERROR_DISK_FULL as i32],
        Call::QueryWorkingSetEx => &[ERROR_ACCESS_DENIED as i32],
        _ => &[],
    }
}

/// Writes into the ledger what an allocation has taken; a commit takes no addresses.
pub(super) fn note_alloc(base: NonNull<u8>, len: usize, how: u32) {
    if how & MEM_RESERVE != 0 {
        inject::mapped(base.addr().get(), len);
    }
}

/// Writes into the ledger what was given back.
pub(super) fn note_free(base: NonNull<u8>, len: usize, how: u32) {
    if how & MEM_PRESERVE_PLACEHOLDER != 0 {
        // Cut in two, and still there.
        inject::mapped(base.addr().get(), len);
    } else if how & MEM_RELEASE != 0 {
        inject::unmapped(base.addr().get(), len);
    }
}
