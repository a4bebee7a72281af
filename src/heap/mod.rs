//! Floor 4, uses floors 0 to 2. Heaps that are made at will and thrown away at once.
//!
//! Where the notes say `HeapCreate`, `HeapAlloc`, `HeapFree` and `HeapDestroy`, here are [`Heap`],
//! which any thread may use, and [`LocalHeap`], for one thread at a time, without a lock: "no
//! synchronisation if there is one heap for each thread".
//!
//! ```
//! use granule::heap::LocalHeap;
//! use std::alloc::Layout;
//! struct Node {
//!     next: Option<std::ptr::NonNull<Node>>,
//! }
//! let heap = LocalHeap::new()?;
//! let mut list = None;
//! for _ in 0..100_000 {
//!     let node = heap.allocate(Layout::new::<Node>())?.cast::<Node>();
//!     // SAFETY: a new block for a node.
//!     unsafe { node.write(Node { next: list }) };
//!     list = Some(node);
//! }
//! drop(heap); // the list, without a walk along it
//! # Ok::<(), granule::Error>(())
//! ```
//!
//! # Collections
//! With the feature `allocator-api2-02` or `allocator-api2-04` heaps are the `Allocator` of that
//! version of the crate allocator-api2, and with `nightly` that of the standard library. A
//! collection has a reference to a heap, or owns it, or owns a [`HeapHandle`].
//!
#![cfg_attr(
    feature = "allocator-api2-02",
    doc = "```",
    doc = "use granule::heap::{HeapHandle, HeapOptions, LocalHeap};",
    doc = "use hashbrown::{DefaultHashBuilder, HashMap};",
    doc = "let heap = LocalHeap::new()?;",
    doc = "let mut squares = HashMap::with_hasher_in(DefaultHashBuilder::default(), &heap);",
    doc = "squares.extend((0..1000).map(|number| (number, number * number)));",
    doc = "assert_eq!((squares[&30], heap.stats().blocks), (900, 1));",
    doc = "let small = HeapOptions::new().max_len(1 << 20).shared()?;",
    doc = "let handle = HeapHandle::new(small)?;",
    doc = "let mut bytes = allocator_api2_02::vec::Vec::<u8, _>::new_in(handle);",
    doc = "assert!(bytes.try_reserve(2 << 20).is_err());",
    doc = "# Ok::<(), granule::Error>(())",
    doc = "```",
    doc = ""
)]
//! # How it is built
//! - Blocks of up to 32 KiB lie in slabs of 64 or 256 KiB, all of one size class; longer ones are
//!   runs of whole granules of 64 KiB. The first small blocks of a thread share a granule.
//! - The books are tables beside the memory: a block's address gives the record of its slab by
//!   arithmetic, a bit says whether it is free. Free memory is never written.
//! - In front of the slabs stands a cache for each class. A [`LocalHeap`] cuts new slabs directly.
//! - What other threads give back is a bit, too, and costs the owner one step for 64 blocks.
//!
//! # What to know
//! - The ground is up to a terabyte of addresses, committed in steps of 2 MiB as they are needed.
//!   mlockall counts addresses: a program that may not lock as many (`ulimit -l`, no CAP_IPC_LOCK)
//!   is refused. A limit of its addresses (`ulimit -v`) makes the ground smaller.
//! - Above 32 MiB memory that is dense is asked for in huge pages, as long as the system has them
//!   at hand: see the file `huge.rs`.
//! - What another thread gives back is the owner's again when he allocates next, or ends. If he
//!   sleeps, what others have freed of his waits for him up to a limit, and above that goes back to
//!   the system in his place, as soon as all blocks of a slab are free.
//! - A library with `Granule` in it must not be unloaded while threads that used it live.
//!
//! Each part of it is a file, with numbered rules in front; [`LocalHeap::validate`] names the one
//! that is broken.

#[cfg(any(feature = "allocator-api2-02", feature = "allocator-api2-04", feature = "nightly"))]
mod allocator;
mod block;
mod checked;
mod class;
mod core;
mod cut;
mod entries;
mod family;
mod gather;
mod ground;
mod handle;
mod held;
mod huge;
mod inspect;
mod local;
mod options;
mod owner;
mod place;
mod process;
mod report;
mod shared;
mod slab;
mod starter;
mod supply;
mod table;
mod waiting;

pub(crate) use entries::{Entry, Last};
pub use handle::HeapHandle;
pub use inspect::{Block, HeapStats, Violation};
pub use local::LocalHeap;
pub use options::HeapOptions;
pub use owner::{HeapId, Owner, owner_of};
pub use process::Granule;
pub(crate) use process::allocate_or_none;
pub(crate) use report::Finding;
pub use shared::Heap;

#[cfg(test)]
mod tests;
