//! Floor 5, uses floors 0 to 2. `GetWriteWatch` and `ResetWriteWatch`: which pages were written.

use super::error::{Reason, Win32Error};
use super::range::{covering, lend, offsets};
use crate::error::{Error, ErrorKind};
use crate::sys;
use crate::vm::Reservation;
use core::ffi::c_void;
use core::ops::Range;

/// Forget the pages that are told.
pub const WRITE_WATCH_FLAG_RESET: u32 = 1;

/// Ranges that are asked for at a time.
const BATCH: usize = 16;

/// Tells which pages of the range were written since they were reset, or else since they were
/// committed: their addresses, in order, as far as `addresses` has room. Returns how many
/// there are, and how many bytes each of them stands for. With `WRITE_WATCH_FLAG_RESET` the pages
/// that are told are reset.
///
/// A write at this very moment is told now or the next time.
///
/// Windows, Linux: as for [`written`](Reservation::written) and
/// [`forget_written`](Reservation::forget_written), for each 16 runs of pages.
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): a flag is unknown; the size is 0; the range leaves its
///   reservation, or that was not made with `MEM_WRITE_WATCH`; `addresses` is empty.
/// - `ERROR_ACCESS_DENIED` (5): the pages were not reserved by
///   [`VirtualAlloc`](super::VirtualAlloc).
///
/// ```
/// use granule::win32::*;
/// use std::ptr::{null, null_mut};
/// let how = MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH;
/// // SAFETY: (1) no address is given.
/// let base = match unsafe { VirtualAlloc(null(), 0x10000, how, PAGE_READWRITE) } {
///     Err(error) if error.code() == ERROR_NOT_SUPPORTED => return Ok(()),
///     base => base?,
/// };
/// // SAFETY: page 3 is committed for writing, and nobody else has it.
/// unsafe { base.cast::<u8>().add(0x3000).write(1) };
/// let mut pages = [null_mut(); 16];
/// let (count, granularity) = GetWriteWatch(0, base, 0x10000, &mut pages)?;
/// assert_eq!((&pages[..count], granularity), (&[base.wrapping_byte_add(0x3000)][..], 0x1000));
/// ResetWriteWatch(base, 0x10000)?;
/// assert_eq!(GetWriteWatch(0, base, 0x10000, &mut pages)?.0, 0);
/// # // SAFETY: (1) (2) nobody uses the pages.
/// # unsafe { VirtualFree(base, 0, MEM_RELEASE)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn GetWriteWatch(
    flags: u32,
    base_address: *const c_void,
    region_size: usize,
    addresses: &mut [*mut c_void],
) -> Result<(usize, u32), Win32Error> {
    const CALL: &str = "GetWriteWatch";
    if flags & !WRITE_WATCH_FLAG_RESET != 0 {
        return Err(Win32Error::new(CALL, Reason::UnknownFlag));
    }
    if addresses.is_empty() {
        return Err(Win32Error::new(CALL, Reason::SizeZero));
    }
    let forget = flags == WRITE_WATCH_FLAG_RESET;
    let page_len = sys::limits().page_len;
    with_range(CALL, base_address, region_size, |reservation, range| {
        let count = tell(reservation, range, forget, addresses)?;
        Ok((count, page_len as u32))
    })
}

/// Forgets all writes to the pages of the range.
///
/// Windows, Linux: as for [`forget_written`](Reservation::forget_written).
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): the size is 0; the range leaves its reservation, or that was
///   not made with `MEM_WRITE_WATCH`.
/// - `ERROR_ACCESS_DENIED` (5): the pages were not reserved by
///   [`VirtualAlloc`](super::VirtualAlloc).
///
/// See [`GetWriteWatch`] for an example.
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn ResetWriteWatch(base_address: *const c_void, region_size: usize) -> Result<(), Win32Error> {
    const CALL: &str = "ResetWriteWatch";
    with_range(CALL, base_address, region_size, Reservation::forget_written)
}

/// Fills in the addresses of written pages; tells how many.
///
/// Pages are forgotten after they were told. A write that comes between is not lost: whoever is
/// told the page reads it after this function returns.
fn tell(
    reservation: &Reservation,
    mut rest: Range<usize>,
    forget: bool,
    addresses: &mut [*mut c_void],
) -> Result<usize, Error> {
    let page_len = sys::limits().page_len;
    let mut count = 0;
    loop {
        let mut ranges = [const { 0..0 }; BATCH];
        let written = reservation.written(rest.clone(), &mut ranges)?;
        for range in &ranges[..written.count] {
            let room = addresses.len() - count;
            let told = range.start..range.end.min(range.start + room * page_len);
            if told.is_empty() {
                return Ok(count);
            }
            for (place, offset) in addresses[count..].iter_mut().zip(told.clone().step_by(page_len))
            {
                *place = reservation.as_ptr().wrapping_add(offset).cast();
                count += 1;
            }
            if forget {
                reservation.forget_written(told)?;
            }
        }
        match written.next {
            Some(next) if count < addresses.len() => rest.start = next,
            _ => return Ok(count),
        }
    }
}

fn with_range<R>(
    call: &'static str,
    address: *const c_void,
    size: usize,
    work: impl FnOnce(&Reservation, Range<usize>) -> Result<R, Error>,
) -> Result<R, Win32Error> {
    let refused = |reason| Win32Error::new(call, reason);
    if size == 0 {
        return Err(refused(Reason::SizeZero));
    }
    let pages = covering(call, address.addr(), size)?;
    lend(call, pages.start, Reason::NotWatched, |reservation, _| {
        let range = offsets(reservation, &pages).ok_or(refused(Reason::NotWatched))?;
        work(reservation, range).map_err(|error| match error.kind() {
            ErrorKind::BadState => Win32Error::with_cause(call, Reason::NotWatched, error),
            _ => Win32Error::from_vm(call, error),
        })
    })
}
