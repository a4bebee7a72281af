//! mlockall(2): locks what is touched, not what is reserved, and not the blocks.
//!
//! The finder's books are many GiB of address space of which little is ever touched; a plain
//! `mlockall` would make the kernel fill all of it with memory.

use core::ffi::c_int;
use granule_preload::call_next;

/// Since Linux 4.4; `libc` has it for some targets only.
const MCL_ONFAULT: c_int = 4;

#[unsafe(no_mangle)]
unsafe extern "C" fn mlockall(flags: c_int) -> c_int {
    let locked = call_next!(mlockall as fn(c_int) -> c_int, (flags | MCL_ONFAULT), -1);
    granule::stomp::unlock();
    locked
}
