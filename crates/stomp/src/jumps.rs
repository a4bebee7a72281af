//! sigsetjmp(3) and siglongjmp(3) keep, beside the mask, what the program believes of the fault
//! signals.
//!
//! The kernel's mask has one word; a `sigjmp_buf` of glibc has room for more. The second word of
//! the mask in it, which nobody uses, carries the belief. All functions here pass through with the
//! stack as they found it: `sigsetjmp` returns twice, and to its caller.

use crate::next::{Search, find};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use granule::stomp::{program_blocked, set_program_blocked};

/// The start of glibc's `struct __jmp_buf_tag`.
#[repr(C)]
struct JumpBuffer {
    registers: [u64; REGISTERS],
    mask_was_saved: c_int,
    mask: [u64; 2],
}

#[cfg(target_arch = "x86_64")]
const REGISTERS: usize = 8;
#[cfg(target_arch = "aarch64")]
const REGISTERS: usize = 22;

/// The upper half of the second word of the mask when the lower carries a belief: both fault
/// signals have numbers below 32.
const MARK: u64 = 0x6772_616e << 32;

/// # Safety
/// 1. `buffer` is the argument of `sigsetjmp`.
unsafe extern "C" fn remember(buffer: *mut JumpBuffer) {
    // SAFETY: (1): the buffer is the caller's to be written.
    unsafe { (*buffer).mask[1] = MARK | program_blocked() };
}

/// # Safety
/// 1. `buffer` is the argument of `siglongjmp`.
unsafe extern "C" fn recall(buffer: *const JumpBuffer) {
    // SAFETY: (1): `sigsetjmp` or `setjmp` has filled it.
    if unsafe { (*buffer).mask_was_saved } == 0 {
        return;
    }
    // SAFETY: as above.
    let word = unsafe { (*buffer).mask[1] };
    // A buffer that was not filled through us: then nothing is known to be blocked.
    let is_ours = word >> 32 == MARK >> 32;
    set_program_blocked(if is_ours { word & !MARK } else { 0 });
}

unsafe extern "C" {
    /// `sigsetjmp` with the mask.
    fn setjmp(buffer: *mut c_void) -> c_int;
    /// `sigsetjmp` without the mask.
    fn _setjmp(buffer: *mut c_void) -> c_int;
    /// The same as `longjmp` and `siglongjmp`.
    fn _longjmp(buffer: *mut c_void, value: c_int) -> !;
}

/// glibc's `longjmp` that refuses to jump into dead frames; 0 when there is none.
static CHECKED: AtomicUsize = AtomicUsize::new(0);

/// Looks up what cannot be looked up in a signal handler, where the loader's lock may be held.
pub(crate) fn prepare() {
    CHECKED.store(find(Search::Next, c"__longjmp_chk").addr(), Ordering::Relaxed);
}

/// # Safety
/// 1. As for [`recall`].
unsafe extern "C" fn recall_checked(buffer: *const JumpBuffer) -> usize {
    // SAFETY: (1).
    unsafe { recall(buffer) };
    match CHECKED.load(Ordering::Relaxed) {
        0 => _longjmp as *const () as usize,
        function => function,
    }
}

// Both arguments are kept over the call, or known; the stack is aligned for it, and the jump leaves
// the stack as the caller had it.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn __sigsetjmp(buffer: *mut c_void, with_mask: c_int) -> c_int {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "test esi, esi",
        "jz 2f",
        "push rdi",
        "call {remember}",
        "pop rdi",
        "jmp {with}@PLT",
        "2:",
        "jmp {without}@PLT",
        remember = sym remember, with = sym setjmp, without = sym _setjmp,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "cbz w1, 2f",
        "stp x29, x30, [sp, -32]!",
        "str x0, [sp, 16]",
        "bl {remember}",
        "ldr x0, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        "b {with}",
        "2:",
        "b {without}",
        remember = sym remember, with = sym setjmp, without = sym _setjmp,
    );
}

macro_rules! jump {
    ($name:ident) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name(buffer: *mut c_void, value: c_int) -> ! {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                "call {recall}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                "jmp {jump}@PLT",
                recall = sym recall, jump = sym _longjmp,
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(
                "stp x29, x30, [sp, -32]!",
                "stp x0, x1, [sp, 16]",
                "bl {recall}",
                "ldp x0, x1, [sp, 16]",
                "ldp x29, x30, [sp], 32",
                "b {jump}",
                recall = sym recall, jump = sym _longjmp,
            );
        }
    };
}

jump!(longjmp);
jump!(siglongjmp);

#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn __longjmp_chk(buffer: *mut c_void, value: c_int) -> ! {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {recall}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        recall = sym recall_checked,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, -32]!",
        "stp x0, x1, [sp, 16]",
        "bl {recall}",
        "mov x16, x0",
        "ldp x0, x1, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        "br x16",
        recall = sym recall_checked,
    );
}
