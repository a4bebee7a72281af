//! The family as the system has it: Windows, or Wine.

use super::api::{Api, Expect, System, Told};
use std::ffi::c_void;
use std::mem::zeroed;
use std::ptr::{null_mut, with_exposed_provenance_mut};
use windows_sys::Win32::Foundation::GetLastError;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    GetWriteWatch, MEMORY_BASIC_INFORMATION, ResetWriteWatch, VirtualAlloc, VirtualFree,
    VirtualLock, VirtualProtect, VirtualQuery, VirtualUnlock,
};
use windows_sys::Win32::System::SystemInformation::{GetSystemInfo, SYSTEM_INFO};
use windows_sys::core::s;

pub(crate) struct Real;

/// Has to be asked before anything else is called.
pub(crate) fn last_error() -> u32 {
    // SAFETY: it reads a number of this thread.
    unsafe { GetLastError() }
}

/// Wine says who it is, for tests.
pub(crate) fn is_wine() -> bool {
    // SAFETY: the name is a C string.
    let library = unsafe { GetModuleHandleA(s!("ntdll.dll")) };
    // SAFETY: every process has ntdll; the name is a C string.
    unsafe { GetProcAddress(library, s!("wine_get_version")) }.is_some()
}

impl Api for Real {
    fn name(&self) -> &'static str {
        if is_wine() { "Wine" } else { "Windows" }
    }

    fn expect(&self) -> Expect {
        if is_wine() { Expect::DocumentedOrWine } else { Expect::Documented }
    }

    fn system(&self) -> System {
        // SAFETY: a structure of numbers and pointers may be zero.
        let mut info: SYSTEM_INFO = unsafe { zeroed() };
        // SAFETY: there is room for the answer.
        unsafe { GetSystemInfo(&raw mut info) };
        System {
            page_len: info.dwPageSize,
            granularity: info.dwAllocationGranularity,
            address_min: info.lpMinimumApplicationAddress.addr(),
            address_max: info.lpMaximumApplicationAddress.addr(),
        }
    }

    fn alloc(&self, addr: usize, size: usize, kind: u32, protect: u32) -> Result<usize, u32> {
        let address = with_exposed_provenance_mut(addr);
        // SAFETY: the table keeps no references.
        let base = unsafe { VirtualAlloc(address, size, kind, protect) };
        if base.is_null() { Err(last_error()) } else { Ok(base.expose_provenance()) }
    }

    fn free(&self, addr: usize, size: usize, kind: u32) -> Result<(), u32> {
        // SAFETY: the table keeps no references.
        let done = unsafe { VirtualFree(with_exposed_provenance_mut(addr), size, kind) };
        if done == 0 { Err(last_error()) } else { Ok(()) }
    }

    fn protect(&self, addr: usize, size: usize, new: u32, place: bool) -> Result<u32, u32> {
        let mut old = 0;
        let place = if place { &raw mut old } else { null_mut() };
        // SAFETY: the table keeps no references; a null place is refused.
        let done = unsafe { VirtualProtect(with_exposed_provenance_mut(addr), size, new, place) };
        if done == 0 { Err(last_error()) } else { Ok(old) }
    }

    fn lock(&self, addr: usize, size: usize) -> Result<(), u32> {
        // SAFETY: it changes no byte.
        let done = unsafe { VirtualLock(with_exposed_provenance_mut(addr), size) };
        if done == 0 { Err(last_error()) } else { Ok(()) }
    }

    fn unlock(&self, addr: usize, size: usize) -> Result<(), u32> {
        // SAFETY: it changes no byte.
        let done = unsafe { VirtualUnlock(with_exposed_provenance_mut(addr), size) };
        if done == 0 { Err(last_error()) } else { Ok(()) }
    }

    fn written(
        &self,
        addr: usize,
        size: usize,
        flags: u32,
        room: usize,
    ) -> Result<(Vec<usize>, u32), u32> {
        let mut pages = vec![null_mut(); room];
        let (mut count, mut granularity) = (room, 0);
        let address = with_exposed_provenance_mut(addr);
        let place = pages.as_mut_ptr();
        let (counted, step) = (&raw mut count, &raw mut granularity);
        // SAFETY: there is room for so many addresses, and for the two numbers.
        let failed = unsafe { GetWriteWatch(flags, address, size, place, counted, step) };
        if failed != 0 {
            return Err(last_error());
        }
        Ok((pages[..count].iter().map(|page: &*mut c_void| page.addr()).collect(), granularity))
    }

    fn forget(&self, addr: usize, size: usize) -> Result<(), u32> {
        // SAFETY: it changes no byte.
        let failed = unsafe { ResetWriteWatch(with_exposed_provenance_mut(addr), size) };
        if failed != 0 { Err(last_error()) } else { Ok(()) }
    }

    fn query(&self, addr: usize, len: Option<usize>) -> Result<Told, u32> {
        // SAFETY: a structure of numbers and pointers may be zero.
        let mut found: MEMORY_BASIC_INFORMATION = unsafe { zeroed() };
        let whole = size_of::<MEMORY_BASIC_INFORMATION>();
        let len = len.unwrap_or(whole).min(whole);
        // SAFETY: there is room for so many bytes.
        let written =
            unsafe { VirtualQuery(with_exposed_provenance_mut(addr), &raw mut found, len) };
        if written == 0 {
            return Err(last_error());
        }
        Ok(Told {
            base: found.BaseAddress.addr(),
            allocation_base: found.AllocationBase.addr(),
            allocation_protect: found.AllocationProtect,
            len: found.RegionSize,
            state: found.State,
            protect: found.Protect,
            kind: found.Type,
        })
    }
}
