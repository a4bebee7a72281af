//! Windows.

use std::fs::{File, Metadata};
use std::io;
use std::os::windows::fs::{FileExt, MetadataExt};
use std::path::Path;

/// ReadFile at an offset.
pub(in crate::external) fn read_some(
    file: &File,
    bytes: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    file.seek_read(bytes, offset)
}

/// WriteFile at an offset until all is written.
pub(in crate::external) fn write_all(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.seek_write(&bytes[written..], offset + written as u64)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => written += count,
        }
    }
    Ok(())
}

/// Names are the journal's matter on NTFS: nothing to do.
pub(in crate::external) fn sync_names(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A new file gets its rights from its directory; only `read-only` is carried over.
pub(in crate::external) fn dress(file: &File, like: &Metadata, _: &Path) -> io::Result<()> {
    file.set_permissions(like.permissions())
}

/// What is known without asking the file system for more: when it was made.
pub(in crate::external) fn identity(_: &File, facts: &Metadata) -> io::Result<(u64, u64)> {
    Ok((facts.creation_time(), 0))
}

/// How many names the file has: the standard library does not say.
pub(in crate::external) fn names(_: &Metadata) -> u64 {
    1
}
