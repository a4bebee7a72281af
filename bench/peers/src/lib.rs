//! `rusty_alloc` under the names of the C library, for LD_PRELOAD.
#![deny(unsafe_op_in_unsafe_fn)]

use libc::{EINVAL, ENOMEM, c_int, c_void, size_t};
use rusty_alloc::alloc;

/// Blocks of malloc are aligned to this.
const USUAL: usize = 16;

/// The block, or null with the error that C programs look for.
fn found(block: *mut u8) -> *mut c_void {
    if block.is_null() {
        // SAFETY: errno is a place of this thread.
        unsafe { *libc::__errno_location() = ENOMEM };
    }
    block.cast()
}

#[unsafe(no_mangle)]
extern "C" fn malloc(len: size_t) -> *mut c_void {
    found(alloc::malloc(len))
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: size_t, len: size_t) -> *mut c_void {
    found(alloc::calloc(count, len))
}

/// # Safety
/// As `realloc` of C.
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, len: size_t) -> *mut c_void {
    // SAFETY: the same contract.
    found(unsafe { alloc::realloc(block.cast(), len) })
}

/// # Safety
/// As `free` of C.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the same contract.
    unsafe { alloc::free_inline(block.cast()) }
}

/// # Safety
/// As `malloc_usable_size` of glibc.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(block: *const c_void) -> size_t {
    if block.is_null() {
        return 0;
    }
    // SAFETY: the same contract.
    unsafe { alloc::usable_size(block.cast()) }
}

#[unsafe(no_mangle)]
extern "C" fn memalign(align: size_t, len: size_t) -> *mut c_void {
    found(alloc::malloc_aligned(len, align))
}

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: size_t, len: size_t) -> *mut c_void {
    memalign(align, len)
}

/// # Safety
/// `place` takes a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(place: *mut *mut c_void, align: size_t, len: size_t) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return EINVAL;
    }
    let block = alloc::malloc_aligned(len, align.max(USUAL));
    if block.is_null() {
        return ENOMEM;
    }
    // SAFETY: the same contract.
    unsafe { place.write(block.cast()) };
    0
}

#[unsafe(no_mangle)]
extern "C" fn valloc(len: size_t) -> *mut c_void {
    memalign(4096, len)
}

#[unsafe(no_mangle)]
extern "C" fn pvalloc(len: size_t) -> *mut c_void {
    memalign(4096, len.next_multiple_of(4096))
}
