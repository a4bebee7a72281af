//! Floor 5, uses floors 0 to 4. `HeapLock` and `HeapUnlock`.

use super::super::error::Win32Error;
use super::{HANDLE, record};

/// Keeps other threads out of a heap, until this one has called [`HeapUnlock`] as often. They wait,
/// giving the processor away: lock a heap for moments. A heap of
/// [`HEAP_NO_SERIALIZE`](super::HEAP_NO_SERIALIZE) has no lock, and nothing happens.
///
/// A thread that ends without an unlock leaves the heap locked for ever; the child of a fork does
/// not inherit it.
///
/// Linux: gettid. Windows: `GetCurrentThreadId`.
///
/// # Errors
/// - `ERROR_INVALID_HANDLE` (6): as for [`HeapAlloc`](super::HeapAlloc).
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 0, 0)?;
/// HeapLock(heap)?;
/// // SAFETY: (1) nobody else is in the heap.
/// let block = unsafe { HeapAlloc(heap, HEAP_NO_SERIALIZE, 100)? };
/// HeapUnlock(heap)?;
/// assert_eq!(HeapUnlock(heap).map_err(|error| error.code()), Err(ERROR_NOT_LOCKED));
/// # // SAFETY: (1) (2) nobody uses its blocks any more.
/// # unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn HeapLock(heap: HANDLE) -> Result<(), Win32Error> {
    record::lock("HeapLock", heap)
}

/// Takes back one [`HeapLock`] of this thread.
///
/// # Errors
/// - `ERROR_NOT_LOCKED` (158): this thread has not locked the heap.
/// - `ERROR_INVALID_HANDLE` (6): as for [`HeapAlloc`](super::HeapAlloc).
///
/// See [`HeapLock`] for an example.
#[allow(non_snake_case, reason = "the name that Windows gives it")]
pub fn HeapUnlock(heap: HANDLE) -> Result<(), Win32Error> {
    record::unlock("HeapUnlock", heap)
}
