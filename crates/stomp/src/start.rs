//! The library's first and last moment, called by the loader.

use crate::next::{Next, Search, call_next, find};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use granule::stomp::{self, Caller};

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
    DLOPEN.addr();
    crate::signals::prepare();
    if program_allocates_here() {
        stomp::start();
        #[cfg(target_env = "gnu")]
        stomp::follow_masks();
    } else {
        PASSIVE.store(true, Ordering::Relaxed);
        stomp::own_allocator();
    }
}

/// True if a call of `malloc` in the program ends here. It is tried and not asked for by address,
/// because a program with the old fixed layout has an address of its own for every function.
fn program_allocates_here() -> bool {
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
    let here = NonNull::new(block.cast()).is_none_or(stomp::is_ours);
    // SAFETY: the block comes from the `malloc` beside this `free`, and is not used.
    unsafe { free(block) };
    here
}

extern "C" fn end() {
    if !is_passive() {
        stomp::sweep(Caller::here());
    }
}

/// What `dlopen` must not be asked for: a library that looks up its symbols in itself and its own
/// libraries first would free our blocks with the C library's `free`.
const DEEPBIND: c_int = 8;

static DLOPEN: Next = Next::new(c"dlopen");

extern "C" fn next_dlopen() -> usize {
    DLOPEN.addr()
}

/// Goes on to the C library's `dlopen` with the caller's stack: the caller decides where libraries
/// are looked for.
///
/// # Safety
/// 1. As for the C library's.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "and esi, {flags}",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {next}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        flags = const !DEEPBIND,
        next = sym next_dlopen,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, -32]!",
        "and w1, w1, {flags}",
        "stp x0, x1, [sp, 16]",
        "bl {next}",
        "mov x16, x0",
        "ldp x0, x1, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        "br x16",
        flags = const !DEEPBIND,
        next = sym next_dlopen,
    );
}

/// # Safety
/// 1. `library` came from dlopen.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlclose(library: *mut c_void) -> c_int {
    let closed = call_next!(dlclose as fn(*mut c_void) -> c_int, (library), -1);
    stomp::forget_code();
    closed
}
