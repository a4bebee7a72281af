//! Memory that is soon wanted.

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_LEN: usize = 64;

/// Has the processor bring the bytes into its second cache. Changes nothing.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn prefetch(bytes: &[u8]) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for line in bytes.chunks(LINE_LEN) {
        // SAFETY: SSE is a part of x86-64; a prefetch touches nothing that a program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

/// On other processors nothing is asked for.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn prefetch(_: &[u8]) {}
