//! Floor 5, uses floors 0 to 2. From an address and a size to pages of one reservation.

use super::error::{Reason, Win32Error};
use crate::addr::{align_down, align_up};
use crate::sys;
use crate::vm::{self, Reservation, State, face};
use core::ops::Range;

/// The pages that have a byte of `addr..addr + size`, as addresses.
pub(super) fn covering(
    call: &'static str,
    addr: usize,
    size: usize,
) -> Result<Range<usize>, Win32Error> {
    let limits = sys::limits();
    let refused = |reason| Win32Error::new(call, reason);
    if addr > limits.address_max {
        return Err(refused(Reason::OutsideAddresses));
    }
    let end = addr.checked_add(size).and_then(|end| align_up(end, limits.page_len));
    match end {
        Some(end) if end - 1 <= limits.address_max => Ok(align_down(addr, limits.page_len)..end),
        _ => Err(refused(Reason::OutsideAddresses)),
    }
}

/// Does `work` on the reservation of ours that has `addr`. It gets the protection that the
/// reservation was asked with, too.
pub(super) fn lend<R>(
    call: &'static str,
    addr: usize,
    if_free: Reason,
    work: impl FnOnce(&Reservation, u32) -> Result<R, Win32Error>,
) -> Result<R, Win32Error> {
    let done = face::lend(addr, |reservation, word| work(reservation, word.get()));
    done.unwrap_or_else(|| Err(stranger(call, addr, if_free)))
}

/// Why an address is in no reservation of ours: free, or somebody else's.
pub(super) fn stranger(call: &'static str, addr: usize, if_free: Reason) -> Win32Error {
    match vm::query(addr) {
        Ok(region) if region.state == State::Free => Win32Error::new(call, if_free),
        Ok(_) => Win32Error::new(call, Reason::NotOurs),
        Err(error) => Win32Error::from_vm(call, error),
    }
}

/// `pages` as offsets in the reservation; `None` if they leave it.
pub(super) fn offsets(reservation: &Reservation, pages: &Range<usize>) -> Option<Range<usize>> {
    let first = pages.start.checked_sub(reservation.base())?;
    let end = pages.end.checked_sub(reservation.base())?;
    (end <= reservation.len()).then_some(first..end)
}
