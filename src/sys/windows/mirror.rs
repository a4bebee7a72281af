//! Floor 1. The same memory twice, side by side, on Windows: two views of a section.
//!
//! Since Windows 10, version 1803, a range can be reserved as a placeholder, cut in two, and each
//! half be replaced by a view, so that no other thread gets in between. Before that, and under Wine,
//! the range has to be given back before the views can have it; if somebody is faster it is tried
//! again elsewhere.

use super::super::Errno;
use super::call::{checked, checked_at};
use super::late::{MapViewOfFile3, VirtualAlloc2, map_view_of_file_3, virtual_alloc_2};
use super::pages::{allocate, free, is_missing};
use crate::error::{Call, Op};
use core::ffi::c_void;
use core::ptr::{NonNull, null, null_mut};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_INVALID_ADDRESS, ERROR_NOT_ENOUGH_MEMORY, ERROR_PROC_NOT_FOUND, HANDLE,
    INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEM_PRESERVE_PLACEHOLDER, MEM_RELEASE,
    MEM_REPLACE_PLACEHOLDER, MEM_RESERVE, MEM_RESERVE_PLACEHOLDER, MEMORY_MAPPED_VIEW_ADDRESS,
    MapViewOfFileEx, PAGE_NOACCESS, PAGE_READWRITE, UnmapViewOfFile,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// How often the range may be lost to another thread before we give up.
const ATTEMPTS: usize = 64;

/// A way to map a section twice: its handle, and the bytes of one view.
type Way = unsafe fn(HANDLE, usize) -> Result<NonNull<u8>, Errno>;

/// Processes are not copied on Windows. No call.
pub(crate) const fn generation() -> u32 {
    0
}

/// `2 * len` bytes of addresses whose second half is the same memory as the first, reading zero.
/// The memory is promised now. An error names the step that failed.
///
/// Calls: CreateFileMappingW, CloseHandle; VirtualAlloc2, VirtualFree, and MapViewOfFile3 twice; or
/// VirtualAlloc, VirtualFree, and MapViewOfFileEx twice, until nobody was faster.
///
/// `len` is a multiple of the granularity, not 0, and twice of it fits an address.
pub(crate) fn mirror(len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    mirror_by(&[with_placeholders, by_trial], len)
}

/// Tries the ways in turn: the next one if the system does not know what one needs.
fn mirror_by(ways: &[Way], len: usize) -> Result<NonNull<u8>, (Op, Errno)> {
    let section = create_section(len).map_err(|errno| (Op::Mirror, errno))?;
    let mut made = Err(Errno(ERROR_PROC_NOT_FOUND as i32, Call::None));
    for way in ways {
        // SAFETY: (1) a section of that length, made above.
        made = unsafe { way(section, len) };
        match made {
            Err(Errno(code, _)) if is_missing(code as u32) => {}
            _ => break,
        }
    }
    // SAFETY: made above and used by nobody; its views keep the memory.
    let close = || (unsafe { CloseHandle(section) } != 0).then_some(());
    // Its error says nothing that could be acted on.
    let _ = checked(Call::CloseHandle, close);
    #[cfg(test)]
    crate::sys::inject::closed(section.addr());
    made.map_err(|errno| {
        let is_view = matches!(errno.1, Call::MapViewOfFile | Call::MapViewOfFile3);
        (if is_view { Op::Mirror } else { Op::Reserve }, errno)
    })
}

/// Gives a mirror back. Call: UnmapViewOfFile, twice.
///
/// # Safety
/// 1. `ptr` was made by [`mirror`] of `len` bytes, and nobody uses it any more.
pub(crate) unsafe fn unmirror(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1) the second view.
    let second = unsafe { unmap(second_view(ptr, len), len) };
    // SAFETY: (1) the first view.
    let first = unsafe { unmap(ptr, len) };
    first.and(second)
}

/// The address of the second half, with the provenance of the first.
fn second_view(ptr: NonNull<u8>, len: usize) -> NonNull<u8> {
    ptr.map_addr(|addr| addr.checked_add(len).expect("both views fit the addresses"))
}

fn create_section(len: usize) -> Result<HANDLE, Errno> {
    let (high, low) = ((len as u64 >> 32) as u32, len as u32);
    // SAFETY: no file, no name, no attributes: memory that only this process knows.
    let section = || unsafe {
        CreateFileMappingW(INVALID_HANDLE_VALUE, null(), PAGE_READWRITE, high, low, null())
    };
    let made = || Some(section()).filter(|section| !section.is_null());
    let section = checked(Call::CreateFileMapping, made)?;
    #[cfg(test)]
    crate::sys::inject::opened(section.addr());
    Ok(section)
}

/// Calls: VirtualAlloc2, VirtualFree, MapViewOfFile3 twice.
///
/// # Safety
/// 1. `section` is one of `len` bytes.
unsafe fn with_placeholders(section: HANDLE, len: usize) -> Result<NonNull<u8>, Errno> {
    let (Some(reserve), Some(map)) = (virtual_alloc_2(), map_view_of_file_3()) else {
        return Err(Errno(ERROR_PROC_NOT_FOUND as i32, Call::None));
    };
    // SAFETY: answers a constant.
    let process = unsafe { GetCurrentProcess() };
    let first = reserve_placeholder(reserve, process, 2 * len)?;
    let second = second_view(first, len);
    // SAFETY: (1) the placeholder made above: it is cut in two.
    let cut = unsafe { free(first, len, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER) };
    #[cfg(test)]
    if cut.is_ok() {
        crate::sys::inject::mapped(first.addr().get(), len);
    }
    if let Err(errno) = cut {
        // SAFETY: (1) whole still, and known to nobody. The first error is the one to tell.
        let _ = unsafe { free(first, 0, MEM_RELEASE) };
        return Err(errno);
    }
    // SAFETY: (1) of this function; the first placeholder.
    if let Err(errno) = unsafe { replace(map, process, section, first, len) } {
        // SAFETY: (1) both are placeholders still.
        let _ = unsafe { free(first, 0, MEM_RELEASE) };
        // SAFETY: as above.
        let _ = unsafe { free(second, 0, MEM_RELEASE) };
        return Err(errno);
    }
    // SAFETY: (1) of this function; the second placeholder.
    if let Err(errno) = unsafe { replace(map, process, section, second, len) } {
        // SAFETY: (1) the view made above.
        let _ = unsafe { unmap(first, len) };
        // SAFETY: (1) a placeholder still.
        let _ = unsafe { free(second, 0, MEM_RELEASE) };
        return Err(errno);
    }
    Ok(first)
}

fn reserve_placeholder(
    reserve: VirtualAlloc2,
    process: HANDLE,
    len: usize,
) -> Result<NonNull<u8>, Errno> {
    let how = MEM_RESERVE | MEM_RESERVE_PLACEHOLDER;
    // SAFETY: the system picks free addresses; there are no parameters.
    let base = || unsafe { reserve(process, null(), len, how, PAGE_NOACCESS, null_mut(), 0) };
    let base = checked(Call::VirtualAlloc2, || NonNull::new(base()))?.cast();
    #[cfg(test)]
    super::refusals::note_alloc(base, len, how);
    Ok(base)
}

/// Puts a view in the place of a placeholder of the same length.
///
/// # Safety
/// 1. The section has `len` bytes; the placeholder is ours.
unsafe fn replace(
    map: MapViewOfFile3,
    process: HANDLE,
    section: HANDLE,
    placeholder: NonNull<u8>,
    len: usize,
) -> Result<(), Errno> {
    let wanted = placeholder.as_ptr().cast::<c_void>();
    let how = MEM_REPLACE_PLACEHOLDER;
    // SAFETY: (1); there are no parameters.
    let view = || unsafe {
        map(section, process, wanted, 0, len, how, PAGE_READWRITE, null_mut(), 0).Value
    };
    let range = [wanted.addr(), len];
    checked_at(Call::MapViewOfFile3, range, || NonNull::new(view())).map(drop)
}

/// Calls: VirtualAlloc, VirtualFree, MapViewOfFileEx twice; all again if somebody was faster.
///
/// # Safety
/// 1. `section` is one of `len` bytes.
unsafe fn by_trial(section: HANDLE, len: usize) -> Result<NonNull<u8>, Errno> {
    for _ in 0..ATTEMPTS {
        // SAFETY: (1) the system picks free addresses.
        let base = unsafe { allocate(0, 2 * len, MEM_RESERVE, PAGE_NOACCESS) }?;
        // SAFETY: (1) made above, and known to nobody.
        unsafe { free(base, 0, MEM_RELEASE) }?;
        // SAFETY: (1).
        match unsafe { map_both(section, base, len) } {
            Err(Errno(code, _)) if code == ERROR_INVALID_ADDRESS as i32 => {}
            Err(errno) => return Err(errno),
            Ok(()) => return Ok(base),
        }
    }
    Err(Errno(ERROR_NOT_ENOUGH_MEMORY as i32, Call::MapViewOfFile))
}

/// Both views at `base`, or none of them and ERROR_INVALID_ADDRESS if somebody has pages there.
///
/// # Safety
/// 1. `section` is one of `len` bytes.
unsafe fn map_both(section: HANDLE, base: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { map_at(section, base, len) }?;
    // SAFETY: (1).
    let second = unsafe { map_at(section, second_view(base, len), len) };
    second.inspect_err(|_| {
        // SAFETY: (1) the view made above, known to nobody. The first error is the one to tell.
        let _ = unsafe { unmap(base, len) };
    })
}

/// A view at exactly `wanted`, if that is free.
///
/// # Safety
/// 1. `section` is one of `len` bytes.
unsafe fn map_at(section: HANDLE, wanted: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let access = FILE_MAP_READ | FILE_MAP_WRITE;
    let target = wanted.as_ptr().cast();
    // SAFETY: (1); the system takes free addresses only.
    let view = || unsafe { MapViewOfFileEx(section, access, 0, 0, len, target).Value };
    checked_at(Call::MapViewOfFile, [wanted.addr().get(), len], || NonNull::new(view()))?;
    #[cfg(test)]
    crate::sys::inject::mapped(wanted.addr().get(), len);
    Ok(())
}

/// # Safety
/// 1. A view of ours that nobody uses any more.
unsafe fn unmap(view: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let address = MEMORY_MAPPED_VIEW_ADDRESS { Value: view.as_ptr().cast() };
    // SAFETY: (1).
    let done = || (unsafe { UnmapViewOfFile(address) } != 0).then_some(());
    checked_at(Call::UnmapViewOfFile, [view.addr().get(), len], done)?;
    #[cfg(test)]
    crate::sys::inject::unmapped(view.addr().get(), len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways, whichever of them this system would take.
    #[test]
    fn both_ways_make_one_memory_of_two_addresses() {
        const LEN: usize = 1 << 16;
        let ways: [Way; 2] = [with_placeholders, by_trial];
        for (index, way) in ways.into_iter().enumerate() {
            let base = match mirror_by(&[way], LEN) {
                Err((_, Errno(code, _))) if index == 0 && is_missing(code as u32) => {
                    std::println!("skipped: this Windows has no placeholders");
                    continue;
                }
                made => made.expect("two views"),
            };
            for offset in [0, 17, LEN - 1] {
                // SAFETY: the offset lies in the first view.
                let first = unsafe { base.add(offset) };
                // SAFETY: and so does this one in the second.
                let second = unsafe { base.add(LEN + offset) };
                // SAFETY: mapped for writing, and known to nobody.
                unsafe { first.write_volatile(7) };
                // SAFETY: as above, for reading.
                assert_eq!(unsafe { second.read_volatile() }, 7, "way {index}");
            }
            // SAFETY: (1) made above.
            unsafe { unmirror(base, LEN) }.expect("it is ours");
            let found = super::super::mapping_at_or_above(base.addr().get());
            let found = found.expect("the system answers").expect("the system's own are above");
            assert!(found.start > base.addr().get(), "way {index}");
        }
    }

    #[test]
    fn a_taken_address_is_refused_and_nothing_is_left() {
        const LEN: usize = 1 << 16;
        let section = create_section(LEN).expect("a section");
        // SAFETY: (1) the system picks free addresses.
        let room = unsafe { allocate(0, 2 * LEN, MEM_RESERVE, PAGE_NOACCESS) }.expect("addresses");
        // SAFETY: (1) made above.
        unsafe { free(room, 0, MEM_RELEASE) }.expect("it is ours");
        let second = second_view(room, LEN);
        // SAFETY: (1) MEM_RESERVE takes free addresses only.
        let taken = unsafe { allocate(second.addr().get(), LEN, MEM_RESERVE, PAGE_NOACCESS) };
        let taken = taken.expect("free a moment ago");
        // SAFETY: (1) the section made above.
        let refused = unsafe { map_both(section, room, LEN) }.expect_err("the second is taken");
        assert_eq!(refused.0, ERROR_INVALID_ADDRESS as i32);
        // SAFETY: (1) MEM_RESERVE takes free addresses only: the first view is gone.
        let again = unsafe { allocate(room.addr().get(), LEN, MEM_RESERVE, PAGE_NOACCESS) };
        for base in [taken, again.expect("free again")] {
            // SAFETY: (1) made above.
            unsafe { free(base, 0, MEM_RELEASE) }.expect("it is ours");
        }
        // SAFETY: made above.
        assert_ne!(unsafe { CloseHandle(section) }, 0);
    }
}
