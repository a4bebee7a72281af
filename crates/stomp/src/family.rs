//! The malloc family: malloc(3), posix_memalign(3), malloc_usable_size(3), and C23's sized frees.
//!
//! Every function takes the caller's registers first, so that stacks start at the program's call.

use crate::start::is_passive;
use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, null_mut};
use granule::stomp::{self, Caller};
use granule_preload::{call_next, is_posix_align, rounded_align, set_errno};

/// True for a block of ours. In a program with its own malloc there may be some, given out before
/// that was known.
fn is_ours(block: *mut c_void) -> bool {
    NonNull::new(block.cast()).is_some_and(stomp::is_ours)
}

/// Gives a block to C: null and ENOMEM if there is none.
fn give(block: Option<NonNull<u8>>) -> *mut c_void {
    block.map_or_else(
        || {
            set_errno(libc::ENOMEM);
            null_mut()
        },
        |block| block.as_ptr().cast(),
    )
}

fn allocate(size: usize, align: usize, caller: Caller) -> *mut c_void {
    give(stomp::allocate(size, align, caller))
}

/// # Safety
/// 1. None: any size is allowed.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(malloc as fn(usize) -> *mut c_void, (size), null_mut());
    }
    allocate(size, stomp::malloc_align(), Caller::here())
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(calloc as fn(usize, usize) -> *mut c_void, (count, size), null_mut());
    }
    let Some(bytes) = count.checked_mul(size) else { return give(None) };
    // Fresh blocks read zero.
    allocate(bytes, stomp::malloc_align(), Caller::here())
}

/// # Safety
/// 1. `block` is null or came from this family; anything else is reported and ends the process.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn free(block: *mut c_void) {
    if is_passive() && !is_ours(block) {
        return call_next!(free as fn(*mut c_void) -> (), (block), ());
    }
    if let Some(block) = NonNull::new(block.cast()) {
        stomp::free(block, Caller::here());
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn free_sized(block: *mut c_void, size: usize) {
    if is_passive() && !is_ours(block) {
        return call_next!(free_sized as fn(*mut c_void, usize) -> (), (block, size), ());
    }
    if let Some(block) = NonNull::new(block.cast()) {
        stomp::free(block, Caller::here());
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn free_aligned_sized(block: *mut c_void, align: usize, size: usize) {
    if is_passive() && !is_ours(block) {
        return call_next!(
            free_aligned_sized as fn(*mut c_void, usize, usize) -> (),
            (block, align, size),
            ()
        );
    }
    if let Some(block) = NonNull::new(block.cast()) {
        stomp::free(block, Caller::here());
    }
}

/// As glibc: null is malloc, size 0 is free.
fn reallocate(block: *mut c_void, size: usize, caller: Caller) -> *mut c_void {
    let align = stomp::malloc_align();
    let Some(block) = NonNull::new(block.cast()) else { return allocate(size, align, caller) };
    if size == 0 {
        stomp::free(block, caller);
        return null_mut();
    }
    give(stomp::reallocate(block, size, align, caller))
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if is_passive() && !is_ours(block) {
        return call_next!(
            realloc as fn(*mut c_void, usize) -> *mut c_void,
            (block, size),
            null_mut()
        );
    }
    reallocate(block, size, Caller::here())
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    if is_passive() && !is_ours(block) {
        return call_next!(
            reallocarray as fn(*mut c_void, usize, usize) -> *mut c_void,
            (block, count, size),
            null_mut()
        );
    }
    match count.checked_mul(size) {
        Some(bytes) => reallocate(block, bytes, Caller::here()),
        None => give(None),
    }
}

fn allocate_aligned(align: usize, size: usize, caller: Caller) -> *mut c_void {
    let Some(align) = rounded_align(align) else { return null_mut() };
    allocate(size, align.max(stomp::malloc_align()), caller)
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(
            aligned_alloc as fn(usize, usize) -> *mut c_void,
            (align, size),
            null_mut()
        );
    }
    allocate_aligned(align, size, Caller::here())
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(memalign as fn(usize, usize) -> *mut c_void, (align, size), null_mut());
    }
    allocate_aligned(align, size, Caller::here())
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if is_passive() {
        return call_next!(
            posix_memalign as fn(*mut *mut c_void, usize, usize) -> c_int,
            (out, align, size),
            libc::ENOMEM
        );
    }
    if !is_posix_align(align) {
        return libc::EINVAL;
    }
    let align = align.max(stomp::malloc_align());
    let Some(block) = stomp::allocate(size, align, Caller::here()) else { return libc::ENOMEM };
    // SAFETY: the caller gave a place for the pointer.
    unsafe { out.write(block.as_ptr().cast()) };
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn valloc(size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(valloc as fn(usize) -> *mut c_void, (size), null_mut());
    }
    allocate(size, stomp::page_len(), Caller::here())
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn pvalloc(size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(pvalloc as fn(usize) -> *mut c_void, (size), null_mut());
    }
    let page_len = stomp::page_len();
    match size.checked_next_multiple_of(page_len) {
        Some(bytes) => allocate(bytes, page_len, Caller::here()),
        None => give(None),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    if is_passive() && !is_ours(block) {
        return call_next!(malloc_usable_size as fn(*mut c_void) -> usize, (block), 0);
    }
    NonNull::new(block.cast()).and_then(stomp::size_of_block).unwrap_or(0)
}
