//! Floor 1. Two words that each thread has of its own, and a barrier for all threads, on Linux.
//!
//! They are thread-local storage of the initial-exec model: two instructions in a library, one in a
//! program, and never a call that could allocate (Drepper, "ELF Handling For Thread-Local Storage",
//! 2013). The language has no stable way to say so, hence the few lines of assembly.

use super::super::Errno;
use super::raw::syscall;

/// The name of the two, which must differ from that of another version in the same program.
macro_rules! words {
    () => {
        concat!(
            "granule_thread_words_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}

core::arch::global_asm!(
    ".pushsection .tbss.granule_thread_words,\"awT\",%nobits",
    concat!(".globl ", words!()),
    concat!(".hidden ", words!()),
    concat!(".type ", words!(), ", %object"),
    concat!(".size ", words!(), ", 16"),
    ".p2align 4",
    concat!(words!(), ":"),
    ".zero 16",
    ".popsection",
);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod access {
    use core::arch::asm;
    use core::sync::atomic::{AtomicPtr, Ordering, compiler_fence};

    /// Where the two are. What is pure is not asked twice.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn place() -> *const AtomicPtr<u8> {
        let place;
        // SAFETY: computes an address in the thread's own block, which the loader has made.
        unsafe {
            asm!(
                "mov {place}, qword ptr fs:[0]",
                concat!("add {place}, qword ptr [rip + ", words!(), "@GOTTPOFF]"),
                place = out(reg) place, options(nostack, pure, nomem),
            );
        }
        place
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    fn place() -> *const AtomicPtr<u8> {
        let place;
        // SAFETY: as above.
        unsafe {
            asm!(
                concat!("adrp {offset}, :gottprel:", words!()),
                concat!("ldr {offset}, [{offset}, :gottprel_lo12:", words!(), "]"),
                "mrs {place}, tpidr_el0",
                "add {place}, {place}, {offset}",
                place = out(reg) place, offset = out(reg) _,
                options(nostack, pure, nomem, preserves_flags),
            );
        }
        place
    }

    #[inline(always)]
    pub(super) fn get(number: usize) -> *mut u8 {
        // SAFETY: one of the two.
        let place = unsafe { place().add(number) };
        // SAFETY: the words are there as long as the thread is, aligned, and nobody else's.
        unsafe { (*place).load(Ordering::Relaxed) }
    }

    #[inline(always)]
    pub(super) fn set(number: usize, value: *mut u8) {
        // SAFETY: one of the two.
        let place = unsafe { place().add(number) };
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { (*place).store(value, Ordering::Relaxed) };
        compiler_fence(Ordering::SeqCst);
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::super::keys as access;

/// Has every thread of the process pass a full memory barrier; false if the kernel does not. Call:
/// membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), Linux 4.14, which the process registers for first.
pub(crate) fn pass_barrier() -> bool {
    let call = |command: libc::c_int| {
        // SAFETY: touches no memory.
        unsafe { syscall(libc::SYS_membarrier, [command as usize, 0, 0, 0, 0, 0]) }
    };
    match call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        Err(Errno(libc::EPERM, _)) => {
            call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED).is_ok()
                && call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED).is_ok()
        }
        done => done.is_ok(),
    }
}

/// The first word of the calling thread; null at first.
#[inline(always)]
pub(crate) fn thread_word() -> *mut u8 {
    access::get(0)
}

/// Sets the first word. No access to memory is moved across it by the compiler: a signal handler
/// that comes in between sees one side or the other.
#[inline(always)]
pub(crate) fn set_thread_word(value: *mut u8) {
    access::set(0, value);
}

/// The second word of the calling thread; null at first.
#[inline(always)]
pub(crate) fn thread_stage() -> *mut u8 {
    access::get(1)
}

/// Sets the second word.
#[inline(always)]
pub(crate) fn set_thread_stage(value: *mut u8) {
    access::set(1, value);
}
