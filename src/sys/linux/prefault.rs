//! Floor 1. What a touch of a page of a file brings with it, on Linux.

use super::super::Errno;
use super::pagemap::{Filter, PAGE_IS_PRESENT, Region, ask};
use super::raw::syscall;
use crate::error::Call;
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

/// Zeros that are written to files.
pub(super) static ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// Writes zeros to a part of a file that reads zero, so that the cache has its pages, in pieces as
/// large as one call can make them. Call: pwritev, for each 256 KiB.
///
/// # Safety
/// 1. `file` is open for writing, and so long.
/// 2. Nobody needs what is there.
pub(crate) unsafe fn write_ahead(file: usize, from: u64, to: u64) -> Result<(), Errno> {
    const PARTS: usize = 16;
    let mut place = from;
    while place < to {
        let len = (to - place).min((PARTS * ZEROS.len()) as u64) as usize;
        let part = |index: usize| libc::iovec {
            iov_base: ZEROS.as_ptr().cast_mut().cast(),
            iov_len: len.saturating_sub(index * ZEROS.len()).min(ZEROS.len()),
        };
        let parts: [libc::iovec; PARTS] = core::array::from_fn(part);
        let list = parts.as_ptr().expose_provenance();
        let args = [file, list, PARTS, place as usize, 0, 0];
        // SAFETY: (1), (2); the kernel reads the list and the zeros, which are never written.
        match unsafe { syscall(libc::SYS_pwritev, args) } {
            Ok(0) => return Err(Errno(libc::ENOSPC, Call::Pwritev)),
            Ok(written) => place += written as u64,
            Err(Errno(libc::EINTR, _)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
