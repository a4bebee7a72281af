//! Floor 1, uses floor 0. The door's page about the cache of files.
//!
//! The contract is that of the folder and of files (see `section`).

use super::{Backing, Errno, cache_state};

/// How much of a part of a file lies in memory, in bytes of whole pages.
///
/// A value of [`Section::cached`](crate::section::Section::cached).
///
/// ```
/// use granule::section::Section;
/// let memory = Section::anonymous(10_000)?;
/// match memory.cached(0..10_000) {
///     Ok(state) => assert!(state.resident <= 12_288 || granule::vm::info().page_len > 4096),
///     Err(error) => assert_eq!(error.kind(), granule::ErrorKind::Unsupported), // not Linux
/// }
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheState {
    /// In memory: reading it needs no disk.
    pub resident: u64,
    /// Of that, what was written and is not on its way to the disk yet. `None` where the system
    /// does not say, as before Linux 6.5.
    pub dirty: Option<u64>,
    /// Of that, what is being written to the disk now.
    pub writeback: Option<u64>,
}

/// The function every platform must have.
const _CACHE_CONTRACT: unsafe fn(Backing, u64, usize) -> Result<CacheState, Errno> = cache_state;
