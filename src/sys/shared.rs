//! Floor 1, uses floor 0. The fourth page of the door: memory with a name, and waiting in it.
//!
//! The contract is that of the folder (see `sys`), with these additions:
//! - A name is the system's own: programs that know nothing of us find the same bytes there.
//! - Whatever says that somebody lives is held by the kernel, and let go by it when the process
//!   dies, however it dies: the use of a name, its creator, and seats.
//! - A bell is what is waited at. It may ring for nothing: whoever waits looks again.

use super::{
    Backing, Errno, claim, close_bell, create_named, creator, is_claimed, leave_named,
    monotonic_ns, open_bell, open_named, reclaim_abandoned, release_claim, ring_bell, unlink_named,
    wait_bell,
};
use crate::ds::share_name::ShareName;
use core::sync::atomic::AtomicU32;

/// Memory that has a name, by the numbers that the system knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) backing: Backing,
    /// What says who made it: a handle on Windows, elsewhere 1 for whoever did;
    /// [`Backing::NOTHING`] for anybody else.
    pub(crate) record: usize,
}

/// Numbers of seats are below this.
pub(crate) const CLAIMS: u64 = 1 << 59;

/// A process: its number, and when it was started, in the system's own unit.
pub(crate) type Process = (u32, u64);

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _SHARED_CONTRACT: (
    fn(&ShareName, u64, u32) -> Result<Named, Errno>,
    fn(&ShareName, bool) -> Result<(Named, u64), Errno>,
    fn() -> Result<usize, Errno>,
    unsafe fn(&ShareName, Named) -> Result<(), Errno>,
    unsafe fn(&ShareName, Named, bool),
    unsafe fn(&ShareName, Named) -> Result<Option<Process>, Errno>,
    unsafe fn(&ShareName, Named, u64) -> Result<Option<usize>, Errno>,
    unsafe fn(&ShareName, Named, u64) -> Result<bool, Errno>,
    unsafe fn(usize),
    fn(&ShareName, u64) -> Result<usize, Errno>,
    unsafe fn(usize),
    unsafe fn(usize, &AtomicU32, u32, u64) -> Result<(), Errno>,
    unsafe fn(usize, &AtomicU32, u32),
    fn() -> u64,
) = (
    create_named,
    open_named,
    reclaim_abandoned,
    unlink_named,
    leave_named,
    creator,
    claim,
    is_claimed,
    release_claim,
    open_bell,
    close_bell,
    wait_bell,
    ring_bell,
    monotonic_ns,
);

/// Handles of the standard library.
#[cfg(feature = "std")]
#[expect(clippy::type_complexity, reason = "as above")]
const _HANDLE_CONTRACT: (
    fn(Backing) -> Result<super::OwnedHandle, Errno>,
    unsafe fn(usize) -> Result<(Backing, u64), Errno>,
) = (super::handle_of, super::received);
