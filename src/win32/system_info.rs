//! Floor 5, uses floors 0 to 2. `GetSystemInfo`: page, granularity, the addresses of programs.

use crate::sys;
use crate::vm;
use core::ffi::c_void;
use core::ptr;

/// `wProcessorArchitecture` of x86-64.
pub const PROCESSOR_ARCHITECTURE_AMD64: u16 = 9;
/// `wProcessorArchitecture` of AArch64.
pub const PROCESSOR_ARCHITECTURE_ARM64: u16 = 12;
/// `wProcessorArchitecture` of any other processor.
pub const PROCESSOR_ARCHITECTURE_UNKNOWN: u16 = 0xffff;

/// What `GetSystemInfo` tells about memory, with the Windows names. The fields that describe the
/// processors beyond their architecture are left out: they are no business of this library.
///
/// ```
/// let info = granule::win32::GetSystemInfo();
/// assert_eq!(info.dwAllocationGranularity % info.dwPageSize, 0);
/// ```
#[allow(non_camel_case_types, non_snake_case, reason = "the names that Windows gives them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SYSTEM_INFO {
    /// `PROCESSOR_ARCHITECTURE_...`
    pub wProcessorArchitecture: u16,
    /// Bytes in a page.
    pub dwPageSize: u32,
    /// The lowest address of the range a program may reserve.
    pub lpMinimumApplicationAddress: *mut c_void,
    /// The highest address of that range.
    pub lpMaximumApplicationAddress: *mut c_void,
    /// Every reservation begins at a multiple of this many bytes.
    pub dwAllocationGranularity: u32,
}

/// Page, granularity and the range of addresses. Never fails.
///
/// Windows: `GetSystemInfo`. Linux: no system call.
///
/// ```
/// let info = granule::win32::GetSystemInfo();
/// println!("pages of {} bytes, steps of {}", info.dwPageSize, info.dwAllocationGranularity);
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias("sysconf", "getpagesize"))]
pub fn GetSystemInfo() -> SYSTEM_INFO {
    let limits = sys::limits();
    let architecture = if cfg!(target_arch = "x86_64") {
        PROCESSOR_ARCHITECTURE_AMD64
    } else if cfg!(target_arch = "aarch64") {
        PROCESSOR_ARCHITECTURE_ARM64
    } else {
        PROCESSOR_ARCHITECTURE_UNKNOWN
    };
    SYSTEM_INFO {
        wProcessorArchitecture: architecture,
        dwPageSize: limits.page_len as u32,
        lpMinimumApplicationAddress: ptr::without_provenance_mut(limits.address_min),
        lpMaximumApplicationAddress: ptr::without_provenance_mut(limits.address_max),
        dwAllocationGranularity: limits.granularity as u32,
    }
}

/// Bytes of a large page, for `MEM_LARGE_PAGES`; 0 if the machine has none. Never fails.
///
/// Windows: `GetLargePageMinimum`. Linux: as for [`vm::info`].
///
/// ```
/// let len = granule::win32::GetLargePageMinimum();
/// assert!(len == 0 || len.is_power_of_two());
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn GetLargePageMinimum() -> usize {
    vm::info().huge_page_len
}
