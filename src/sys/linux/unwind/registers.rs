//! Floor 1. Where a walk starts.

use crate::ds::cfi::{self, FP, PC, SP};
use core::ffi::c_void;

/// The registers of the frame a walk starts in.
///
/// On AArch64 only pc, sp, fp and the link register are kept, the first three under the numbers
/// they have on x86-64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    pub(super) values: cfi::Registers,
    /// The pc belongs to the stack that is asked for.
    pub(super) gives_pc: bool,
    /// The link register of an interrupted frame: where it returns to, unless it has called
    /// somebody meanwhile. Processors without one push that address at once.
    pub(super) link: Option<u64>,
}

impl Registers {
    /// The frame of the function that contains the call. The first address of the stack will be
    /// the one this function returns to.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        let mut values = cfi::Registers::default();
        read_current(&mut values);
        Registers { values, gives_pc: false, link: None }
    }

    /// The frame that a signal interrupted, from the third argument of its handler. The first
    /// address of the stack will be the interrupted pc + 1.
    ///
    /// # Safety
    /// 1. `context` is the `ucontext_t` that the kernel gave to a handler.
    pub(crate) unsafe fn from_ucontext(context: *const c_void) -> Self {
        // SAFETY: (1).
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        let mut values = cfi::Registers::default();
        let link = read_context(&context.uc_mcontext, &mut values);
        if let Some(pc) = values.get(PC) {
            values.set(PC, pc.wrapping_add(1));
        }
        Registers { values, gives_pc: true, link }
    }
}

/// The preserved registers besides sp and fp, in the order in which `read_current` stores them.
#[cfg(target_arch = "x86_64")]
const PRESERVED: [u8; 5] = [cfi::BX, cfi::R12, cfi::R12 + 1, cfi::R12 + 2, cfi::R12 + 3];

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn read_current(values: &mut cfi::Registers) {
    let mut stored = [0u64; 8];
    // SAFETY: writes the eight words of `stored` and changes no register but rax. If the compiler
    // put something of its own into a preserved register, the table of this function says where
    // the caller's value is.
    unsafe {
        core::arch::asm!(
            "lea rax, [rip]",
            "mov [{to}], rax", "mov [{to} + 8], rsp", "mov [{to} + 16], rbp",
            "mov [{to} + 24], rbx", "mov [{to} + 32], r12", "mov [{to} + 40], r13",
            "mov [{to} + 48], r14", "mov [{to} + 56], r15",
            to = in(reg) &raw mut stored, out("rax") _,
            options(nostack, preserves_flags)
        );
    }
    let [pc, sp, fp, preserved @ ..] = stored;
    values.set(PC, pc.wrapping_add(1));
    values.set(SP, sp);
    values.set(FP, fp);
    for (register, value) in PRESERVED.into_iter().zip(preserved) {
        values.set(register, value);
    }
}

/// Fills `values`; returns the link register, if the processor has one.
#[cfg(target_arch = "x86_64")]
fn read_context(context: &libc::mcontext_t, values: &mut cfi::Registers) -> Option<u64> {
    /// The kernel's places of the registers, by their DWARF numbers.
    const PLACES: [libc::c_int; cfi::REGISTERS] = [
        libc::REG_RAX,
        libc::REG_RDX,
        libc::REG_RCX,
        libc::REG_RBX,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_RBP,
        libc::REG_RSP,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
        libc::REG_RIP,
    ];
    for (register, place) in (0u8..).zip(PLACES) {
        values.set(register, context.gregs[place as usize] as u64);
    }
    None
}

/// A return address as it is: x86-64 has no signatures.
#[cfg(target_arch = "x86_64")]
pub(super) fn without_signature(pc: u64) -> u64 {
    pc
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn read_current(values: &mut cfi::Registers) {
    let (pc, sp, fp): (u64, u64, u64);
    // SAFETY: copies registers; touches no memory and no flag.
    unsafe {
        core::arch::asm!(
            "adr {pc}, .", "mov {sp}, sp", "mov {fp}, x29",
            pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp,
            options(nomem, nostack, preserves_flags)
        );
    }
    values.set(PC, pc.wrapping_add(1));
    values.set(SP, sp);
    values.set(FP, fp);
}

/// As above.
#[cfg(target_arch = "aarch64")]
fn read_context(context: &libc::mcontext_t, values: &mut cfi::Registers) -> Option<u64> {
    values.set(PC, context.pc);
    values.set(SP, context.sp);
    values.set(FP, context.regs[29]);
    Some(without_signature(context.regs[30]))
}

/// A return address without the signature that pointer authentication puts into its upper bits.
#[cfg(target_arch = "aarch64")]
pub(super) fn without_signature(pc: u64) -> u64 {
    pc & ((1 << 48) - 1)
}
