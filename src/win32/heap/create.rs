//! Floor 5, uses floors 0 to 4. `HeapCreate`, `HeapDestroy`, and the heap of the process.

use super::super::error::{Reason, Win32Error};
use super::budget::Budget;
use super::record::{self, Made};
use super::{HANDLE, HEAP_CREATE_ENABLE_EXECUTE, HEAP_GENERATE_EXCEPTIONS, HEAP_NO_SERIALIZE};
use crate::ds::once::Once;
use crate::error::Op;
use crate::heap::HeapOptions;
use crate::sys;
use core::ptr;

/// The handle of the process's heap, as a number.
static PROCESS_HEAP: Once<usize> = Once::new();

/// Makes a heap.
///
/// - `options`: [`HEAP_NO_SERIALIZE`] and [`HEAP_GENERATE_EXCEPTIONS`], which hold for every call
///   on the heap. Flags that are none are ignored, as Windows does.
/// - `initial`: bytes to begin with, taken here and now (committed, where the system counts that)
///   and kept until the heap goes, rounded up to 64 KiB: see
///   [`initial_len`](HeapOptions::initial_len).
/// - `maximum`: bytes, rounded up to 4096, that the heap may have, its blocks' bookkeeping as
///   Windows counts it included; blocks of 0x7fff8 bytes and more it does not have at all. 0: there
///   is no end.
///
/// Windows, Linux: as for [`LocalHeap::new`](crate::heap::LocalHeap::new): as a rule no system
/// call; for `initial` `VirtualAlloc(MEM_COMMIT)`, on Linux mprotect.
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): `initial` is more than `maximum`, and that is not 0.
/// - `ERROR_NOT_ENOUGH_MEMORY` (8): a size is more than there are addresses, the system gives none,
///   or there are 16384 heaps.
/// - `ERROR_NOT_SUPPORTED` (50): [`HEAP_CREATE_ENABLE_EXECUTE`]. Memory for code is what
///   [`VirtualAlloc`](crate::win32::VirtualAlloc) is for.
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 0, 0)?;
/// // SAFETY: (1) the heap has a lock.
/// let block = unsafe { HeapAlloc(heap, HEAP_ZERO_MEMORY, 10)? };
/// // SAFETY: (1) (2) as above, and the block is in use.
/// assert_eq!(unsafe { HeapSize(heap, 0, block)? }, 10);
/// // SAFETY: (1) (2) nobody uses its blocks any more.
/// unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn HeapCreate(options: u32, initial: usize, maximum: usize) -> Result<HANDLE, Win32Error> {
    const CALL: &str = "HeapCreate";
    let refused = |reason| Err(Win32Error::new(CALL, reason));
    if options & HEAP_CREATE_ENABLE_EXECUTE != 0 {
        return refused(Reason::NoCodeInHeaps);
    }
    if maximum != 0 && initial > maximum {
        return refused(Reason::InitialAboveMaximum);
    }
    if initial.max(maximum) > sys::limits().address_max {
        return refused(Reason::NoRoom);
    }
    let options = options & (HEAP_NO_SERIALIZE | HEAP_GENERATE_EXCEPTIONS);
    let no_heap = |error| Win32Error::with_cause(CALL, Reason::HeapFull, error);
    let heap = HeapOptions::new().initial_len(initial).short_caches().local().map_err(no_heap)?;
    record::add(Made { heap, budget: Budget::new(maximum), options })
        .map_err(|refusal| no_heap(refusal.error(Op::Allocate, 0, maximum)))
}

/// Gives a heap back, with all of its blocks: one step for each 64 KiB, none for a block.
///
/// # Errors
/// - `ERROR_INVALID_HANDLE` (6): there is no such heap, or not any more; it is the heap of the
///   process; or a fork has left it in the hands of a thread that is not here.
///
/// # Safety
/// 1. If the heap is one of [`HEAP_NO_SERIALIZE`], no other call on it is under way.
/// 2. Nobody uses a block of it any more.
///
/// See [`HeapCreate`] for an example.
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub unsafe fn HeapDestroy(heap: HANDLE) -> Result<(), Win32Error> {
    const CALL: &str = "HeapDestroy";
    if PROCESS_HEAP.get() == Some(&heap.addr()) {
        return Err(Win32Error::new(CALL, Reason::ProcessHeap));
    }
    // SAFETY: (1).
    unsafe { record::remove(CALL, heap) }.map(drop)
}

/// The heap that every part of the process may use, and nobody destroys. It is made by the first
/// who asks for it, and grows without an end.
///
/// It is granule's own. On Windows the system has another one, which Rust's `System` allocator and
/// the program's libraries use, and [`Granule`](crate::heap::Granule) as the global allocator has
/// one of its own: blocks must go back to where they came from.
///
/// # Errors
/// - `ERROR_NOT_ENOUGH_MEMORY` (8): the system gives no memory for it. The next call tries again.
///
/// ```
/// use granule::win32::*;
/// let heap = GetProcessHeap()?;
/// assert_eq!(GetProcessHeap()?, heap);
/// // SAFETY: (1) (2) it is refused.
/// let error = unsafe { HeapDestroy(heap) }.expect_err("nobody destroys it");
/// assert_eq!(error.code(), ERROR_INVALID_HANDLE);
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn GetProcessHeap() -> Result<HANDLE, Win32Error> {
    let made = PROCESS_HEAP.get_or_try_make(|| HeapCreate(0, 0, 0).map(|heap| heap.addr()));
    made.map(|&addr| ptr::without_provenance_mut(addr))
        .map_err(|error| error.of_call("GetProcessHeap"))
}

/// Tells how many heaps there are, and as many of their handles as `heaps` has room for: the heap
/// of the process in front. Heaps that come and go meanwhile may be told or not.
///
/// ```
/// use granule::win32::*;
/// let mut heaps = [std::ptr::null_mut(); 100];
/// let count = GetProcessHeaps(&mut heaps);
/// assert!(count >= 1 && heaps[0] == GetProcessHeap()?);
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn GetProcessHeaps(heaps: &mut [HANDLE]) -> usize {
    // Without memory for it there is none.
    let first = GetProcessHeap().ok();
    let others = record::all().filter(|&heap| Some(heap) != first);
    let mut places = heaps.iter_mut();
    let told = first.into_iter().chain(others).inspect(|&heap| {
        if let Some(place) = places.next() {
            *place = heap;
        }
    });
    told.count()
}
