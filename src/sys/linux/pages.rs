//! Floor 1. Page verbs on Linux.
//!
//! Two facts decide the shape (measured; see docs/DESIGN.md):
//! - Commit is `mprotect`, never `mmap` over the range: a failing `mmap(MAP_FIXED)` leaves a hole.
//! - Decommit is `mmap` over the range, because `MADV_DONTNEED` + `mprotect` keeps the kernel's
//!   charge.

use super::super::{CommitPolicy, Errno, GuardKind, Protection};
use super::info::mappings_are_used_up;
use super::memory::unlock;
use super::raw::syscall;
use crate::error::{Call, ErrorKind, Op};
use core::ptr::NonNull;

/// Any part of what was reserved can be released by itself.
pub(crate) const RELEASES_PARTS: bool = true;

/// Since Linux 6.13; younger than the C headers.
pub(super) const MADV_GUARD_INSTALL: usize = 102;
pub(super) const MADV_GUARD_REMOVE: usize = 103;

const fn prot_bits(protection: Protection) -> usize {
    (match protection {
        Protection::NoAccess => libc::PROT_NONE,
        Protection::Read => libc::PROT_READ,
        Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        Protection::Execute => libc::PROT_EXEC,
        Protection::ExecuteRead => libc::PROT_EXEC | libc::PROT_READ,
        Protection::ExecuteReadWrite => libc::PROT_EXEC | libc::PROT_READ | libc::PROT_WRITE,
    }) as usize
}

pub(super) const fn reserve_flags(policy: CommitPolicy) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    (match policy {
        CommitPolicy::Strict => flags,
        CommitPolicy::Lazy => flags | libc::MAP_NORESERVE,
    }) as usize
}

/// What an error number of a page verb means.
pub(crate) fn error_kind(errno: Errno) -> ErrorKind {
    match errno.0 {
        libc::ENOMEM => ErrorKind::NoMemory,
        libc::EEXIST => ErrorKind::AddressTaken,
        libc::EPERM | libc::EACCES | libc::EAGAIN => ErrorKind::Denied,
        libc::ENOSYS | libc::EOPNOTSUPP => ErrorKind::Unsupported,
        libc::EINVAL => ErrorKind::BadState,
        _ => ErrorKind::Other,
    }
}

/// What an error number of `op` means. Slow when the kernel was out of something, because it says
/// the same number for mappings and for memory: the mappings are counted in /proc/self/maps.
pub(crate) fn explain(op: Op, errno: Errno) -> ErrorKind {
    match (errno.0, op) {
        (libc::EAGAIN, Op::Hold) => ErrorKind::InUse,
        // No /proc, or a file that cannot have leases.
        (libc::ENOENT | libc::EINVAL | libc::ENOLCK, Op::Hold) => ErrorKind::Unsupported,
        (libc::EMFILE | libc::ENFILE, Op::Hold) => ErrorKind::Denied,
        (libc::ENOMEM | libc::EAGAIN, _) if mappings_are_used_up() => ErrorKind::TooManyMappings,
        (libc::ENOMEM, Op::Reserve) => ErrorKind::NoAddressSpace,
        (libc::EINVAL, Op::Advise | Op::Reserve) => ErrorKind::Unsupported,
        // For `lock` the kernel says ENOMEM at its limit, and EAGAIN when memory is short.
        (libc::ENOMEM, Op::Lock) => ErrorKind::Denied,
        (libc::ENOENT, Op::Share) => ErrorKind::NotFound,
        (libc::EEXIST, Op::Share) => ErrorKind::AlreadyExists,
        (libc::ENOSPC, Op::Share) => ErrorKind::NoMemory,
        (libc::EFBIG | libc::EMFILE | libc::ENFILE | libc::ELOOP, Op::Share) => ErrorKind::Denied,
        (libc::ENODEV | libc::EISDIR, Op::Share) => ErrorKind::Denied,
        (libc::EAGAIN, Op::Lock) => ErrorKind::NoMemory,
        (libc::ENOMEM, Op::Map) => ErrorKind::NoAddressSpace,
        (libc::ENODEV, Op::Map) => ErrorKind::Unsupported,
        (libc::EMFILE | libc::ENFILE, Op::Map) => ErrorKind::Denied,
        (libc::ENOSPC | libc::EDQUOT | libc::EFBIG, Op::Map | Op::Flush | Op::Resize) => {
            ErrorKind::DiskFull
        }
        (libc::ENOSPC, Op::Mirror) => ErrorKind::NoMemory,
        (libc::EFBIG | libc::EMFILE | libc::ENFILE, Op::Mirror | Op::Watch) => ErrorKind::Denied,
        // Seccomp, an old kernel, or no /proc: what is missing is the means.
        (libc::EPERM | libc::EACCES | libc::EINVAL, Op::Watch) => ErrorKind::Unsupported,
        (libc::ENOTTY | libc::ENOENT, Op::Watch) => ErrorKind::Unsupported,
        // The pages are not watched any more.
        (libc::EPERM, Op::Written) => ErrorKind::BadState,
        _ => error_kind(errno),
    }
}

pub(super) unsafe fn mmap_none(addr: usize, len: usize, flags: usize) -> Result<usize, Errno> {
    // SAFETY: the caller's.
    unsafe { mmap_as(addr, len, Protection::NoAccess, flags) }
}

pub(super) unsafe fn mmap_as(
    addr: usize,
    len: usize,
    protection: Protection,
    flags: usize,
) -> Result<usize, Errno> {
    let args = [addr, len, prot_bits(protection), flags, usize::MAX, 0];
    // SAFETY: an anonymous mapping; `flags` replaces existing pages only where the caller of the
    // verb owns them.
    unsafe { syscall(libc::SYS_mmap, args) }
}

unsafe fn munmap(addr: usize, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller owns the pages and nobody uses them any more.
    unsafe { syscall(libc::SYS_munmap, [addr, len, 0, 0, 0, 0]) }.map(drop)
}

pub(super) unsafe fn madvise(ptr: NonNull<u8>, len: usize, advice: usize) -> Result<(), Errno> {
    // SAFETY: the caller owns the pages; what the advice does to their content is its business.
    unsafe { syscall(libc::SYS_madvise, [ptr.as_ptr().expose_provenance(), len, advice, 0, 0, 0]) }
        .map(drop)
}

/// True if the system refuses advice that does not exist, as every kernel does. An emulator may
/// take it for done, and then proves nothing by taking advice that does exist. Call: madvise.
///
/// # Safety
/// 1. The range is ours and nobody needs its content.
pub(super) unsafe fn refuses_unknown_advice(ptr: NonNull<u8>, len: usize) -> bool {
    const NO_ADVICE: usize = 0x7fff_ffff;
    // SAFETY: (1).
    unsafe { madvise(ptr, len, NO_ADVICE) }.is_err()
}

/// Advice that a locked range (`mlockall`) refuses with EINVAL: unlocks it then and tries again.
pub(super) unsafe fn madvise_unlocked(
    ptr: NonNull<u8>,
    len: usize,
    advice: usize,
) -> Result<(), Errno> {
    // SAFETY: the caller's: our pages, content unused.
    match unsafe { madvise(ptr, len, advice) } {
        Err(Errno(libc::EINVAL, _)) => {
            // SAFETY: the caller's.
            unsafe { unlock(ptr, len) }?;
            // SAFETY: the caller's, as above.
            unsafe { madvise(ptr, len, advice) }
        }
        other => other,
    }
}

/// Free -> Reserved: `len` bytes whose base is a multiple of `align`, at `hint` if that is not 0
/// and free, else where the system likes. Calls: mmap; if its answer is not aligned, munmap and
/// another mmap, and munmap to trim that.
///
/// # Safety
/// 1. `len` and `align` are not zero, multiples of the page, and `align` is a power of two.
pub(crate) unsafe fn reserve(
    hint: usize,
    len: usize,
    align: usize,
    policy: CommitPolicy,
) -> Result<NonNull<u8>, Errno> {
    if hint != 0 {
        // SAFETY: without MAP_FIXED the kernel picks free addresses; where it can, the hint.
        let base = unsafe { mmap_none(hint, len, reserve_flags(policy)) }?;
        if base.is_multiple_of(align) {
            return Ok(pointer(base));
        }
        // SAFETY: this mapping was made a moment ago and nobody knows it.
        unsafe { munmap(base, len) }?;
    }
    // Whatever the kernel gives is aligned to a page.
    let padding = if align > super::limits().page_len { align } else { 0 };
    let padded = len.checked_add(padding).ok_or(Errno(libc::ENOMEM, Call::None))?;
    // SAFETY: without MAP_FIXED the kernel picks free addresses.
    let start = unsafe { mmap_none(0, padded, reserve_flags(policy)) }?;
    let base = start.next_multiple_of(align);
    let end = start + padded;
    // What is still ours begins with `left`. The head must not be given back twice: in between it
    // can have become another thread's.
    for (first, behind, left) in [(start, base, start), (base + len, end, base)] {
        if first == behind {
            continue;
        }
        // SAFETY: the head or tail of the mapping made above, outside what is handed out.
        if let Err(errno) = unsafe { munmap(first, behind - first) } {
            // SAFETY: the rest of that mapping; nobody knows it yet. Should this fail too, there is
            // nothing left to try.
            let _ = unsafe { munmap(left, end - left) };
            return Err(errno);
        }
    }
    Ok(pointer(base))
}

/// Free -> Reserved: exactly `addr..addr + len`, or EEXIST if any page of it is taken. Call: mmap.
///
/// # Safety
/// 1. `addr` and `len` are not zero and multiples of the page.
pub(crate) unsafe fn reserve_at(
    addr: usize,
    len: usize,
    policy: CommitPolicy,
) -> Result<NonNull<u8>, Errno> {
    let flags = reserve_flags(policy) | libc::MAP_FIXED_NOREPLACE as usize;
    // SAFETY: MAP_FIXED_NOREPLACE takes free addresses only.
    let base = unsafe { mmap_none(addr, len, flags) }?;
    if base == addr {
        return Ok(pointer(base));
    }
    // A kernel before 4.17 reads the flag as a mere hint and answers with another address.
    // SAFETY: this mapping was made a moment ago and nobody knows it.
    unsafe { munmap(base, len) }?;
    Err(Errno(libc::EEXIST, Call::Mmap))
}

pub(super) fn pointer(addr: usize) -> NonNull<u8> {
    // The kernel is the allocator here: this is where the provenance of all our memory begins.
    NonNull::new(core::ptr::with_exposed_provenance_mut(addr)).expect("mmap never returns page 0")
}

/// Reserved -> Committed; pages that were already committed keep their content and get the new
/// rights. Call: mprotect.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn commit(
    ptr: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), Errno> {
    // SAFETY: (1); rights are only widened for whoever owns the range.
    unsafe { protect(ptr, len, protection) }
}

/// Committed -> Reserved: the memory and the kernel's charge go back. Call: mmap over the range; if
/// the kernel refuses that, mprotect and madvise(MADV_DONTNEED), which keep the charge.
///
/// # Safety
/// 1. The range lies in one reservation of ours, made under `policy`, and nobody uses its content.
pub(crate) unsafe fn decommit(
    ptr: NonNull<u8>,
    len: usize,
    policy: CommitPolicy,
) -> Result<(), Errno> {
    let flags = reserve_flags(policy) | libc::MAP_FIXED as usize;
    // SAFETY: (1): the pages replaced are ours and unused.
    if unsafe { mmap_none(ptr.as_ptr().expose_provenance(), len, flags) }.is_ok() {
        return Ok(());
    }
    // SAFETY: as above; if the protection fails the pages are merely empty.
    unsafe { protect(ptr, len, Protection::NoAccess) }?;
    // Markers outlive MADV_DONTNEED and would make the next commit fault.
    // SAFETY: as above.
    match unsafe { madvise(ptr, len, MADV_GUARD_REMOVE) } {
        // A kernel that does not know markers has none to remove.
        Ok(()) | Err(Errno(libc::EINVAL, _)) => {}
        Err(errno) => return Err(errno),
    }
    // SAFETY: as above.
    unsafe { madvise_unlocked(ptr, len, libc::MADV_DONTNEED as usize) }
}

/// Committed pages lose content and memory, stay committed, and read zero. Call:
/// madvise(MADV_DONTNEED).
///
/// # Safety
/// 1. The range lies in one reservation of ours, is committed to be read and written, without
///    guards, and nobody uses its content.
pub(crate) unsafe fn empty(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { madvise_unlocked(ptr, len, libc::MADV_DONTNEED as usize) }
}

/// Any state -> Free. Call: munmap.
///
/// # Safety
/// 1. The range is ours and nobody uses it any more.
pub(crate) unsafe fn release(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { munmap(ptr.as_ptr().expose_provenance(), len) }
}

/// New rights for committed pages. Call: mprotect.
///
/// # Safety
/// 1. The range lies in one reservation of ours, and nobody relies on rights that it loses.
pub(crate) unsafe fn protect(
    ptr: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1).
    unsafe { syscall(libc::SYS_mprotect, [addr, len, prot_bits(protection), 0, 0, 0]) }.map(drop)
}

/// The content may be lost at any time until the next write; the access stays. Call:
/// madvise(MADV_FREE).
///
/// # Safety
/// 1. The range lies in one reservation of ours and nobody needs its content.
pub(crate) unsafe fn discard(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { madvise(ptr, len, libc::MADV_FREE as usize) }
}

/// Makes committed pages fault, whoever touches them; their memory goes back. Calls:
/// madvise(MADV_GUARD_INSTALL), or for `Split` the ones of [`decommit`].
///
/// # Safety
/// 1. As for [`decommit`].
pub(crate) unsafe fn guard(
    ptr: NonNull<u8>,
    len: usize,
    kind: GuardKind,
    policy: CommitPolicy,
) -> Result<(), Errno> {
    match kind {
        // SAFETY: (1).
        GuardKind::Marker => unsafe { madvise_unlocked(ptr, len, MADV_GUARD_INSTALL) },
        // SAFETY: (1).
        GuardKind::Split => unsafe { decommit(ptr, len, policy) },
    }
}

/// Takes guards away: the pages are committed again and read zero. Calls:
/// madvise(MADV_GUARD_REMOVE), or for `Split` mprotect.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn unguard(
    ptr: NonNull<u8>,
    len: usize,
    kind: GuardKind,
    protection: Protection,
) -> Result<(), Errno> {
    match kind {
        // SAFETY: (1); pages that carry no marker are left alone.
        GuardKind::Marker => unsafe { madvise(ptr, len, MADV_GUARD_REMOVE) },
        // SAFETY: (1).
        GuardKind::Split => unsafe { protect(ptr, len, protection) },
    }
}

/// True when the kernel has guard markers: tries them on a page of its own, and has the kernel read
/// that page. What the advice answers proves nothing: an emulator takes advice that it does not
/// know for done. Calls: mmap, mprotect, madvise, rt_sigprocmask, munmap.
pub(crate) fn has_guard_markers(page_len: usize) -> bool {
    let flags = reserve_flags(CommitPolicy::Lazy);
    // SAFETY: a fresh page that nobody else knows.
    let Ok(addr) = (unsafe { mmap_none(0, page_len, flags) }) else { return false };
    let page = pointer(addr);
    // SAFETY: the page made above.
    let readable = unsafe { protect(page, page_len, Protection::Read) };
    // SAFETY: the page made above.
    let installed = unsafe { madvise(page, page_len, MADV_GUARD_INSTALL) };
    let answer = block_signals_in(addr);
    // SAFETY: the same page, still known to nobody.
    let released = unsafe { munmap(addr, page_len) };
    let faulted = matches!(answer, Err(Errno(libc::EFAULT, _)));
    readable.is_ok() && installed.is_ok() && faulted && released.is_ok()
}

/// Blocks the signals of the set at `addr`, which is a page that reads zero: none. EFAULT if the
/// page cannot be read. No program forbids this call, and it does nothing else.
fn block_signals_in(addr: usize) -> Result<usize, Errno> {
    let args = [libc::SIG_BLOCK as usize, addr, 0, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel reads the set, and whether it can is what is asked.
    unsafe { syscall(libc::SYS_rt_sigprocmask, args) }
}
