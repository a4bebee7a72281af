//! Floor 1. Calling the C library without a trace: `errno` stays as it was.

use super::super::{Errno, inject};
use crate::error::Call;

/// Runs `system`, which makes `call` about the range `[addr, len]` and answers `None` when that
/// failed, and returns the number that it left in `errno` then. `errno` is put back in either case:
/// `malloc` must not change it.
pub(super) fn checked<T>(
    call: Call,
    range: [usize; 2],
    system: impl FnOnce() -> Option<T>,
) -> Result<T, Errno> {
    inject::step(call, range)?;
    // SAFETY: takes nothing and returns the place of this thread's own number.
    let place = unsafe { libc::__error() };
    // SAFETY: that place is valid as long as the thread lives.
    let before = unsafe { place.read() };
    let answer = system();
    // SAFETY: as above.
    let answer = answer.ok_or_else(|| Errno(unsafe { place.read() }, call));
    // SAFETY: as above.
    unsafe { place.write(before) };
    answer
}
