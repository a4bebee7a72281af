//! Maps of files, behind safe functions: the files are the measurement's own.
#![allow(unsafe_code, reason = "every map of a file is a promise")]

use granule::section::{CowView, GrowMap, Prefault, View, ViewMut};
use memmap2::{Mmap, MmapMut, MmapOptions};
use std::fs::File;
use std::io::Result;
use std::path::Path;
use std::time::Duration;

/// Time that the threads of this process have had processors.
pub(super) fn process_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the structure in; every Linux has this clock.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    assert_eq!(status, 0, "the clock of a process can be read");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

pub(super) fn view(path: &Path) -> Result<View> {
    // SAFETY: (1), (2): nobody else has the file.
    unsafe { View::open(path) }
}

pub(super) fn view_mut(path: &Path) -> Result<ViewMut> {
    // SAFETY: (1) to (3): nobody else has the file, and one slice is used at a time.
    unsafe { ViewMut::open(path) }
}

pub(super) fn view_copy(file: &File) -> std::result::Result<CowView, granule::Error> {
    let section = granule::section::Section::of_file(file, granule::section::Access::Write)?;
    // SAFETY: (1), (2): nobody else has the file.
    unsafe { section.view_copy(0..section.len()) }
}

pub(super) fn grow(path: &Path, how: Prefault) -> Result<GrowMap> {
    // SAFETY: (1), (2): nobody else has the file.
    unsafe { GrowMap::builder().prefault(how).open(path) }
}

pub(super) fn memmap(path: &Path) -> Result<Mmap> {
    // SAFETY: nobody else has the file.
    unsafe { Mmap::map(&File::open(path)?) }
}

/// The first `len` bytes.
pub(super) fn memmap_mut(file: &File, len: usize) -> Result<MmapMut> {
    // SAFETY: nobody else has the file.
    unsafe { MmapOptions::new().len(len).map_mut(file) }
}
