//! Floor 1. What this Windows machine offers.

use super::super::{GuardKind, Guards, Info, Limits};
use super::call::checked;
use super::memory::{huge_page_len, huge_pages};
use crate::error::Call;
use core::sync::atomic::{AtomicUsize, Ordering};
use windows_sys::Win32::System::SystemInformation::{
    GetSystemInfo, GlobalMemoryStatusEx, MEMORYSTATUSEX, SYSTEM_INFO,
};

/// Windows never promises memory that it does not have.
const NEVER_OVERCOMMITS: u8 = 2;

/// Calls: GetSystemInfo (once in a process), GetLargePageMinimum, GlobalMemoryStatusEx.
pub(crate) fn info() -> Info {
    let limits = limits();
    let guards = guards();
    Info {
        page_len: limits.page_len,
        granularity: limits.granularity,
        guard: guards.chosen,
        guard_markers: guards.markers,
        mappings_max: 0,
        overcommit: NEVER_OVERCOMMITS,
        huge_page_len: huge_page_len(),
        huge_pages: huge_pages(),
        memory_len: memory_len(),
        address_min: limits.address_min,
        address_max: limits.address_max,
    }
}

/// The facts that never change in a process. Call: GetSystemInfo, once.
pub(crate) fn limits() -> Limits {
    static KNOWN: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
    let [page_len, granularity, address_min, address_max] = &KNOWN;
    // The page is written last, so whoever sees it sees the others. Two threads that come first
    // both ask; they are told the same.
    let known = page_len.load(Ordering::Acquire);
    if known != 0 {
        return Limits {
            page_len: known,
            granularity: granularity.load(Ordering::Relaxed),
            address_min: address_min.load(Ordering::Relaxed),
            address_max: address_max.load(Ordering::Relaxed),
        };
    }
    let limits = ask_limits();
    granularity.store(limits.granularity, Ordering::Relaxed);
    address_min.store(limits.address_min, Ordering::Relaxed);
    address_max.store(limits.address_max, Ordering::Relaxed);
    page_len.store(limits.page_len, Ordering::Release);
    limits
}

fn ask_limits() -> Limits {
    let mut told = SYSTEM_INFO::default();
    // SAFETY: the system fills the structure in; it cannot fail.
    unsafe { GetSystemInfo(&raw mut told) };
    Limits {
        page_len: told.dwPageSize as usize,
        granularity: told.dwAllocationGranularity as usize,
        address_min: told.lpMinimumApplicationAddress.addr(),
        address_max: told.lpMaximumApplicationAddress.addr(),
    }
}

/// There are no guard markers on Windows: a guard is a decommitted page, which costs nothing more
/// and splits no mapping, because there are none.
pub(crate) fn guards() -> Guards {
    Guards { chosen: GuardKind::Split, markers: false }
}

fn memory_len() -> usize {
    let mut status =
        MEMORYSTATUSEX { dwLength: size_of::<MEMORYSTATUSEX>() as u32, ..Default::default() };
    // SAFETY: the system fills in the structure of which we say the size.
    let mut ask = || unsafe { GlobalMemoryStatusEx(&raw mut status) };
    let asked = checked(Call::Other, || (ask() != 0).then_some(()));
    asked.map_or(0, |()| usize::try_from(status.ullTotalPhys).unwrap_or(usize::MAX))
}
