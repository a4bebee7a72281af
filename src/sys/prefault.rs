//! Floor 1, uses floor 0. A page of the door: what a touch of a page of a file brings with it.
//!
//! The contract is that of the folder and of files (see `section`). Where the system does not tell
//! or cannot do it the answer is an error, and nothing has happened.

use super::{CAN_POPULATE, Errno, fault_count, first_mapped, memory_len, write_ahead};
use core::ops::Range;
use core::ptr::NonNull;

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _PREFAULT_CONTRACT: (
    bool,
    fn() -> Result<u64, Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<Option<Range<usize>>, Errno>,
    fn() -> Result<usize, Errno>,
    unsafe fn(usize, u64, u64) -> Result<(), Errno>,
) = (CAN_POPULATE, fault_count, first_mapped, memory_len, write_ahead);
