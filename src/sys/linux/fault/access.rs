//! Floor 1. Was it a write? What the processor says in the context of a fault.

use core::ffi::c_void;

/// Bit 1 of the page-fault error code: set for a write.
///
/// # Safety
/// 1. `context` is the one the kernel gave to a handler that is still running.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn access_is_write(context: *const c_void) -> Option<bool> {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: (1): the kernel filled the context.
    let error = unsafe { (*context).uc_mcontext.gregs[libc::REG_ERR as usize] };
    Some(error & 2 != 0)
}

/// Bit 4 of the page-fault error code: set when an instruction was fetched.
///
/// # Safety
/// 1. `context` is the one the kernel gave to a handler that is still running.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn access_is_fetch(context: *const c_void, _: usize) -> bool {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: (1): the kernel filled the context.
    let error = unsafe { (*context).uc_mcontext.gregs[libc::REG_ERR as usize] };
    error & 16 != 0
}

/// An instruction lies in one page: it is fetched where the fault is.
///
/// # Safety
/// 1. `context` is the one the kernel gave to a handler that is still running.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn access_is_fetch(context: *const c_void, addr: usize) -> bool {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: (1): the kernel filled the context.
    let pc = unsafe { (*context).uc_mcontext.pc };
    pc == addr as u64
}

/// The syndrome that the kernel adds to the context; an emulator does not: then the instruction.
///
/// # Safety
/// 1. `context` is the one the kernel gave to a handler that is still running.
/// 2. That handler resumes probes (`unwind::probe_fixup`).
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn access_is_write(context: *const c_void) -> Option<bool> {
    use super::super::unwind::probe_read;

    /// What the records lie in: the last field of the machine's context, 4 KiB.
    type Records = [u32; 1024];
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: (1): a place in the struct.
    let machine = unsafe { &raw const (*context).uc_mcontext };
    let place = machine.wrapping_add(1).cast::<Records>().wrapping_sub(1);
    // SAFETY: (1): the kernel filled the field, which ends the struct and is a multiple of 16.
    let records = unsafe { &*place };
    if let Some(syndrome) = aarch64::syndrome(records) {
        return aarch64::is_write_by_syndrome(syndrome);
    }
    // SAFETY: (1): the kernel filled the context.
    let pc = unsafe { (*machine).pc };
    aarch64::is_write(probe_read(pc)? as u32)
}

/// What a fault on AArch64 tells.
///
/// Sources: Arm Architecture Reference Manual, DDI 0487, C4.1.94 (loads and stores), D24.2.40
/// (ESR_EL1); Linux, `arch/arm64/include/uapi/asm/sigcontext.h`.
#[cfg(any(target_arch = "aarch64", test))]
mod aarch64 {
    /// The number of the record that holds the syndrome.
    const SYNDROME: u32 = 0x4553_5201;

    /// Walks through records of (number, bytes in all, content) to that of the syndrome.
    pub(super) fn syndrome(records: &[u32]) -> Option<u64> {
        let mut rest = records;
        while let [number, len, content @ ..] = rest {
            match (*number, content) {
                (SYNDROME, [low, high, ..]) => {
                    return Some(u64::from(*high) << 32 | u64::from(*low));
                }
                (0, _) => return None,
                _ => rest = rest.get((*len as usize / 4).max(2)..)?,
            }
        }
        None
    }

    /// The bit for a write, in the syndrome of a data abort that no cache maintenance caused.
    pub(super) fn is_write_by_syndrome(syndrome: u64) -> Option<bool> {
        const DATA_ABORT: u64 = 0x24;
        let (class, maintenance) = (syndrome >> 26 & 0x3f, syndrome >> 8 & 1 == 1);
        (class == DATA_ABORT && !maintenance).then_some(syndrome >> 6 & 1 == 1)
    }

    /// Reads the instruction that faulted. `None` if it is no load and no store.
    pub(super) fn is_write(instruction: u32) -> Option<bool> {
        let bits = |low: u32, count: u32| instruction >> low & ((1 << count) - 1);
        let is_load = bits(22, 1) == 1;
        if instruction & !0x1f == 0xd50b_7420 {
            return Some(true); // dc zva: zeros a block of memory
        }
        if bits(25, 1) != 0 || bits(27, 1) != 1 {
            return None;
        }
        Some(match (bits(28, 2), bits(26, 1)) {
            // Vectors, by structures.
            (0b00, 1) => !is_load,
            // Exclusive and ordered ones; compare-and-swap writes.
            (0b00, _) => {
                let swaps = bits(21, 1) == 1 && (bits(23, 1) == 1 || bits(31, 1) == 0);
                swaps || !is_load
            }
            // Relative to the pc; ordered ones with an offset.
            (0b01, _) => bits(24, 1) == 1 && bits(22, 2) == 0,
            // Pairs.
            (0b10, _) => !is_load,
            // One register: atomic operations write, except for the load among them.
            (_, 0) if bits(24, 2) == 0 && bits(21, 1) == 1 && bits(10, 2) == 0 => {
                bits(12, 4) != 0b1100
            }
            // Those that check a signature load.
            (_, 0) if bits(24, 2) == 0 && bits(21, 1) == 1 && bits(10, 1) == 1 => false,
            (_, 0) => bits(22, 2) == 0,
            _ => !is_load,
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_record_of_the_syndrome_is_found_among_others() {
            let vectors = [0x4650_8001, 16, 7, 7];
            let end = [0, 0];
            let with = |record: &[u32]| [&vectors[..], record, &end[..]].concat();
            assert_eq!(syndrome(&with(&[SYNDROME, 16, 0x9200_0047, 1])), Some(0x1_9200_0047));
            assert_eq!(syndrome(&with(&[])), None);
            assert_eq!(syndrome(&[1, 0]), None);
            assert_eq!(syndrome(&[1, u32::MAX, 2]), None);
            assert_eq!(is_write_by_syndrome(0x9200_0047), Some(true));
            assert_eq!(is_write_by_syndrome(0x9200_0007), Some(false));
            assert_eq!(is_write_by_syndrome(0x9200_0147), None, "cache maintenance");
            assert_eq!(is_write_by_syndrome(0x8200_0007), None, "no instruction was there");
        }

        #[test]
        fn loads_and_stores_are_told_apart() {
            let stores = [
                0xf900_0001, // str x1, [x0]
                0x3900_0001, // strb w1, [x0]
                0x3d80_0000, // str q0, [x0]
                0xa900_0801, // stp x1, x2, [x0]
                0xad00_0400, // stp q0, q1, [x0]
                0xf800_8001, // stur x1, [x0, 8]
                0xf822_6801, // str x1, [x0, x2]
                0xf800_8401, // str x1, [x0], 8
                0x4c00_7000, // st1 {v0.16b}, [x0]
                0xc802_7c01, // stxr w2, x1, [x0]
                0xc89f_fc01, // stlr x1, [x0]
                0xc8a1_7c02, // cas x1, x2, [x0]
                0xf821_0002, // ldadd x1, x2, [x0]
                0xf821_8002, // swp x1, x2, [x0]
                0xd900_0001, // stlur x1, [x0]
                0xd50b_7420, // dc zva, x0
            ];
            for store in stores {
                assert_eq!(is_write(store), Some(true), "{store:#x}");
            }
            let loads = [
                0xf940_0001, // ldr x1, [x0]
                0x3940_0001, // ldrb w1, [x0]
                0xb980_0001, // ldrsw x1, [x0]
                0x3dc0_0000, // ldr q0, [x0]
                0xa940_0801, // ldp x1, x2, [x0]
                0xad40_0400, // ldp q0, q1, [x0]
                0xf840_8001, // ldur x1, [x0, 8]
                0xf862_6801, // ldr x1, [x0, x2]
                0x4c40_7000, // ld1 {v0.16b}, [x0]
                0xc85f_7c01, // ldxr x1, [x0]
                0xc8df_fc01, // ldar x1, [x0]
                0xf8bf_c001, // ldapr x1, [x0]
                0xf820_0401, // ldraa x1, [x0]
                0xd940_0001, // ldapur x1, [x0]
                0x5800_0001, // ldr x1, .
            ];
            for load in loads {
                assert_eq!(is_write(load), Some(false), "{load:#x}");
            }
            for other in [0xd503_201f, 0x9100_0401, 0xd63f_0020, 0] {
                assert_eq!(is_write(other), None, "{other:#x}");
            }
        }
    }
}
