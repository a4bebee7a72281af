//! Floor 0, pure. The atomics of the lock-free structures: real ones, or loom's in its tests.
#![forbid(unsafe_code)]

#[cfg(not(all(test, granule_loom)))]
#[allow(unused_imports, reason = "some of the structures are built for one system alone")]
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(all(test, granule_loom))]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
