//! mlockall(2): locks what is touched, not what is reserved.
//!
//! The books of granule are many GiB of address space of which little is ever touched; a plain
//! `mlockall` would make the kernel fill all of it with memory.

use crate::call_next;
use core::ffi::c_int;

/// Since Linux 4.4; `libc` has it for some targets only.
const MCL_ONFAULT: c_int = 4;

/// What the library's `mlockall` does.
pub fn lock_what_is_touched(flags: c_int) -> c_int {
    call_next!(mlockall as fn(c_int) -> c_int, (flags | MCL_ONFAULT), -1)
}
