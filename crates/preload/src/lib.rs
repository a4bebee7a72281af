//! What the preload libraries of granule share: the functions that theirs stand in front of, and
//! whether a program lets them.
#![no_std]
#![allow(
    clippy::macro_metavars_in_unsafe,
    reason = "a name and arguments, for a call that is unsafe"
)]

mod dlopen;
mod locks;
mod next;

pub use locks::lock_what_is_touched;
pub use next::{Next, Search, find};

use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, null_mut};

/// Sets errno of the calling thread.
pub fn set_errno(code: c_int) {
    // SAFETY: the address of the thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { *errno = code };
}

/// An alignment as `memalign` and `aligned_alloc` take it: glibc rounds up to a power of two; none
/// can be beyond half the address space (`None`, and errno is EINVAL).
pub fn rounded_align(align: usize) -> Option<usize> {
    let rounded = align.checked_next_power_of_two();
    if rounded.is_none() {
        set_errno(libc::EINVAL);
    }
    rounded
}

/// True for an alignment that `posix_memalign` takes: a power of two, and a multiple of a pointer.
pub const fn is_posix_align(align: usize) -> bool {
    align.is_power_of_two() && align.is_multiple_of(size_of::<*mut c_void>())
}

/// The loaded object that an address lies in; null if none does.
fn object_of(addr: *const c_void) -> *mut c_void {
    // SAFETY: zero is a value of plain numbers and pointers.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: any address may be asked for, and the place is ours.
    match unsafe { libc::dladdr(addr, &raw mut info) } {
        0 => null_mut(),
        _ => info.dli_fbase,
    }
}

/// True for an address in the library, or the program, that this code is in. Functions that are
/// exported have to be found by name: taken by address they are whoever comes first.
pub fn is_of_this_library(addr: *const c_void) -> bool {
    static HERE: u8 = 0;
    object_of(addr) == object_of((&raw const HERE).cast())
}

/// True if the `malloc` of the program is the C library's: nobody has replaced it, not even the
/// library of the caller, because it was loaded late.
pub fn program_has_plain_malloc() -> bool {
    let (malloc, plain) =
        (find(Search::All, c"malloc"), find(Search::All, c"gnu_get_libc_version"));
    !malloc.is_null() && !plain.is_null() && object_of(malloc) == object_of(plain)
}

/// Looks up what is needed later: best at the start, see [`Next`].
pub fn prepare() {
    dlopen::prepare();
}

/// True if a call of `malloc` in the program ends in the library of the caller, which knows its own
/// blocks. It is tried and not asked for by address, because a program with the old fixed layout
/// has an address of its own for every function.
pub fn program_allocates_here(is_ours: impl FnOnce(NonNull<u8>) -> bool) -> bool {
    type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
    type Free = unsafe extern "C" fn(*mut c_void);
    let (malloc, free) = (find(Search::All, c"malloc"), find(Search::All, c"free"));
    if malloc.is_null() || free.is_null() {
        return true;
    }
    // SAFETY: whoever defines `malloc` for the whole program gives it this type.
    let malloc = unsafe { core::mem::transmute::<*mut c_void, Malloc>(malloc) };
    // SAFETY: the same for `free`.
    let free = unsafe { core::mem::transmute::<*mut c_void, Free>(free) };
    // SAFETY: any size is allowed.
    let block = unsafe { malloc(1) };
    let here = NonNull::new(block.cast()).is_none_or(is_ours);
    // SAFETY: the block comes from the `malloc` beside this `free`, and is not used.
    unsafe { free(block) };
    here
}
