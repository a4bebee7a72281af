//! The pages of a file that is going to be rewritten, brought in before the first touch.

use std::fs::File;
use std::io;

/// Brings all pages of a mapped file into memory, ready to be written, where that is cheaper than
/// a fault for each. Some threads do it.
///
/// Linux: fstatfs, sysconf, madvise(MADV_POPULATE_WRITE). Not on tmpfs, where a fault brings in
/// more pages than a call does in the same time, and not for a file that memory has no place for.
/// Elsewhere it does nothing.
///
/// # Errors
/// A page cannot be read, or has no place on the disk: the file is sparse, and the disk is full.
#[cfg(target_os = "linux")]
pub(crate) fn prefault(file: &File, data: &mut [u8], threads: usize) -> io::Result<()> {
    if !is_worth_it(file, data.len()) {
        return Ok(());
    }
    let part_len = data.len().div_ceil(threads).next_multiple_of(PAGE_LEN_MAX);
    let mut parts: Vec<&mut [u8]> = data.chunks_mut(part_len).collect();
    crate::threads::each(&mut parts, |part| populate(part)).map(drop)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn prefault(_: &File, _: &mut [u8], _: usize) -> io::Result<()> {
    Ok(())
}

/// No page is longer: parts begin at pages.
#[cfg(target_os = "linux")]
const PAGE_LEN_MAX: usize = 2 << 20;

#[cfg(target_os = "linux")]
fn populate(part: &mut [u8]) -> io::Result<()> {
    // SAFETY: whole pages of a view that may be written, which is borrowed; the content stays.
    let failed =
        unsafe { libc::madvise(part.as_mut_ptr().cast(), part.len(), libc::MADV_POPULATE_WRITE) };
    match io::Error::last_os_error() {
        error if failed != 0 && error.raw_os_error() != Some(libc::EINVAL) => Err(error),
        // Linux before 5.14 does not know it.
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn is_worth_it(file: &File, len: usize) -> bool {
    use std::os::fd::AsRawFd;
    // SAFETY: asks only.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    // SAFETY: asks only.
    let page_len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let memory = pages.max(0) as usize * page_len.max(0) as usize;
    let mut status = core::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the file is open, and the structure lives through the call.
    let failed = unsafe { libc::fstatfs(file.as_raw_fd(), status.as_mut_ptr()) };
    // SAFETY: zeroed, and filled if the call did not fail; its fields are numbers.
    let status = unsafe { status.assume_init() };
    failed == 0 && status.f_type != libc::TMPFS_MAGIC && len <= memory / 2
}
