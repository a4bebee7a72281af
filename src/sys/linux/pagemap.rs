//! Floor 1. What the kernel's page table says about a range: ioctl PAGEMAP_SCAN (Linux 6.7).

use super::super::Errno;
use super::kept_file::KeptFile;
use super::process::{close, open_read};
use super::raw::syscall;
use crate::error::Call;
use core::ops::Range;

/// `struct pm_scan_arg`.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    pages_max: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// A run of pages of equal categories, `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) end: u64,
    categories: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: usize = 3 << 30 | size_of::<Scan>() << 16 | 0x66 << 8 | 16;

pub(super) const PAGE_IS_WRITTEN: u64 = 1 << 1;
pub(super) const PAGE_IS_PRESENT: u64 = 1 << 3;
pub(super) const PAGE_IS_SWAPPED: u64 = 1 << 4;
pub(super) const PAGE_IS_PFNZERO: u64 = 1 << 5;
/// In a mapping of the pool a page is that before it is there.
pub(super) const PAGE_IS_HUGE: u64 = 1 << 6;
/// Linux 6.15.
pub(super) const PAGE_IS_GUARD: u64 = 1 << 8;

/// Which pages a scan is about.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    pub(super) inverted: u64,
    pub(super) mask: u64,
    pub(super) any: u64,
}

static PAGEMAP: KeptFile = KeptFile::new(open_pagemap);

/// Fails where the kernel does not know the question: its answer is that of a file that was lost,
/// and would have the file opened again each time.
fn open_pagemap() -> Result<usize, Errno> {
    let file = open_read(c"/proc/self/pagemap")?;
    let filter = Filter { inverted: 0, mask: PAGE_IS_PRESENT, any: 0 };
    match scan(file, &mut (0..0), filter, 0, &mut []) {
        Ok(_) => Ok(file),
        Err(errno) => {
            close(file);
            Err(errno)
        }
    }
}

/// Scans the beginning of `range`, as far as the answer has room, and takes that away from `range`.
/// Returns how many regions were found.
pub(super) fn ask(
    range: &mut Range<u64>,
    filter: Filter,
    flags: u64,
    regions: &mut [Region],
) -> Result<usize, Errno> {
    match scan(PAGEMAP.number()?, range, filter, flags, regions) {
        Err(Errno(libc::EBADF | libc::ENOTTY, _)) => {
            scan(PAGEMAP.reopen()?, range, filter, flags, regions)
        }
        done => done,
    }
}

fn scan(
    file: usize,
    range: &mut Range<u64>,
    filter: Filter,
    flags: u64,
    regions: &mut [Region],
) -> Result<usize, Errno> {
    let mut request = Scan {
        size: size_of::<Scan>() as u64,
        flags,
        start: range.start,
        end: range.end,
        walk_end: 0,
        regions: regions.as_mut_ptr().expose_provenance() as u64,
        regions_len: regions.len() as u64,
        pages_max: 0,
        category_inverted: filter.inverted,
        category_mask: filter.mask,
        category_anyof_mask: filter.any,
        return_mask: filter.mask,
    };
    let target = (&raw mut request).expose_provenance();
    // SAFETY: the kernel reads and fills the structure of that request and at most as many regions
    // as it says, all of which live through the call. Bits that it sets change no content.
    let count = unsafe { syscall(libc::SYS_ioctl, [file, PAGEMAP_SCAN, target, 0, 0, 0]) }?;
    if request.walk_end <= range.start && !range.is_empty() {
        // No way to go on. The kernel never answers so.
        return Err(Errno(libc::EIO, Call::Ioctl));
    }
    range.start = request.walk_end;
    Ok(count)
}
