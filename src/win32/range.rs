//! Floor 3, uses floors 0 to 2. From an address and a size to pages of one reservation.

use super::error::{Reason, Win32Error};
use super::owner::Owned;
use crate::addr::{align_down, align_up};
use crate::sys;
use crate::vm;
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

/// Why an address is in no reservation of this module: free, or somebody else's.
pub(super) fn stranger(call: &'static str, addr: usize, if_free: Reason) -> Win32Error {
    match vm::query(addr) {
        Ok(region) if region.state == vm::State::Free => Win32Error::new(call, if_free),
        Ok(_) => Win32Error::new(call, Reason::NotOurs),
        Err(error) => Win32Error::from_vm(call, error),
    }
}

/// `range` as offsets in the reservation; `None` if it leaves it.
pub(super) fn offsets(owned: &Owned, range: &Range<usize>) -> Option<Range<usize>> {
    let reservation = owned.reservation();
    let first = range.start.checked_sub(reservation.base())?;
    let end = range.end.checked_sub(reservation.base())?;
    (end <= reservation.len()).then_some(first..end)
}
