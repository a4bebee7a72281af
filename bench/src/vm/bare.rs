//! The anchors: bare system calls through the C library, behind safe functions. Nothing here keeps
//! books or checks states.
#![allow(unsafe_code, reason = "the system calls are what the library is compared with")]

use std::fs::File;
use std::io::{Error, Result};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::{null_mut, with_exposed_provenance_mut};

/// Since Linux 6.13; younger than the C headers.
const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

fn checked(status: i32) -> Result<()> {
    if status == -1 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// A private mapping, inaccessible at first; nothing but the pages' rights and content is ever
/// changed, and no reference into it exists.
pub(super) struct Mapping {
    base: usize,
    len: usize,
}

impl Mapping {
    /// mmap(PROT_NONE).
    pub(super) fn new(len: usize) -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at an address of the kernel's choice replaces nothing.
        let base = unsafe { libc::mmap(null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(Mapping { base: base.expose_provenance(), len })
    }

    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// mprotect(PROT_READ | PROT_WRITE).
    pub(super) fn commit(&self, range: Range<usize>) -> Result<()> {
        let (addr, len) = self.place(range);
        // SAFETY: the range is ours and nobody refers to it.
        checked(unsafe { libc::mprotect(addr, len, libc::PROT_READ | libc::PROT_WRITE) })
    }

    /// mmap(MAP_FIXED, PROT_NONE) over the range.
    pub(super) fn decommit(&self, range: Range<usize>) -> Result<()> {
        let (addr, len) = self.place(range);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range that is replaced is ours and nobody refers to it.
        let base = unsafe { libc::mmap(addr, len, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(()) }
    }

    /// madvise(MADV_GUARD_INSTALL).
    pub(super) fn guard(&self, range: Range<usize>) -> Result<()> {
        self.advise(range, MADV_GUARD_INSTALL)
    }

    /// madvise(MADV_GUARD_REMOVE).
    pub(super) fn unguard(&self, range: Range<usize>) -> Result<()> {
        self.advise(range, MADV_GUARD_REMOVE)
    }

    fn advise(&self, range: Range<usize>, advice: i32) -> Result<()> {
        let (addr, len) = self.place(range);
        // SAFETY: the range is ours and nobody refers to it.
        checked(unsafe { libc::madvise(addr, len, advice) })
    }

    fn place(&self, range: Range<usize>) -> (*mut libc::c_void, usize) {
        assert!(range.start < range.end && range.end <= self.len, "inside the mapping");
        (with_exposed_provenance_mut(self.base + range.start), range.end - range.start)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and ends here.
        checked(unsafe { libc::munmap(with_exposed_provenance_mut(self.base), self.len) })
            .expect("a whole mapping can be unmapped");
    }
}

/// region::protect, which changes rights without asking whose pages they are.
pub(super) fn region_commit(memory: &region::Allocation, range: Range<usize>) -> crate::Result<()> {
    assert!(range.start < range.end && range.end <= memory.len(), "inside the allocation");
    let address = memory.as_ptr::<u8>().wrapping_add(range.start);
    // SAFETY: the pages belong to the allocation and nobody refers to them.
    Ok(unsafe { region::protect(address, range.len(), region::Protection::READ_WRITE) }?)
}

/// The open list of mappings, for one question at a time.
pub(super) struct MappingList(File);

/// `struct procmap_query`.
#[repr(C)]
#[derive(Default)]
struct ProcmapQuery {
    size: u64,
    flags: u64,
    addr: u64,
    start: u64,
    end: u64,
    rights: u64,
    page_len: u64,
    offset: u64,
    inode: u64,
    device: [u32; 2],
    name_len: u32,
    build_id_len: u32,
    name: u64,
    build_id: u64,
}

/// `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: u64 = 3 << 30 | (size_of::<ProcmapQuery>() as u64) << 16 | 0x66 << 8 | 17;

impl MappingList {
    pub(super) fn open() -> Result<Self> {
        File::open("/proc/self/maps").map(MappingList)
    }

    /// ioctl(PROCMAP_QUERY): the length of the mapping at `addr`.
    pub(super) fn len_at(&self, addr: usize) -> Result<u64> {
        let size = size_of::<ProcmapQuery>() as u64;
        let mut query = ProcmapQuery { size, addr: addr as u64, ..Default::default() };
        // SAFETY: the structure is the one that this request reads and writes, and has no name.
        checked(unsafe { libc::ioctl(self.0.as_raw_fd(), PROCMAP_QUERY, &raw mut query) })?;
        Ok(query.end - query.start)
    }
}
