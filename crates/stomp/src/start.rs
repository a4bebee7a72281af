//! The library's first and last moment, called by the loader.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering};
use granule::stomp::{self, Caller};
use granule_preload::call_next;

/// True when the program brings its own malloc: then we stay out of its way altogether.
static PASSIVE: AtomicBool = AtomicBool::new(false);

/// True when every call goes to the next definition.
pub(crate) fn is_passive() -> bool {
    PASSIVE.load(Ordering::Relaxed)
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

extern "C" fn begin() {
    #[cfg(target_env = "gnu")]
    crate::jumps::prepare();
    granule_preload::prepare();
    crate::signals::prepare();
    if granule_preload::program_allocates_here(stomp::is_ours) {
        stomp::start();
        #[cfg(target_env = "gnu")]
        stomp::follow_masks();
    } else {
        PASSIVE.store(true, Ordering::Relaxed);
        stomp::own_allocator();
    }
}

extern "C" fn end() {
    if !is_passive() {
        stomp::sweep(Caller::here());
    }
}

/// # Safety
/// 1. `library` came from dlopen.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlclose(library: *mut c_void) -> c_int {
    let closed = call_next!(dlclose as fn(*mut c_void) -> c_int, (library), -1);
    stomp::forget_code();
    closed
}
