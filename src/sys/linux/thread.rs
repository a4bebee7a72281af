//! Floor 1. Two words that each thread has of its own, on Linux.
//!
//! They are thread-local storage of the initial-exec model: two instructions in a library, one in a
//! program, and never a call that could allocate (Drepper, "ELF Handling For Thread-Local Storage",
//! 2013). The language has no stable way to say so, hence the few lines of assembly.

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

#[cfg(target_arch = "x86_64")]
mod access {
    use core::arch::asm;

    /// How far the words lie behind the thread's own address: the same while the process lives, so
    /// one look is enough for several steps.
    #[inline(always)]
    fn offset() -> usize {
        let offset;
        // SAFETY: reads a constant that the loader has written.
        unsafe {
            asm!(
                concat!("mov {offset}, qword ptr [rip + ", words!(), "@GOTTPOFF]"),
                offset = out(reg) offset,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        offset
    }

    #[inline(always)]
    pub(super) fn get<const AT: usize>() -> *mut u8 {
        let word;
        // SAFETY: reads a word of the thread's own block, which the loader has made.
        unsafe {
            asm!(
                "mov {word}, qword ptr fs:[{offset} + {at}]",
                word = out(reg) word, offset = in(reg) offset(), at = const AT,
                options(nostack, readonly, preserves_flags),
            );
        }
        word
    }

    #[inline(always)]
    pub(super) fn set<const AT: usize>(value: *mut u8) {
        // SAFETY: as above, and nobody else writes it.
        unsafe {
            asm!(
                "mov qword ptr fs:[{offset} + {at}], {value}",
                offset = in(reg) offset(), value = in(reg) value, at = const AT,
                options(nostack, preserves_flags),
            );
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod access {
    use core::arch::asm;

    /// Where the words of this thread lie.
    #[inline(always)]
    fn place() -> usize {
        let place;
        // SAFETY: reads a constant that the loader has written, and the thread's own address.
        unsafe {
            asm!(
                concat!("adrp {place}, :gottprel:", words!()),
                concat!("ldr {place}, [{place}, :gottprel_lo12:", words!(), "]"),
                "mrs {block}, tpidr_el0",
                "add {place}, {block}, {place}",
                place = out(reg) place, block = out(reg) _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        place
    }

    #[inline(always)]
    pub(super) fn get<const AT: usize>() -> *mut u8 {
        let word;
        // SAFETY: reads a word of the thread's own block, which the loader has made.
        unsafe {
            asm!(
                "ldr {word}, [{place}, {at}]",
                word = out(reg) word, place = in(reg) place(), at = const AT,
                options(nostack, readonly, preserves_flags),
            );
        }
        word
    }

    #[inline(always)]
    pub(super) fn set<const AT: usize>(value: *mut u8) {
        // SAFETY: as above, and nobody else writes it.
        unsafe {
            asm!(
                "str {value}, [{place}, {at}]",
                place = in(reg) place(), value = in(reg) value, at = const AT,
                options(nostack, preserves_flags),
            );
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod access {
    use super::super::super::keys;

    pub(super) fn get<const AT: usize>() -> *mut u8 {
        keys::get(AT / 8)
    }

    pub(super) fn set<const AT: usize>(value: *mut u8) {
        keys::set(AT / 8, value);
    }
}

/// The first word of the calling thread; null at first.
#[inline(always)]
pub(crate) fn thread_word() -> *mut u8 {
    access::get::<0>()
}

/// Sets the first word. No access to memory is moved across it by the compiler: a signal handler
/// that comes in between sees one side or the other.
#[inline(always)]
pub(crate) fn set_thread_word(value: *mut u8) {
    access::set::<0>(value);
}

/// The second word of the calling thread; null at first.
#[inline(always)]
pub(crate) fn thread_stage() -> *mut u8 {
    access::get::<8>()
}

/// Sets the second word.
#[inline(always)]
pub(crate) fn set_thread_stage(value: *mut u8) {
    access::set::<8>(value);
}
