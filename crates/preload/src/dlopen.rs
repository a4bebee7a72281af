//! dlopen(3) without `RTLD_DEEPBIND`: a library that looks up its symbols in itself and its own
//! libraries first would free our blocks with the C library's `free`.

use crate::next::Next;
use core::ffi::{c_char, c_int, c_void};

const DEEPBIND: c_int = 8;

static DLOPEN: Next = Next::new(c"dlopen");

/// Looks it up.
pub(crate) fn prepare() {
    DLOPEN.addr();
}

extern "C" fn next_dlopen() -> usize {
    DLOPEN.addr()
}

/// Goes on to the C library's `dlopen` with the caller's stack: the caller decides where libraries
/// are looked for. Null where there is none.
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
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2:",
        "ret",
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
        "cbz x16, 2f",
        "br x16",
        "2:",
        "mov x0, x16",
        "ret",
        flags = const !DEEPBIND,
        next = sym next_dlopen,
    );
}
