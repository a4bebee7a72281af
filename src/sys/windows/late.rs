//! Floor 1. Functions that not every Windows has, looked up when they are first needed.

use crate::error::Call;
use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::MEM_EXTENDED_PARAMETER;
use windows_sys::core::w;

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

/// A function of kernelbase.dll, by name.
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

    fn look(&self) -> Option<usize> {
        super::call::checked(Call::Other, || {
            // SAFETY: a name that ends with 0. Every process has this library, and keeps it.
            let library = unsafe { GetModuleHandleW(w!("kernelbase.dll")) };
            if library.is_null() {
                return None;
            }
            // SAFETY: the library stays loaded; the name ends with 0.
            unsafe { GetProcAddress(library, self.name.as_ptr().cast()) }
        })
        .ok()
        .map(|function| function as *const c_void)
        .map(|function| function.expose_provenance())
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
