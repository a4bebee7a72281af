//! Floor 1. Which pages of a private view of a file are copies, because they were written.
//!
//! /proc/self/pagemap has a number of 64 bits for each page. A page of the file is marked as one
//! (bit 61); a page that is there, or in the swap, without that mark is a copy. The newer question
//! PAGEMAP_SCAN is not asked: on Linux 6.18 it names pages here that were never written.

use super::super::{CommitPolicy, Errno, Protection};
use super::info::limits;
use super::kept_file::KeptFile;
use super::pages::{madvise_unlocked, mmap_none, pointer, protect, release, reserve_flags};
use super::process::{close, open_read};
use super::raw::syscall;
use crate::error::Call;
use core::ops::Range;
use core::ptr::NonNull;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_A_FILE: u64 = 1 << 61;

/// Pages that are asked about at a time.
const BATCH: usize = 256;

static ENTRIES: KeptFile = KeptFile::new(open_entries);

/// ENOSYS where the file is about other addresses than ours, as under an emulator.
fn open_entries() -> Result<usize, Errno> {
    let file = open_read(c"/proc/self/pagemap")?;
    match tells_of_our_pages(file) {
        Ok(true) => Ok(file),
        told => {
            close(file);
            Err(told.err().unwrap_or(Errno(libc::ENOSYS, Call::None)))
        }
    }
}

/// Tries it on pages of our own, of which some are written. Which ones is a pattern that no other
/// addresses show, not even those of the page next to it.
fn tells_of_our_pages(file: usize) -> Result<bool, Errno> {
    const WRITTEN: [bool; 8] = [false, true, true, false, false, true, false, false];
    let page_len = limits().page_len;
    let len = WRITTEN.len() * page_len;
    // SAFETY: fresh pages that nobody else knows.
    let pages = unsafe { mmap_none(0, len, reserve_flags(CommitPolicy::Lazy)) }.map(pointer)?;
    let shows_the_pattern = || {
        // SAFETY: (1) the pages made above.
        unsafe { protect(pages, len, Protection::ReadWrite) }?;
        for (index, _) in WRITTEN.iter().enumerate().filter(|(_, is_written)| **is_written) {
            // SAFETY: inside the pages made above.
            let page = unsafe { pages.add(index * page_len) };
            // SAFETY: it may be written now.
            unsafe { page.as_ptr().write_volatile(1) };
        }
        let mut told = [0; WRITTEN.len()];
        entries(file, pages.addr().get() / page_len, &mut told)?;
        Ok(told.map(is_copy) == WRITTEN)
    };
    let told = shows_the_pattern();
    // SAFETY: (1) the pages made above, still known to nobody.
    unsafe { release(pages, len) }?;
    told
}

const fn is_copy(entry: u64) -> bool {
    entry & SWAPPED != 0 || entry & (PRESENT | OF_A_FILE) == PRESENT
}

/// Reads the numbers of the pages from `first` on.
fn entries(file: usize, first: usize, answer: &mut [u64]) -> Result<(), Errno> {
    let (len, target) = (size_of_val(answer), answer.as_mut_ptr().expose_provenance());
    let args = [file, target, len, first * size_of::<u64>(), 0, 0];
    // SAFETY: the kernel writes at most `len` bytes into a buffer of ours.
    match unsafe { syscall(libc::SYS_pread64, args) }? {
        read if read == len => Ok(()),
        _ => Err(Errno(libc::EIO, Call::Pread)),
    }
}

/// The first run of pages that are copies, as bytes from `ptr` on. Calls: pread64, once for each
/// 256 pages; the first time in a process also openat, mmap, mprotect, munmap and fcntl.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view.
pub(crate) unsafe fn first_copies(
    ptr: NonNull<u8>,
    len: usize,
) -> Result<Option<Range<usize>>, Errno> {
    let page_len = limits().page_len;
    let (first, count) = (ptr.addr().get() / page_len, len.div_ceil(page_len));
    let mut begin = None;
    let mut done = 0;
    while done < count {
        let mut answer = [0; BATCH];
        let answer = &mut answer[..BATCH.min(count - done)];
        match entries(ENTRIES.number()?, first + done, answer) {
            Err(Errno(libc::EBADF, _)) => entries(ENTRIES.reopen()?, first + done, answer)?,
            told => told?,
        }
        for &entry in answer.iter() {
            match (begin, is_copy(entry)) {
                (None, true) => begin = Some(done),
                (Some(begin), false) => return Ok(Some(begin * page_len..done * page_len)),
                _ => {}
            }
            done += 1;
        }
    }
    Ok(begin.map(|begin| begin * page_len..count * page_len))
}

/// Takes copies back: the pages show the file again. Call: madvise(MADV_DONTNEED), after munlock if
/// they are locked; where nobody tells of copies ENOSYS, because an emulator takes the advice for
/// done and keeps them.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view that copies what is written.
/// 2. Nobody needs what was written to them.
pub(crate) unsafe fn forget_copies(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    ENTRIES.number()?;
    // SAFETY: (1), (2).
    unsafe { madvise_unlocked(ptr, len, libc::MADV_DONTNEED as usize) }
}
