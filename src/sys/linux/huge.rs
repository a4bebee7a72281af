//! Floor 1. Huge pages and memory nodes on Linux.

use super::super::{CommitPolicy, Errno, Protection};
use super::info::number_in;
use super::pagemap::{Filter, PAGE_IS_HUGE, PAGE_IS_PRESENT, Region, ask};
use super::pages::{
    madvise_unlocked, mmap_none, pointer, protect, release, reserve, reserve_at, reserve_flags,
};
use super::process::{close, open_read, read};
use super::raw::syscall;
use crate::error::Call;
use core::ptr::NonNull;

/// Bytes of a huge page; 0 when there are none. Calls: openat, read, close.
pub(crate) fn huge_page_len() -> usize {
    let path = c"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
    number_in(path).unwrap_or(0)
}

/// Free -> Reserved, of huge pages from the system's pool: `addr..addr + len`, or if `addr` is 0
/// where the kernel likes. The pool's pages are taken here, all of them, and no later call can
/// find it empty. Calls: mmap(MAP_HUGETLB); for a node mbind.
///
/// # Safety
/// 1. `addr` and `len` are multiples of `huge_len`, which is [`huge_page_len`] and not 0; `len` is
///    not 0.
pub(crate) unsafe fn reserve_huge(
    addr: usize,
    len: usize,
    huge_len: usize,
    node: Option<u16>,
) -> Result<NonNull<u8>, Errno> {
    let size = (huge_len.trailing_zeros() as usize) << libc::MAP_HUGE_SHIFT;
    let place = if addr == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE as usize };
    let flags = reserve_flags(CommitPolicy::Strict) | libc::MAP_HUGETLB as usize | size | place;
    // SAFETY: takes free addresses only.
    let base = pointer(unsafe { mmap_none(addr, len, flags) }?);
    node.map_or(Ok(base), |node| {
        // SAFETY: (1) the range made above.
        unsafe { prefer_or_release(base, len, node) }
    })
}

/// Free -> Reserved, as `reserve` or, if `addr` is not 0, `reserve_at`, of memory that comes from
/// node `node` while that has some. Calls: theirs, and mbind.
///
/// # Safety
/// 1. As for `reserve` and `reserve_at`.
pub(crate) unsafe fn reserve_near(
    addr: usize,
    len: usize,
    align: usize,
    policy: CommitPolicy,
    node: u16,
) -> Result<NonNull<u8>, Errno> {
    let base = if addr == 0 {
        // SAFETY: (1).
        unsafe { reserve(0, len, align, policy) }
    } else {
        // SAFETY: (1).
        unsafe { reserve_at(addr, len, policy) }
    }?;
    // SAFETY: (1) the range made above.
    unsafe { prefer_or_release(base, len, node) }
}

/// # Safety
/// 1. The range was reserved a moment ago, and nobody knows it.
unsafe fn prefer_or_release(
    base: NonNull<u8>,
    len: usize,
    node: u16,
) -> Result<NonNull<u8>, Errno> {
    // SAFETY: (1).
    let Err(errno) = (unsafe { prefer_node(base, len, node) }) else { return Ok(base) };
    // SAFETY: (1). The first error is the one to tell.
    let _ = unsafe { release(base, len) };
    Err(errno)
}

/// Committed -> Reserved, of huge pages from the pool: the content is lost, and the pool's pages
/// stay with the reservation. Calls: mprotect, madvise(MADV_DONTNEED), Linux 5.18.
///
/// # Safety
/// 1. The range lies in one reservation of [`reserve_huge`], in whole huge pages, and nobody uses
///    its content.
pub(crate) unsafe fn decommit_huge(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { protect(ptr, len, Protection::NoAccess) }?;
    // SAFETY: (1).
    unsafe { madvise_unlocked(ptr, len, libc::MADV_DONTNEED as usize) }
}

/// How many bytes of the range are backed by huge pages at this moment. Calls: ioctl(PAGEMAP_SCAN)
/// on a file that is opened once; before Linux 6.7 it reads /proc/self/smaps, which counts a
/// mapping that reaches beyond the range as if its huge pages lay in the range first.
///
/// # Safety
/// 1. The range lies in one reservation or view of ours.
pub(crate) unsafe fn huge_len(ptr: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    let (start, end) = (ptr.addr().get(), ptr.addr().get() + len);
    match scan_huge(start, end) {
        Err(Errno(libc::ENOTTY | libc::ENOSYS | libc::EINVAL | libc::ENOENT | libc::EACCES, _)) => {
            count_in_smaps(start, end)
        }
        counted => counted,
    }
}

fn scan_huge(start: usize, end: usize) -> Result<usize, Errno> {
    let filter = Filter { inverted: 0, mask: PAGE_IS_HUGE | PAGE_IS_PRESENT, any: 0 };
    let mut regions = [Region::default(); 32];
    let mut range = start as u64..end as u64;
    let mut sum = 0;
    while !range.is_empty() {
        let count = ask(&mut range, filter, 0, &mut regions)?;
        sum += regions[..count].iter().map(|run| (run.end - run.start) as usize).sum::<usize>();
    }
    Ok(sum)
}

/// The sums of `AnonHugePages` and `Private_Hugetlb` of the mappings that meet the range.
fn count_in_smaps(start: usize, end: usize) -> Result<usize, Errno> {
    let file = open_read(c"/proc/self/smaps")?;
    let mut block = [0u8; 4096];
    let mut smaps = Smaps::new(start, end);
    let counted = loop {
        match read(file, &mut block) {
            Ok(0) => break Ok(smaps.counted),
            Ok(count) => block[..count].iter().for_each(|&byte| smaps.push(byte)),
            Err(Errno(libc::EINTR, _)) => {}
            Err(errno) => break Err(errno),
        }
    };
    close(file);
    counted
}

/// Reads /proc/self/smaps byte by byte. A line that begins a mapping has a dash before any colon;
/// the others are a name, a colon, blanks and a number of KiB.
struct Smaps {
    start: usize,
    end: usize,
    line: [u8; 64],
    line_len: usize,
    /// Bytes of the mapping whose lines are being read that lie in the range.
    shared: usize,
    counted: usize,
}

impl Smaps {
    const fn new(start: usize, end: usize) -> Self {
        Smaps { start, end, line: [0; 64], line_len: 0, shared: 0, counted: 0 }
    }

    fn push(&mut self, byte: u8) {
        if byte != b'\n' {
            if let Some(place) = self.line.get_mut(self.line_len) {
                *place = byte;
                self.line_len += 1;
            }
            return;
        }
        let line = &self.line[..self.line_len];
        if let Some((start, end)) = mapping_of(line) {
            self.shared = end.min(self.end).saturating_sub(start.max(self.start));
        } else if let Some(bytes) = huge_bytes_of(line) {
            let taken = bytes.min(self.shared);
            self.shared -= taken;
            self.counted += taken;
        }
        self.line_len = 0;
    }
}

fn mapping_of(line: &[u8]) -> Option<(usize, usize)> {
    let blank = line.iter().position(|&byte| byte == b' ')?;
    let dash = line[..blank].iter().position(|&byte| byte == b'-')?;
    Some((number(&line[..dash], 16)?, number(&line[dash + 1..blank], 16)?))
}

fn huge_bytes_of(line: &[u8]) -> Option<usize> {
    let rest = [&b"AnonHugePages:"[..], b"Private_Hugetlb:"]
        .into_iter()
        .find_map(|name| line.strip_prefix(name))?;
    let digits = rest.trim_ascii().split(|&byte| byte == b' ').next()?;
    number(digits, 10)?.checked_mul(1024)
}

fn number(digits: &[u8], base: u32) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0usize, |sum, &digit| {
        let digit = (digit as char).to_digit(base)?;
        sum.checked_mul(base as usize)?.checked_add(digit as usize)
    })
}

/// Nodes that one call can name.
const NODES_MAX: usize = 1024;

/// From now on the memory of these pages comes from node `node` while that has some. Call:
/// mbind(MPOL_PREFERRED). A new mapping over the range forgets it.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn prefer_node(ptr: NonNull<u8>, len: usize, node: u16) -> Result<(), Errno> {
    let node = usize::from(node);
    if node >= NODES_MAX {
        return Err(Errno(libc::EINVAL, Call::None));
    }
    let mut nodes = [0u64; NODES_MAX / 64];
    nodes[node / 64] = 1 << (node % 64);
    let addr = ptr.as_ptr().expose_provenance();
    let mask = nodes.as_ptr().expose_provenance();
    // The kernel reads one bit less than it is told.
    let args = [addr, len, libc::MPOL_PREFERRED as usize, mask, NODES_MAX + 1, 0];
    // SAFETY: (1); the kernel reads the mask and changes no content.
    unsafe { syscall(libc::SYS_mbind, args) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counts_agree_on_the_whole_process() {
        let counted = count_in_smaps(0, usize::MAX).expect("smaps is readable");
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("readable");
        let kib = |name: &str| -> usize {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("KiB")
        };
        let told = (kib("AnonHugePages:") + kib("Private_Hugetlb:")) * 1024;
        assert!(counted.abs_diff(told) <= 4 * huge_page_len(), "{counted} and {told}");
    }

    #[test]
    fn lines_of_smaps_are_told_apart() {
        let text = "7f0000000000-7f0000400000 rw-p 00000000 00:00 0 \n\
            Size:               4096 kB\nAnonHugePages:      2048 kB\nVmFlags: rd wr mr\n\
            7f0000400000-7f0000800000 rw-p 00000000 00:00 0 a-name\n\
            AnonHugePages:      4096 kB\nPrivate_Hugetlb:       0 kB\n";
        let count = |start, end| {
            let mut smaps = Smaps::new(start, end);
            text.bytes().for_each(|byte| smaps.push(byte));
            smaps.counted
        };
        assert_eq!(count(0x7f00_0000_0000, 0x7f00_0080_0000), 6 << 20);
        assert_eq!(count(0x7f00_0000_0000, 0x7f00_0050_0000), 3 << 20);
        assert_eq!(count(0x7f00_0080_0000, 0x7f00_0090_0000), 0);
    }
}
