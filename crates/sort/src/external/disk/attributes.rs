//! Extended attributes, of which the access control list of POSIX is one. Linux only: elsewhere
//! they stay with the old file.

use std::fs::File;
use std::io;
use std::path::Path;

/// Copies the attributes of the file at `path` to `file`, as far as we may set them: without
/// privileges those of `user.`, and the access control list. A file system without attributes has
/// nothing to copy, and one that does not keep them gets none.
///
/// Linux: listxattr, getxattr, fsetxattr; fchmod.
///
/// # Errors
/// The system's, but not that something is not permitted or not supported.
#[cfg(target_os = "linux")]
pub(super) fn copy(path: &Path, file: &File, mode: u32, keeps_group: bool) -> io::Result<()> {
    use rustix::fs;
    use rustix::fs::{Mode, XattrFlags, fchmod, fsetxattr};

    let names = read(|| fs::listxattr_query(path), |buffer| fs::listxattr(path, buffer))?;
    let names = names.unwrap_or_default();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let is_list = name == b"system.posix_acl_access";
        if is_list && !keeps_group {
            // What it says of the group would be said of another one.
            continue;
        }
        // One that was removed meanwhile, or that we may not read.
        let value =
            read(|| fs::getxattr_query(path, name), |buffer| fs::getxattr(path, name, buffer))?;
        let Some(value) = value else { continue };
        let is_set = permitted(fsetxattr(file, name, &value, XattrFlags::empty()))?.is_some();
        if is_list && !is_set {
            // The bits of the group were the most that anybody on the list may do; without the
            // list they would be the group's.
            fchmod(file, Mode::from_raw_mode(mode & 0o707))?;
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn copy(_: &Path, _: &File, _: u32, _: bool) -> io::Result<()> {
    Ok(())
}

/// What a call writes into a buffer that is as long as another says; `None` if there is nothing for
/// us.
#[cfg(target_os = "linux")]
fn read(
    len: impl Fn() -> rustix::io::Result<usize>,
    call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        let Some(len) = permitted(len())? else { return Ok(None) };
        let mut bytes = vec![0; len];
        match call(&mut bytes) {
            // It has become longer meanwhile.
            Err(rustix::io::Errno::RANGE) => {}
            Ok(len) => {
                bytes.truncate(len);
                return Ok(Some(bytes));
            }
            Err(error) => return permitted(Err(error)),
        }
    }
}

/// The same, and `None` instead of an error that says that somebody may not, or a file system
/// cannot.
#[cfg(target_os = "linux")]
fn permitted<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    use rustix::io::Errno;

    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::NODATA) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::cell::Cell;

    #[test]
    fn what_grows_meanwhile_is_read_again() {
        // It has four bytes when it is asked first, and then six.
        let calls = Cell::new(0);
        let len = || Ok(if calls.get() == 0 { 4 } else { 6 });
        let call = |buffer: &mut [u8]| {
            calls.set(calls.get() + 1);
            let room = buffer.get_mut(..6).ok_or(Errno::RANGE)?;
            room.fill(b'x');
            Ok(6)
        };
        assert_eq!(read(len, call).expect("no error"), Some(b"xxxxxx".to_vec()));
        assert_eq!(calls.get(), 2);
    }

    #[test]
    fn refusals_are_no_errors_but_a_full_disk_is_one() {
        for refusal in [Errno::PERM, Errno::ACCESS, Errno::NOTSUP, Errno::NODATA] {
            let none = read(|| Err(refusal), |_| unreachable!("there is nothing to read"));
            assert_eq!(none.expect("no error"), None);
            assert_eq!(read(|| Ok(1), |_| Err(refusal)).expect("no error"), None);
        }
        assert!(read(|| Ok(1), |_| Err(Errno::IO)).is_err());
        assert!(permitted::<()>(Err(Errno::NOSPC)).is_err());
    }
}
