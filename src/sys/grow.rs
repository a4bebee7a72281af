//! Floor 1, uses floor 0. A page of the door: files that grow, as memory that stays where it is.
//!
//! The contract is that of the folder and of its page `section`, with these additions:
//! - An [`Area`] is addresses for all that a file may become. Its first bytes, as far as it was
//!   extended, are the file's; behind them nothing may be touched.
//! - An area is extended to multiples of the granularity only.

use super::{
    Backing, Durability, Errno, extend_area, extend_file, flush_area, punch_hole, release_area,
    reserve_area, sync_file, sync_range, write_file,
};
use core::ptr::NonNull;

/// Addresses that a file grows into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    /// The address of the file's first byte.
    pub(crate) start: NonNull<u8>,
    /// Bytes, whether they are mapped or not.
    pub(crate) len: usize,
    /// Bytes from the start on that are mapped.
    #[cfg(windows)]
    pub(super) mapped: usize,
    /// Bytes behind those that are reserved, in one piece.
    #[cfg(windows)]
    pub(super) rest: usize,
}

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _GROW_CONTRACT: (
    unsafe fn(Backing, usize) -> Result<Area, Errno>,
    unsafe fn(Backing, &mut Area, usize) -> Result<(), Errno>,
    unsafe fn(Area) -> Result<(), Errno>,
    unsafe fn(usize, u64, u64, &[u8]) -> Result<(), Errno>,
    unsafe fn(usize, u64, u64) -> Result<(), Errno>,
    unsafe fn(Backing, &Area, usize, usize, Durability) -> Result<(), Errno>,
    unsafe fn(usize) -> Result<(), Errno>,
    unsafe fn(usize, &[u8], u64) -> Result<(), Errno>,
    unsafe fn(usize, u64, usize, Durability) -> Result<(), Errno>,
) = (
    reserve_area,
    extend_area,
    release_area,
    extend_file,
    punch_hole,
    flush_area,
    sync_file,
    write_file,
    sync_range,
);
