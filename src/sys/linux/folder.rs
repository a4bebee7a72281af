//! Floor 1. The files of a folder, by name and without an allocation.

use super::super::Errno;
use super::process::close;
use super::raw::syscall;
use core::ffi::CStr;
use core::mem::offset_of;

/// So many are asked for, 4 KiB each. A folder that others fill meanwhile has no end.
const BLOCKS_MAX: usize = 10_000;

/// Runs `visit` on the name of each entry that is a file, or may be one. What comes or goes
/// meanwhile is among them or not. Calls: openat, getdents64.
pub(super) fn visit_files(folder: &CStr, mut visit: impl FnMut(&[u8])) -> Result<(), Errno> {
    let file = open_folder(folder)?;
    let mut block = [0; 4096];
    let mut done = Ok(());
    for _ in 0..BLOCKS_MAX {
        match read_entries(file, &mut block) {
            Ok(0) => break,
            Ok(len) => files(&block[..len]).for_each(&mut visit),
            Err(errno) => {
                done = Err(errno);
                break;
            }
        }
    }
    close(file);
    done
}

fn open_folder(folder: &CStr) -> Result<usize, Errno> {
    let flags = (libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) as usize;
    let args = [libc::AT_FDCWD as usize, folder.as_ptr().addr(), flags, 0, 0, 0];
    // SAFETY: the path ends with NUL and outlives the call.
    unsafe { syscall(libc::SYS_openat, args) }
}

/// The next entries, and how many bytes they are; 0 behind the last one.
fn read_entries(file: usize, block: &mut [u8]) -> Result<usize, Errno> {
    let target = block.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes at most `block.len()` bytes into a buffer of ours.
    unsafe { syscall(libc::SYS_getdents64, [file, target, block.len(), 0, 0, 0]) }
}

/// The names in a block of entries; without folders, links and devices, where the file system says
/// which they are.
fn files(mut entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    const LEN: usize = offset_of!(libc::dirent64, d_reclen);
    const KIND: usize = offset_of!(libc::dirent64, d_type);
    const NAME: usize = offset_of!(libc::dirent64, d_name);
    core::iter::from_fn(move || {
        let len = u16::from_ne_bytes(*entries.get(LEN..)?.first_chunk()?);
        let (entry, behind) = entries.split_at_checked(usize::from(len))?;
        entries = behind;
        let name = entry.get(NAME..)?.split(|&byte| byte == 0).next()?;
        Some((entry[KIND], name))
    })
    .filter(|&(kind, _)| matches!(kind, libc::DT_REG | libc::DT_UNKNOWN))
    .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::CString;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn each_file_is_visited_once_and_no_folder() {
        let folder =
            std::env::temp_dir().join(std::format!("granule-folder-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("folder")).expect("a place for files");
        std::os::unix::fs::symlink("nowhere", folder.join("link")).expect("a link");
        // More than one block of them, some with the longest names.
        let long = "x".repeat(250);
        let wanted: BTreeSet<String> = (0..300)
            .map(|number| {
                if number % 10 == 0 {
                    std::format!("{long}{number}")
                } else {
                    std::format!("{number}")
                }
            })
            .collect();
        for name in &wanted {
            std::fs::write(folder.join(name), "").expect("a file");
        }
        let path = CString::new(folder.to_str().expect("a path of ours")).expect("no NUL");
        let mut found = Vec::new();
        let told =
            visit_files(&path, |name| found.push(String::from_utf8_lossy(name).into_owned()));
        std::fs::remove_dir_all(&folder).expect("it is ours");
        assert_eq!(told, Ok(()));
        assert_eq!(found.len(), wanted.len());
        assert_eq!(BTreeSet::from_iter(found), wanted);
        assert!(visit_files(&path, |_| ()).is_err_and(|errno| errno.0 == libc::ENOENT));
    }

    #[test]
    fn a_block_that_is_cut_or_empty_has_an_end() {
        assert_eq!(files(&[]).count(), 0);
        assert_eq!(files(&[0; 64]).count(), 0);
        assert_eq!(files(&[0xff; 64]).count(), 0);
    }
}
