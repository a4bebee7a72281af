//! Floor 1. Files as memory on macOS and FreeBSD.

use super::super::cache::CacheState;
use super::super::section::{Backing, Durability, Sharing};
use super::super::{Access, Errno};
use super::call::checked;
use super::info::limits;
use super::mirror::{close, memory_file};
use super::pages::{place, refused, release};
use crate::error::Call;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::{NonNull, null_mut};

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
    let call = || unsafe { libc::fcntl(file as c_int, libc::F_GETFL) };
    let mode = checked(Call::Fcntl, [file, 0], || Some(call()).filter(|&mode| mode >= 0))?;
    let fits = match (mode & libc::O_ACCMODE, access) {
        (libc::O_RDWR, _) | (libc::O_RDONLY, Access::Read) => true,
        _ => false,
    };
    if !fits {
        return refused(libc::EACCES);
    }
    // SAFETY: (1).
    let own = unsafe { duplicate(file) }?;
    match status(own) {
        Ok(status) if status.st_mode & libc::S_IFMT == libc::S_IFREG => {
            Ok((Backing { file: own, object: Backing::NOTHING }, status.st_size as u64))
        }
        told => {
            close(own as c_int);
            Err(told.err().unwrap_or(Errno(libc::ENODEV, Call::None)))
        }
    }
}

/// # Safety
/// 1. `file` is an open file, or no file.
pub(super) unsafe fn duplicate(file: usize) -> Result<usize, Errno> {
    // SAFETY: (1); makes another number for it.
    let call = || unsafe { libc::fcntl(file as c_int, libc::F_DUPFD_CLOEXEC, 0) };
    let own = checked(Call::Fcntl, [file, 0], || Some(call()).filter(|&own| own >= 0))?;
    #[cfg(test)]
    super::super::inject::opened(own as usize);
    Ok(own as usize)
}

/// `len` bytes of shared memory without a name, which read zero. These systems take memory at first
/// touch, whatever is asked. Calls: shm_open, shm_unlink, ftruncate; after an error close.
pub(crate) fn memory_backing(len: u64) -> Result<Backing, Errno> {
    let object = memory_file(len as usize)? as usize;
    Ok(Backing { file: Backing::NOTHING, object })
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

/// Closes what was opened; views stay. Call: close.
///
/// # Safety
/// 1. Opened by us, and not used again.
pub(crate) unsafe fn close_backing(backing: Backing) {
    for number in [backing.file, backing.object] {
        if number != Backing::NOTHING {
            close(number as c_int);
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

fn status(file: usize) -> Result<libc::stat, Errno> {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the system fills the structure, which lives through the call.
    let mut call = || unsafe { libc::fstat(file as c_int, status.as_mut_ptr()) };
    checked(Call::Fstat, [file, 0], || (call() == 0).then_some(()))?;
    // SAFETY: zeroed and filled; its fields are numbers.
    Ok(unsafe { status.assume_init() })
}

/// A new length for a file; what is added reads zero and may have no place on the disk. Call:
/// ftruncate.
///
/// # Safety
/// 1. `file` is open.
/// 2. Nobody relies on the bytes that it loses.
pub(crate) unsafe fn set_len(file: usize, len: u64) -> Result<(), Errno> {
    // SAFETY: (1), (2).
    let call = || unsafe { libc::ftruncate(file as c_int, len as libc::off_t) };
    checked(Call::Ftruncate, [file, len as usize], || (call() == 0).then_some(()))
}

/// Makes the file `to` bytes long at least, and takes a place on the disk for `from..to` where the
/// system can. Calls: FreeBSD posix_fallocate; macOS, and where the file system does not know that,
/// fstat and ftruncate.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn allocate_len(file: usize, from: u64, to: u64) -> Result<(), Errno> {
    if from >= to {
        return Ok(());
    }
    #[cfg(target_os = "freebsd")]
    {
        let (start, len) = (from as libc::off_t, (to - from) as libc::off_t);
        // SAFETY: (1); the content stays.
        match unsafe { libc::posix_fallocate(file as c_int, start, len) } {
            0 => return Ok(()),
            libc::EOPNOTSUPP | libc::EINVAL => {}
            code => return Err(Errno(code, Call::Fallocate)),
        }
    }
    if status(file)?.st_size as u64 >= to {
        return Ok(());
    }
    // SAFETY: (1); (2) it becomes longer.
    unsafe { set_len(file, to) }
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
    let (file, offset) = (backing.mapped() as c_int, offset as libc::off_t);
    // SAFETY: (1); without MAP_FIXED the system picks free addresses.
    let call = || unsafe { libc::mmap(null_mut(), len, rights, flags, file, offset) };
    let mapped = || Some(call()).filter(|&start| start != libc::MAP_FAILED);
    let start = checked(Call::Mmap, [0, len], || mapped().and_then(NonNull::new))?;
    #[cfg(test)]
    super::super::inject::mapped(start.addr().get(), len);
    Ok(start.cast())
}

/// Takes a view away. Call: munmap.
///
/// # Safety
/// 1. `ptr` and `len` are those of a view, and nobody uses it any more.
pub(crate) unsafe fn unmap_view(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { release(ptr, len) }
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
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
    // SAFETY: (1), (2).
    let call = || unsafe { libc::mmap(place(ptr), len, rights, flags, -1, 0) };
    let mapped = || (call() != libc::MAP_FAILED).then_some(());
    checked(Call::Mmap, [ptr.addr().get(), len], mapped)
}

/// This system does not tell which pages of a view are copies.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view.
pub(crate) unsafe fn first_copies(_: NonNull<u8>, _: usize) -> Result<Option<Range<usize>>, Errno> {
    refused(libc::ENOSYS)
}

/// This system does not take copies back.
///
/// # Safety
/// 1. `ptr..ptr + len` are whole pages of a view that copies what is written.
/// 2. Nobody needs what was written to them.
pub(crate) unsafe fn forget_copies(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    refused(libc::ENOSYS)
}

/// Brings what was written to a view to the disk: see [`Durability`]. Calls: msync; for `Full` also
/// fsync, on macOS fcntl(F_FULLFSYNC).
///
/// # Safety
/// 1. `ptr..ptr + len` lies in a view of the file, and `ptr` is the beginning of a page.
pub(crate) unsafe fn flush_view(
    backing: Backing,
    _: u64,
    ptr: NonNull<u8>,
    len: usize,
    durability: Durability,
) -> Result<(), Errno> {
    let flags = if durability == Durability::Start { libc::MS_ASYNC } else { libc::MS_SYNC };
    // SAFETY: (1); the content stays.
    let call = || unsafe { libc::msync(place(ptr), len, flags) };
    checked(Call::Msync, [ptr.addr().get(), len], || (call() == 0).then_some(()))?;
    if durability != Durability::Full {
        return Ok(());
    }
    let file = backing.file as c_int;
    #[cfg(target_os = "macos")]
    // SAFETY: (1) an open file.
    let call = || unsafe { libc::fcntl(file, libc::F_FULLFSYNC) };
    #[cfg(not(target_os = "macos"))]
    // SAFETY: (1) an open file.
    let call = || unsafe { libc::fsync(file) };
    checked(Call::Fsync, [backing.file, 0], || (call() >= 0).then_some(()))
}

/// This system does not tell what its cache has of a file.
///
/// # Safety
/// 1. The backing is open.
/// 2. `len` is not 0, and the range lies in what can be mapped.
pub(crate) unsafe fn cache_state(_: Backing, _: u64, _: usize) -> Result<CacheState, Errno> {
    refused(libc::ENOSYS)
}
