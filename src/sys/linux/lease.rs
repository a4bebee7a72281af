//! Floor 1. Files that stay as they are, on Linux: seals, fs-verity, and leases.
//!
//! A lease (fcntl(2), F_SETLEASE) belongs to an open file. A read lease is granted when nobody has
//! the file open for writing, and a mapping keeps a file open; a write lease when nobody else has
//! it open at all. Who opens the file against a lease, or shortens it, waits until the lease is
//! given up, or for /proc/sys/fs/lease-break-time, 45 seconds, after which the kernel takes it.
//!
//! The kernel also sends a signal, SIGIO, to the owner of the open file. Nothing here depends on
//! it, because a program may want its signals for itself: the owner is the thread that keeps the
//! leases, which blocks it, and asks from time to time instead (F_GETLEASE).
//!
//! One call is not held back (seen on 6.18): open(2) with O_RDONLY and O_TRUNC, which POSIX leaves
//! undefined, empties a file under a read lease. Its pages are gone then, and a touch is a SIGBUS.
//! Whoever wants to write to the file afterwards is held back as ever.

use super::super::lease::{ForkHook, Proof};
use super::super::{Access, Errno};
use super::fault::{SET_MASK, signal_mask};
use super::process::{open_read, read_file};
use super::raw::syscall;
use crate::ds::text::Text;
use crate::error::Call;
use core::ffi::{CStr, c_int};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// File systems whose files only this kernel changes, and only for whoever has opened them. On a
/// network, or behind a process (FUSE), a lease says nothing about the other side; of an overlay
/// the files below can be changed.
const LOCAL: [u32; 5] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xf2f5_2010, // f2fs
    TMPFS,
];

const TMPFS: u32 = 0x0102_1994;

/// `F_SETOWN_EX` and `F_OWNER_TID`, which not every C library's list has.
const F_SETOWN_EX: usize = 15;
const F_OWNER_TID: c_int = 0;
const F_GET_SEALS: usize = 1034;
const SEALS: usize = 0x2 | 0x8; // F_SEAL_SHRINK, F_SEAL_WRITE

/// `f_owner_ex`.
#[repr(C)]
struct Owner {
    kind: c_int,
    id: c_int,
}

/// This system has leases.
pub(crate) const HAS_LEASES: bool = true;

/// The same file, opened once more, to be read: a lease belongs to what was opened together. Call:
/// openat of /proc/self/fd.
///
/// # Safety
/// 1. `file` is an open file, or no file.
pub(crate) unsafe fn open_again(file: usize) -> Result<usize, Errno> {
    let path = Text::of(format_args!("/proc/self/fd/{}\0", file as c_int));
    let path = CStr::from_bytes_until_nul(path.as_bytes());
    open_read(path.map_err(|_| Errno(libc::ENAMETOOLONG, Call::None))?)
}

/// Others are asked to wait, and not refused.
pub(crate) fn keep_others_out(_: &mut std::fs::OpenOptions, _: Access) {}

/// The number of a file that is nobody else's any more.
pub(crate) fn into_number(file: std::fs::File) -> usize {
    use std::os::fd::IntoRawFd;
    let number = file.into_raw_fd() as usize;
    #[cfg(test)]
    super::super::inject::opened(number);
    number
}

/// What proves for good that the file does not change. Calls: fcntl(F_GET_SEALS), statx.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn standing_proof(file: usize) -> Result<Option<Proof>, Errno> {
    // F_SEAL_FUTURE_WRITE would leave the mappings that can be written now.
    // SAFETY: (1); asks only.
    match unsafe { syscall(libc::SYS_fcntl, [file, F_GET_SEALS, 0, 0, 0, 0]) } {
        Ok(seals) if seals & SEALS == SEALS => return Ok(Some(Proof::Sealed)),
        Ok(_) | Err(Errno(libc::EINVAL, _)) => {}
        Err(errno) => return Err(errno),
    }
    let mut status = MaybeUninit::<libc::statx>::zeroed();
    let target = status.as_mut_ptr().expose_provenance();
    let args = [file, c"".as_ptr().addr(), libc::AT_EMPTY_PATH as usize, 0, target, 0];
    // SAFETY: the kernel fills the structure, which lives through the call.
    match unsafe { syscall(libc::SYS_statx, args) } {
        // A kernel before 4.11; fs-verity came with 5.4.
        Err(Errno(libc::ENOSYS, _)) => return Ok(None),
        told => told?,
    };
    // SAFETY: zeroed and filled; its fields are numbers.
    let status = unsafe { status.assume_init() };
    let is_verity = status.stx_attributes & libc::STATX_ATTR_VERITY as u64 != 0;
    Ok(is_verity.then_some(Proof::Verity))
}

/// Takes a lease: nobody writes to the file, or with [`Access::Write`] nobody else opens it.
/// EAGAIN: somebody has it open. EACCES: another user's file. EOPNOTSUPP: a file of which a lease
/// proves nothing. Calls: fstatfs, for tmpfs fstat, fcntl(F_SETOWN_EX), fcntl(F_SETLEASE).
///
/// # Safety
/// 1. `file` is open, for this, for reading, or with [`Access::Write`] for both.
/// 2. `keeper` is a thread of ours that blocks SIGIO and does not end.
pub(crate) unsafe fn take_lease(file: usize, access: Access, keeper: u32) -> Result<(), Errno> {
    let mut status = MaybeUninit::<libc::statfs>::zeroed();
    let target = status.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel fills the structure, which lives through the call.
    unsafe { syscall(libc::SYS_fstatfs, [file, target, 0, 0, 0, 0]) }?;
    // SAFETY: zeroed and filled; its fields are numbers.
    let kind = unsafe { status.assume_init() }.f_type as u32;
    // Memory that never had a name (memfd_create) is a file of tmpfs, too, but the kernel does not
    // count who has it open for writing since it was made: a lease is granted, and proves nothing.
    if !LOCAL.contains(&kind) || kind == TMPFS && super::section::status(file)?.st_nlink == 0 {
        return Err(Errno(libc::EOPNOTSUPP, Call::None));
    }
    let owner = Owner { kind: F_OWNER_TID, id: keeper as c_int };
    let args = [file, F_SETOWN_EX, (&raw const owner).expose_provenance(), 0, 0, 0];
    // SAFETY: (1), (2): the signal of this file goes to a thread that never takes it; the kernel
    // reads the structure.
    unsafe { syscall(libc::SYS_fcntl, args) }?;
    // SAFETY: (1).
    unsafe { set_lease(file, lease_of(access)) }
}

const fn lease_of(access: Access) -> c_int {
    match access {
        Access::Read => libc::F_RDLCK as c_int,
        Access::Write => libc::F_WRLCK as c_int,
    }
}

/// # Safety
/// 1. `file` is open, and ours to lease.
unsafe fn set_lease(file: usize, lease: c_int) -> Result<(), Errno> {
    let args = [file, libc::F_SETLEASE as usize, lease as usize, 0, 0, 0];
    // SAFETY: (1).
    unsafe { syscall(libc::SYS_fcntl, args) }.map(drop)
}

/// True if somebody waits for the file, or if the lease is lost. Call: fcntl(F_GETLEASE).
///
/// # Safety
/// 1. `file` has a lease for `access`.
pub(crate) unsafe fn lease_is_wanted(file: usize, access: Access) -> bool {
    let args = [file, libc::F_GETLEASE as usize, 0, 0, 0, 0];
    // SAFETY: (1); asks only, and the kernel says what the lease is to become.
    let told = unsafe { syscall(libc::SYS_fcntl, args) };
    told != Ok(lease_of(access) as usize)
}

/// Gives a lease up: who waits goes on. EAGAIN: the kernel has taken it before. Call:
/// fcntl(F_SETLEASE).
///
/// # Safety
/// 1. `file` had a lease, which nobody relies on any more.
pub(crate) unsafe fn give_lease(file: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { set_lease(file, libc::F_UNLCK as c_int) }
}

/// How long a lease that is wanted stays, in seconds: 45 where the kernel does not say, or says
/// that it waits for ever (0).
pub(crate) fn lease_break_secs() -> u32 {
    let mut buffer = [0; 16];
    let told = read_file(c"/proc/sys/fs/lease-break-time", &mut buffer);
    let text = told.and_then(|text| core::str::from_utf8(text).ok());
    let secs = text.and_then(|text| text.trim().parse().ok());
    secs.filter(|&secs| secs > 0).unwrap_or(45)
}

/// Reads bytes of a file, less than `len` at its end or where the kernel stops short. Call:
/// pread64.
///
/// # Safety
/// 1. `file` is open for reading.
/// 2. `ptr..ptr + len` may be written, and nobody else uses it.
pub(crate) unsafe fn read_at(
    file: usize,
    offset: u64,
    ptr: NonNull<u8>,
    len: usize,
) -> Result<usize, Errno> {
    let args = [file, ptr.as_ptr().expose_provenance(), len, offset as usize, 0, 0];
    loop {
        // SAFETY: (1), (2).
        match unsafe { syscall(libc::SYS_pread64, args) } {
            Err(Errno(libc::EINTR, _)) => {}
            told => return told,
        }
    }
}

/// Moves pages over others, which are gone: no thread sees anything in between. Call: mremap.
///
/// # Safety
/// 1. `from..from + len` are whole pages of one mapping of ours that nobody else knows.
/// 2. `to..to + len` are whole pages of ours. Whoever uses them finds there what he relies on.
pub(crate) unsafe fn move_over(
    from: NonNull<u8>,
    len: usize,
    to: NonNull<u8>,
) -> Result<(), Errno> {
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
    let [from, to] = [from, to].map(|ptr| ptr.as_ptr().expose_provenance());
    // SAFETY: (1), (2). The kernel holds off faults until the pages are there.
    unsafe { syscall(libc::SYS_mremap, [from, len, len, flags, to, 0]) }.map(drop)
}

/// Has functions called around every fork: before, and after it in the parent and in the child.
/// Call: pthread_atfork, of the C library.
///
/// # Safety
/// 1. In the child they make bare calls, and touch only what `before` has put in order.
pub(crate) unsafe fn follow_forks(
    before: ForkHook,
    parent: ForkHook,
    child: ForkHook,
) -> Result<(), Errno> {
    // SAFETY: (1); the three functions live for ever.
    match unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) } {
        0 => Ok(()),
        code => Err(Errno(code, Call::None)),
    }
}

/// Blocks all signals of this thread, but those of faults, and the ones that the C library sends
/// to all threads (setuid waits for each of them to answer).
pub(crate) fn mask_of_keeper() {
    let bit = |signal: c_int| 1u64 << (signal - 1);
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
    let library = [32, 33, 34];
    let open = faults.into_iter().chain(library).fold(0, |set, signal| set | bit(signal));
    // The set and the way are good, and nothing else can be wrong with the call.
    let _ = signal_mask(SET_MASK, Some(!open));
}
