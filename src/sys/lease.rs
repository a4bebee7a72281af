//! Floor 1, uses floor 0. The fourth page of the door: how it is known that nobody changes a file,
//! or that nobody else has it.
//!
//! The contract is that of the folder (see `sys`), with these additions:
//! - Files are numbers of ours, opened for this and known to nobody else.
//! - A proof holds for as long as the file is open. A lease holds until it is given up, or for
//!   [`lease_break_secs`] after somebody has asked for the file.
//! - Where there are no leases (`HAS_LEASES`), `take_lease` refuses, and what is about a lease is
//!   not called.

use super::{
    Access, Errno, HAS_LEASES, follow_forks, give_lease, into_number, keep_others_out,
    lease_break_secs, lease_is_wanted, mask_of_keeper, move_over, open_again, read_at,
    standing_proof, take_lease,
};
use core::ptr::NonNull;

/// Why the bytes of a [`Frozen`](crate::section::Frozen) view do not change.
///
/// See [`Frozen`](crate::section::Frozen) for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proof {
    /// The file is memory that was sealed against writing and shrinking: F_SEAL_WRITE and
    /// F_SEAL_SHRINK of memfd_create (Linux). For good.
    Sealed,
    /// The file system keeps the file as it is, and checks what it reads: fs-verity (Linux). For
    /// good.
    Verity,
    /// A lease: who wants to write has to wait until this process has made the bytes its own
    /// (Linux).
    Lease,
    /// The file is open here, and the system refuses to open it for writing (Windows).
    ShareMode,
    /// The bytes are this process' own: they were copied, or there are none.
    Copy,
}

/// What is called around a fork.
pub(crate) type ForkHook = unsafe extern "C" fn();

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _LEASE_CONTRACT: (
    unsafe fn(usize) -> Result<usize, Errno>,
    unsafe fn(usize) -> Result<Option<Proof>, Errno>,
    unsafe fn(usize, Access, u32) -> Result<(), Errno>,
    unsafe fn(usize, Access) -> bool,
    unsafe fn(usize) -> Result<(), Errno>,
    fn() -> u32,
    unsafe fn(usize, u64, NonNull<u8>, usize) -> Result<usize, Errno>,
    unsafe fn(NonNull<u8>, usize, NonNull<u8>) -> Result<(), Errno>,
    unsafe fn(ForkHook, ForkHook, ForkHook) -> Result<(), Errno>,
    fn(),
    fn(&mut std::fs::OpenOptions, Access),
    fn(std::fs::File) -> usize,
    bool,
) = (
    open_again,
    standing_proof,
    take_lease,
    lease_is_wanted,
    give_lease,
    lease_break_secs,
    read_at,
    move_over,
    follow_forks,
    mask_of_keeper,
    keep_others_out,
    into_number,
    HAS_LEASES,
);
