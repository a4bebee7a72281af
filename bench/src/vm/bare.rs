//! The anchors: bare system calls through the C library, behind safe functions. Nothing here keeps
//! books or checks states.
#![allow(unsafe_code, reason = "the system calls are what the library is compared with")]

use granule::vm::Reservation;
use std::fs::File;
use std::io::{Error, Result};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::time::Duration;

/// Since Linux 6.13; younger than the C headers.
const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

/// Time that this thread has had a processor. What other programs take from it is not in it.
pub(crate) fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the structure in; every Linux has this clock.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    assert_eq!(status, 0, "the clock of a thread can be read");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

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
        Self::make(null_mut(), len, 0)
    }

    /// mmap(PROT_NONE) at free addresses.
    pub(super) fn at(base: usize, len: usize) -> Result<Self> {
        Self::make(with_exposed_provenance_mut(base), len, libc::MAP_FIXED_NOREPLACE)
    }

    fn make(base: *mut libc::c_void, len: usize, flag: i32) -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flag;
        // SAFETY: an anonymous mapping at free addresses replaces nothing.
        let base = unsafe { libc::mmap(base, len, libc::PROT_NONE, flags, -1, 0) };
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

/// Writes to a committed page.
pub(super) fn write_byte(reservation: &Reservation, offset: usize) {
    assert!(offset < reservation.len(), "inside the reservation");
    // SAFETY: the offset lies inside.
    let byte = unsafe { reservation.as_ptr().add(offset) };
    // SAFETY: the measurements commit the whole of it for writing, and work on one thread.
    unsafe { byte.write_volatile(1) };
}

/// A mapping whose writes the kernel notes: userfaultfd in its asynchronous mode.
pub(super) struct WatchedMapping {
    mapping: Mapping,
    pages: File,
    /// While it is open the kernel takes notes.
    _watch: OwnedFd,
}

/// `struct uffdio_api`.
#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    calls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct UffdioRegister {
    start: u64,
    len: u64,
    mode: u64,
    calls: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    pages_max: u64,
    inverted: u64,
    wanted: u64,
    any_of: u64,
    told: u64,
}

const UFFD_USER_MODE_ONLY: i32 = 1;
const UFFD_API: u64 = 0xaa;
/// WP_UNPOPULATED and WP_ASYNC.
const FEATURES: u64 = 1 << 13 | 1 << 15;
const REGISTER_WRITE_PROTECTION: u64 = 2;
/// `_IOWR(0xaa, 0x3f, struct uffdio_api)`.
const UFFDIO_API: u64 = 3 << 30 | (size_of::<UffdioApi>() as u64) << 16 | 0xaa << 8 | 0x3f;
/// `_IOWR(0xaa, 0x00, struct uffdio_register)`.
const UFFDIO_REGISTER: u64 = 3 << 30 | (size_of::<UffdioRegister>() as u64) << 16 | 0xaa << 8;
/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: u64 = 3 << 30 | (size_of::<ScanArguments>() as u64) << 16 | 0x66 << 8 | 16;
/// Protect what is told again, and refuse ranges that are not watched.
const TAKE: u64 = 1 | 2;
const WRITTEN: u64 = 2;

impl WatchedMapping {
    /// Committed, touched, and nothing written since.
    pub(super) fn new(len: usize) -> Result<Self> {
        let mapping = Mapping::new(len)?;
        mapping.commit(0..len)?;
        mapping.advise(0..len, libc::MADV_NOHUGEPAGE)?;
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | UFFD_USER_MODE_ONLY;
        // SAFETY: the call takes flags and gives a new descriptor.
        let file = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        checked(file as i32)?;
        // SAFETY: the descriptor is new and nobody else's.
        let watch = unsafe { OwnedFd::from_raw_fd(file as i32) };
        let mut api = UffdioApi { api: UFFD_API, features: FEATURES, calls: 0 };
        // SAFETY: the structure is the one that this request reads and writes.
        checked(unsafe { libc::ioctl(watch.as_raw_fd(), UFFDIO_API, &raw mut api) })?;
        let (start, length) = (mapping.base as u64, len as u64);
        let mode = REGISTER_WRITE_PROTECTION;
        let mut range = UffdioRegister { start, len: length, mode, calls: 0 };
        // SAFETY: as above; the range is ours.
        checked(unsafe { libc::ioctl(watch.as_raw_fd(), UFFDIO_REGISTER, &raw mut range) })?;
        let pages = File::open("/proc/self/pagemap")?;
        let watched = WatchedMapping { mapping, pages, _watch: watch };
        (0..len).step_by(4096).for_each(|offset| watched.write_byte(offset));
        watched.take_written()?;
        Ok(watched)
    }

    /// Writes to a page.
    pub(super) fn write_byte(&self, offset: usize) {
        assert!(offset < self.mapping.len, "inside the mapping");
        let byte = with_exposed_provenance_mut::<u8>(self.mapping.base + offset);
        // SAFETY: the mapping is ours and accessible, and used by one thread.
        unsafe { byte.write_volatile(1) };
    }

    /// ioctl(PAGEMAP_SCAN): how many pages were written since the last time.
    pub(super) fn take_written(&self) -> Result<usize> {
        let mut regions = [PageRegion::default(); 16];
        let mut scan = ScanArguments {
            size: size_of::<ScanArguments>() as u64,
            flags: TAKE,
            start: self.mapping.base as u64,
            end: (self.mapping.base + self.mapping.len) as u64,
            regions: regions.as_mut_ptr().expose_provenance() as u64,
            regions_len: regions.len() as u64,
            wanted: WRITTEN,
            told: WRITTEN,
            ..Default::default()
        };
        // SAFETY: the structure is the one of this request, and names a list of the length it says.
        let count = unsafe { libc::ioctl(self.pages.as_raw_fd(), PAGEMAP_SCAN, &raw mut scan) };
        checked(count)?;
        let told = &regions[..count as usize];
        let len: u64 = told.iter().map(|region| region.end - region.start).sum();
        Ok(len as usize / 4096)
    }
}
