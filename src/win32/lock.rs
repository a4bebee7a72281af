//! Floor 5, uses floors 0 to 2. `VirtualLock` and `VirtualUnlock`: pages that stay in memory.

use super::error::{Reason, Win32Error};
use super::range::{covering, lend, offsets};
use crate::error::{Error, ErrorKind};
use crate::sys;
use crate::vm::{Advice, Reservation};
use core::ffi::c_void;
use core::ops::Range;

/// Keeps the pages that have a byte of the range in memory, and brings them there now.
///
/// Windows, Linux: as for [`lock`](Reservation::lock).
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): the size is 0, or the range leaves the addresses of programs.
/// - `ERROR_NOACCESS` (998): a page is not committed, or cannot be read.
/// - `ERROR_INVALID_ADDRESS` (487): the range is not in one reservation.
/// - `ERROR_ACCESS_DENIED` (5): the pages were not reserved by
///   [`VirtualAlloc`](super::VirtualAlloc).
/// - `ERROR_WORKING_SET_QUOTA` (1453): the process may not lock so much.
/// - `ERROR_COMMITMENT_LIMIT` (1455), `ERROR_NO_SYSTEM_RESOURCES` (1450): the system has no memory
///   or no mapping left; a part of the pages may be locked.
///
/// ```
/// use granule::win32::*;
/// // SAFETY: (1) no address is given.
/// let base = unsafe { VirtualAlloc(std::ptr::null(), 8192, MEM_RESERVE, PAGE_NOACCESS)? };
/// let error = VirtualLock(base, 4096).expect_err("the page is only reserved");
/// assert_eq!(error.code(), ERROR_NOACCESS);
/// // SAFETY: (1) nobody has references into the range.
/// unsafe { VirtualAlloc(base, 4096, MEM_COMMIT, PAGE_READWRITE)? };
/// VirtualLock(base, 4096)?;
/// VirtualUnlock(base, 4096)?;
/// // SAFETY: (1) (2) nobody uses the pages.
/// unsafe { VirtualFree(base, 0, MEM_RELEASE)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "mlock")]
pub fn VirtualLock(address: *const c_void, size: usize) -> Result<(), Win32Error> {
    const CALL: &str = "VirtualLock";
    with_range(CALL, address, size, |reservation, range| {
        reservation.lock(range).map_err(|error| match error.kind() {
            ErrorKind::BadState => Win32Error::with_cause(CALL, Reason::Untouchable, error),
            ErrorKind::Denied => Win32Error::with_cause(CALL, Reason::LockLimit, error),
            _ => Win32Error::from_vm(CALL, error),
        })
    })
}

/// Lets locked pages be swapped again. All pages that have a byte of the range must be locked;
/// those that are not lose their place in memory to whoever needs it more.
///
/// Windows, Linux: as for [`unlock`](Reservation::unlock). Linux: before that, for each page,
/// madvise(MADV_COLD), which tells whether it is locked; where it says no, mlock, madvise and
/// munlock to be sure.
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): the size is 0, or the range leaves the addresses of programs.
/// - `ERROR_NOT_LOCKED` (158): a page is not locked, or not committed. No page was unlocked. Only
///   Linux tells of pages that are not locked, since 5.4; elsewhere they may be in the range.
/// - `ERROR_INVALID_ADDRESS` (487): the range is not in one reservation.
/// - `ERROR_ACCESS_DENIED` (5): the pages were not reserved by
///   [`VirtualAlloc`](super::VirtualAlloc).
/// - `ERROR_COMMITMENT_LIMIT` (1455), `ERROR_NO_SYSTEM_RESOURCES` (1450): the system refused; a
///   part of the pages may be unlocked.
///
/// See [`VirtualLock`] for an example.
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "munlock")]
pub fn VirtualUnlock(address: *const c_void, size: usize) -> Result<(), Win32Error> {
    const CALL: &str = "VirtualUnlock";
    with_range(CALL, address, size, |reservation, range| {
        let page_len = sys::limits().page_len;
        let mut pages = range.clone().step_by(page_len).map(|start| start..start + page_len);
        if pages.any(|page| is_known_unlocked(reservation, page)) {
            return Err(Win32Error::new(CALL, Reason::NotLocked));
        }
        reservation.unlock(range).map_err(|error: Error| match error.kind() {
            ErrorKind::BadState => Win32Error::with_cause(CALL, Reason::NotLocked, error),
            _ => Win32Error::from_vm(CALL, error),
        })
    })
}

/// Whether the page is not locked, where the system can tell: locked pages refuse the advice. Those
/// that are not locked may take it, it is what `VirtualUnlock` does to them. An emulator may answer
/// that all is well, so the same is asked of the page with a lock.
fn is_known_unlocked(reservation: &Reservation, page: Range<usize>) -> bool {
    let takes_advice = || reservation.advise_range(page.clone(), Advice::Cold).is_ok();
    if !takes_advice() || reservation.lock(page.clone()).is_err() {
        return false;
    }
    let is_told = !takes_advice();
    // Refused only where the lock was, too.
    let _ = reservation.unlock(page.clone());
    is_told
}

fn with_range(
    call: &'static str,
    address: *const c_void,
    size: usize,
    work: impl FnOnce(&Reservation, Range<usize>) -> Result<(), Win32Error>,
) -> Result<(), Win32Error> {
    if size == 0 {
        return Err(Win32Error::new(call, Reason::SizeZero));
    }
    let pages = covering(call, address.addr(), size)?;
    lend(call, pages.start, Reason::NotReserved, |reservation, _| {
        let range = offsets(reservation, &pages);
        work(reservation, range.ok_or(Win32Error::new(call, Reason::NotReserved))?)
    })
}
