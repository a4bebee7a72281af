//! The malloc family: malloc(3), posix_memalign(3), malloc_usable_size(3), and C23's sized frees.
//!
//! `malloc` and `free` do what the thread can do by itself, and jump to a slow twin for everything
//! else: a thread that has no part of the heap yet, an empty cache, a null pointer, a program with
//! its own allocator. So their quick ways have no frame, no call and no question about the program.

use crate::start::is_passive;
use core::alloc::Layout;
use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, null_mut};
use granule::Granule;
use granule_preload::{call_next, is_posix_align, rounded_align, set_errno};

/// True for a block of ours. In a program with its own malloc there may be some, given out before
/// that was known.
fn is_ours(block: *mut c_void) -> bool {
    NonNull::new(block.cast()).is_some_and(|block| Granule.owns(block))
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

/// What a block of a size is aligned to, so that any type which fits may lie in it.
const fn natural_align(size: usize) -> usize {
    if size <= 8 { 8 } else { 16 }
}

fn allocate_zeroed(size: usize) -> Option<NonNull<u8>> {
    let layout = Layout::from_size_align(size, natural_align(size));
    Granule.allocate_zeroed(layout.ok()?).ok()
}

/// A block with an alignment; `None` also if that is no power of two.
pub(crate) fn allocate_aligned(align: usize, size: usize) -> Option<NonNull<u8>> {
    let layout = Layout::from_size_align(size, align.max(natural_align(size)));
    Granule.allocate(layout.ok()?).ok()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    match Granule.allocate_ready(size) {
        Some(block) => block.as_ptr().cast(),
        None => malloc_slowly(size),
    }
}

#[cold]
#[inline(never)]
extern "C" fn malloc_slowly(size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(malloc as fn(usize) -> *mut c_void, (size), null_mut());
    }
    give(Granule.allocate_c(size))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    if let Some(bytes) = count.checked_mul(size)
        && let Some(block) = Granule.allocate_ready(bytes)
    {
        // SAFETY: a new block of that many bytes.
        unsafe { block.write_bytes(0, bytes) };
        return block.as_ptr().cast();
    }
    calloc_slowly(count, size)
}

#[cold]
#[inline(never)]
extern "C" fn calloc_slowly(count: usize, size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(calloc as fn(usize, usize) -> *mut c_void, (count, size), null_mut());
    }
    give(count.checked_mul(size).and_then(allocate_zeroed))
}

/// Takes a block back.
///
/// # Safety
/// 1. `block` is null or came from this family; anything else is reported and ends the process.
#[inline(always)]
pub(crate) unsafe fn give_back(block: *mut c_void) {
    // SAFETY: (1).
    if !unsafe { Granule.deallocate_ready(block.cast()) } {
        give_back_slowly(block);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: (1) the caller's.
    unsafe { give_back(block) }
}

#[cold]
#[inline(never)]
extern "C" fn give_back_slowly(block: *mut c_void) {
    if is_passive() && !is_ours(block) {
        return call_next!(free as fn(*mut c_void) -> (), (block), ());
    }
    // SAFETY: (1) of `give_back`; what is no block of ours is reported.
    unsafe { Granule.deallocate_c(block.cast()) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free_sized(block: *mut c_void, _: usize) {
    // SAFETY: (1) the same.
    unsafe { give_back(block) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free_aligned_sized(block: *mut c_void, _: usize, _: usize) {
    // SAFETY: (1) the same.
    unsafe { give_back(block) }
}

/// Gone from glibc since 2.26, for programs that are older.
#[unsafe(no_mangle)]
unsafe extern "C" fn cfree(block: *mut c_void) {
    // SAFETY: (1) the same.
    unsafe { give_back(block) }
}

/// As glibc: null is malloc, size 0 is free.
///
/// # Safety
/// 1. `block` is null or came from this family, and after success is not used again.
unsafe fn reallocate(block: *mut c_void, size: usize) -> *mut c_void {
    let Some(known) = NonNull::new(block.cast()) else { return give(Granule.allocate_c(size)) };
    if size == 0 {
        // SAFETY: (1).
        unsafe { give_back(block) };
        return null_mut();
    }
    // SAFETY: (1).
    give(unsafe { Granule.reallocate_unsized(known, size) }.ok())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if is_passive() && !is_ours(block) {
        return call_next!(
            realloc as fn(*mut c_void, usize) -> *mut c_void,
            (block, size),
            null_mut()
        );
    }
    // SAFETY: (1) the caller's block.
    unsafe { reallocate(block, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    if is_passive() && !is_ours(block) {
        return call_next!(
            reallocarray as fn(*mut c_void, usize, usize) -> *mut c_void,
            (block, count, size),
            null_mut()
        );
    }
    match count.checked_mul(size) {
        // SAFETY: (1) the caller's block.
        Some(bytes) => unsafe { reallocate(block, bytes) },
        None => give(None),
    }
}

fn give_aligned(align: usize, size: usize) -> *mut c_void {
    rounded_align(align).map_or(null_mut(), |align| give(allocate_aligned(align, size)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(
            aligned_alloc as fn(usize, usize) -> *mut c_void,
            (align, size),
            null_mut()
        );
    }
    give_aligned(align, size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(memalign as fn(usize, usize) -> *mut c_void, (align, size), null_mut());
    }
    give_aligned(align, size)
}

#[unsafe(no_mangle)]
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
    let Some(block) = allocate_aligned(align, size) else { return libc::ENOMEM };
    // SAFETY: the caller gave a place for the pointer.
    unsafe { out.write(block.as_ptr().cast()) };
    0
}

pub(crate) fn page_len() -> usize {
    // SAFETY: asks for a number that every system has.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn valloc(size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(valloc as fn(usize) -> *mut c_void, (size), null_mut());
    }
    give(allocate_aligned(page_len(), size))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pvalloc(size: usize) -> *mut c_void {
    if is_passive() {
        return call_next!(pvalloc as fn(usize) -> *mut c_void, (size), null_mut());
    }
    let page_len = page_len();
    give(
        size.checked_next_multiple_of(page_len).and_then(|bytes| allocate_aligned(page_len, bytes)),
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    if is_passive() && !is_ours(block) {
        return call_next!(malloc_usable_size as fn(*mut c_void) -> usize, (block), 0);
    }
    NonNull::new(block.cast()).and_then(|block| Granule.usable_len(block)).unwrap_or(0)
}
