//! Floor 5, uses floors 0 to 2. `VirtualFree`: decommit and release.

use super::error::{Reason, Win32Error};
use super::flags::{MEM_DECOMMIT, MEM_RELEASE};
use super::range::{covering, lend, offsets};
use crate::addr::align_down;
use crate::error::Error;
use crate::sys;
use crate::vm::{Reservation, face};
use core::ffi::c_void;

const CALL: &str = "VirtualFree";

const fn refused(reason: Reason) -> Win32Error {
    Win32Error::new(CALL, reason)
}

fn failed(error: Error) -> Win32Error {
    Win32Error::from_vm(CALL, error)
}

/// Decommits pages, or releases a whole reservation.
///
/// - `MEM_DECOMMIT`: the pages that have a byte of the range become Reserved, whether they were
///   committed or not. Size 0 with the address of a reservation: all of it.
/// - `MEM_RELEASE`: any state -> Free. The size must be 0, the address in the first page of a
///   reservation. It decommits by itself.
///
/// Windows: the calls of the [`vm`](crate::vm) floor, whose base is `VirtualFree`.
/// Linux: [`decommit`](crate::vm::Reservation::decommit),
/// [`release`](crate::vm::Reservation::release).
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): neither or both of the two types; `MEM_RELEASE` with a size; a
///   decommit beyond the end of the reservation, or of addresses no program has.
/// - `ERROR_INVALID_ADDRESS` (487): the address is free, as after a first release; size 0, and the
///   address is not in the first page of a reservation.
/// - `ERROR_ACCESS_DENIED` (5): the pages were not reserved by
///   [`VirtualAlloc`](super::VirtualAlloc).
/// - `ERROR_NO_SYSTEM_RESOURCES` (1450): the process has no mapping left to cut the range out.
///
/// # Safety
/// 1. Nobody uses the pages any more: their content is lost.
/// 2. With `MEM_RELEASE`, no other call of this module works on the same reservation meanwhile.
///
/// ```
/// use granule::win32::*;
/// // SAFETY: (1) no address is given.
/// let base = unsafe { VirtualAlloc(std::ptr::null(), 8, MEM_COMMIT, PAGE_READWRITE)? };
/// // SAFETY: (1) (2) nobody uses the page.
/// let error = unsafe { VirtualFree(base, 8, MEM_RELEASE) }.expect_err("a size is refused");
/// assert_eq!(error.code(), ERROR_INVALID_PARAMETER);
/// // SAFETY: (1) (2) nobody uses the page.
/// unsafe { VirtualFree(base, 0, MEM_RELEASE)? };
/// // SAFETY: (1) (2) nobody uses the page.
/// let error = unsafe { VirtualFree(base, 0, MEM_RELEASE) }.expect_err("it is free");
/// assert_eq!(error.code(), ERROR_INVALID_ADDRESS);
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "munmap")]
pub unsafe fn VirtualFree(
    address: *mut c_void,
    size: usize,
    free_type: u32,
) -> Result<(), Win32Error> {
    let addr = address.addr();
    match (free_type, size) {
        (MEM_RELEASE, 0) => {
            lend(CALL, addr, Reason::Released, |reservation, _| starts_at(reservation, addr))?;
            let (reservation, _) = face::take_back(addr).ok_or(refused(Reason::Released))?;
            reservation.release().map_err(failed)
        }
        (MEM_RELEASE, _) => Err(refused(Reason::ReleaseWithSize)),
        (MEM_DECOMMIT, 0) => lend(CALL, addr, Reason::Released, |reservation, _| {
            starts_at(reservation, addr)?;
            reservation.decommit(0..reservation.len()).map_err(failed)
        }),
        (MEM_DECOMMIT, _) => {
            let pages = covering(CALL, addr, size)?;
            lend(CALL, addr, Reason::Released, |reservation, _| {
                let range = offsets(reservation, &pages);
                let range = range.ok_or(refused(Reason::LeavesReservation))?;
                reservation.decommit(range).map_err(failed)
            })
        }
        _ => Err(refused(Reason::FreeType)),
    }
}

/// Whether the first page of the reservation has `addr`.
fn starts_at(reservation: &Reservation, addr: usize) -> Result<(), Win32Error> {
    if align_down(addr, sys::limits().page_len) == reservation.base() {
        Ok(())
    } else {
        Err(refused(Reason::NotAtBase))
    }
}
