//! Floor 1. Files that grow on macOS and FreeBSD: one mapping that is longer than the file.

use super::super::Errno;
use super::super::grow::Area;
use super::super::section::{Backing, Durability, Sharing};
use super::call::checked;
use super::pages::refused;
use super::section::{flush_view, map_view, set_len, unmap_view};
use crate::error::Call;
use core::ffi::c_int;

/// Maps `len` bytes of a file, however long it is. What is behind its end becomes bytes when the
/// file grows. Call: mmap.
///
/// # Safety
/// 1. The backing is open, for reading and writing.
pub(crate) unsafe fn reserve_area(backing: Backing, len: usize) -> Result<Area, Errno> {
    // SAFETY: (1).
    let start = unsafe { map_view(backing, 0, len, Sharing::Write) }?;
    Ok(Area { start, len })
}

/// All of the area is mapped from the beginning: nothing to do.
///
/// # Safety
/// 1. The area is one of this file, which is `to` bytes long at least.
pub(crate) unsafe fn extend_area(_: Backing, _: &mut Area, _: usize) -> Result<(), Errno> {
    Ok(())
}

/// Takes the addresses away. Call: munmap.
///
/// # Safety
/// 1. Nobody uses the area any more.
pub(crate) unsafe fn release_area(area: Area) -> Result<(), Errno> {
    // SAFETY: (1) one view.
    unsafe { unmap_view(area.start, area.len) }
}

/// Makes the file longer, from `from` bytes to `to`. All that is added reads zero and has a place
/// on the disk, as far as the file system keeps places, but for `last`, which is at the new end and
/// there as soon as the length is. EACCES: the file is open for appending.
///
/// Calls: fcntl; macOS: fcntl(F_PREALLOCATE), pwrite; FreeBSD, and where the file system knows no
/// places: pwrite, of zeros, too. After an error ftruncate.
///
/// # Safety
/// 1. `file` is open for reading and writing, and `from` bytes long.
pub(crate) unsafe fn extend_file(
    file: usize,
    from: u64,
    to: u64,
    last: &[u8],
) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { refuse_appending(file) }?;
    let place = to - last.len() as u64;
    // SAFETY: (1).
    let done = match unsafe { take_place(file, to - from) } {
        // SAFETY: (1).
        Ok(true) => unsafe { write_at(file, last, place) },
        // SAFETY: (1); the end first, so that the length is never without it.
        Ok(false) => unsafe { write_at(file, last, place) }
            // SAFETY: (1) new bytes, which read zero already.
            .and_then(|()| unsafe { write_zeros(file, from, place) }),
        Err(errno) => Err(errno),
    };
    if done.is_err() {
        // What was taken goes back, length or not. The first error is the one to tell.
        // SAFETY: (1); (2) nobody has seen them.
        let _ = unsafe { set_len(file, from) };
    }
    done
}

/// Takes a place for `len` bytes behind the end of the file, which stays where it is. False: this
/// file system cannot.
///
/// # Safety
/// 1. `file` is open for writing.
#[cfg(target_os = "macos")]
unsafe fn take_place(file: usize, len: u64) -> Result<bool, Errno> {
    let mut wish = libc::fstore_t {
        fst_flags: libc::F_ALLOCATEALL,
        fst_posmode: libc::F_PEOFPOSMODE,
        fst_offset: 0,
        fst_length: len as libc::off_t,
        fst_bytesalloc: 0,
    };
    // SAFETY: (1); the system reads and writes the structure of that request.
    let mut call = || unsafe { libc::fcntl(file as c_int, libc::F_PREALLOCATE, &raw mut wish) };
    let done = checked(Call::Fallocate, [file, 0], || (call() >= 0).then_some(()));
    match done {
        Err(Errno(libc::ENOTSUP | libc::EINVAL, _)) => Ok(false),
        done => done.map(|()| true),
    }
}

/// FreeBSD takes no place without making the file longer.
///
/// # Safety
/// 1. `file` is open for writing.
#[cfg(target_os = "freebsd")]
unsafe fn take_place(_: usize, _: u64) -> Result<bool, Errno> {
    Ok(false)
}

/// EACCES for a file whose writes all go to its end.
///
/// # Safety
/// 1. `file` is open.
unsafe fn refuse_appending(file: usize) -> Result<(), Errno> {
    // SAFETY: (1); asks only.
    let call = || unsafe { libc::fcntl(file as c_int, libc::F_GETFL) };
    let mode = checked(Call::Fcntl, [file, 0], || Some(call()).filter(|&mode| mode >= 0))?;
    if mode & libc::O_APPEND == 0 { Ok(()) } else { refused(libc::EACCES) }
}

/// Writes bytes to a file past its views, which show them at once. An error without a call: that
/// is not possible with this file. Calls: fcntl, pwrite.
///
/// # Safety
/// 1. `file` is open for writing.
/// 2. Nobody relies on the bytes that were there.
pub(crate) unsafe fn write_file(file: usize, bytes: &[u8], place: u64) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { refuse_appending(file) }?;
    // SAFETY: (1), (2).
    unsafe { write_at(file, bytes, place) }
}

/// Brings what was written by [`write_file`] to the disk, as [`Durability`] has it. Call: fsync, on
/// macOS fcntl(F_FULLFSYNC); none for `Start`.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn sync_range(
    file: usize,
    _: u64,
    _: usize,
    durability: Durability,
) -> Result<(), Errno> {
    // SAFETY: (1).
    if durability == Durability::Start { Ok(()) } else { unsafe { sync_file(file) } }
}

/// Writes zeros, which take a place on the disk. Call: pwrite, for each 16 KiB.
///
/// # Safety
/// 1. `file` is open for writing, and nobody needs what is there.
unsafe fn write_zeros(file: usize, from: u64, to: u64) -> Result<(), Errno> {
    static ZEROS: [u8; 16 << 10] = [0; 16 << 10];
    let mut place = from;
    while place < to {
        let len = (to - place).min(ZEROS.len() as u64);
        // SAFETY: (1).
        unsafe { write_at(file, &ZEROS[..len as usize], place) }?;
        place += len;
    }
    Ok(())
}

/// Writes all of `bytes`. Call: pwrite.
///
/// # Safety
/// 1. `file` is open for writing, and nobody needs what is there.
unsafe fn write_at(file: usize, bytes: &[u8], place: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let (rest, at) = (&bytes[done..], place as libc::off_t + done as libc::off_t);
        // SAFETY: (1); the system reads the bytes.
        let call = || unsafe { libc::pwrite(file as c_int, rest.as_ptr().cast(), rest.len(), at) };
        match checked(Call::Pwrite, [file, 0], || usize::try_from(call()).ok()) {
            Ok(0) => return Err(Errno(libc::ENOSPC, Call::Pwrite)),
            Ok(written) => done += written,
            Err(Errno(libc::EINTR, _)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// These systems have no call for it that all of their file systems know.
///
/// # Safety
/// 1. `file` is open for writing.
/// 2. Nobody needs what is there.
pub(crate) unsafe fn punch_hole(_: usize, _: u64, _: u64) -> Result<(), Errno> {
    refused(libc::EOPNOTSUPP)
}

/// Brings a part of the area to the disk, as [`flush_view`](super::flush_view) does. `from` is at
/// the beginning of a page.
///
/// # Safety
/// 1. The area is one of this file, and `from..from + len` lies in it.
pub(crate) unsafe fn flush_area(
    backing: Backing,
    area: &Area,
    from: usize,
    len: usize,
    durability: Durability,
) -> Result<(), Errno> {
    // SAFETY: (1).
    let start = unsafe { area.start.add(from) };
    // SAFETY: (1).
    unsafe { flush_view(backing, from as u64, start, len, durability) }
}

/// Brings all of a file to the disk, its length and its times. Call: fsync, on macOS
/// fcntl(F_FULLFSYNC).
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn sync_file(file: usize) -> Result<(), Errno> {
    #[cfg(target_os = "macos")]
    // SAFETY: (1).
    let call = || unsafe { libc::fcntl(file as c_int, libc::F_FULLFSYNC) };
    #[cfg(not(target_os = "macos"))]
    // SAFETY: (1).
    let call = || unsafe { libc::fsync(file as c_int) };
    checked(Call::Fsync, [file, 0], || (call() >= 0).then_some(()))
}
