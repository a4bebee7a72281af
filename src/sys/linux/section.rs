//! Floor 1. Files as memory on Linux.

use super::super::section::{Backing, Durability, Sharing};
use super::super::{Access, CommitPolicy, Errno};
use super::info::limits;
use super::mirror::file_len_max;
use super::pages::{decommit, pointer, release};
use super::process::{close, memory_and_swap_len};
use super::raw::syscall;
use crate::error::Call;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// What the offset of a view is a multiple of: the page.
pub(crate) fn view_step() -> usize {
    limits().page_len
}

/// The number of a file of the standard library.
#[cfg(feature = "std")]
pub(crate) fn number_of(file: &std::fs::File) -> usize {
    use std::os::fd::AsRawFd;
    file.as_raw_fd() as usize
}

/// A copy of an open file, that can be mapped to be read or to be written, and its length. EACCES:
/// it was not opened for that. ENODEV: it is no regular file. Calls: fcntl twice, fstat; after an
/// error close.
///
/// # Safety
/// 1. `file` is an open file, or no file.
pub(crate) unsafe fn file_backing(file: usize, access: Access) -> Result<(Backing, u64), Errno> {
    // SAFETY: (1); asks only.
    let mode = unsafe { syscall(libc::SYS_fcntl, [file, libc::F_GETFL as usize, 0, 0, 0, 0]) }?;
    let fits = match (mode as i32 & libc::O_ACCMODE, access) {
        (libc::O_RDWR, _) | (libc::O_RDONLY, Access::Read) => mode as i32 & libc::O_PATH == 0,
        _ => false,
    };
    if !fits {
        return Err(Errno(libc::EACCES, Call::None));
    }
    // SAFETY: (1).
    let own = unsafe { duplicate(file) }?;
    match status(own) {
        Ok(status) if status.st_mode & libc::S_IFMT == libc::S_IFREG => {
            Ok((Backing { file: own, object: Backing::NOTHING }, status.st_size as u64))
        }
        told => {
            close(own);
            Err(told.err().unwrap_or(Errno(libc::ENODEV, Call::None)))
        }
    }
}

/// A file of `len` bytes of memory, which reads zero. The memory is taken now: a page that the
/// system could not give later would be a SIGBUS. Calls: sysinfo, memfd_create, prlimit64,
/// fallocate; after an error close.
pub(crate) fn memory_backing(len: u64) -> Result<Backing, Errno> {
    let name = c"granule-section".as_ptr().addr();
    let args = [name, libc::MFD_CLOEXEC as usize, 0, 0, 0, 0];
    if len > memory_and_swap_len() as u64 {
        return Err(Errno(libc::ENOMEM, Call::None));
    }
    // SAFETY: the name is NUL-terminated and lives for ever.
    let file = unsafe { syscall(libc::SYS_memfd_create, args) }?;
    // SAFETY: (1) a file that is ours alone.
    match unsafe { allocate_len(file, 0, len) } {
        Ok(()) => Ok(Backing { file: Backing::NOTHING, object: file }),
        Err(errno) => {
            close(file);
            Err(errno)
        }
    }
}

/// The file once more, for whoever outlives the backing, and with `is_whole` what views are made
/// of, too. Calls: fcntl, once for each; after an error close.
///
/// # Safety
/// 1. The backing is open.
pub(crate) unsafe fn backing_again(backing: Backing, is_whole: bool) -> Result<Backing, Errno> {
    let mut again = Backing { file: Backing::NOTHING, object: Backing::NOTHING };
    if backing.file != Backing::NOTHING {
        // SAFETY: (1).
        again.file = unsafe { duplicate(backing.file) }?;
    }
    if is_whole && backing.object != Backing::NOTHING {
        // SAFETY: (1).
        match unsafe { duplicate(backing.object) } {
            Ok(object) => again.object = object,
            Err(errno) => {
                // SAFETY: (1) ours, known to nobody.
                unsafe { close_backing(again) };
                return Err(errno);
            }
        }
    }
    Ok(again)
}

/// # Safety
/// 1. The number is that of an open file, or of none.
pub(super) unsafe fn duplicate(number: usize) -> Result<usize, Errno> {
    let args = [number, libc::F_DUPFD_CLOEXEC as usize, 0, 0, 0, 0];
    // SAFETY: (1); makes another number for it.
    unsafe { syscall(libc::SYS_fcntl, args) }
}

/// Closes what was opened; views stay. Call: close.
///
/// # Safety
/// 1. Opened by us, and not used again.
pub(crate) unsafe fn close_backing(backing: Backing) {
    let Backing { file, object } = backing;
    for number in [file, object] {
        if number != Backing::NOTHING {
            close(number);
        }
    }
}

/// The length of the file, or of the memory, now. Call: fstat.
///
/// # Safety
/// 1. The backing is open.
pub(crate) unsafe fn stored_len(backing: Backing) -> Result<u64, Errno> {
    status(backing.mapped()).map(|status| status.st_size as u64)
}

pub(super) fn status(file: usize) -> Result<libc::stat, Errno> {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    let target = status.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel fills the structure, which lives through the call and is the kernel's own
    // on 64-bit systems.
    unsafe { syscall(libc::SYS_fstat, [file, target, 0, 0, 0, 0]) }?;
    // SAFETY: zeroed and filled; its fields are numbers.
    Ok(unsafe { status.assume_init() })
}

/// A new length for a file; what is added reads zero and may have no place on the disk. Calls:
/// prlimit64, ftruncate.
///
/// # Safety
/// 1. `file` is open.
/// 2. Nobody relies on the bytes that it loses.
pub(crate) unsafe fn set_len(file: usize, len: u64) -> Result<(), Errno> {
    if len > file_len_max() {
        return Err(Errno(libc::EFBIG, Call::None));
    }
    // SAFETY: (1), (2).
    unsafe { syscall(libc::SYS_ftruncate, [file, len as usize, 0, 0, 0, 0]) }.map(drop)
}

/// Makes the file `to` bytes long at least, and takes a place on the disk for `from..to`: a disk
/// that is full says so here, not at a store. Calls: prlimit64, fallocate; where the file system
/// does not know that, fstat and ftruncate.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn allocate_len(file: usize, from: u64, to: u64) -> Result<(), Errno> {
    // Growing a file beyond `ulimit -f` kills by a signal.
    if to > file_len_max() {
        return Err(Errno(libc::EFBIG, Call::None));
    }
    if from >= to {
        return Ok(());
    }
    // SAFETY: (1); the content stays.
    match unsafe { fallocate(file, 0, from, to) } {
        Err(Errno(libc::EOPNOTSUPP, _)) if status(file)?.st_size as u64 >= to => Ok(()),
        // SAFETY: (1); (2) it becomes longer.
        Err(Errno(libc::EOPNOTSUPP, _)) => unsafe { set_len(file, to) },
        done => done,
    }
}

/// Call: fallocate.
///
/// # Safety
/// 1. `file` is open, and nobody needs what `how` takes from `from..to`.
pub(super) unsafe fn fallocate(file: usize, how: i32, from: u64, to: u64) -> Result<(), Errno> {
    let args = [file, how as usize, from as usize, (to - from) as usize, 0, 0];
    loop {
        // SAFETY: (1).
        match unsafe { syscall(libc::SYS_fallocate, args) } {
            // A signal came in between; the kernel has given back what it had taken.
            Err(Errno(libc::EINTR, _)) => {}
            done => return done.map(drop),
        }
    }
}

/// Maps `len` bytes from `offset` on. Call: mmap.
///
/// # Safety
/// 1. The backing is open.
pub(crate) unsafe fn map_view(
    backing: Backing,
    offset: u64,
    len: usize,
    sharing: Sharing,
) -> Result<NonNull<u8>, Errno> {
    let (rights, flags) = match sharing {
        Sharing::Read => (libc::PROT_READ, libc::MAP_SHARED),
        Sharing::Write => (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED),
        Sharing::Copy => (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE),
    };
    let args = [0, len, rights as usize, flags as usize, backing.mapped(), offset as usize];
    // SAFETY: (1); without MAP_FIXED the kernel picks free addresses.
    unsafe { syscall(libc::SYS_mmap, args) }.map(pointer)
}

/// Takes a view away. Call: munmap; where it is refused the addresses stay taken, and mmap over
/// them gives the memory back at least.
///
/// # Safety
/// 1. `ptr` and `len` are those of a view, and nobody uses it any more.
pub(crate) unsafe fn unmap_view(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    let released = unsafe { release(ptr, len) };
    if released.is_err() {
        // SAFETY: (1). If this is refused too, nothing is left to try.
        let _ = unsafe { decommit(ptr, len, CommitPolicy::Lazy) };
    }
    released
}

/// Lays pages that read zero over a part of a view that can be touched no more. They are this
/// process' own, take memory when they are written, and go with the view. It may be called in a
/// handler of faults. Call: mmap.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view that is ours.
/// 2. Nobody relies on what they show.
pub(crate) unsafe fn patch_view(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let addr = ptr.as_ptr().expose_provenance();
    let args = [addr, len, rights as usize, flags as usize, usize::MAX, 0];
    // SAFETY: (1), (2).
    unsafe { syscall(libc::SYS_mmap, args) }.map(drop)
}

/// Brings what was written to a view to the disk: see [`Durability`]. Calls: sync_file_range, and
/// where the file system does not know that msync(MS_ASYNC); or msync(MS_SYNC); or that and fsync.
///
/// # Safety
/// 1. `ptr..ptr + len` lies in a view of the file, whose byte `offset` is mapped at `ptr`, which is
///    the beginning of a page.
pub(crate) unsafe fn flush_view(
    backing: Backing,
    offset: u64,
    ptr: NonNull<u8>,
    len: usize,
    durability: Durability,
) -> Result<(), Errno> {
    const SYNC_FILE_RANGE_WRITE: usize = 2;
    let addr = ptr.as_ptr().expose_provenance();
    let sync = |flags: i32| {
        // SAFETY: (1); the content stays.
        unsafe { syscall(libc::SYS_msync, [addr, len, flags as usize, 0, 0, 0]) }.map(drop)
    };
    match durability {
        Durability::Start => {
            let args = [backing.file, offset as usize, len, SYNC_FILE_RANGE_WRITE, 0, 0];
            // SAFETY: (1) an open file; the content stays.
            match unsafe { syscall(libc::SYS_sync_file_range, args) } {
                Err(Errno(libc::ENOSYS | libc::EINVAL | libc::ESPIPE, _)) => sync(libc::MS_ASYNC),
                done => done.map(drop),
            }
        }
        Durability::Data => sync(libc::MS_SYNC),
        Durability::Full => {
            sync(libc::MS_SYNC)?;
            // SAFETY: (1) an open file; the content stays.
            unsafe { syscall(libc::SYS_fsync, [backing.file, 0, 0, 0, 0, 0]) }.map(drop)
        }
    }
}
