//! Floor 1. Locking, filling and advising pages on macOS and FreeBSD, and tripwires. What these
//! systems lack is ENOSYS, and the upper floors say so or do without.

use super::super::memory::touch;
use super::super::{Access, Advice, CommitPolicy, Errno, Piece, Protection, Stumble};
use super::call::checked;
use super::pages::{madvise, place, protect, refused};
use crate::ds::name::Name;
use crate::error::Call;
use core::ops::Range;
use core::ptr::NonNull;

/// What is committed takes memory when it is touched.
pub(crate) const COMMITS_LAZILY: bool = true;

/// The kernel remembers advice with the mapping, and forgets it with the mapping.
pub(crate) const ADVICE_OUTLIVES_PAGES: bool = false;

/// Tells the system how a range will be used. macOS makes no huge pages by itself, so to ask for
/// none is to ask for nothing; FreeBSD does, and cannot be asked for none. FreeBSD leaves ranges
/// out of core dumps; macOS does not. What a system lacks is ENOSYS. Call: madvise.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn advise(ptr: NonNull<u8>, len: usize, advice: Advice) -> Result<(), Errno> {
    let word = match advice {
        Advice::Normal => libc::MADV_NORMAL,
        Advice::Sequential => libc::MADV_SEQUENTIAL,
        Advice::Random => libc::MADV_RANDOM,
        Advice::WillNeed => libc::MADV_WILLNEED,
        #[cfg(target_os = "freebsd")]
        Advice::NoDump => libc::MADV_NOCORE,
        #[cfg(target_os = "freebsd")]
        Advice::Dump => libc::MADV_CORE,
        #[cfg(target_os = "macos")]
        Advice::NoHugePages | Advice::Dump => return Ok(()),
        _ => return refused(libc::ENOSYS),
    };
    // SAFETY: (1); none of these touches the content.
    unsafe { madvise(ptr, len, word) }
}

/// Keeps pages in memory, and brings them there. Call: mlock.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn lock(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1); neither content nor rights change.
    let call = || unsafe { libc::mlock(place(ptr), len) };
    checked(Call::Mlock, [ptr.addr().get(), len], || (call() == 0).then_some(()))
}

/// Lets pages be swapped again. Call: munlock.
///
/// # Safety
/// 1. The range lies in one reservation of ours. Its content and its rights stay.
pub(crate) unsafe fn unlock(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    let call = || unsafe { libc::munlock(place(ptr), len) };
    checked(Call::Munlock, [ptr.addr().get(), len], || (call() == 0).then_some(()))
}

/// Begins to read what was swapped out. Call: madvise(MADV_WILLNEED).
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn prefetch(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1); content and rights stay.
    unsafe { madvise(ptr, len, libc::MADV_WILLNEED) }
}

/// Brings pages into memory now. No call: they are touched.
///
/// # Safety
/// 1. The range lies in one reservation of ours, is committed with the right to do `access`, and
///    keeps it during the call.
pub(crate) unsafe fn populate(ptr: NonNull<u8>, len: usize, access: Access) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { touch(ptr, len, super::limits().page_len, access) };
    Ok(())
}

/// As on Linux: a discard ends at the next write to a page, and cannot be taken back.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn undiscard(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    refused(libc::ENOSYS)
}

/// Committed pages of equal rights fault at the next touch. Their content stays. Call: mprotect.
///
/// # Safety
/// 1. The range lies in one reservation of ours, and nobody relies on touching it without a fault.
pub(crate) unsafe fn arm(ptr: NonNull<u8>, len: usize, _: Protection) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { protect(ptr, len, Protection::NoAccess) }
}

/// Armed pages have their rights again. Call: mprotect.
///
/// # Safety
/// 1. The range lies in one reservation of ours and had these rights before it was armed.
pub(crate) unsafe fn disarm(
    ptr: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { protect(ptr, len, protection) }
}

/// There are no guard markers here, so there is no batch of them.
///
/// # Safety
/// 1. Every range lies in one reservation of ours, and nobody uses its content.
pub(crate) unsafe fn guard_many(_: &[Piece]) -> Result<(), Stumble> {
    Err(Stumble { index: 0, errno: Errno(libc::ENOSYS, Call::None) })
}

/// As [`guard_many`].
///
/// # Safety
/// 1. Every range lies in one reservation of ours.
pub(crate) unsafe fn unguard_many(_: &[Piece]) -> Result<(), Stumble> {
    Err(Stumble { index: 0, errno: Errno(libc::ENOSYS, Call::None) })
}

/// These systems have no names for memory.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn name(_: NonNull<u8>, _: usize, _: Name) -> Result<(), Errno> {
    refused(libc::ENOSYS)
}

/// A number that no other living thread has: from where the C library keeps the thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: takes nothing.
    let place = unsafe { libc::pthread_self() } as usize as u64;
    // Places are multiples of 16 and in one part of the address space.
    (place >> 4) as u32
}

/// The kernel's own setting is not asked: memory is promised page by page.
pub(crate) fn overcommits_always() -> bool {
    false
}

/// The main thread's stack has its addresses from the beginning.
pub(crate) fn stack_room() -> Option<Range<usize>> {
    None
}

/// Huge pages are the kernel's own choice.
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn reserve_huge(
    _: usize,
    _: usize,
    _: usize,
    _: Option<u16>,
) -> Result<NonNull<u8>, Errno> {
    refused(libc::ENOSYS)
}

/// As [`reserve_huge`].
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn decommit_huge(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    refused(libc::ENOSYS)
}

/// As [`reserve_huge`].
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn huge_len(_: NonNull<u8>, _: usize) -> Result<usize, Errno> {
    Ok(0)
}

/// Memory nodes are no business of programs here.
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn reserve_near(
    _: usize,
    _: usize,
    _: usize,
    _: CommitPolicy,
    _: u16,
) -> Result<NonNull<u8>, Errno> {
    refused(libc::ENOSYS)
}

/// As [`reserve_near`].
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn prefer_node(_: NonNull<u8>, _: usize, _: u16) -> Result<(), Errno> {
    refused(libc::ENOSYS)
}

/// How many of the pages are memory because they were touched. These systems do not tell: all that
/// are committed.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
#[expect(clippy::unnecessary_wraps, reason = "others have to ask the kernel")]
pub(crate) unsafe fn touched(_: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    Ok(len / super::limits().page_len)
}

/// How many of the pages are memory just now. These systems do not tell: all that are committed.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn resident(ptr: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    // SAFETY: (1).
    unsafe { touched(ptr, len) }
}
