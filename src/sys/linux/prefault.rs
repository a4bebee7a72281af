//! Floor 1. What a touch of a page of a file brings with it, on Linux.

use super::super::Errno;
use super::pagemap::{Filter, PAGE_IS_PRESENT, Region, ask};
use super::raw::syscall;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::NonNull;

/// One call brings pages in, without a fault for each.
pub(crate) const CAN_POPULATE: bool = true;

/// How many faults this thread has had that needed no disk, those of calls that bring pages in
/// among them. Call: getrusage(RUSAGE_THREAD).
pub(crate) fn fault_count() -> Result<u64, Errno> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let target = usage.as_mut_ptr().expose_provenance();
    let args = [libc::RUSAGE_THREAD as usize, target, 0, 0, 0, 0];
    // SAFETY: the kernel fills the structure, which lives through the call.
    unsafe { syscall(libc::SYS_getrusage, args) }?;
    // SAFETY: zeroed and filled; all its fields are numbers.
    let usage = unsafe { usage.assume_init() };
    Ok(usage.ru_minflt as u64)
}

/// The first run of pages that can be touched without a fault for their address, as bytes from
/// `ptr` on. A store to them can still fault. Call: ioctl(PAGEMAP_SCAN), Linux 6.7.
///
/// # Safety
/// 1. The range consists of whole pages that are mapped.
pub(crate) unsafe fn first_mapped(
    ptr: NonNull<u8>,
    len: usize,
) -> Result<Option<Range<usize>>, Errno> {
    let start = ptr.addr().get() as u64;
    let filter = Filter { inverted: 0, mask: PAGE_IS_PRESENT, any: 0 };
    let mut regions = [Region::default()];
    let count = ask(&mut (start..start + len as u64), filter, 0, &mut regions)?;
    let offset = |addr: u64| (addr - start) as usize;
    Ok((count > 0).then(|| offset(regions[0].start)..offset(regions[0].end)))
}
