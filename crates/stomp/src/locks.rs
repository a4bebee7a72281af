//! mlockall(2): locks what is touched, and not the blocks.

use core::ffi::c_int;
use granule_preload::lock_what_is_touched;

#[unsafe(no_mangle)]
unsafe extern "C" fn mlockall(flags: c_int) -> c_int {
    let locked = lock_what_is_touched(flags);
    granule::stomp::unlock();
    locked
}
