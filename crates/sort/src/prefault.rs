//! The pages of a file that is going to be rewritten, brought in before the first touch.

use granule::section::{self, Prefault};
use granule::{Error, vm};

/// Brings all pages of a mapped file into memory, ready to be written, where that is cheaper than
/// a fault for each: see [`section::prefault`]. Some threads do it. Not for a file that memory has
/// no place for.
///
/// # Errors
/// A page cannot be read, or has no place on the disk: the file is sparse, and the disk is full.
pub(crate) fn prefault(data: &mut [u8], threads: usize) -> Result<(), Error> {
    if data.len() > vm::info().memory_len / 2 {
        return Ok(()); // a part would say that it is small
    }
    let part_len = data.len().div_ceil(threads).next_multiple_of(PAGE_LEN_MAX);
    let mut parts: Vec<&mut [u8]> = data.chunks_mut(part_len).collect();
    crate::threads::each(&mut parts, |part| section::prefault(part, Prefault::Auto)).map(drop)
}

/// No page is longer: parts begin at pages.
const PAGE_LEN_MAX: usize = 2 << 20;
