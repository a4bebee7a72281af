//! Floor 1. What the cache of files has of a file: cachestat (Linux 6.5), before that mincore.

use super::super::Errno;
use super::super::cache::CacheState;
use super::super::section::{Backing, Sharing};
use super::info::limits;
use super::raw::{SYS_CACHESTAT, syscall};
use super::section::{map_view, unmap_view};
use super::touched::resident;
use crate::addr::align_down;
use core::mem::MaybeUninit;

/// `struct cachestat_range`.
#[repr(C)]
struct Asked {
    offset: u64,
    len: u64,
}

/// `struct cachestat`, in pages.
#[repr(C)]
struct Told {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// What is cached of `offset..offset + len`, in whole pages. Call: cachestat; where the kernel does
/// not know that, mmap, mincore and munmap, which tell nothing of dirty pages.
///
/// # Safety
/// 1. The backing is open.
/// 2. `len` is not 0, and the range lies in what can be mapped.
pub(crate) unsafe fn cache_state(
    backing: Backing,
    offset: u64,
    len: usize,
) -> Result<CacheState, Errno> {
    let page_len = limits().page_len as u64;
    let asked = Asked { offset, len: len as u64 };
    let mut told = MaybeUninit::<Told>::zeroed();
    let target = told.as_mut_ptr().expose_provenance();
    let args = [backing.mapped(), (&raw const asked).expose_provenance(), target, 0, 0, 0];
    // SAFETY: (1); the kernel reads the one structure and fills the other, both of which live here.
    match unsafe { syscall(SYS_CACHESTAT, args) } {
        // SAFETY: (1), (2).
        Err(Errno(libc::ENOSYS, _)) => unsafe { by_mincore(backing, offset, len) },
        Err(errno) => Err(errno),
        Ok(_) => {
            // SAFETY: zeroed and filled; its fields are numbers.
            let told = unsafe { told.assume_init() };
            Ok(CacheState {
                resident: told.cached * page_len,
                dirty: Some(told.dirty * page_len),
                writeback: Some(told.writeback * page_len),
            })
        }
    }
}

/// # Safety
/// 1. and 2. As for [`cache_state`].
unsafe fn by_mincore(backing: Backing, offset: u64, len: usize) -> Result<CacheState, Errno> {
    let page_len = limits().page_len;
    let first = align_down(offset as usize, page_len);
    let len = len + (offset as usize - first);
    // SAFETY: (1).
    let start = unsafe { map_view(backing, first as u64, len, Sharing::Read) }?;
    // SAFETY: (1) the view just made.
    let pages = unsafe { resident(start, len) };
    // SAFETY: (1) the same, known to nobody.
    unsafe { unmap_view(start, len) }?;
    Ok(CacheState { resident: (pages? * page_len) as u64, dirty: None, writeback: None })
}
