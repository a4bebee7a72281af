//! Linux: files without a name (O_TMPFILE), posix_fadvise, fallocate.

use rustix::fs::{self, Advice, AtFlags, CWD, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::path::Path;

/// A file in `directory` that no name leads to: it is gone when its last user is, however that
/// ends. `None` if the file system has none.
pub(in crate::external) fn nameless(directory: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a nameless file a name that nothing has yet.
pub(in crate::external) fn name(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(fs::linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Takes room on the disk for the first `len` bytes, so that a full disk is found out now.
pub(in crate::external) fn take_room(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        // Not every file system can: then the disk is full when it is.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives the room of a range back to the disk; it reads as zeros. Whole blocks only.
pub(in crate::external) fn give_room_back(file: &File, offset: u64, len: u64) {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    // A file system that cannot keeps it until the file is closed.
    let _ = fs::fallocate(file, flags, offset, len);
}

/// The file is read from its beginning to its end.
pub(in crate::external) fn will_be_read_in_order(file: &File) {
    advise(file, 0, 0, Advice::Sequential);
}

/// The range is read soon: the reading begins now.
pub(in crate::external) fn will_need(file: &File, offset: u64, len: u64) {
    advise(file, offset, len, Advice::WillNeed);
}

/// The range is not read again: its clean pages leave the cache.
pub(in crate::external) fn forget(file: &File, offset: u64, len: u64) {
    advise(file, offset, len, Advice::DontNeed);
}

fn advise(file: &File, offset: u64, len: u64, advice: Advice) {
    // Advice: a system that does not take it reads the same bytes.
    let _ = fs::fadvise(file, offset, NonZeroU64::new(len), advice);
}

/// Begins to write a range to the disk, and does not wait for it. (The advice for pages that are
/// not needed again writes the dirty ones and drops the clean ones.)
pub(in crate::external) fn start_writing(file: &File, offset: u64, len: u64) {
    advise(file, offset, len, Advice::DontNeed);
}
