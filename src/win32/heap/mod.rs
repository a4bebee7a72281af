//! Floor 5, uses floors 0 to 4. `HeapCreate` and its family: the heaps of the notes in their own
//! words, on our own heaps on every system.
//!
//! A heap is a [`LocalHeap`](crate::heap::LocalHeap) with a lock in front: one thread at a time is
//! inside, as in Windows. `HEAP_NO_SERIALIZE` leaves the lock out. Whoever wants many threads on
//! one heap without a lock takes a [`Heap`](crate::heap::Heap) itself.
//!
//! # Wrong pointers
//! Every block that comes in is looked up in the books first, which are not in the heap's memory: a
//! block that is free, of another heap, or none at all is refused with `ERROR_INVALID_PARAMETER`
//! (87), and so is one behind whose end somebody has written. Windows ends the process for these,
//! unless it was told not to.

mod blocks;
mod budget;
mod create;
mod inspect;
mod lock;
mod record;
mod tail;
mod walk;

pub use blocks::{HeapAlloc, HeapFree, HeapReAlloc, HeapSize};
pub use create::{GetProcessHeap, GetProcessHeaps, HeapCreate, HeapDestroy};
pub use inspect::{HeapCompact, HeapValidate};
pub use lock::{HeapLock, HeapUnlock};
pub use walk::{
    HeapWalk, PROCESS_HEAP_ENTRY, PROCESS_HEAP_ENTRY_BUSY, PROCESS_HEAP_REGION, REGION,
};

use core::ffi::c_void;

/// What [`HeapCreate`] gives: a number that stands for a heap, never an address.
pub type HANDLE = *mut c_void;

/// Only one thread at a time uses the heap, or makes such calls: no lock is taken.
pub const HEAP_NO_SERIALIZE: u32 = 0x1;
/// Accepted: heaps without a maximum grow in any case.
pub const HEAP_GROWABLE: u32 = 0x2;
/// Where there is no room the call panics, instead of an error: what unwinds here is a panic.
pub const HEAP_GENERATE_EXCEPTIONS: u32 = 0x4;
/// The block, or what it grows by, reads zero.
pub const HEAP_ZERO_MEMORY: u32 = 0x8;
/// [`HeapReAlloc`] does not move the block.
pub const HEAP_REALLOC_IN_PLACE_ONLY: u32 = 0x10;
/// Blocks are code. Not supported.
pub const HEAP_CREATE_ENABLE_EXECUTE: u32 = 0x4_0000;
