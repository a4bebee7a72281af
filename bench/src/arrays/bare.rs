//! The lower bounds: mappings that are there already, behind safe functions.
#![allow(unsafe_code, reason = "the system calls are what the library is compared with")]

use std::io::{Error, Result};
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::time::Duration;

/// Time that the threads of this process have had processors.
pub(super) fn process_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the structure in; every Linux has this clock.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    assert_eq!(status, 0, "the clock of a process can be read");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Which pages the kernel gives at a touch.
#[derive(Clone, Copy)]
pub(super) enum Pages {
    /// Huge ones, where a whole one fits.
    Huge,
    /// Never huge ones.
    Small,
}

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;

/// Readable and writable pages from the start; the kernel zeroes each when it is touched.
pub(super) struct Mapping {
    base: usize,
    len: usize,
    /// Where the first huge page begins.
    start: usize,
}

impl Mapping {
    pub(super) fn new(len: usize, pages: Pages) -> Result<Self> {
        let len = len.next_multiple_of(HUGE) + HUGE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice replaces nothing.
        let place = unsafe { libc::mmap(null_mut(), len, rights, flags, -1, 0) };
        if place == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let base = place.expose_provenance();
        let mapping = Mapping { base, len, start: base.next_multiple_of(HUGE) };
        let advice = match pages {
            Pages::Huge => libc::MADV_HUGEPAGE,
            Pages::Small => libc::MADV_NOHUGEPAGE,
        };
        // SAFETY: the range is ours and nobody refers to it.
        let status = unsafe { libc::madvise(place, len, advice) };
        // A kernel without huge pages knows neither advice, and gives small ones.
        if status == -1 && Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
            return Err(Error::last_os_error());
        }
        Ok(mapping)
    }

    /// Bytes from the first huge page on.
    pub(super) fn len(&self) -> usize {
        self.base + self.len - self.start
    }

    /// Writes a byte.
    #[inline]
    pub(super) fn write_byte(&mut self, offset: usize) {
        assert!(offset < self.len(), "inside the mapping");
        let place = with_exposed_provenance_mut::<u8>(self.start + offset);
        // SAFETY: the mapping is ours and writable.
        unsafe { place.write_volatile(1) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and ends here.
        let status = unsafe { libc::munmap(with_exposed_provenance_mut(self.base), self.len) };
        assert_eq!(status, 0, "a whole mapping can be unmapped");
    }
}

/// Numbers one after the other in a mapping.
pub(super) struct Numbers {
    mapping: Mapping,
    first: *mut u64,
    len: usize,
    capacity: usize,
}

impl Numbers {
    /// Room for so many.
    pub(super) fn new(capacity: usize) -> Result<Self> {
        let mapping = Mapping::new(capacity * size_of::<u64>(), Pages::Huge)?;
        let first = with_exposed_provenance_mut(mapping.start);
        Ok(Numbers { mapping, first, len: 0, capacity })
    }

    /// Adds one, with one store: never several together.
    #[inline]
    pub(super) fn push(&mut self, value: u64) {
        assert!(self.len < self.capacity, "there is room");
        // SAFETY: there is room for `capacity` from the first on.
        let place = unsafe { self.first.add(self.len) };
        // SAFETY: the mapping is ours, writable, and aligned to more than a number.
        unsafe { place.write_volatile(value) };
        self.len += 1;
    }

    /// Where the first one is.
    pub(super) fn place(&self) -> usize {
        self.mapping.start
    }
}

/// Takes so many bytes from the kernel and gives them back.
pub(super) fn touch_and_free(len: usize) -> Result<()> {
    let mut mapping = Mapping::new(len, Pages::Huge)?;
    (0..mapping.len()).step_by(PAGE).for_each(|offset| mapping.write_byte(offset));
    Ok(())
}
