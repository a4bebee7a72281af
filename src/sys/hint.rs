//! Floor 1. What is said to the processor, whatever the system.

/// Says that the memory at an address, which may be any, is wanted soon. Changes nothing, and
/// cannot fault.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn wanted_soon(address: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: SSE is a part of x86-64; a prefetch touches nothing that a program can see.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// On other processors nothing is said.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn wanted_soon(_: *const u8) {}
