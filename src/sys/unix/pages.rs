//! Floor 1. Page verbs on macOS and FreeBSD.
//!
//! The same calls as on Linux, for the same reasons: commit is `mprotect`, decommit is `mmap` over
//! the range. FreeBSD's `MAP_GUARD` would be a cheaper reservation, but its pages never get rights
//! by `mprotect`: commit would have to know which of them are new.

use super::super::{CommitPolicy, Errno, GuardKind, Protection};
use super::call::checked;
use super::maps::mapping_at_or_above;
use crate::error::{Call, ErrorKind, Op};
use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, with_exposed_provenance_mut};

/// Any part of a reservation can be released.
pub(crate) const RELEASES_PARTS: bool = true;

const fn prot_bits(protection: Protection) -> c_int {
    match protection {
        Protection::NoAccess => libc::PROT_NONE,
        Protection::Read => libc::PROT_READ,
        Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        Protection::Execute => libc::PROT_EXEC,
        Protection::ExecuteRead => libc::PROT_EXEC | libc::PROT_READ,
        Protection::ExecuteReadWrite => libc::PROT_EXEC | libc::PROT_READ | libc::PROT_WRITE,
    }
}

/// What an error number of a page verb means.
pub(crate) fn error_kind(errno: Errno) -> ErrorKind {
    match errno.0 {
        libc::ENOMEM => ErrorKind::NoMemory,
        libc::EEXIST => ErrorKind::AddressTaken,
        libc::EPERM | libc::EACCES | libc::EAGAIN => ErrorKind::Denied,
        libc::ENOSYS | libc::ENOTSUP => ErrorKind::Unsupported,
        libc::EINVAL => ErrorKind::BadState,
        _ => ErrorKind::Other,
    }
}

/// What an error number of `op` means.
pub(crate) fn explain(op: Op, errno: Errno) -> ErrorKind {
    match (errno.0, op) {
        (libc::ENOMEM, Op::Reserve) => ErrorKind::NoAddressSpace,
        (libc::EINVAL, Op::Advise) => ErrorKind::Unsupported,
        (libc::ENOMEM, Op::Map) => ErrorKind::NoAddressSpace,
        (libc::ENODEV, Op::Map) => ErrorKind::Unsupported,
        (libc::EMFILE | libc::ENFILE, Op::Map) => ErrorKind::Denied,
        (libc::ENOSPC | libc::EDQUOT | libc::EFBIG, Op::Map | Op::Flush | Op::Resize) => {
            ErrorKind::DiskFull
        }
        (libc::EMFILE | libc::ENFILE, Op::Hold) => ErrorKind::Denied,
        (libc::EFBIG | libc::EMFILE | libc::ENFILE, Op::Mirror) => ErrorKind::Denied,
        // The limit of locked memory; EAGAIN when memory is short.
        (libc::ENOMEM, Op::Lock) => ErrorKind::Denied,
        (libc::EAGAIN, Op::Lock) => ErrorKind::NoMemory,
        _ => error_kind(errno),
    }
}

pub(super) fn refused<T>(code: i32) -> Result<T, Errno> {
    Err(Errno(code, Call::None))
}

pub(super) fn place(ptr: NonNull<u8>) -> *mut c_void {
    ptr.as_ptr().cast()
}

/// # Safety
/// 1. `flags` replaces existing pages only where the caller owns them and nobody uses them.
unsafe fn mmap_none(addr: usize, len: usize, flags: c_int) -> Result<NonNull<u8>, Errno> {
    // SAFETY: (1).
    unsafe { mmap_as(addr, len, libc::PROT_NONE, flags) }
}

/// # Safety
/// 1. As above.
unsafe fn mmap_as(
    addr: usize,
    len: usize,
    rights: c_int,
    flags: c_int,
) -> Result<NonNull<u8>, Errno> {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANON;
    // The kernel is the allocator here: this is where the provenance of all our memory begins.
    let wanted = with_exposed_provenance_mut(addr);
    // SAFETY: (1) an anonymous mapping.
    let call = || unsafe { libc::mmap(wanted, len, rights, flags, -1, 0) };
    let base =
        checked(Call::Mmap, [addr, len], || Some(call()).filter(|&base| base != libc::MAP_FAILED));
    let base = NonNull::new(base?).expect("mmap never returns page 0").cast();
    #[cfg(test)]
    super::super::inject::mapped(base.addr().get(), len);
    Ok(base)
}

/// # Safety
/// 1. The caller owns the pages and nobody uses them any more.
unsafe fn munmap(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    let call = || unsafe { libc::munmap(place(ptr), len) };
    checked(Call::Munmap, [ptr.addr().get(), len], || (call() == 0).then_some(()))?;
    #[cfg(test)]
    super::super::inject::unmapped(ptr.addr().get(), len);
    Ok(())
}

/// # Safety
/// 1. The caller owns the pages; what the advice does to their content is its business.
pub(super) unsafe fn madvise(ptr: NonNull<u8>, len: usize, advice: c_int) -> Result<(), Errno> {
    // SAFETY: (1).
    let call = || unsafe { libc::madvise(place(ptr), len, advice) };
    checked(Call::Madvise, [ptr.addr().get(), len], || (call() == 0).then_some(()))
}

/// Free -> Reserved: `len` bytes whose base is a multiple of `align`, at `hint` if that is not 0
/// and free, else where the system likes. Neither system promises memory by policy: macOS never
/// does, FreeBSD counts what is writable if `vm.overcommit` says so. Calls: mmap, and munmap to
/// trim for the alignment.
///
/// # Safety
/// 1. `len` and `align` are not zero, multiples of the page, and `align` is a power of two.
pub(crate) unsafe fn reserve(
    hint: usize,
    len: usize,
    align: usize,
    policy: CommitPolicy,
) -> Result<NonNull<u8>, Errno> {
    if hint != 0 && hint.is_multiple_of(align) {
        // SAFETY: (1); the hint is a multiple of the alignment and so of the page.
        if let Ok(base) = unsafe { reserve_at(hint, len, policy) } {
            return Ok(base);
        }
    }
    let Some(padded) = len.checked_add(align) else { return refused(libc::ENOMEM) };
    // SAFETY: (1) without MAP_FIXED the kernel picks free addresses.
    let whole = unsafe { mmap_none(0, padded, 0) }?;
    let head_len = whole.addr().get().next_multiple_of(align) - whole.addr().get();
    // SAFETY: the head is at most `align` bytes long, and the mapping that much longer than `len`.
    let base = unsafe { whole.add(head_len) };
    // SAFETY: as above; the tail ends where the mapping does.
    let tail = unsafe { base.add(len) };
    for (part, part_len) in [(whole, head_len), (tail, align - head_len)] {
        if part_len == 0 {
            continue;
        }
        // SAFETY: (1) the head or tail of the mapping made above, outside what is handed out.
        if let Err(errno) = unsafe { munmap(part, part_len) } {
            // SAFETY: (1) the whole of that mapping, parts of which may be gone; nobody knows it
            // yet. Should this fail too, there is nothing left to try.
            let _ = unsafe { munmap(whole, padded) };
            return Err(errno);
        }
    }
    Ok(base)
}

/// Free -> Reserved: exactly `addr..addr + len`, or EEXIST if any page of it is taken. Calls: mmap;
/// if it refuses, the ones of [`mapping_at_or_above`], since FreeBSD has no number of its own for
/// what is taken; on macOS munmap, if another address was free.
///
/// # Safety
/// 1. `addr` and `len` are not zero and multiples of the page.
pub(crate) unsafe fn reserve_at(
    addr: usize,
    len: usize,
    _: CommitPolicy,
) -> Result<NonNull<u8>, Errno> {
    // macOS has no such flag: it takes the address as a hint, and is checked.
    #[cfg(target_os = "freebsd")]
    const EXACTLY: c_int = libc::MAP_FIXED | libc::MAP_EXCL;
    #[cfg(not(target_os = "freebsd"))]
    const EXACTLY: c_int = 0;
    // SAFETY: (1) takes free addresses only.
    let base = match unsafe { mmap_none(addr, len, EXACTLY) } {
        Ok(base) => base,
        Err(errno) => {
            let found = mapping_at_or_above(addr)?;
            let is_taken =
                found.is_some_and(|mapping| mapping.start - addr.min(mapping.start) < len);
            return Err(if is_taken { Errno(libc::EEXIST, errno.1) } else { errno });
        }
    };
    if base.addr().get() == addr {
        return Ok(base);
    }
    // SAFETY: (1) this mapping was made a moment ago and nobody knows it.
    unsafe { munmap(base, len) }?;
    Err(Errno(libc::EEXIST, Call::Mmap))
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

/// Committed -> Reserved: the memory goes back. Call: mmap over the range.
///
/// # Safety
/// 1. The range lies in one reservation of ours, and nobody uses its content.
pub(crate) unsafe fn decommit(ptr: NonNull<u8>, len: usize, _: CommitPolicy) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1): the pages replaced are ours and unused.
    unsafe { mmap_none(addr, len, libc::MAP_FIXED) }.map(drop)
}

/// Committed pages lose content and memory, stay committed, and read zero. Call: mmap over the
/// range.
///
/// # Safety
/// 1. The range lies in one reservation of ours, is committed to be read and written, without
///    guards, and nobody uses its content.
pub(crate) unsafe fn empty(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1): the pages replaced are ours and unused.
    unsafe { mmap_as(addr, len, prot_bits(Protection::ReadWrite), libc::MAP_FIXED) }.map(drop)
}

/// Any state -> Free. Call: munmap.
///
/// # Safety
/// 1. The range is ours and nobody uses it any more.
pub(crate) unsafe fn release(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { munmap(ptr, len) }
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
    // SAFETY: (1).
    let call = || unsafe { libc::mprotect(place(ptr), len, prot_bits(protection)) };
    checked(Call::Mprotect, [ptr.addr().get(), len], || (call() == 0).then_some(()))
}

/// The content may be lost at any time until the next write; the access stays. Call:
/// madvise(MADV_FREE). macOS' MADV_FREE_REUSABLE would lower what the process is said to use, but
/// its pages have to be taken back by a call before they are written.
///
/// # Safety
/// 1. The range lies in one reservation of ours and nobody needs its content.
pub(crate) unsafe fn discard(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { madvise(ptr, len, libc::MADV_FREE) }
}

/// Makes committed pages fault, whoever touches them; their memory goes back. Calls: the ones of
/// [`decommit`]; `Marker` is ENOSYS.
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
        GuardKind::Marker => refused(libc::ENOSYS),
        // SAFETY: (1).
        GuardKind::Split => unsafe { decommit(ptr, len, policy) },
    }
}

/// Takes guards away: the pages are committed again and read zero. Call: mprotect; `Marker` is
/// ENOSYS.
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
        GuardKind::Marker => refused(libc::ENOSYS),
        // SAFETY: (1).
        GuardKind::Split => unsafe { protect(ptr, len, protection) },
    }
}
