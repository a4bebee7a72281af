//! Floor 1. What this machine offers.

use super::super::{GuardKind, Guards, HugePages, Info, Limits};
use super::call::checked;
use crate::error::Call;

/// The step of reservations, in bytes: the kernel's is a page, ours is that of Windows.
const GRANULARITY: usize = 64 * 1024;

/// The first address behind user space. macOS: `MACH_VM_MAX_ADDRESS`; FreeBSD:
/// `VM_MAXUSER_ADDRESS`.
const ADDRESS_END: usize = if cfg!(target_os = "macos") {
    0x7fff_fe00_0000
} else if cfg!(target_arch = "x86_64") {
    1 << 47
} else {
    1 << 48
};

/// Calls: sysconf; on FreeBSD also sysctlbyname and getpagesizes.
pub(crate) fn info() -> Info {
    let limits = limits();
    let guards = guards();
    Info {
        page_len: limits.page_len,
        granularity: limits.granularity,
        guard: guards.chosen,
        guard_markers: guards.markers,
        mappings_max: 0,
        overcommit: overcommit(),
        huge_page_len: huge_page_len(),
        // FreeBSD promotes whatever fits.
        huge_pages: huge_pages(),
        memory_len: number(libc::_SC_PHYS_PAGES).saturating_mul(limits.page_len),
        address_min: limits.address_min,
        address_max: limits.address_max,
    }
}

/// Call: sysconf, which asks the kernel nothing.
pub(crate) fn limits() -> Limits {
    let page_len = number(libc::_SC_PAGESIZE);
    let page_len = if page_len.is_power_of_two() { page_len } else { 4096 };
    Limits {
        page_len,
        granularity: GRANULARITY,
        address_min: GRANULARITY,
        address_max: ADDRESS_END - page_len - 1,
    }
}

/// There are no guard markers: a guard is a change of rights.
pub(crate) fn guards() -> Guards {
    Guards { chosen: GuardKind::Split, markers: false }
}

fn number(name: core::ffi::c_int) -> usize {
    // SAFETY: asks for a number by its name; -1 stands for none.
    let ask = || usize::try_from(unsafe { libc::sysconf(name) }).ok();
    checked(Call::Other, [0, 0], ask).unwrap_or(0)
}

/// macOS promises anything. FreeBSD does, too, unless bit 0 of `vm.overcommit` is set.
#[cfg(target_os = "macos")]
fn overcommit() -> u8 {
    1
}

/// Where the kernel has huge pages it uses them by itself.
pub(crate) fn huge_pages() -> HugePages {
    if huge_page_len() > 0 { HugePages::Always } else { HugePages::Never }
}

#[cfg(target_os = "macos")]
pub(crate) fn huge_page_len() -> usize {
    0
}

#[cfg(target_os = "freebsd")]
fn overcommit() -> u8 {
    let (mut value, mut len) = (0 as core::ffi::c_int, size_of::<core::ffi::c_int>());
    let (target, name) = ((&raw mut value).cast(), c"vm.overcommit".as_ptr());
    // SAFETY: the name ends with 0, the number is as long as said; nothing is set.
    let ask = || unsafe { libc::sysctlbyname(name, target, &raw mut len, core::ptr::null(), 0) };
    let mut ask = ask;
    let asked = checked(Call::Sysctl, [0, 0], || (ask() == 0).then_some(()));
    if asked.is_ok() && value & 1 == 1 { 2 } else { 1 }
}

#[cfg(target_os = "freebsd")]
pub(crate) fn huge_page_len() -> usize {
    let mut lens = [0; 2];
    // SAFETY: writes at most two numbers.
    let mut ask = || unsafe { libc::getpagesizes(lens.as_mut_ptr(), 2) };
    let count = checked(Call::Other, [0, 0], || Some(ask()).filter(|&count| count >= 0));
    if count == Ok(2) { lens[1] } else { 0 }
}
