//! Floor 1. Locking, filling and advising pages on Linux, tripwires, and guards in batches.

use super::super::memory::touch;
use super::super::{Access, Advice, Errno, Piece, Protection, Stumble};
use super::info::{limits, number_in};
use super::maps::mapping_at_or_above;
use super::pages::{MADV_GUARD_INSTALL, MADV_GUARD_REMOVE, madvise, protect};
use super::process::{close, process_id};
use super::raw::syscall;
use crate::ds::name::Name;
use crate::error::Call;
use core::ops::Range;
use core::ptr::NonNull;

/// A commit under the lazy policy takes no promise, unless the kernel gives none but safe ones.
pub(crate) const COMMITS_LAZILY: bool = true;

/// The kernel remembers advice with the mapping, and forgets it with the mapping.
pub(crate) const ADVICE_OUTLIVES_PAGES: bool = false;

/// Tells the kernel how a range will be used, or lets it do what the advice says. Call: madvise,
/// twice for what is said of forks.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn advise(ptr: NonNull<u8>, len: usize, advice: Advice) -> Result<(), Errno> {
    let words: &[i32] = match advice {
        Advice::Normal => &[libc::MADV_NORMAL],
        Advice::Sequential => &[libc::MADV_SEQUENTIAL],
        Advice::Random => &[libc::MADV_RANDOM],
        Advice::WillNeed => &[libc::MADV_WILLNEED],
        Advice::Cold => &[libc::MADV_COLD],
        Advice::PageOut => &[libc::MADV_PAGEOUT],
        Advice::HugePages => &[libc::MADV_HUGEPAGE],
        Advice::NoHugePages => &[libc::MADV_NOHUGEPAGE],
        Advice::Collapse => &[libc::MADV_COLLAPSE],
        Advice::NoDump => &[libc::MADV_DONTDUMP],
        Advice::Dump => &[libc::MADV_DODUMP],
        Advice::NoFork => &[libc::MADV_DONTFORK],
        // The kernel keeps two bits where we have one choice of three.
        Advice::Fork => &[libc::MADV_DOFORK, libc::MADV_KEEPONFORK],
        Advice::WipeOnFork => &[libc::MADV_WIPEONFORK, libc::MADV_DOFORK],
    };
    words.iter().try_for_each(|&word| {
        // SAFETY: (1); none of these touches the content that this process sees.
        unsafe { madvise(ptr, len, word as usize) }
    })
}

/// Keeps pages in memory, and brings them there. If the kernel stumbles half way, none of the pages
/// is locked; a refusal at the limit changes nothing. Calls: mlock, after a stumble munlock.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn lock(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1); neither content nor rights change.
    let done = unsafe { syscall(libc::SYS_mlock, [addr, len, 0, 0, 0, 0]) };
    if matches!(done, Err(Errno(libc::EAGAIN, _))) {
        // SAFETY: (1). The first error is the one to tell.
        let _ = unsafe { unlock(ptr, len) };
    }
    done.map(drop)
}

/// Lets pages be swapped again that were locked (`mlock`, `mlockall`). Call: munlock.
///
/// # Safety
/// 1. The range lies in one reservation of ours. Its content and its rights stay.
pub(crate) unsafe fn unlock(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1).
    unsafe { syscall(libc::SYS_munlock, [addr, len, 0, 0, 0, 0]) }.map(drop)
}

/// Begins to read what was swapped out. Call: madvise(MADV_WILLNEED).
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn prefetch(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1); content and rights stay.
    unsafe { madvise(ptr, len, libc::MADV_WILLNEED as usize) }
}

/// Brings pages into memory now, as if they were touched. Call: madvise(MADV_POPULATE_READ or
/// MADV_POPULATE_WRITE); before Linux 5.14 none, the pages are touched.
///
/// # Safety
/// 1. The range lies in one reservation of ours, is committed with the right to do `access`, and
///    keeps it during the call.
pub(crate) unsafe fn populate(ptr: NonNull<u8>, len: usize, access: Access) -> Result<(), Errno> {
    let word = match access {
        Access::Read => libc::MADV_POPULATE_READ,
        Access::Write => libc::MADV_POPULATE_WRITE,
    } as usize;
    // SAFETY: (1).
    match unsafe { madvise(ptr, len, word) } {
        // SAFETY: (1).
        Err(Errno(libc::EINVAL, _)) if !unsafe { knows(ptr, word) } => {
            // SAFETY: (1).
            unsafe { touch(ptr, len, limits().page_len, access) };
            Ok(())
        }
        done => done,
    }
}

/// Whether the kernel knows the advice: it says so when there is nothing to advise on.
unsafe fn knows(ptr: NonNull<u8>, word: usize) -> bool {
    // SAFETY: no byte is concerned.
    unsafe { madvise(ptr, 0, word) }.is_ok()
}

/// Linux cannot take a discard back, nor tell what it cost: MADV_FREE ends at the next write to a
/// page, and a page that is gone by then reads zero like any other.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn undiscard(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    Err(Errno(libc::ENOSYS, Call::None))
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

/// What the kernel's list of mappings calls these pages from now on. A kernel without such names
/// says EINVAL. Call: prctl(PR_SET_VMA_ANON_NAME), Linux 5.17.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn name(ptr: NonNull<u8>, len: usize, name: Name) -> Result<(), Errno> {
    const PR_SET_VMA: usize = 0x5356_4d41;
    const PR_SET_VMA_ANON_NAME: usize = 0;
    let mut text = [0u8; 64];
    for (place, byte) in text.iter_mut().zip(name.as_str().bytes()) {
        *place = if b"\\`$[]".contains(&byte) { b'?' } else { byte };
    }
    let addr = ptr.as_ptr().expose_provenance();
    let text = text.as_ptr().expose_provenance();
    let args = [PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, len, text, 0];
    // SAFETY: (1); the kernel copies a text that is shorter than its buffer, which is zero behind.
    unsafe { syscall(libc::SYS_prctl, args) }.map(drop)
}

/// Guard markers on many ranges. Calls: process_madvise; before Linux 6.14 pidfd_open and close.
///
/// # Safety
/// 1. Every range lies in one reservation of ours, and nobody uses its content.
pub(crate) unsafe fn guard_many(pieces: &[Piece]) -> Result<(), Stumble> {
    // SAFETY: (1).
    unsafe { madvise_many(pieces, MADV_GUARD_INSTALL) }
}

/// Takes guard markers away from many ranges. Calls: as for [`guard_many`].
///
/// # Safety
/// 1. Every range lies in one reservation of ours.
pub(crate) unsafe fn unguard_many(pieces: &[Piece]) -> Result<(), Stumble> {
    // SAFETY: (1).
    unsafe { madvise_many(pieces, MADV_GUARD_REMOVE) }
}

/// The process itself, without a descriptor; since Linux 6.14 and younger than the C headers.
const PIDFD_SELF: usize = -10001isize as usize;

unsafe fn madvise_many(pieces: &[Piece], word: usize) -> Result<(), Stumble> {
    // SAFETY: the caller's.
    match unsafe { madvise_many_of(PIDFD_SELF, pieces, word) } {
        Err(Stumble { index: 0, errno: Errno(libc::EBADF, _) }) => {}
        done => return done,
    }
    let process = process_id() as usize;
    // SAFETY: opens a descriptor and touches no memory.
    let opened = unsafe { syscall(libc::SYS_pidfd_open, [process, 0, 0, 0, 0, 0]) };
    let file = opened.map_err(|errno| Stumble { index: 0, errno })?;
    // SAFETY: the caller's.
    let done = unsafe { madvise_many_of(file, pieces, word) };
    close(file);
    done
}

/// Goes on behind what the kernel did, until it has done all or says why not.
unsafe fn madvise_many_of(process: usize, pieces: &[Piece], word: usize) -> Result<(), Stumble> {
    let mut index = 0;
    while index < pieces.len() {
        let rest = &pieces[index..];
        let args = [process, rest.as_ptr().expose_provenance(), rest.len(), word, 0, 0];
        // SAFETY: the caller's; a `Piece` has the layout of an `iovec`, and the kernel reads only.
        let advised = unsafe { syscall(libc::SYS_process_madvise, args) };
        let mut advised = advised.map_err(|errno| Stumble { index, errno })?;
        let before = index;
        // The kernel counts whole pieces.
        while let Some(piece) = pieces.get(index).filter(|piece| piece.len <= advised) {
            advised -= piece.len;
            index += 1;
        }
        if index == before {
            return Err(Stumble { index, errno: Errno(libc::EINVAL, Call::ProcessMadvise) });
        }
    }
    Ok(())
}

/// Whether the kernel promises memory without counting (`vm.overcommit_memory=1`). Calls: openat,
/// read, close.
pub(crate) fn overcommits_always() -> bool {
    number_in(c"/proc/sys/vm/overcommit_memory") == Some(1)
}

/// The addresses below the main thread's stack that it may still grow into: free, but nobody who
/// chooses addresses should take them. Calls: prlimit64, and those of `mapping_at_or_above`.
pub(crate) fn stack_room() -> Option<Range<usize>> {
    /// The kernel keeps at least this much clear when it chooses addresses itself.
    const ROOM_MIN: usize = 128 << 20;
    /// And this much more, so that a stack and its neighbour never touch.
    const GAP: usize = 1 << 20;
    // SAFETY: getauxval reads a table that the loader filled before any code of ours ran.
    let inside = unsafe { libc::getauxval(libc::AT_RANDOM) } as usize;
    let stack = mapping_at_or_above(inside).ok()??;
    if !(stack.start..stack.end).contains(&inside) {
        return None;
    }
    let room = stack_limit().unwrap_or(0).clamp(ROOM_MIN, stack.end / 6 * 5);
    let lowest = stack.end.saturating_sub(room).saturating_sub(GAP);
    (lowest < stack.start).then_some(lowest..stack.start)
}

fn stack_limit() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let place = (&raw mut limit).expose_provenance();
    let args = [0, libc::RLIMIT_STACK as usize, 0, place, 0, 0];
    // SAFETY: asks for a limit of this process; the kernel writes one `rlimit`.
    unsafe { syscall(libc::SYS_prlimit64, args) }.ok()?;
    usize::try_from(limit.rlim_cur).ok()
}
