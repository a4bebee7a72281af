//! pthread_create(3): a thread starts with the mask of its creator, the fault signals included.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use granule::stomp::{self, Caller};
use granule_preload::call_next;

type Routine = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// What a thread does first.
#[repr(C)]
struct Begin {
    routine: Routine,
    argument: *mut c_void,
}

/// What it inherits beside; lives in a block from its creator to its begin.
struct Inheritance {
    begin: Begin,
    blocked: u64,
}

/// A thread inherits the kernel's mask from the kernel, and only when the program believes to block
/// a fault signal there is more to hand over.
///
/// # Safety
/// 1. As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    routine: Routine,
    argument: *mut c_void,
) -> c_int {
    let begin = Begin { routine, argument };
    let blocked = stomp::program_blocked();
    if blocked == 0 {
        return create(thread, attributes, begin);
    }
    let (size, align) = (size_of::<Inheritance>(), align_of::<Inheritance>());
    let Some(block) = stomp::allocate(size, align, Caller::here()) else { return libc::EAGAIN };
    // SAFETY: the block is fresh, and as long and aligned as the value.
    unsafe { block.cast().write(Inheritance { begin, blocked }) };
    let begin = Begin { routine: begin_with_mask, argument: block.as_ptr().cast() };
    let errno = create(thread, attributes, begin);
    if errno != 0 {
        stomp::free(block, Caller::here());
    }
    errno
}

fn create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    begin: Begin,
) -> c_int {
    call_next!(
        pthread_create
            as fn(*mut libc::pthread_t, *const libc::pthread_attr_t, Routine, *mut c_void) -> c_int,
        (thread, attributes, begin.routine, begin.argument),
        libc::EAGAIN
    )
}

/// Takes the inheritance, in the new thread.
///
/// # Safety
/// 1. `block` holds an [`Inheritance`], for this thread alone.
unsafe extern "C" fn take(block: NonNull<Inheritance>) -> Begin {
    // SAFETY: (1).
    let Inheritance { begin, blocked } = unsafe { block.read() };
    stomp::free(block.cast(), Caller::here());
    stomp::set_program_blocked(blocked);
    begin
}

// Leaves no frame behind: the thread may end by pthread_exit or be cancelled, which unwinds its
// stack. `take` gives two words, in the registers of a struct of that size.
#[unsafe(naked)]
unsafe extern "C" fn begin_with_mask(block: *mut c_void) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "sub rsp, 8",
        "call {take}",
        "add rsp, 8",
        "mov rdi, rdx",
        "jmp rax",
        take = sym take,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, -16]!",
        "bl {take}",
        "ldp x29, x30, [sp], 16",
        "mov x16, x0",
        "mov x0, x1",
        "br x16",
        take = sym take,
    );
}
