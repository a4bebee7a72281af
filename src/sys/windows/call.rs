//! Floor 1. Calling Windows without a trace: the thread's last error stays as it was.

use super::super::{Errno, inject};
use crate::error::Call;
use windows_sys::Win32::Foundation::{GetLastError, SetLastError};

/// Runs `system`, which makes `call` and answers `None` when that failed, and returns the number
/// that the system left then. The thread's last error is put back in either case: `malloc` must not
/// change it.
pub(super) fn checked<T>(call: Call, system: impl FnOnce() -> Option<T>) -> Result<T, Errno> {
    checked_at(call, [0, 0], system)
}

/// The same for a call about the range `[addr, len]`; a length of 0 is all that was reserved there.
pub(super) fn checked_at<T>(
    call: Call,
    range: [usize; 2],
    system: impl FnOnce() -> Option<T>,
) -> Result<T, Errno> {
    inject::step(call, range)?;
    keeping_last_error(|| system().ok_or_else(|| Errno(last_error() as i32, call)))
}

/// Runs `work`; the thread's last error is the old one afterwards.
pub(super) fn keeping_last_error<T>(work: impl FnOnce() -> T) -> T {
    let before = last_error();
    let answer = work();
    set_last_error(before);
    answer
}

pub(super) fn last_error() -> u32 {
    // SAFETY: reads a number from the thread's own block.
    unsafe { GetLastError() }
}

pub(super) fn set_last_error(number: u32) {
    // SAFETY: writes a number into the thread's own block; any number will do.
    unsafe { SetLastError(number) };
}
