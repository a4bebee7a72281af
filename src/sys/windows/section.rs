//! Floor 1. Files as memory on Windows: sections and views of them.

use super::super::cache::CacheState;
#[cfg(test)]
use super::super::inject;
use super::super::section::{Backing, Durability, Sharing};
use super::super::{Access, Errno};
use super::call::{checked, checked_at};
use super::info::limits;
use super::mirror::unmap;
use super::pages::{process, refused};
use crate::error::Call;
use core::ops::Range;
use core::ptr::{NonNull, null, null_mut, with_exposed_provenance_mut};
use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_BAD_FILE_TYPE, ERROR_NOT_SUPPORTED,
    HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_END_OF_FILE_INFO, FILE_TYPE_DISK, FileEndOfFileInfo, FlushFileBuffers, GetFileSizeEx,
    GetFileType, SetFileInformationByHandle,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_COPY, FILE_MAP_READ, FILE_MAP_WRITE, FlushViewOfFile,
    MapViewOfFile, PAGE_READWRITE, PAGE_WRITECOPY,
};

/// What the offset of a view is a multiple of: the granularity.
pub(crate) fn view_step() -> usize {
    limits().granularity
}

/// The number of a file of the standard library.
#[cfg(feature = "std")]
pub(crate) fn number_of(file: &std::fs::File) -> usize {
    use std::os::windows::io::AsRawHandle;
    file.as_raw_handle().expose_provenance()
}

/// The numbers are handles, which Windows compares and never follows.
pub(super) fn handle(number: usize) -> HANDLE {
    with_exposed_provenance_mut(number)
}

/// A section of a file, to be read or to be written, and its length. An empty file has no section.
/// ERROR_BAD_FILE_TYPE: it is no file of bytes. Calls: GetFileType, DuplicateHandle, GetFileSizeEx,
/// CreateFileMappingW; after an error CloseHandle.
///
/// # Safety
/// 1. `file` is an open file, or no file.
pub(crate) unsafe fn file_backing(file: usize, access: Access) -> Result<(Backing, u64), Errno> {
    // SAFETY: (1); asks only.
    let kind = checked(Call::GetFileType, || Some(unsafe { GetFileType(handle(file)) }))?;
    if kind != FILE_TYPE_DISK {
        return refused(ERROR_BAD_FILE_TYPE);
    }
    // SAFETY: (1).
    let file = unsafe { duplicate(file) }?;
    let mut backing = Backing { file, object: Backing::NOTHING };
    let made = len_of(file).and_then(|len| {
        if len > 0 {
            let rights = match access {
                Access::Read => PAGE_WRITECOPY,
                Access::Write => PAGE_READWRITE,
            };
            // SAFETY: (1) ours; length 0 stands for all of it.
            backing.object = unsafe { create(handle(file), rights, 0) }?;
        }
        Ok((backing, len))
    });
    // SAFETY: (1) ours, known to nobody. The first error is the one to tell.
    made.inspect_err(|_| unsafe { close_backing(Backing { file, object: Backing::NOTHING }) })
}

/// # Safety
/// 1. `file` is an open file, or no file.
pub(super) unsafe fn duplicate(file: usize) -> Result<usize, Errno> {
    let mut own = null_mut();
    let (us, how) = (process(), DUPLICATE_SAME_ACCESS);
    // SAFETY: (1); makes another handle for it, which no child gets.
    let mut call = || unsafe { DuplicateHandle(us, handle(file), us, &raw mut own, 0, 0, how) };
    checked(Call::DuplicateHandle, || (call() != 0).then_some(()))?;
    let own = own.expose_provenance();
    #[cfg(test)]
    inject::opened(own);
    Ok(own)
}

/// # Safety
/// 1. `file` is open, or `INVALID_HANDLE_VALUE` for memory of the page file.
pub(super) unsafe fn create(file: HANDLE, rights: u32, len: u64) -> Result<usize, Errno> {
    let (high, low) = ((len >> 32) as u32, len as u32);
    // SAFETY: (1); no attributes and no name.
    let call = || unsafe { CreateFileMappingW(file, null(), rights, high, low, null()) };
    let made = || Some(call()).filter(|section| !section.is_null());
    let section = checked(Call::CreateFileMapping, made)?.expose_provenance();
    #[cfg(test)]
    inject::opened(section);
    Ok(section)
}

fn len_of(file: usize) -> Result<u64, Errno> {
    let mut len = 0i64;
    // SAFETY: the system writes one number.
    let mut call = || unsafe { GetFileSizeEx(handle(file), &raw mut len) };
    checked(Call::GetFileSizeEx, || (call() != 0).then_some(()))?;
    Ok(len as u64)
}

/// `len` bytes of memory of the page file, which read zero. All of it is promised now. Call:
/// CreateFileMappingW.
pub(crate) fn memory_backing(len: u64) -> Result<Backing, Errno> {
    // SAFETY: (1) no file.
    let object = unsafe { create(INVALID_HANDLE_VALUE, PAGE_READWRITE, len) }?;
    Ok(Backing { file: Backing::NOTHING, object })
}

/// The file once more, for whoever outlives the backing, and with `is_whole` what views are made
/// of, too. Calls: DuplicateHandle, once for each; after an error
/// CloseHandle.
///
/// # Safety
/// 1. The backing is open.
pub(crate) unsafe fn backing_again(backing: Backing, is_whole: bool) -> Result<Backing, Errno> {
    let mut again = Backing { file: Backing::NOTHING, object: Backing::NOTHING };
    if backing.file != Backing::NOTHING {
        // SAFETY: (1).
        again.file = unsafe { duplicate(backing.file) }?;
    }
    if is_whole && backing.object != Backing::NOTHING {
        // SAFETY: (1).
        match unsafe { duplicate(backing.object) } {
            Ok(object) => again.object = object,
            Err(errno) => {
                // SAFETY: (1) ours, known to nobody.
                unsafe { close_backing(again) };
                return Err(errno);
            }
        }
    }
    Ok(again)
}

/// Closes what was opened; views stay. Call: CloseHandle.
///
/// # Safety
/// 1. Opened by us, and not used again.
pub(crate) unsafe fn close_backing(backing: Backing) {
    for number in [backing.object, backing.file] {
        if number != Backing::NOTHING {
            // SAFETY: (1). It is open, so that this cannot fail.
            let call = || unsafe { CloseHandle(handle(number)) };
            let _ = checked(Call::CloseHandle, || (call() != 0).then_some(()));
            #[cfg(test)]
            inject::closed(number);
        }
    }
}

/// The length of the file now. Call: GetFileSizeEx.
///
/// # Safety
/// 1. The backing is open, and a file.
pub(crate) unsafe fn stored_len(backing: Backing) -> Result<u64, Errno> {
    len_of(backing.file)
}

/// A new length for a file; what is added reads zero. ERROR_USER_MAPPED_FILE: what it would lose is
/// mapped. Call: SetFileInformationByHandle.
///
/// # Safety
/// 1. `file` is open.
/// 2. Nobody relies on the bytes that it loses.
pub(crate) unsafe fn set_len(file: usize, len: u64) -> Result<(), Errno> {
    let end = FILE_END_OF_FILE_INFO { EndOfFile: len as i64 };
    let (size, what) = (size_of_val(&end) as u32, FileEndOfFileInfo);
    // SAFETY: (1), (2); the system reads the structure of that request.
    let call =
        || unsafe { SetFileInformationByHandle(handle(file), what, (&raw const end).cast(), size) };
    checked(Call::SetFileInformationByHandle, || (call() != 0).then_some(()))
}

/// Makes the file `to` bytes long at least. Windows takes a place on the disk for all of it unless
/// the file is sparse: a disk that is full says so here. Calls: GetFileSizeEx,
/// SetFileInformationByHandle.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn allocate_len(file: usize, _: u64, to: u64) -> Result<(), Errno> {
    if len_of(file)? >= to {
        return Ok(());
    }
    // SAFETY: (1); (2) it becomes longer.
    unsafe { set_len(file, to) }
}

/// Maps `len` bytes from `offset` on. Call: MapViewOfFile.
///
/// # Safety
/// 1. The backing is open.
pub(crate) unsafe fn map_view(
    backing: Backing,
    offset: u64,
    len: usize,
    sharing: Sharing,
) -> Result<NonNull<u8>, Errno> {
    let rights = match sharing {
        Sharing::Read => FILE_MAP_READ,
        Sharing::Write => FILE_MAP_READ | FILE_MAP_WRITE,
        Sharing::Copy => FILE_MAP_COPY,
    };
    let (high, low) = ((offset >> 32) as u32, offset as u32);
    // SAFETY: (1); the system picks free addresses.
    let call = || unsafe { MapViewOfFile(handle(backing.object), rights, high, low, len) };
    let view: NonNull<u8> = checked(Call::MapViewOfFile, || NonNull::new(call().Value))?.cast();
    #[cfg(test)]
    inject::mapped(view.addr().get(), len);
    Ok(view)
}

/// Takes a view away. Call: UnmapViewOfFile.
///
/// # Safety
/// 1. `ptr` and `len` are those of a view, and nobody uses it any more.
pub(crate) unsafe fn unmap_view(ptr: NonNull<u8>, _: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { unmap(ptr) }
}

/// Windows lays nothing over a view, and takes no page of one away: a file that is mapped cannot be
/// made shorter.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view that is ours.
/// 2. Nobody relies on what they show.
pub(crate) unsafe fn patch_view(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// This system does not tell which pages of a view are copies.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view.
pub(crate) unsafe fn first_copies(_: NonNull<u8>, _: usize) -> Result<Option<Range<usize>>, Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// This system does not take copies back.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view that copies what is written.
/// 2. Nobody needs what was written to them.
pub(crate) unsafe fn forget_copies(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Brings what was written to a view to the disk: see [`Durability`]. Calls: FlushViewOfFile, which
/// begins to write; but for `Start` also FlushFileBuffers, which waits for it, and for the disk.
///
/// # Safety
/// 1. `ptr..ptr + len` lies in a view of the file.
pub(crate) unsafe fn flush_view(
    backing: Backing,
    _: u64,
    ptr: NonNull<u8>,
    len: usize,
    durability: Durability,
) -> Result<(), Errno> {
    // SAFETY: (1); the content stays.
    let call = || unsafe { FlushViewOfFile(ptr.as_ptr().cast(), len) };
    checked_at(Call::FlushViewOfFile, [ptr.addr().get(), len], || (call() != 0).then_some(()))?;
    if durability == Durability::Start {
        return Ok(());
    }
    // SAFETY: (1) an open file.
    let call = || unsafe { FlushFileBuffers(handle(backing.file)) };
    checked(Call::FlushFileBuffers, || (call() != 0).then_some(()))
}

/// This system does not tell what its cache has of a file.
///
/// # Safety
/// 1. The backing is open.
/// 2. `len` is not 0, and the range lies in what can be mapped.
pub(crate) unsafe fn cache_state(_: Backing, _: u64, _: usize) -> Result<CacheState, Errno> {
    refused(ERROR_NOT_SUPPORTED)
}
