//! Floor 0, pure. The atomics of the lock-free structures: real ones, or loom's in its tests.
#![forbid(unsafe_code)]

#[cfg(not(all(test, granule_loom)))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(all(test, granule_loom))]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
