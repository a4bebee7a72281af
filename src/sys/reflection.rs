//! Floor 1. Memory that has two addresses: what every platform offers, and what the compiler must
//! be told.

use super::{Errno, generation, mirror, unmirror};
use crate::error::Op;
use core::ptr::NonNull;

/// Makes what was written to `len` bytes at `ptr` readable at their other address.
///
/// The processor knows that two addresses are one byte. The compiler does not: to the language the
/// two views of a mirror are different bytes, and a value written to one may be kept back while the
/// other is read. So the language gets a story that it understands. Here code runs that it cannot
/// look into, and what that code does is defined as
///
/// ```text
///   for every byte of ptr..ptr + len:  (the same byte in the other view) = byte
/// ```
///
/// The memory is in that state already, so the code that does it is empty.
///
/// # Safety
/// 1. The bytes lie in a mirror made by [`mirror`].
/// 2. Nobody has a reference to them, or to their twins in the other view, and nobody else reads or
///    writes either at this time.
pub(crate) unsafe fn reflect(ptr: NonNull<u8>, len: usize) {
    // SAFETY: no instruction, so no register, flag or stack is touched. What the block is said to
    // do to memory is a copy that (1) and (2) allow, and that the system has done already.
    unsafe {
        core::arch::asm!(
            "/* {ptr} {len} */",
            ptr = in(reg) ptr.as_ptr(), len = in(reg) len,
            options(nostack, preserves_flags)
        );
    }
}

/// What every platform has for mirrors.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _MIRROR_CONTRACT: (
    fn(usize) -> Result<NonNull<u8>, (Op, Errno)>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    fn() -> u32,
) = (mirror, unmirror, generation);
