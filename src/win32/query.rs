//! Floor 5, uses floors 0 to 2. `VirtualQuery`: what a page is, ours or not.

use super::error::{Reason, Win32Error};
use super::flags::{
    MEM_COMMIT, MEM_FREE, MEM_IMAGE, MEM_MAPPED, MEM_PRIVATE, MEM_RESERVE, PAGE_EXECUTE_WRITECOPY,
    PAGE_NOACCESS, Rights,
};
use crate::sys;
use crate::vm::{self, Kind, Region, State, face};
use core::ffi::c_void;
use core::ptr;

const CALL: &str = "VirtualQuery";

/// What `VirtualQuery` tells about a run of pages. The fields have their Windows names and order.
///
/// ```
/// use granule::win32::*;
/// let mut found = MEMORY_BASIC_INFORMATION::default();
/// let len = size_of::<MEMORY_BASIC_INFORMATION>();
/// VirtualQuery(main as *const _, &mut found, len)?;
/// assert_eq!((found.State, found.Type), (MEM_COMMIT, MEM_IMAGE));
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_camel_case_types, non_snake_case, reason = "the names that Windows gives them")]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MEMORY_BASIC_INFORMATION {
    /// The page that has the address asked for.
    pub BaseAddress: *mut c_void,
    /// The start of the reservation; null for free pages.
    pub AllocationBase: *mut c_void,
    /// The protection that the reservation was asked with; 0 for free pages.
    pub AllocationProtect: u32,
    /// Always 0.
    pub PartitionId: u16,
    /// Bytes from `BaseAddress` to the next page that differs.
    pub RegionSize: usize,
    /// `MEM_FREE`, `MEM_RESERVE` or `MEM_COMMIT`.
    pub State: u32,
    /// The rights now: `PAGE_...`; 0 for reserved pages, `PAGE_NOACCESS` for free ones.
    pub Protect: u32,
    /// `MEM_PRIVATE`, `MEM_MAPPED` or `MEM_IMAGE`; 0 for free pages.
    pub Type: u32,
}

impl Default for MEMORY_BASIC_INFORMATION {
    /// All zero.
    fn default() -> Self {
        MEMORY_BASIC_INFORMATION {
            BaseAddress: ptr::null_mut(),
            AllocationBase: ptr::null_mut(),
            AllocationProtect: 0,
            PartitionId: 0,
            RegionSize: 0,
            State: 0,
            Protect: 0,
            Type: 0,
        }
    }
}

/// The state and the rights of the page at any address, and how far they reach. Returns the number
/// of bytes written to `buffer`.
///
/// Where the pages are not granule's, `AllocationProtect` is what the system still knows of it:
/// `PAGE_EXECUTE_WRITECOPY` for programs and libraries, else the rights now.
///
/// Ours: no system call. Others: as for [`vm::query`].
///
/// # Errors
/// - `ERROR_BAD_LENGTH` (24): `length` is less than the size of the buffer's type.
/// - `ERROR_INVALID_PARAMETER` (87): no program may have that address.
/// - `ERROR_ACCESS_DENIED` (5), `ERROR_NO_SYSTEM_RESOURCES` (1450): the system's list cannot be
///   read.
///
/// ```
/// use granule::win32::*;
/// // SAFETY: (1) no address is given.
/// let base = unsafe { VirtualAlloc(std::ptr::null(), 8, MEM_COMMIT, PAGE_READWRITE)? };
/// let mut found = MEMORY_BASIC_INFORMATION::default();
/// let len = size_of::<MEMORY_BASIC_INFORMATION>();
/// VirtualQuery(base.wrapping_byte_add(77), &mut found, len)?;
/// assert_eq!((found.BaseAddress, found.AllocationBase), (base, base));
/// assert_eq!((found.State, found.Protect), (MEM_COMMIT, PAGE_READWRITE));
/// // SAFETY: (1) (2) nobody uses the page.
/// unsafe { VirtualFree(base, 0, MEM_RELEASE)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn VirtualQuery(
    address: *const c_void,
    buffer: &mut MEMORY_BASIC_INFORMATION,
    length: usize,
) -> Result<usize, Win32Error> {
    if address.addr() > sys::limits().address_max {
        return Err(Win32Error::new(CALL, Reason::OutsideAddresses));
    }
    if length < size_of::<MEMORY_BASIC_INFORMATION>() {
        return Err(Win32Error::new(CALL, Reason::ShortBuffer));
    }
    let addr = address.addr();
    let region = vm::query(addr).map_err(|error| Win32Error::from_vm(CALL, error))?;
    let (state, protect) = flags_at(&region);
    let (kind, if_foreign) = match region.kind {
        None => (0, 0),
        Some(Kind::Private) => (MEM_PRIVATE, protect),
        Some(Kind::Mapped) => (MEM_MAPPED, protect),
        Some(Kind::Image) => (MEM_IMAGE, PAGE_EXECUTE_WRITECOPY),
    };
    *buffer = MEMORY_BASIC_INFORMATION {
        BaseAddress: ptr::with_exposed_provenance_mut(region.base),
        AllocationBase: ptr::with_exposed_provenance_mut(region.allocation_base),
        AllocationProtect: face::lend(addr, |_, word| word.get()).unwrap_or(if_foreign),
        PartitionId: 0,
        RegionSize: region.len,
        State: state,
        Protect: protect,
        Type: kind,
    };
    Ok(size_of::<MEMORY_BASIC_INFORMATION>())
}

/// State and rights as Windows has them. Guarded pages are committed ones that nobody may touch.
pub(super) fn flags_at(region: &Region) -> (u32, u32) {
    let rights = |protection, tripwire| Rights { protection, tripwire }.flags();
    match (region.state, region.protection) {
        (State::Free, _) => (MEM_FREE, PAGE_NOACCESS),
        (State::Reserved | State::Unknown, _) => (MEM_RESERVE, 0),
        (State::Committed, Some(protection)) => (MEM_COMMIT, rights(protection, false)),
        (State::Tripwire, Some(protection)) => (MEM_COMMIT, rights(protection, true)),
        (State::Committed | State::Tripwire, None) | (State::Guarded, _) => {
            (MEM_COMMIT, PAGE_NOACCESS)
        }
    }
}
