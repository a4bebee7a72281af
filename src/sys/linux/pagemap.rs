//! Floor 1. What the kernel's page table says about a range: ioctl PAGEMAP_SCAN.

use super::super::Errno;
use super::raw::syscall;
use core::ops::Range;

/// The question, `struct pm_scan_arg` (Linux 6.7).
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    runs: u64,
    runs_len: u64,
    pages_max: u64,
    inverted: u64,
    wanted: u64,
    any_of: u64,
    told: u64,
}

/// A run of pages of equal categories, `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageRun {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) categories: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: usize = 3 << 30 | size_of::<Scan>() << 16 | 0x66 << 8 | 16;

/// The page is in memory.
pub(super) const IS_PRESENT: u64 = 1 << 3;
/// The page is a part of a huge one; in a mapping of the pool it is that before it is there.
pub(super) const IS_HUGE: u64 = 1 << 6;

/// The runs of pages of `range` that have all the `wanted` categories, as many as `runs` has room
/// for; how many there are, and the address that the kernel came to. `file` is /proc/self/pagemap.
pub(super) fn scan(
    file: usize,
    range: Range<usize>,
    wanted: u64,
    runs: &mut [PageRun],
) -> Result<(usize, usize), Errno> {
    let mut question = Scan {
        size: size_of::<Scan>() as u64,
        start: range.start as u64,
        end: range.end as u64,
        runs: runs.as_mut_ptr().expose_provenance() as u64,
        runs_len: runs.len() as u64,
        wanted,
        told: wanted,
        ..Scan::default()
    };
    let place = (&raw mut question).expose_provenance();
    // SAFETY: the kernel writes into `question` and at most `runs_len` runs into `runs`.
    let count = unsafe { syscall(libc::SYS_ioctl, [file, PAGEMAP_SCAN, place, 0, 0, 0]) }?;
    Ok((count, question.walk_end as usize))
}
