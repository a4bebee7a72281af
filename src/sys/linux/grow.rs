//! Floor 1. Files that grow on Linux: one mapping that is longer than the file.

use super::super::Errno;
use super::super::grow::Area;
use super::super::section::{Backing, Durability, Sharing};
use super::mirror::file_len_max;
use super::prefault::ZEROS;
use super::raw::syscall;
use super::section::{fallocate, flush_view, map_view, set_len, unmap_view};
use crate::error::Call;

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

/// Makes the file longer, from `from` bytes to `to`. All that is added has a place on the disk and
/// reads zero, but for `last`, which is at the new end. It happens whole: nobody, not even after a
/// SIGKILL, sees the new length without those bytes. EACCES: the file is open for appending, where
/// no write goes elsewhere.
///
/// Calls: prlimit64, fcntl, fallocate(FALLOC_FL_KEEP_SIZE), pwrite64; after an error ftruncate.
/// Where the file system does not know fallocate pwrite64 of zeros.
///
/// # Safety
/// 1. `file` is open for reading and writing, and `from` bytes long.
pub(crate) unsafe fn extend_file(
    file: usize,
    from: u64,
    to: u64,
    last: &[u8],
) -> Result<(), Errno> {
    if to > file_len_max() {
        return Err(Errno(libc::EFBIG, Call::None)); // a write beyond it would kill by a signal
    }
    // SAFETY: (1).
    unsafe { refuse_appending(file) }?;
    let place = to - last.len() as u64;
    // SAFETY: (1); the content stays, and the length.
    let done = match unsafe { fallocate(file, libc::FALLOC_FL_KEEP_SIZE, from, to) } {
        // SAFETY: (1).
        Ok(()) => unsafe { write_at(file, last, place) },
        // SAFETY: (1); the end first, so that the length is never without it.
        Err(Errno(libc::EOPNOTSUPP, _)) => unsafe { write_at(file, last, place) }
            // SAFETY: (1) new bytes, which read zero already.
            .and_then(|()| unsafe { write_zeros(file, from, place) }),
        refused => refused,
    };
    if done.is_err() {
        // What was taken goes back, length or not. The first error is the one to tell.
        // SAFETY: (1); (2) nobody has seen them.
        let _ = unsafe { set_len(file, from) };
    }
    done
}

/// EACCES for a file whose writes all go to its end.
///
/// # Safety
/// 1. `file` is open.
unsafe fn refuse_appending(file: usize) -> Result<(), Errno> {
    // SAFETY: (1); asks only.
    let mode = unsafe { syscall(libc::SYS_fcntl, [file, libc::F_GETFL as usize, 0, 0, 0, 0]) }?;
    if mode as i32 & libc::O_APPEND == 0 { Ok(()) } else { Err(Errno(libc::EACCES, Call::None)) }
}

/// Writes bytes to a file past its views, which show them at once. An error without a call: that
/// is not possible with this file. Calls: fcntl, pwrite64.
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

/// Brings what was written by [`write_file`] to the disk, as [`Durability`] has it. Calls:
/// sync_file_range, fdatasync or fsync.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn sync_range(
    file: usize,
    from: u64,
    len: usize,
    durability: Durability,
) -> Result<(), Errno> {
    const WRITE: usize = 2;
    let sync = |number, args| {
        // SAFETY: (1); the content stays.
        unsafe { syscall(number, args) }.map(drop)
    };
    match durability {
        Durability::Start => {
            match sync(libc::SYS_sync_file_range, [file, from as usize, len, WRITE, 0, 0]) {
                // A file system that cannot begin: nothing was promised.
                Err(Errno(libc::ENOSYS | libc::EINVAL | libc::ESPIPE, _)) => Ok(()),
                done => done,
            }
        }
        Durability::Data => sync(libc::SYS_fdatasync, [file, 0, 0, 0, 0, 0]),
        Durability::Full => sync(libc::SYS_fsync, [file, 0, 0, 0, 0, 0]),
    }
}

/// Writes zeros, which take a place on the disk. Call: pwrite64, for each 16 KiB.
///
/// # Safety
/// 1. `file` is open for writing, and nobody needs what is there.
unsafe fn write_zeros(file: usize, from: u64, to: u64) -> Result<(), Errno> {
    let mut place = from;
    while place < to {
        let len = (to - place).min(ZEROS.len() as u64);
        // SAFETY: (1).
        unsafe { write_at(file, &ZEROS[..len as usize], place) }?;
        place += len;
    }
    Ok(())
}

/// Writes all of `bytes`. Call: pwrite64.
///
/// # Safety
/// 1. `file` is open for writing, and nobody needs what is there.
unsafe fn write_at(file: usize, bytes: &[u8], place: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let (rest, at) = (&bytes[done..], place as usize + done);
        let args = [file, rest.as_ptr().expose_provenance(), rest.len(), at, 0, 0];
        // SAFETY: (1); the kernel reads the bytes.
        match unsafe { syscall(libc::SYS_pwrite64, args) } {
            Ok(0) => return Err(Errno(libc::ENOSPC, Call::Pwrite)),
            Ok(written) => done += written,
            Err(Errno(libc::EINTR, _)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Makes a part of the file read zero and gives its place on the disk back. EOPNOTSUPP: this file
/// system has no holes. Call: fallocate(FALLOC_FL_PUNCH_HOLE).
///
/// # Safety
/// 1. `file` is open for writing.
/// 2. Nobody needs what is there.
pub(crate) unsafe fn punch_hole(file: usize, from: u64, to: u64) -> Result<(), Errno> {
    let how = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: (1), (2).
    unsafe { fallocate(file, how, from, to) }
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

/// Brings all of a file to the disk, its length and its times. Call: fsync.
///
/// # Safety
/// 1. `file` is open.
pub(crate) unsafe fn sync_file(file: usize) -> Result<(), Errno> {
    // SAFETY: (1); the content stays.
    unsafe { syscall(libc::SYS_fsync, [file, 0, 0, 0, 0, 0]) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::vec;

    /// What is done where there is no fallocate, on a file system that has it.
    #[test]
    fn zeros_take_a_place() {
        use std::os::unix::fs::MetadataExt;
        let name = std::format!("granule-zeros-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = std::fs::File::create_new(&path).expect("the folder takes one");
        file.set_len(100_000).expect("a hole");
        // SAFETY: (1) the test's own file.
        unsafe { write_zeros(file.as_raw_fd() as usize, 1000, 90_000) }.expect("there is room");
        file.sync_all().expect("the disk is well");
        let status = file.metadata().expect("it is open");
        assert_eq!(std::fs::read(&path).expect("it is there"), vec![0; 100_000]);
        std::fs::remove_file(&path).expect("it is there");
        assert!(status.blocks() * 512 >= 89_000, "{} blocks", status.blocks());
    }
}
