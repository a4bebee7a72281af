//! Floor 1. Reads a word that may not be there.

use core::arch::naked_asm;

/// What the two functions below return, in two registers.
#[repr(C)]
struct Probed {
    value: u64,
    good: u64,
}

/// The half of the address space that programs have: 47 bits on x86-64, 48 on AArch64.
const ADDRESS_END: u64 = if cfg!(target_arch = "x86_64") { 1 << 47 } else { 1 << 48 };

/// The word at `address`; `None` if it cannot be read.
///
/// A bad address raises SIGSEGV or SIGBUS; the handler must resume where [`probe_fixup`] says. The
/// zero page and the half of the kernel are refused without a try.
#[inline]
pub(crate) fn probe_read(address: u64) -> Option<u64> {
    if !(4096..ADDRESS_END).contains(&address) {
        return None;
    }
    // SAFETY: `load` reads eight bytes or faults, and a fault resumes in `land` (see above). It
    // reads what another thread may be writing, which is fine for an instruction.
    let probed = unsafe { load(address) };
    (probed.good != 0).then_some(probed.value)
}

/// Where to go on after a fault at `pc`, if that is the reading instruction of [`probe_read`]. Only
/// the pc of the interrupted thread is to be changed, nothing else.
pub(crate) fn probe_fixup(pc: u64) -> Option<u64> {
    let reading = load as *const () as u64;
    (pc == reading).then_some(land as *const () as u64)
}

/// Reads the word at `address`; its first instruction is the one that faults.
///
/// # Safety
/// 1. Eight bytes at `address` are readable, or the handler of the fault continues in [`land`].
#[unsafe(naked)]
unsafe extern "C" fn load(address: u64) -> Probed {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov rax, qword ptr [rdi]", "mov edx, 1", "ret");
    #[cfg(target_arch = "aarch64")]
    naked_asm!("ldr x0, [x0]", "mov x1, #1", "ret");
}

/// Stands in for the rest of [`load`] when that faulted.
#[unsafe(naked)]
extern "C" fn land() -> Probed {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("xor eax, eax", "xor edx, edx", "ret");
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x0, #0", "mov x1, #0", "ret");
}
