//! sigsetjmp(3), siglongjmp(3), getcontext(3) and their relatives keep, beside the mask, what the
//! program believes of the fault signals.
//!
//! The kernel's mask has one word; those that glibc keeps have room for more. The second word,
//! which nobody uses, carries the belief. Every function here does its work and goes on to the C
//! library's with the stack as it found it: some return twice, and to their caller.

use core::ffi::{c_int, c_void};
use granule::stomp::{program_blocked, set_program_blocked};
use granule_preload::Next;

/// The upper half of the second word of a mask when the lower carries a belief: both fault signals
/// have numbers below 32.
const MARK: u64 = 0x6772_616e << 32;

/// The start of a mask as glibc keeps it.
type Mask = [u64; 2];

/// The start of glibc's `struct __jmp_buf_tag`.
#[repr(C)]
struct JumpBuffer {
    registers: [u64; REGISTERS],
    mask_was_saved: c_int,
    mask: Mask,
}

#[cfg(target_arch = "x86_64")]
const REGISTERS: usize = 8;
#[cfg(target_arch = "aarch64")]
const REGISTERS: usize = 22;

fn remember(mask: &mut Mask) {
    mask[1] = MARK | program_blocked();
}

/// Bits in the first word are the program's doing, or of a context that a handler got. They must
/// not reach the kernel. The second word is written only if it is a mask's: in the context of a
/// handler the kernel has something else there.
fn recall(mask: &mut Mask) {
    let is_marked = mask[1] >> 32 == MARK >> 32;
    set_program_blocked(mask[0] | if is_marked { mask[1] & !MARK } else { 0 });
    if is_marked {
        remember(mask);
    }
    mask[0] &= !program_blocked();
}

static CHECKED_JUMP: Next = Next::new(c"__longjmp_chk");
static GET: Next = Next::new(c"getcontext");
static SET: Next = Next::new(c"setcontext");
static SWAP: Next = Next::new(c"swapcontext");

/// Looks all up.
pub(crate) fn prepare() {
    for next in [&CHECKED_JUMP, &GET, &SET, &SWAP] {
        next.addr();
    }
}

unsafe extern "C" {
    /// `sigsetjmp` with the mask.
    fn setjmp(buffer: *mut c_void) -> c_int;
    /// `sigsetjmp` without the mask.
    fn _setjmp(buffer: *mut c_void) -> c_int;
    /// The same as `longjmp` and `siglongjmp`.
    fn _longjmp(buffer: *mut c_void, value: c_int) -> !;
}

/// # Safety
/// 1. `buffer` is the argument of `sigsetjmp`.
unsafe extern "C" fn before_sigsetjmp(buffer: *mut JumpBuffer, with_mask: c_int) -> usize {
    if with_mask == 0 {
        return _setjmp as *const () as usize;
    }
    // SAFETY: (1): the buffer is the caller's to be written, and holds plain numbers.
    let buffer = unsafe { &mut *buffer };
    remember(&mut buffer.mask);
    setjmp as *const () as usize
}

/// # Safety
/// 1. `buffer` is the argument of `siglongjmp`.
unsafe extern "C" fn before_longjmp(buffer: *mut JumpBuffer) -> usize {
    // SAFETY: (1): `sigsetjmp` or `setjmp` has filled it.
    let buffer = unsafe { &mut *buffer };
    if buffer.mask_was_saved != 0 {
        recall(&mut buffer.mask);
    }
    _longjmp as *const () as usize
}

/// # Safety
/// 1. As for [`before_longjmp`].
unsafe extern "C" fn before_longjmp_chk(buffer: *mut JumpBuffer) -> usize {
    // SAFETY: (1).
    unsafe { before_longjmp(buffer) };
    CHECKED_JUMP.addr()
}

/// # Safety
/// 1. `context` points to a `ucontext_t`, used by this thread alone.
unsafe fn mask_of<'a>(context: *mut libc::ucontext_t) -> &'a mut Mask {
    // SAFETY: (1): a place in the struct.
    let mask = unsafe { &raw mut (*context).uc_sigmask };
    // SAFETY: (1): a set is longer than two words, and aligned as they are.
    unsafe { &mut *mask.cast::<Mask>() }
}

/// # Safety
/// 1. `context` is the argument of `getcontext`.
unsafe extern "C" fn before_getcontext(context: *mut libc::ucontext_t) -> usize {
    // SAFETY: (1).
    remember(unsafe { mask_of(context) });
    GET.addr()
}

/// # Safety
/// 1. `context` is the argument of `setcontext`.
unsafe extern "C" fn before_setcontext(context: *mut libc::ucontext_t) -> usize {
    // SAFETY: (1).
    recall(unsafe { mask_of(context) });
    SET.addr()
}

/// # Safety
/// 1. `old` and `new` are the arguments of `swapcontext`.
unsafe extern "C" fn before_swapcontext(
    old: *mut libc::ucontext_t,
    new: *mut libc::ucontext_t,
) -> usize {
    // SAFETY: (1).
    remember(unsafe { mask_of(old) });
    // SAFETY: (1).
    recall(unsafe { mask_of(new) });
    SWAP.addr()
}

/// A function of two arguments at most, which calls `before` with them and goes on, with them and
/// the caller's stack, to where that says.
macro_rules! go_on {
    ($name:ident, $before:ident) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name(first: *mut c_void, second: *mut c_void) -> c_int {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                "call {before}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                "jmp rax",
                before = sym $before,
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(
                "stp x29, x30, [sp, -32]!",
                "stp x0, x1, [sp, 16]",
                "bl {before}",
                "mov x16, x0",
                "ldp x0, x1, [sp, 16]",
                "ldp x29, x30, [sp], 32",
                "br x16",
                before = sym $before,
            );
        }
    };
}

go_on!(__sigsetjmp, before_sigsetjmp);
go_on!(longjmp, before_longjmp);
go_on!(siglongjmp, before_longjmp);
go_on!(__longjmp_chk, before_longjmp_chk);
go_on!(getcontext, before_getcontext);
go_on!(setcontext, before_setcontext);
go_on!(swapcontext, before_swapcontext);
