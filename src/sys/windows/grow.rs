//! Floor 1. Files that grow on Windows: views that are glued one behind the other.
//!
//! A section is as long as it was made, so each growth makes a new one and maps its new end behind
//! the view that is there. Windows maps a view only where nothing is reserved, so for that moment
//! the rest of the area is given up and taken again; if another thread takes addresses there
//! meanwhile, it is tried again, and in the end refused, with all that is mapped as it was.
//!
//! (Placeholders, of Windows 10, and `NtExtendSection` would close that gap. Neither can be tried
//! under Wine, where this is tested, so there is this one way for all.)

use super::super::Errno;
use super::super::grow::Area;
#[cfg(test)]
use super::super::inject;
use super::super::section::{Backing, Durability};
use super::call::{checked, checked_at};
use super::maps::mapping_at_or_above;
use super::mirror::unmap;
use super::pages::{ATTEMPTS, address_from, allocate, free, refused};
use super::process::yield_now;
use super::section::{close_backing, create, handle, set_len, view_step};
use crate::error::Call;
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::AtomicPtr;
use windows_sys::Win32::Foundation::{ERROR_INVALID_ADDRESS, ERROR_NOT_SUPPORTED};
use windows_sys::Win32::Storage::FileSystem::{FlushFileBuffers, WriteFile};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Memory::{
    FILE_MAP_READ, FILE_MAP_WRITE, FlushViewOfFile, MEM_RELEASE, MEM_RESERVE, MapViewOfFileEx,
    PAGE_NOACCESS, PAGE_READWRITE,
};
use windows_sys::Win32::System::Threading::{
    AcquireSRWLockExclusive, ReleaseSRWLockExclusive, SRWLOCK,
};

/// `MEM_TOP_DOWN`, which `windows-sys` has among other things that nobody needs here.
const TOP_DOWN: u32 = 0x10_0000;

/// Reserves the addresses; nothing is mapped. They are the highest that are free: who asks for none
/// in particular gets low ones, and so not those that a growth gives up for a moment. Call:
/// VirtualAlloc.
///
/// # Safety
/// 1. The backing is open, for reading and writing.
pub(crate) unsafe fn reserve_area(_: Backing, len: usize) -> Result<Area, Errno> {
    // SAFETY: (1) the system picks free addresses.
    let start = alone(|| unsafe { allocate(0, len, MEM_RESERVE | TOP_DOWN, PAGE_NOACCESS) })?;
    Ok(Area { start, len, mapped: 0, rest: len })
}

/// Maps what is between the mapped part and `to`. An area of which nothing is mapped yet may get
/// another place by that. ERROR_INVALID_ADDRESS: somebody else has taken the addresses behind it.
/// Calls: CreateFileMappingW, VirtualFree, MapViewOfFileEx, VirtualAlloc, until it succeeds;
/// CloseHandle.
///
/// # Safety
/// 1. The area is one of this file, which is `to` bytes long at least.
pub(crate) unsafe fn extend_area(
    backing: Backing,
    area: &mut Area,
    to: usize,
) -> Result<(), Errno> {
    if to <= area.mapped {
        return Ok(());
    }
    // SAFETY: (1) an open file.
    let section = unsafe { create(handle(backing.file), PAGE_READWRITE, to as u64) }?;
    let done = alone(|| glue(section, area, to));
    // SAFETY: (1) ours; the view keeps the section.
    unsafe { close_backing(Backing { file: Backing::NOTHING, object: section }) };
    done
}

/// What asks for the highest free addresses here must not get those that another growth gives up
/// for a moment: one at a time. Calls: AcquireSRWLockExclusive, ReleaseSRWLockExclusive.
fn alone<T>(act: impl FnOnce() -> T) -> T {
    static LOCK: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    let lock = LOCK.as_ptr().cast::<SRWLOCK>();
    // SAFETY: null is a lock that nobody has, and it stays where it is.
    unsafe { AcquireSRWLockExclusive(lock) };
    let done = act();
    // SAFETY: taken above, by this thread.
    unsafe { ReleaseSRWLockExclusive(lock) };
    done
}

fn glue(section: usize, area: &mut Area, to: usize) -> Result<(), Errno> {
    let mut last = Errno(ERROR_INVALID_ADDRESS as i32, Call::None);
    for _ in 0..ATTEMPTS {
        let place = behind(area);
        if area.rest > 0 {
            // SAFETY: (1) reserved by us, and nothing is there.
            unsafe { free(place, 0, MEM_RELEASE) }?;
            area.rest = 0;
        }
        let view = map_at(section, area.mapped, to - area.mapped, place);
        if view.is_ok() {
            area.mapped = to;
        }
        reserve_rest(area);
        match view {
            Err(errno) if errno.0 == ERROR_INVALID_ADDRESS as i32 => last = errno,
            done => return done,
        }
        if area.mapped == 0 && area.rest == 0 {
            move_elsewhere(area);
        }
        yield_now(); // whoever is there may go again
    }
    Err(last)
}

/// Nobody knows yet where the area is: other addresses will do.
fn move_elsewhere(area: &mut Area) {
    // SAFETY: (1) the system picks free addresses.
    if let Ok(start) = unsafe { allocate(0, area.len, MEM_RESERVE | TOP_DOWN, PAGE_NOACCESS) } {
        (area.start, area.rest) = (start, area.len);
    }
}

/// The first address that is not mapped.
fn behind(area: &Area) -> NonNull<u8> {
    // SAFETY: inside the area, or at its end.
    unsafe { area.start.add(area.mapped) }
}

/// Takes the addresses behind the views again. Where somebody else was faster they are asked for
/// once more at the next growth.
fn reserve_rest(area: &mut Area) {
    let (place, len) = (behind(area).addr().get(), area.len - area.mapped);
    if len > 0 {
        // SAFETY: (1) free addresses, or refused.
        let taken = unsafe { allocate(place, len, MEM_RESERVE, PAGE_NOACCESS) };
        area.rest = if taken.is_ok() { len } else { 0 };
    }
}

/// Lays a view of the file from `offset` on at a free address. Call: MapViewOfFileEx.
fn map_at(section: usize, offset: usize, len: usize, place: NonNull<u8>) -> Result<(), Errno> {
    let wanted = address_from(place.addr().get());
    let rights = FILE_MAP_READ | FILE_MAP_WRITE;
    let (high, low) = ((offset as u64 >> 32) as u32, offset as u32);
    // SAFETY: a view takes free addresses only, those and no others.
    let call = || unsafe { MapViewOfFileEx(handle(section), rights, high, low, len, wanted) };
    let view = checked(Call::MapViewOfFile, || NonNull::new(call().Value))?;
    #[cfg(test)]
    inject::mapped(view.addr().get(), len);
    debug_assert_eq!(view.addr(), place.addr());
    Ok(())
}

/// Takes the addresses away. Calls: VirtualQuery and UnmapViewOfFile for each view, VirtualFree.
///
/// # Safety
/// 1. Nobody uses the area any more.
pub(crate) unsafe fn release_area(area: Area) -> Result<(), Errno> {
    let mut done = Ok(());
    if area.rest > 0 {
        // SAFETY: (1) reserved by us.
        done = unsafe { free(behind(&area), 0, MEM_RELEASE) };
    }
    let (start, mut place) = (area.start.addr().get(), 0);
    while place < area.mapped {
        let told = mapping_at_or_above(start + place);
        // Each view begins where the one before ends. Where nobody tells its end, it is looked for.
        let view = told.ok().flatten().map(|view| view.allocation_base..view.end);
        let view = view.unwrap_or(start + place..start + place + view_step());
        if view.start >= start + area.mapped {
            break;
        }
        // SAFETY: inside the area.
        let first = unsafe { area.start.add(view.start - start) };
        // SAFETY: (1) a view of ours, or, where nobody tells, the middle of one.
        let unmapped = unsafe { unmap(first) };
        // What nobody told, and what did not go, may be there still.
        done = done.and(unmapped.map_err(|errno| told.err().unwrap_or(errno)));
        place = view.end - start;
    }
    done
}

/// Acts on the parts of `from..from + len` that lie in one view each.
fn for_each_view(
    area: &Area,
    from: usize,
    len: usize,
    mut act: impl FnMut(NonNull<u8>, usize) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (start, mut place) = (area.start.addr().get(), from);
    while place < from + len {
        let view = mapping_at_or_above(start + place)?;
        let end = view.map_or(from + len, |view| (view.end - start).min(from + len));
        // SAFETY: inside the area.
        act(unsafe { area.start.add(place) }, end - place)?;
        place = end;
    }
    Ok(())
}

/// Makes the file longer, from `from` bytes to `to`. All that is added has a place on the disk,
/// unless the file is sparse, and reads zero, but for `last`, which is at the new end and there as
/// soon as the length is. Call: WriteFile; after an error SetFileInformationByHandle.
///
/// # Safety
/// 1. `file` is open for reading and writing, and `from` bytes long.
pub(crate) unsafe fn extend_file(
    file: usize,
    from: u64,
    to: u64,
    last: &[u8],
) -> Result<(), Errno> {
    let place = to - last.len() as u64;
    let (mut how, mut written) = (OVERLAPPED::default(), 0);
    how.Anonymous.Anonymous.Offset = place as u32;
    how.Anonymous.Anonymous.OffsetHigh = (place >> 32) as u32;
    let (bytes, len) = (last.as_ptr(), last.len() as u32);
    // SAFETY: (1); the system reads the bytes.
    let mut call =
        || unsafe { WriteFile(handle(file), bytes, len, &raw mut written, &raw mut how) };
    let done = checked(Call::WriteFile, || (call() != 0).then_some(()));
    if done.is_err() {
        // The first error is the one to tell.
        // SAFETY: (1); (2) nobody has seen them.
        let _ = unsafe { set_len(file, from) };
    }
    done
}

/// Windows does not promise that views show what is written past them.
///
/// # Safety
/// 1. `file` is open for writing.
/// 2. Nobody relies on the bytes that were there.
pub(crate) unsafe fn write_file(_: usize, _: &[u8], _: u64) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Nothing is written past views here.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn sync_range(_: usize, _: u64, _: usize, _: Durability) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Windows takes no place of a file back while it is mapped.
///
/// # Safety
/// 1. `file` is open for writing.
/// 2. Nobody needs what is there.
pub(crate) unsafe fn punch_hole(_: usize, _: u64, _: u64) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// Brings a part of the area to the disk, as [`flush_view`](super::flush_view) does. Calls:
/// VirtualQuery and FlushViewOfFile for each view; FlushFileBuffers.
///
/// # Safety
/// 1. The area is one of this file, and `from..from + len` lies in it.
pub(crate) unsafe fn flush_area(
    backing: Backing,
    area: &Area,
    from: usize,
    len: usize,
    durability: Durability,
) -> Result<(), Errno> {
    for_each_view(area, from, len, |part, len| {
        // SAFETY: (1) inside one view; the content stays.
        let call = || unsafe { FlushViewOfFile(part.as_ptr().cast(), len) };
        checked_at(Call::FlushViewOfFile, [part.addr().get(), len], || (call() != 0).then_some(()))
    })?;
    // SAFETY: (1) an open file.
    if durability == Durability::Start { Ok(()) } else { unsafe { sync_file(backing.file) } }
}

/// Brings all of a file to the disk. Call: FlushFileBuffers.
///
/// # Safety
/// 1. `file` is open for writing.
pub(crate) unsafe fn sync_file(file: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    let call = || unsafe { FlushFileBuffers(handle(file)) };
    checked(Call::FlushFileBuffers, || (call() != 0).then_some(()))
}
