//! Floor 5, uses floors 0 to 4. `HeapWalk`: a heap, entry by entry.

use super::super::error::{Reason, Win32Error};
use super::HANDLE;
use super::blocks::given;
use super::record::{self, Made};
use crate::heap::{Entry, Last};
use core::ffi::c_void;
use core::ptr::{self, NonNull};

/// `wFlags` of an entry with which a region begins.
pub const PROCESS_HEAP_REGION: u16 = 1;
/// `wFlags` of a block in use.
pub const PROCESS_HEAP_ENTRY_BUSY: u16 = 4;

/// What an entry tells of a region: the memory of many blocks of one size class, or of one long
/// block. Windows gives it no name: it is a part of [`PROCESS_HEAP_ENTRY`].
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 0, 0)?;
/// // SAFETY: (1) the heap has a lock.
/// let block = unsafe { HeapAlloc(heap, 0, 100_000)? };
/// let mut entry = PROCESS_HEAP_ENTRY::default();
/// // SAFETY: (1) as above.
/// unsafe { HeapWalk(heap, &mut entry)? };
/// assert_eq!((entry.wFlags, entry.Region.dwCommittedSize), (PROCESS_HEAP_REGION, 128 << 10));
/// assert_eq!((entry.Region.lpFirstBlock, entry.Region.lpLastBlock), (block, block));
/// # // SAFETY: (1) (2) nobody uses its blocks any more.
/// # unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the names that Windows gives them")]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct REGION {
    /// Bytes of it, at most `u32::MAX`.
    pub dwCommittedSize: u32,
    /// Always 0.
    pub dwUnCommittedSize: u32,
    /// Its first block.
    pub lpFirstBlock: *mut c_void,
    /// Its last block.
    pub lpLastBlock: *mut c_void,
}

/// What [`HeapWalk`] tells, and where it goes on. The fields have their Windows names.
///
/// ```
/// use granule::win32::*;
/// let start = PROCESS_HEAP_ENTRY::default();
/// assert!(start.lpData.is_null());
/// ```
#[allow(non_camel_case_types, non_snake_case, reason = "the names that Windows gives them")]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PROCESS_HEAP_ENTRY {
    /// The block, or the first byte of the region; null: begin.
    pub lpData: *mut c_void,
    /// A block in use: its size. Free blocks, side by side: their bytes. At most `u32::MAX`.
    pub cbData: u32,
    /// Bytes of a block's room behind its size, at most 255.
    pub cbOverhead: u8,
    /// The number of the region, modulo 256.
    pub iRegionIndex: u8,
    /// [`PROCESS_HEAP_REGION`], [`PROCESS_HEAP_ENTRY_BUSY`], or 0 for free blocks.
    pub wFlags: u16,
    /// Of an entry with which a region begins.
    pub Region: REGION,
}

impl Default for PROCESS_HEAP_ENTRY {
    /// Where a walk begins.
    fn default() -> Self {
        let none = ptr::null_mut();
        PROCESS_HEAP_ENTRY {
            lpData: none,
            cbData: 0,
            cbOverhead: 0,
            iRegionIndex: 0,
            wFlags: 0,
            Region: REGION {
                dwCommittedSize: 0,
                dwUnCommittedSize: 0,
                lpFirstBlock: none,
                lpLastBlock: none,
            },
        }
    }
}

impl PROCESS_HEAP_ENTRY {
    fn place(&self) -> Last {
        match (NonNull::new(self.lpData.cast()), self.wFlags) {
            (None, _) => Last::None,
            (Some(start), PROCESS_HEAP_REGION) => Last::Region(start),
            (Some(start), PROCESS_HEAP_ENTRY_BUSY) => Last::Busy(start),
            (Some(start), _) => Last::Free(start, self.cbData as usize),
        }
    }
}

/// Goes on to the next entry: each region, followed by its blocks, in use or free. With null in
/// `lpData` it begins. Lock the heap for a walk if others use it: what comes and goes meanwhile may
/// be told or not, and where the last entry has gone the walk ends. What is left of the memory that
/// the heap began with is no region yet.
///
/// # Errors
/// - `ERROR_NO_MORE_ITEMS` (259): that was the last one.
/// - `ERROR_INVALID_PARAMETER` (87): the entry is none of this heap, or not any more; or somebody
///   has written behind the end of the next block.
/// - `ERROR_INVALID_HANDLE` (6): as for [`HeapAlloc`](super::HeapAlloc).
///
/// # Safety
/// 1. If the heap is one of [`HEAP_NO_SERIALIZE`](super::HEAP_NO_SERIALIZE), no other call on it
///    is under way.
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 0, 0)?;
/// // SAFETY: (1) the heap has a lock.
/// let block = unsafe { HeapAlloc(heap, 0, 10)? };
/// let mut entry = PROCESS_HEAP_ENTRY::default();
/// let mut in_use = Vec::new();
/// // SAFETY: (1) as above.
/// while unsafe { HeapWalk(heap, &mut entry) }.is_ok() {
///     if entry.wFlags & PROCESS_HEAP_ENTRY_BUSY != 0 {
///         in_use.push((entry.lpData, entry.cbData));
///     }
/// }
/// assert_eq!(in_use, [(block, 10)]);
/// # // SAFETY: (1) (2) nobody uses its blocks any more.
/// # unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub unsafe fn HeapWalk(heap: HANDLE, entry: &mut PROCESS_HEAP_ENTRY) -> Result<(), Win32Error> {
    const CALL: &str = "HeapWalk";
    // SAFETY: (1).
    unsafe { record::with(CALL, heap, 0, |made| go_on(CALL, made, entry)) }
}

fn go_on(
    call: &'static str,
    made: &Made,
    entry: &mut PROCESS_HEAP_ENTRY,
) -> Result<(), Win32Error> {
    let most = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let none = PROCESS_HEAP_ENTRY::default();
    let Some((found, _)) = next_entry(call, made, entry.place())? else {
        return Err(Win32Error::new(call, Reason::NoMoreItems));
    };
    let same_region = PROCESS_HEAP_ENTRY { iRegionIndex: entry.iRegionIndex, ..none };
    *entry = match found {
        Entry::Region { start, len, last_block } => PROCESS_HEAP_ENTRY {
            lpData: start.as_ptr().cast(),
            iRegionIndex: match entry.place() {
                Last::None => 0,
                _ => entry.iRegionIndex.wrapping_add(1),
            },
            wFlags: PROCESS_HEAP_REGION,
            Region: REGION {
                dwCommittedSize: most(len),
                dwUnCommittedSize: 0,
                lpFirstBlock: start.as_ptr().cast(),
                lpLastBlock: last_block.as_ptr().cast(),
            },
            ..none
        },
        Entry::Busy(block) => {
            let size = given(call, made, block.start.as_ptr().cast())?.size;
            PROCESS_HEAP_ENTRY {
                lpData: block.start.as_ptr().cast(),
                cbData: most(size),
                cbOverhead: u8::try_from(block.usable_len - size).unwrap_or(u8::MAX),
                wFlags: PROCESS_HEAP_ENTRY_BUSY,
                ..same_region
            }
        }
        Entry::Free(block) => PROCESS_HEAP_ENTRY {
            lpData: block.start.as_ptr().cast(),
            cbData: most(block.usable_len),
            ..same_region
        },
    };
    Ok(())
}

/// The entry behind the last one, and the place of it.
pub(super) fn next_entry(
    call: &'static str,
    made: &Made,
    last: Last,
) -> Result<Option<(Entry, Last)>, Win32Error> {
    let next = made.heap.entry_after(last);
    let next = next.map_err(|finding| Win32Error::new(call, Reason::of_block(finding)))?;
    Ok(next.map(|entry| {
        let place = match entry {
            Entry::Region { start, .. } => Last::Region(start),
            Entry::Busy(block) => Last::Busy(block.start),
            Entry::Free(block) => Last::Free(block.start, block.usable_len),
        };
        (entry, place)
    }))
}
