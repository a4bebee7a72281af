//! Floor 5, uses floors 0 to 4. Memory in the notes' own words: `VirtualAlloc`, `HeapAlloc` and
//! their families, with the flags, the rounding and the error numbers of Windows, on every system.
//!
//! ```text
//!              MEM_RESERVE                MEM_COMMIT
//!   MEM_FREE --------------> MEM_RESERVE --------------> MEM_COMMIT --VirtualProtect-->
//!      ^      VirtualAlloc     ^    |     VirtualAlloc       |      --MEM_RESET------->
//!      |                       |    |                        |
//!      |                       +----|-----MEM_DECOMMIT-------+   VirtualFree(address, size)
//!      +-------MEM_RELEASE----------+-----MEM_RELEASE--------+   VirtualFree(base, 0)
//! ```
//!
//! It is a thin face over [`vm`](crate::vm), for programs that were written for Windows and for
//! whoever has learned the words there. New programs are better served by
//! [`Reservation`](crate::vm::Reservation), which cannot be released twice.
//!
//! Heaps are those of [`heap`](crate::heap), with a lock, exact sizes, and a look at every pointer
//! that comes back: [`HeapCreate`], [`HeapAlloc`], [`HeapReAlloc`], [`HeapFree`], [`HeapSize`],
//! [`HeapDestroy`], [`HeapWalk`], [`HeapValidate`], [`HeapCompact`], [`HeapLock`],
//! [`GetProcessHeap`], [`GetProcessHeaps`].
//!
//! # Rounding
//! - The address of a reservation is rounded down to the granularity of 64 KiB, and its end up to
//!   the page: 10 MiB at `0x56781234` are the `0xa02000` bytes from `0x56780000` on.
//! - Every other range is widened to whole pages: two bytes across a border are two pages.
//! - `MEM_RESET` alone narrows the range to the pages that lie in it whole, because what it
//!   touches is lost.
//!
//! # What is different from Windows
//! - The functions return a [`Result`]; the number of a [`Win32Error`] is what `GetLastError` would
//!   give.
//! - They change only ranges that [`VirtualAlloc`] of this module has reserved. What a
//!   [`Reservation`](crate::vm::Reservation) owns, and what is not granule's, they only tell about;
//!   changing it is `ERROR_ACCESS_DENIED` (5).
//! - Where the system's own step is the page, as on Linux, the rest of a reservation's last 64 KiB
//!   is free for whatever else the process maps. A touch there usually faults, but need not.
//! - `PAGE_GUARD`: the system's signal or exception goes to the program's handler, which calls
//!   [`vm::trip`](crate::vm::trip). On Windows the exception is that of Windows, on Linux it is
//!   SIGSEGV.
//! - A reset cannot be taken back on Linux, and whether a page is locked is known on Linux only:
//!   [`VirtualUnlock`] of pages that are not succeeds on Windows, where the system says
//!   `ERROR_NOT_LOCKED` (158) and the vm floor takes that for success.
//! - `PAGE_NOCACHE` and `PAGE_WRITECOMBINE` are accepted and change nothing. `MEM_PHYSICAL` is
//!   refused: there are no windows to physical pages.
//!
//! - Heaps have no blocks of code (`HEAP_CREATE_ENABLE_EXECUTE`), and an exception is a panic.
//!   Handles are numbers, so an old one is refused with `ERROR_INVALID_HANDLE` (6). A wrong pointer
//!   is refused, too, where Windows ends the process. `HeapSummary` and `HeapQueryInformation` tell
//!   of how Windows builds its heaps, and are left out.
//!
//! # What a block of a heap costs
//! Its size is kept to the byte, in the last 8 bytes of the room that it has: the size and 8,
//! rounded up to a multiple of 16 and to the size class (at most a quarter more); above 32 KiB to a
//! multiple of 64 KiB, of which what is not touched costs addresses only. A heap with a maximum
//! counts as Windows does: the size and 16 bytes for each block, and a page for the heap, whatever
//! the room. The lock is one for each heap, as in Windows; many threads on one heap are better
//! served by [`Heap`](crate::heap::Heap).
//!
//! A reservation is left to the records of the vm floor, which know it again by any of its
//! addresses; of heaps this module keeps a record each.
//!
//! `tests/windows_semantics` is one table of calls and answers. It is run against this module, and
//! on Windows against the real functions too.

mod alloc;
mod error;
mod flags;
mod free;
mod heap;
mod lock;
mod protect;
mod query;
mod range;
mod rights;
mod system_info;
#[cfg(test)]
mod tests;
mod watch;

pub use alloc::VirtualAlloc;
pub use error::{
    ERROR_ACCESS_DENIED, ERROR_BAD_LENGTH, ERROR_COMMITMENT_LIMIT, ERROR_INVALID_ADDRESS,
    ERROR_INVALID_HANDLE, ERROR_INVALID_PARAMETER, ERROR_NO_MORE_ITEMS, ERROR_NO_SYSTEM_RESOURCES,
    ERROR_NOACCESS, ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_LOCKED, ERROR_NOT_SUPPORTED,
    ERROR_PRIVILEGE_NOT_HELD, ERROR_WORKING_SET_QUOTA, Win32Error,
};
pub use flags::*;
pub use free::VirtualFree;
pub use heap::*;
pub use lock::{VirtualLock, VirtualUnlock};
pub use protect::VirtualProtect;
pub use query::{MEMORY_BASIC_INFORMATION, VirtualQuery};
pub use system_info::{
    GetLargePageMinimum, GetSystemInfo, PROCESSOR_ARCHITECTURE_AMD64, PROCESSOR_ARCHITECTURE_ARM64,
    PROCESSOR_ARCHITECTURE_UNKNOWN, SYSTEM_INFO,
};
pub use watch::{GetWriteWatch, ResetWriteWatch, WRITE_WATCH_FLAG_RESET};
