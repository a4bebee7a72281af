//! Floor 1. Which pages of committed memory have been touched.

use super::super::Errno;
use super::pagemap::{Filter, PAGE_IS_PRESENT, PAGE_IS_SWAPPED, Region, ask};
use super::raw::syscall;
use core::ptr::NonNull;

/// How many of the pages are memory because they were touched, or in the swap. Call:
/// ioctl(PAGEMAP_SCAN); where the kernel does not know it mincore, which leaves out what is in the
/// swap.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn touched(ptr: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    let page_len = super::limits().page_len;
    let start = ptr.addr().get();
    let mut rest = start as u64..(start + len) as u64;
    let filter = Filter { inverted: 0, mask: 0, any: PAGE_IS_PRESENT | PAGE_IS_SWAPPED };
    let mut bytes = 0;
    while !rest.is_empty() {
        let mut regions = [Region::default(); 32];
        match ask(&mut rest, filter, 0, &mut regions) {
            Ok(count) => {
                let found = regions[..count].iter();
                bytes += found.map(|region| region.end - region.start).sum::<u64>();
            }
            // SAFETY: (1).
            Err(_) => return unsafe { resident(ptr, len) },
        }
    }
    Ok(bytes as usize / page_len)
}

/// How many of the pages are memory just now. Call: mincore.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn resident(ptr: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    const PAGES: usize = 1024;
    let page_len = super::limits().page_len;
    let mut count = 0;
    let mut offset = 0;
    while offset < len {
        let part = (len - offset).min(PAGES * page_len);
        let mut flags = [0u8; PAGES];
        // SAFETY: inside the range.
        let start = unsafe { ptr.add(offset) }.as_ptr().expose_provenance();
        let target = (&raw mut flags).expose_provenance();
        // SAFETY: (1); the kernel writes a byte for each page, and there are no more than these.
        unsafe { syscall(libc::SYS_mincore, [start, part, target, 0, 0, 0]) }?;
        count += flags.iter().filter(|&&flag| flag & 1 != 0).count();
        offset += part;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{self, CommitPolicy, Protection};

    #[test]
    fn both_ways_count_what_was_touched() {
        let page_len = sys::limits().page_len;
        let len = 5000 * page_len;
        // SAFETY: (1) whole pages.
        let base = unsafe { sys::reserve(0, len, page_len, CommitPolicy::Lazy) }.expect("room");
        // SAFETY: (1) as above.
        unsafe { sys::commit(base, len, Protection::ReadWrite) }.expect("lazily");
        // SAFETY: (1) as above. A huge page would touch more than we do.
        let _ = unsafe { sys::advise(base, len, sys::Advice::NoHugePages) };
        for page in [0, 7, 8, 4999] {
            // SAFETY: inside the range, which nobody else knows.
            let place = unsafe { base.add(page * page_len) };
            // SAFETY: committed above.
            unsafe { place.write(1) };
        }
        // SAFETY: (1) as above.
        assert_eq!(unsafe { touched(base, len) }, Ok(4));
        // SAFETY: (1) as above.
        assert_eq!(unsafe { resident(base, len) }, Ok(4));
        // SAFETY: (1) as above, and known to nobody.
        unsafe { sys::release(base, len) }.expect("ours");
    }
}
