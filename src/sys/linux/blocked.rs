//! Floor 1. One word for each thread: the fault signals that the program believes to have blocked.
//!
//! Thread-local storage of the initial-exec kind, made by hand: no allocation, no lock, no call, so
//! that the word may be used in a signal handler and before the C library is ready. A new thread
//! starts with 0; the child of a fork has a copy; the child of a vfork shares it with its parent.

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .tbss.granule_blocked,\"awT\",@nobits",
    ".balign 8",
    ".hidden granule_blocked",
    ".globl granule_blocked",
    ".type granule_blocked, @object",
    ".size granule_blocked, 8",
    "granule_blocked:",
    ".zero 8",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .tbss.granule_blocked,\"awT\",%nobits",
    ".balign 8",
    ".hidden granule_blocked",
    ".globl granule_blocked",
    ".type granule_blocked, %object",
    ".size granule_blocked, 8",
    "granule_blocked:",
    ".zero 8",
    ".popsection",
);

/// The word of the calling thread.
pub(crate) fn blocked_word() -> u64 {
    let word: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread's own word, whose place the linker and the loader know.
    unsafe {
        core::arch::asm!(
            "mov {word}, qword ptr [rip + granule_blocked@GOTTPOFF]",
            "mov {word}, qword ptr fs:[{word}]",
            word = out(reg) word,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "mrs {thread}, tpidr_el0",
            "adrp {word}, :gottprel:granule_blocked",
            "ldr {word}, [{word}, :gottprel_lo12:granule_blocked]",
            "ldr {word}, [{thread}, {word}]",
            word = out(reg) word, thread = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
    word
}

/// Sets the word of the calling thread.
pub(crate) fn set_blocked_word(word: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: writes the thread's own word, which nothing else uses.
    unsafe {
        core::arch::asm!(
            "mov {place}, qword ptr [rip + granule_blocked@GOTTPOFF]",
            "mov qword ptr fs:[{place}], {word}",
            word = in(reg) word, place = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "mrs {thread}, tpidr_el0",
            "adrp {place}, :gottprel:granule_blocked",
            "ldr {place}, [{place}, :gottprel_lo12:granule_blocked]",
            "str {word}, [{thread}, {place}]",
            word = in(reg) word, place = out(reg) _, thread = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_its_own_word() {
        set_blocked_word(7);
        let other = std::thread::spawn(|| {
            let first = blocked_word();
            set_blocked_word(9);
            (first, blocked_word())
        });
        assert_eq!(other.join().expect("no panic"), (0, 9));
        assert_eq!(blocked_word(), 7);
        set_blocked_word(0);
        assert_eq!(blocked_word(), 0);
    }
}
