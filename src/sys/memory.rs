//! Floor 1, uses floor 0. The second page of the door: what can be done to pages besides moving
//! them between their states.
//!
//! The contract is that of the folder: see `sys`.

use super::{
    ADVICE_OUTLIVES_PAGES, CommitPolicy, Errno, HugePages, Protection, advise, arm, decommit_huge,
    disarm, guard_many, huge_len, huge_page_len, huge_pages, lock, name, overcommits_always,
    populate, prefer_node, prefetch, reserve_huge, reserve_near, stack_room, thread_id, undiscard,
    unguard_many, unlock,
};
use crate::ds::name::Name;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering};

/// How a range will be used, or what is to happen to it.
///
/// The system remembers some of it; what is given to a whole reservation is repeated whenever
/// pages are decommitted, and holds for later commits. Each remembered advice takes the place of
/// the earlier one of its group. The rest is done once.
///
/// | group, remembered | advice |
/// |---|---|
/// | order of access | `Normal`, `Sequential`, `Random` |
/// | huge pages | `HugePages`, `NoHugePages` |
/// | core dumps | `Dump`, `NoDump` |
/// | children of a fork | `Fork`, `NoFork`, `WipeOnFork` |
///
/// Done once: `WillNeed`, `Cold`, `PageOut`, `Collapse`.
///
/// Linux: madvise, with the word in the last line of each. Windows: see
/// [`Reservation::advise`](crate::vm::Reservation::advise).
///
/// ```
/// use granule::vm::{Advice, Protection, Reservation};
/// let secrets = Reservation::reserve(1 << 20)?;
/// if let Err(error) = secrets.advise(Advice::NoDump) {
///     println!("a core dump would show them: {error}");
/// }
/// secrets.commit(0..secrets.len(), Protection::ReadWrite)?;
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// No special order of access: takes `Sequential` and `Random` back. MADV_NORMAL.
    Normal,
    /// From the front to the end: read ahead far, forget behind. MADV_SEQUENTIAL.
    Sequential,
    /// In no order: do not read ahead. MADV_RANDOM.
    Random,
    /// Soon: read what was swapped out. MADV_WILLNEED.
    WillNeed,
    /// Not for a while: first to be swapped when memory is short. MADV_COLD, Linux 5.4.
    Cold,
    /// Not for long: swap it now. The content stays. MADV_PAGEOUT, Linux 5.4.
    PageOut,
    /// Back it by huge pages where that is possible. MADV_HUGEPAGE.
    HugePages,
    /// Never back it by huge pages. MADV_NOHUGEPAGE.
    NoHugePages,
    /// Make huge pages of what is there, now. The content stays. MADV_COLLAPSE, Linux 6.1.
    Collapse,
    /// Leave it out of core dumps. MADV_DONTDUMP.
    NoDump,
    /// Put it into core dumps: takes `NoDump` back. MADV_DODUMP.
    Dump,
    /// The child of a fork does not get the addresses: it faults there. Whatever it lays there
    /// itself is safe from the reservation: once any page of one was advised so, all its verbs are
    /// `BadState` in the child, and its drop does nothing. MADV_DONTFORK.
    NoFork,
    /// The child of a fork gets the pages with their content: takes `NoFork` and `WipeOnFork` back.
    /// MADV_DOFORK, MADV_KEEPONFORK.
    Fork,
    /// The child of a fork gets the pages, and they read zero; so do the pages of its guards, if
    /// those are [`Marker`](crate::vm::GuardKind::Marker)s, until they are guarded again.
    /// MADV_DOFORK, MADV_WIPEONFORK.
    WipeOnFork,
}

/// What pages are wanted for.
///
/// ```
/// use granule::vm::{Access, Protection, Reservation};
/// let reservation = Reservation::reserve(1 << 20)?;
/// reservation.commit(0..1 << 20, Protection::ReadWrite)?;
/// reservation.populate(0..1 << 20, Access::Write)?; // no touch of these bytes waits any more
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// To be read.
    Read,
    /// To be written, and read.
    Write,
}

/// One of the ranges of a batch: what the system calls an I/O vector.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Piece {
    pub(crate) ptr: NonNull<u8>,
    pub(crate) len: usize,
}

/// A batch stumbled: the pieces before `index` are done, the one there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stumble {
    pub(crate) index: usize,
    pub(crate) errno: Errno,
}

/// Touches every page so that it is in memory. The content stays, whoever writes at the same time.
///
/// # Safety
/// 1. The range is committed with the right to do `access`, and keeps it during the call.
pub(super) unsafe fn touch(ptr: NonNull<u8>, len: usize, page_len: usize, access: Access) {
    for offset in (0..len).step_by(page_len) {
        // SAFETY: (1): inside the range.
        let byte = unsafe { ptr.add(offset) };
        // SAFETY: (1): readable; volatile, so that the read happens.
        let seen = unsafe { byte.read_volatile() };
        if access == Access::Write {
            // SAFETY: (1): a byte needs no alignment, and all its values are valid.
            let byte = unsafe { AtomicU8::from_ptr(byte.as_ptr()) };
            // Writes what is there, in one step. Who was faster has written to the page himself.
            let _ = byte.compare_exchange(seen, seen, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _MEMORY_CONTRACT: (
    unsafe fn(NonNull<u8>, usize, Advice) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, Access) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, Protection) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize, Protection) -> Result<(), Errno>,
    unsafe fn(&[Piece]) -> Result<(), Stumble>,
    unsafe fn(&[Piece]) -> Result<(), Stumble>,
    unsafe fn(NonNull<u8>, usize, Name) -> Result<(), Errno>,
    fn() -> u32,
    fn() -> bool,
    fn() -> Option<Range<usize>>,
    bool,
) = (
    advise,
    lock,
    unlock,
    prefetch,
    populate,
    undiscard,
    arm,
    disarm,
    guard_many,
    unguard_many,
    name,
    thread_id,
    overcommits_always,
    stack_room,
    ADVICE_OUTLIVES_PAGES,
);

/// Huge pages and memory nodes.
#[expect(clippy::type_complexity, reason = "as above")]
const _HUGE_CONTRACT: (
    fn() -> usize,
    fn() -> HugePages,
    unsafe fn(usize, usize, usize, Option<u16>) -> Result<NonNull<u8>, Errno>,
    unsafe fn(usize, usize, usize, CommitPolicy, u16) -> Result<NonNull<u8>, Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<usize, Errno>,
    unsafe fn(NonNull<u8>, usize, u16) -> Result<(), Errno>,
) = (huge_page_len, huge_pages, reserve_huge, reserve_near, decommit_huge, huge_len, prefer_node);
