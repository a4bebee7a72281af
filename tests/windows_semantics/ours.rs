//! The family as `granule::win32` has it.

use super::api::{Api, Expect, System, Told};
use granule::win32::{
    GetSystemInfo, GetWriteWatch, MEMORY_BASIC_INFORMATION, ResetWriteWatch, VirtualAlloc,
    VirtualFree, VirtualLock, VirtualProtect, VirtualQuery, VirtualUnlock, Win32Error,
};
use std::ptr::{null_mut, with_exposed_provenance_mut};

pub(crate) struct Ours;

impl Api for Ours {
    fn name(&self) -> &'static str {
        "granule::win32"
    }

    fn expect(&self) -> Expect {
        Expect::Documented
    }

    fn system(&self) -> System {
        let info = GetSystemInfo();
        System {
            page_len: info.dwPageSize,
            granularity: info.dwAllocationGranularity,
            address_min: info.lpMinimumApplicationAddress.addr(),
            address_max: info.lpMaximumApplicationAddress.addr(),
        }
    }

    fn alloc(&self, addr: usize, size: usize, kind: u32, protect: u32) -> Result<usize, u32> {
        let address = with_exposed_provenance_mut(addr);
        // SAFETY: (1) the table keeps no references.
        let answer = unsafe { VirtualAlloc(address, size, kind, protect) };
        answer.map(|base| base.expose_provenance()).map_err(|error| code(&error))
    }

    fn free(&self, addr: usize, size: usize, kind: u32) -> Result<(), u32> {
        // SAFETY: (1) the table keeps no references. (2) It makes one call at a time.
        let answer = unsafe { VirtualFree(with_exposed_provenance_mut(addr), size, kind) };
        answer.map_err(|error| code(&error))
    }

    fn protect(&self, addr: usize, size: usize, new: u32, place: bool) -> Result<u32, u32> {
        let mut old = 0;
        let address = with_exposed_provenance_mut(addr);
        // SAFETY: (1) the table keeps no references.
        let answer = unsafe { VirtualProtect(address, size, new, place.then_some(&mut old)) };
        answer.map(|()| old).map_err(|error| code(&error))
    }

    fn lock(&self, addr: usize, size: usize) -> Result<(), u32> {
        VirtualLock(with_exposed_provenance_mut(addr), size).map_err(|error| code(&error))
    }

    fn unlock(&self, addr: usize, size: usize) -> Result<(), u32> {
        VirtualUnlock(with_exposed_provenance_mut(addr), size).map_err(|error| code(&error))
    }

    fn written(
        &self,
        addr: usize,
        size: usize,
        flags: u32,
        room: usize,
    ) -> Result<(Vec<usize>, u32), u32> {
        let mut pages = vec![null_mut(); room];
        let answer = GetWriteWatch(flags, with_exposed_provenance_mut(addr), size, &mut pages);
        let (count, granularity) = answer.map_err(|error| code(&error))?;
        Ok((pages[..count].iter().map(|page| page.addr()).collect(), granularity))
    }

    fn forget(&self, addr: usize, size: usize) -> Result<(), u32> {
        ResetWriteWatch(with_exposed_provenance_mut(addr), size).map_err(|error| code(&error))
    }

    fn query(&self, addr: usize, len: Option<usize>) -> Result<Told, u32> {
        let mut found = MEMORY_BASIC_INFORMATION::default();
        let whole = size_of::<MEMORY_BASIC_INFORMATION>();
        let address = with_exposed_provenance_mut(addr);
        let answer = VirtualQuery(address, &mut found, len.unwrap_or(whole));
        let written = answer.map_err(|error| code(&error))?;
        assert_eq!(written, whole);
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

/// The number; the words have to tell it, too.
pub(crate) fn code(error: &Win32Error) -> u32 {
    let words = error.to_string();
    assert!(words.contains(&format!("{} ({})", error.name(), error.code())), "{words}");
    assert!(words.contains("; "), "no next step in: {words}");
    error.code()
}
