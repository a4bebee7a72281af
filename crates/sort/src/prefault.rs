//! The pages of a file that is going to be rewritten, brought in before the first touch.

use std::io;

/// Brings all pages of a mapped file into memory, ready to be written, where that is cheaper than
/// a fault for each. Some threads do it.
///
/// Linux: sysconf, madvise(MADV_POPULATE_WRITE). Not for a file that memory has no place for.
/// Elsewhere it does nothing.
///
/// What it is of the faults depends on the pages that the cache has of the file, and on the file
/// system only by these (processor time of 256 MiB, Linux 6.18):
///
/// | file | faults | populated |
/// |---|---|---|
/// | ext4, written by 4 KiB: small pages | 192 ms | 135 ms |
/// | ext4, written by 1 MiB: large pages | 16 ms | 31 ms |
/// | tmpfs, written by 1 MiB | 129 ms | 86 ms |
///
/// Nobody says beforehand which pages these are; so it is done always: what is lost is a quarter of
/// what can be won. To read it is not done: faults bring in sixteen pages at once.
///
/// # Errors
/// A page cannot be read, or has no place on the disk: the file is sparse, and the disk is full.
#[cfg(target_os = "linux")]
pub(crate) fn prefault(data: &mut [u8], threads: usize) -> io::Result<()> {
    if !has_room(data.len()) {
        return Ok(());
    }
    let part_len = data.len().div_ceil(threads).next_multiple_of(PAGE_LEN_MAX);
    let mut parts: Vec<&mut [u8]> = data.chunks_mut(part_len).collect();
    crate::threads::each(&mut parts, |part| populate(part)).map(drop)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn prefault(_: &mut [u8], _: usize) -> io::Result<()> {
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

/// Whether half of the memory is enough for it.
#[cfg(target_os = "linux")]
fn has_room(len: usize) -> bool {
    // SAFETY: asks only.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    // SAFETY: asks only.
    let page_len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let memory = pages.max(0) as usize * page_len.max(0) as usize;
    len <= memory / 2
}
