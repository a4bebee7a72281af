//! Linux, macOS, the BSDs.

use super::attributes;

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// pread.
pub(in crate::external) fn read_some(
    file: &File,
    bytes: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    file.read_at(bytes, offset)
}

/// pwrite until all is written.
pub(in crate::external) fn write_all(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Makes the names in a directory as durable as its files: fsync.
pub(in crate::external) fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Gives `file` the owner, the group, the mode, the access control list and the extended attributes
/// of another, which lies at `path`. An owner that we may not give stays ours, as with every editor
/// that replaces files; and of attributes only those are copied that we may set.
pub(in crate::external) fn dress(file: &File, like: &Metadata, path: &Path) -> io::Result<()> {
    let own = file.metadata()?;
    let (uid, gid) = (like.uid(), like.gid());
    let mut mode = like.mode() & 0o7777;
    let keeps_group = (own.uid(), own.gid()) == (uid, gid)
        || std::os::unix::fs::fchown(file, Some(uid), Some(gid)).is_ok()
        || std::os::unix::fs::fchown(file, None, Some(gid)).is_ok();
    if !keeps_group {
        // What was for the old group is not for the new one, nor is running as the owner.
        mode &= 0o707;
    }
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    // Last: the list of who may what is more than the mode, and a change of the owner or the mode
    // takes away from both.
    attributes::copy(path, file, mode, keeps_group)
}

/// What tells one file from all others.
pub(in crate::external) fn identity(_: &File, facts: &Metadata) -> io::Result<(u64, u64)> {
    Ok((facts.dev(), facts.ino()))
}

/// How many names the file has.
pub(in crate::external) fn names(facts: &Metadata) -> u64 {
    facts.nlink()
}
