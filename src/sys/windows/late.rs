//! Floor 1. Functions that not every Windows has, looked up when they are first needed.

use crate::error::Call;
use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    MEM_EXTENDED_PARAMETER, MEMORY_MAPPED_VIEW_ADDRESS, WIN32_MEMORY_RANGE_ENTRY,
};
use windows_sys::core::{BOOL, HRESULT, w};

/// `VirtualAlloc2` (Windows 10, version 1803).
pub(super) type VirtualAlloc2 = unsafe extern "system" fn(
    HANDLE,
    *const c_void,
    usize,
    u32,
    u32,
    *mut MEM_EXTENDED_PARAMETER,
    u32,
) -> *mut c_void;

/// `VirtualAlloc2`, if this Windows has it. Calls, the first time: GetModuleHandleW and
/// GetProcAddress, which wait for the loader.
pub(super) fn virtual_alloc_2() -> Option<VirtualAlloc2> {
    static FOUND: Late = Late::new(c"VirtualAlloc2");
    let function = FOUND.address()?;
    // SAFETY: the system gave this address for the function of that name, which has this type.
    Some(unsafe { core::mem::transmute::<*const c_void, VirtualAlloc2>(function) })
}

/// `MapViewOfFile3` (Windows 10, version 1803).
pub(super) type MapViewOfFile3 = unsafe extern "system" fn(
    HANDLE,
    HANDLE,
    *const c_void,
    u64,
    usize,
    u32,
    u32,
    *mut MEM_EXTENDED_PARAMETER,
    u32,
) -> MEMORY_MAPPED_VIEW_ADDRESS;

/// `MapViewOfFile3`, if this Windows has it. Calls: as for [`virtual_alloc_2`].
pub(super) fn map_view_of_file_3() -> Option<MapViewOfFile3> {
    static FOUND: Late = Late::new(c"MapViewOfFile3");
    let function = FOUND.address()?;
    // SAFETY: the system gave this address for the function of that name, which has this type.
    Some(unsafe { core::mem::transmute::<*const c_void, MapViewOfFile3>(function) })
}

/// `PrefetchVirtualMemory` (Windows 8).
pub(super) type PrefetchVirtualMemory =
    unsafe extern "system" fn(HANDLE, usize, *const WIN32_MEMORY_RANGE_ENTRY, u32) -> BOOL;

/// `PrefetchVirtualMemory`, if this Windows has it. Calls: as for [`virtual_alloc_2`].
pub(super) fn prefetch_virtual_memory() -> Option<PrefetchVirtualMemory> {
    static FOUND: Late = Late::new(c"PrefetchVirtualMemory");
    let function = FOUND.address()?;
    // SAFETY: the system gave this address for the function of that name, which has this type.
    Some(unsafe { core::mem::transmute::<*const c_void, PrefetchVirtualMemory>(function) })
}

/// `WerRegisterExcludedMemoryBlock` (Windows 10, version 1703).
pub(super) type ExcludeFromDumps = unsafe extern "system" fn(*const c_void, u32) -> HRESULT;

/// `WerRegisterExcludedMemoryBlock`, if this Windows has it. Calls: as for [`virtual_alloc_2`].
pub(super) fn exclude_from_dumps() -> Option<ExcludeFromDumps> {
    static FOUND: Late = Late::new(c"WerRegisterExcludedMemoryBlock");
    let function = FOUND.address()?;
    // SAFETY: the system gave this address for the function of that name, which has this type.
    Some(unsafe { core::mem::transmute::<*const c_void, ExcludeFromDumps>(function) })
}

/// `WerUnregisterExcludedMemoryBlock` (Windows 10, version 1703).
pub(super) type IncludeInDumps = unsafe extern "system" fn(*const c_void) -> HRESULT;

/// `WerUnregisterExcludedMemoryBlock`, if this Windows has it. Calls: as for [`virtual_alloc_2`].
pub(super) fn include_in_dumps() -> Option<IncludeInDumps> {
    static FOUND: Late = Late::new(c"WerUnregisterExcludedMemoryBlock");
    let function = FOUND.address()?;
    // SAFETY: the system gave this address for the function of that name, which has this type.
    Some(unsafe { core::mem::transmute::<*const c_void, IncludeInDumps>(function) })
}

/// A function of kernelbase.dll or kernel32.dll, by name.
struct Late {
    name: &'static CStr,
    found: AtomicUsize,
}

/// Nobody has looked yet.
const UNKNOWN: usize = 0;
/// There is no such function; no function lives at this address.
const ABSENT: usize = 1;

impl Late {
    const fn new(name: &'static CStr) -> Self {
        Late { name, found: AtomicUsize::new(UNKNOWN) }
    }

    /// Its address. Two threads that come first both look; they find the same.
    fn address(&self) -> Option<*const c_void> {
        let mut found = self.found.load(Ordering::Relaxed);
        if found == UNKNOWN {
            found = self.look().unwrap_or(ABSENT);
            self.found.store(found, Ordering::Relaxed);
        }
        (found != ABSENT).then(|| core::ptr::with_exposed_provenance(found))
    }

    /// Every process has both libraries, and keeps them.
    fn look(&self) -> Option<usize> {
        let libraries = [w!("kernelbase.dll"), w!("kernel32.dll")];
        let found = libraries.into_iter().find_map(|library| {
            super::call::checked(Call::Other, || {
                // SAFETY: a name that ends with 0.
                let library = unsafe { GetModuleHandleW(library) };
                if library.is_null() {
                    return None;
                }
                // SAFETY: the library stays loaded; the name ends with 0.
                unsafe { GetProcAddress(library, self.name.as_ptr().cast()) }
            })
            .ok()
        });
        found.map(|function| (function as *const c_void).expose_provenance())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_stays_absent() {
        let none = Late::new(c"NoSuchFunctionInAnyWindows");
        assert_eq!([none.address(), none.address()], [None, None]);
        let there = Late::new(c"VirtualAlloc");
        assert!(there.address().is_some() && there.address() == there.address());
    }
}
