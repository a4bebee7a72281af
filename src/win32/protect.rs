//! Floor 5, uses floors 0 to 2. `VirtualProtect`: new rights for committed pages.

use super::error::{Reason, Win32Error};
use super::flags::Rights;
use super::query::flags_at;
use super::range::{covering, lend, offsets};
use crate::error::Error;
use core::ffi::c_void;

const CALL: &str = "VirtualProtect";

const fn refused(reason: Reason) -> Win32Error {
    Win32Error::new(CALL, reason)
}

fn failed(error: Error) -> Win32Error {
    Win32Error::from_vm(CALL, error)
}

/// Gives the pages that have a byte of the range new rights, all or none of them. `old_protect`
/// gets the rights that the first page had.
///
/// Windows: the calls of the [`vm`](crate::vm) floor, whose base is `VirtualProtect`.
/// Linux: [`protect`](crate::vm::Reservation::protect), and with `PAGE_GUARD`
/// [`arm`](crate::vm::Reservation::arm).
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): the size is 0; private memory cannot have the protection; the
///   range leaves the addresses of programs.
/// - `ERROR_NOACCESS` (998): `old_protect` is `None`.
/// - `ERROR_INVALID_ADDRESS` (487): a page is not committed, or the range is not in one
///   reservation. No page was changed.
/// - `ERROR_ACCESS_DENIED` (5): the pages were not reserved by
///   [`VirtualAlloc`](super::VirtualAlloc).
/// - `ERROR_COMMITMENT_LIMIT` (1455), `ERROR_NO_SYSTEM_RESOURCES` (1450): the system has no promise
///   or no mapping left. Every page is as it was; where `PAGE_GUARD` alone was refused, the other
///   rights are new.
///
/// # Safety
/// 1. Nobody has references into the pages that the new rights would break.
///
/// ```
/// use granule::win32::*;
/// // SAFETY: (1) no address is given.
/// let base = unsafe { VirtualAlloc(std::ptr::null(), 8, MEM_COMMIT, PAGE_READWRITE)? };
/// let mut old = 0;
/// // SAFETY: (1) nobody has references into the page.
/// unsafe { VirtualProtect(base, 1, PAGE_READONLY, Some(&mut old))? };
/// assert_eq!(old, PAGE_READWRITE);
/// // SAFETY: (1) (2) nobody uses the page.
/// unsafe { VirtualFree(base, 0, MEM_RELEASE)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "mprotect")]
pub unsafe fn VirtualProtect(
    address: *const c_void,
    size: usize,
    new_protect: u32,
    old_protect: Option<&mut u32>,
) -> Result<(), Win32Error> {
    let rights = Rights::from_flags(new_protect).ok_or(refused(Reason::Protection))?;
    let old_protect = old_protect.ok_or(refused(Reason::NoPlaceForAnswer))?;
    if size == 0 {
        return Err(refused(Reason::SizeZero));
    }
    let pages = covering(CALL, address.addr(), size)?;
    lend(CALL, pages.start, Reason::NotReserved, |reservation, _| {
        let range = offsets(reservation, &pages).ok_or(refused(Reason::NotReserved))?;
        let before = reservation.query(range.start).map_err(failed)?;
        rights.protect(reservation, range).map_err(failed)?;
        *old_protect = flags_at(&before).1;
        Ok(())
    })
}
