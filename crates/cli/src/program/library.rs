//! Where a preload library lies while a program runs: it is embedded in this binary, and the loader
//! wants a file.
//!
//! First choice is a file in the user's cache directory, named after its content, written once.
//! Without a usable one (no home, mounted noexec, foreign owner, a path the loader cannot read) it
//! is a memory file of the supervisor, which lives exactly as long as the supervisor does.
#![forbid(unsafe_code)]

use rustix::fs::{Access, MemfdFlags, Mode, SealFlags, StatVfsMountFlags};
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A library inside this binary.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// What its file is called, without an ending.
    name: &'static str,
    /// The command that it is for.
    verb: &'static str,
    content: &'static [u8],
}

/// The stomp finder.
pub(crate) static STOMP: Embedded = Embedded {
    name: "libgranule_stomp",
    verb: "stomp",
    content: include_bytes!(env!("GRANULE_STOMP_LIBRARY")),
};

/// The heap of the process as malloc.
pub(crate) static MALLOC: Embedded = Embedded {
    name: "libgranule_malloc",
    verb: "run",
    content: include_bytes!(env!("GRANULE_MALLOC_LIBRARY")),
};

/// A placed library.
pub(crate) struct Library {
    /// The path to preload.
    pub(crate) path: PathBuf,
    /// Why it is a memory file and not in the cache directory; `None` in the usual case.
    pub(crate) why_memory: Option<String>,
    /// Keeps the memory file alive.
    _memory: Option<OwnedFd>,
}

impl Embedded {
    /// Places the library: in the cache directory, else in a memory file.
    ///
    /// # Errors
    /// A sentence, if neither can be had.
    pub(crate) fn place(&self) -> Result<Library, String> {
        self.check()?;
        let why = match cache_directory() {
            Ok(directory) => match self.place_in(&directory) {
                Ok(path) => return Ok(Library { path, why_memory: None, _memory: None }),
                Err(why) => format!("{}: {why}", directory.display()),
            },
            Err(why) => why,
        };
        self.place_in_memory(why)
    }

    /// Where [`place`](Self::place) would put it, without making anything: the file, or the reason
    /// for a memory file.
    ///
    /// # Errors
    /// A sentence, if there is no library.
    pub(crate) fn foresee(&self) -> Result<Result<PathBuf, String>, String> {
        self.check()?;
        Ok(cache_directory().and_then(|directory| {
            self.foresee_in(&directory).map_err(|why| format!("{}: {why}", directory.display()))
        }))
    }

    /// This binary was built with a library inside only on Linux.
    fn check(&self) -> Result<(), String> {
        if !self.content.is_empty() {
            return Ok(());
        }
        let verb = self.verb;
        Err(format!(
            "this granule was built without the preload library: `granule {verb}` works on Linux \
             only"
        ))
    }

    fn path_in(&self, directory: &Path) -> Result<PathBuf, String> {
        let path = directory.join(self.file_name());
        if path.as_os_str().as_bytes().iter().any(|byte| b": \t\n".contains(byte)) {
            return Err("the loader cannot preload from a path with a space or colon".to_owned());
        }
        Ok(path)
    }

    fn foresee_in(&self, directory: &Path) -> Result<PathBuf, String> {
        let path = self.path_in(directory)?;
        if std::fs::symlink_metadata(directory).is_ok() {
            check_directory(directory)?;
            return Ok(path);
        }
        let there = directory.ancestors().find(|above| above.exists());
        let there = there.ok_or("no directory above it is there")?;
        rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| error.to_string())?;
        check_mount(there)?;
        Ok(path)
    }

    fn place_in(&self, directory: &Path) -> Result<PathBuf, String> {
        let path = self.path_in(directory)?;
        prepare_directory(directory)?;
        if !self.is_in(&path) {
            self.write_whole(directory, &path).map_err(|error| error.to_string())?;
            if !self.is_in(&path) {
                return Err("what was written does not read back".to_owned());
            }
        }
        Ok(path)
    }

    /// True when the file is ours, writable by us alone, and holds exactly this library.
    fn is_in(&self, path: &Path) -> bool {
        let Ok(facts) = std::fs::symlink_metadata(path) else { return false };
        facts.is_file()
            && facts.uid() == rustix::process::geteuid().as_raw()
            && facts.mode() & 0o022 == 0
            && facts.len() == self.content.len() as u64
            && std::fs::read(path).is_ok_and(|content| content == self.content)
    }

    /// Writes beside the target and renames: whoever reads sees all or nothing.
    fn write_whole(&self, directory: &Path, path: &Path) -> io::Result<()> {
        let temporary = directory.join(format!(".{}-{}.tmp", self.name, std::process::id()));
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(self.content)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(0o600))?;
            std::fs::rename(&temporary, path)
        });
        if written.is_err() {
            // Best effort: the reason to report is the first error.
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    fn place_in_memory(&self, why: String) -> Result<Library, String> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = rustix::fs::memfd_create(format!("{}.so", self.name), flags)
            .and_then(|descriptor| {
                let mut file = File::from(descriptor);
                file.write_all(self.content).map_err(|_| rustix::io::Errno::NOSPC)?;
                let descriptor = OwnedFd::from(file);
                let seals =
                    SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
                rustix::fs::fcntl_add_seals(&descriptor, seals)?;
                Ok(descriptor)
            })
            .map_err(|error| {
                format!("there is no place for the preload library ({why}; memory file: {error})")
            })?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        Ok(Library { path: path.into(), why_memory: Some(why), _memory: Some(memory) })
    }

    fn file_name(&self) -> String {
        format!("{}-{:016x}.so", self.name, content_hash(self.content))
    }
}

impl Library {
    /// Where it is, for `--verbose`.
    pub(crate) fn whereabouts(&self) -> String {
        let path = self.path.display();
        match &self.why_memory {
            None => format!("the preload library is the cached file {path}"),
            Some(why) => format!("the preload library is the memory file {path} ({why})"),
        }
    }
}

/// $XDG_CACHE_HOME/granule or ~/.cache/granule.
fn cache_directory() -> Result<PathBuf, String> {
    let absolute = |name: &str| {
        std::env::var_os(name).map(PathBuf::from).filter(|directory| directory.is_absolute())
    };
    // A home that is not there is not made: nobody would look there.
    let home = || absolute("HOME").filter(|home| home.is_dir());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")));
    let base = base.ok_or("neither XDG_CACHE_HOME nor HOME names a directory")?;
    Ok(base.join("granule"))
}

/// Makes the directory for us alone, or checks the one that is there.
fn prepare_directory(directory: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| error.to_string())?;
    check_directory(directory)
}

fn check_directory(directory: &Path) -> Result<(), String> {
    let facts = std::fs::symlink_metadata(directory).map_err(|error| error.to_string())?;
    if !facts.is_dir() {
        return Err("not a directory".to_owned());
    }
    if facts.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to somebody else".to_owned());
    }
    if facts.mode() & 0o022 != 0 {
        return Err("others may write there".to_owned());
    }
    check_mount(directory)
}

fn check_mount(directory: &Path) -> Result<(), String> {
    let mount = rustix::fs::statvfs(directory).map_err(|error| error.to_string())?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err("it is mounted noexec".to_owned());
    }
    Ok(())
}

/// FNV-1a. It only names versions; what is used is compared byte for byte.
fn content_hash(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The value of LD_PRELOAD with `library` before what the user has there.
pub(crate) fn preload_list(library: &Path, present: Option<&OsStr>) -> OsString {
    let mut list = library.as_os_str().to_owned();
    if let Some(present) = present.filter(|present| !present.is_empty()) {
        list.push(":");
        list.push(present);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("granule-library-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&directory).expect("a scratch directory");
        directory
    }

    #[test]
    fn placed_once_and_repaired() {
        let directory = scratch("repair");
        let path = STOMP.place_in(&directory).expect("placed");
        assert_eq!(std::fs::read(&path).expect("readable"), STOMP.content);
        let first = std::fs::metadata(&path).expect("there").ino();
        assert_eq!(STOMP.place_in(&directory).as_ref(), Ok(&path));
        assert_eq!(std::fs::metadata(&path).expect("there").ino(), first, "not written again");
        std::fs::write(&path, b"damaged").expect("writable");
        assert_eq!(STOMP.place_in(&directory).as_ref(), Ok(&path));
        assert_eq!(std::fs::read(&path).expect("readable"), STOMP.content);
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn foreseen_and_not_made() {
        let directory = scratch("foresee");
        let below = directory.join("a/granule");
        let path = STOMP.foresee_in(&below).expect("it could be made");
        assert!(!directory.join("a").exists(), "only looked at");
        assert_eq!(STOMP.place_in(&below).as_ref(), Ok(&path));
        assert_eq!(STOMP.foresee_in(&below), Ok(path));
        rustix::fs::chmod(&below, Mode::from_raw_mode(0o777)).expect("chmod");
        assert!(STOMP.foresee_in(&below).expect_err("open to all").contains("others"));
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn unsafe_places_are_refused() {
        let directory = scratch("refuse");
        assert!(STOMP.place_in(&directory.join("a b")).expect_err("a space").contains("space"));
        rustix::fs::chmod(&directory, Mode::from_raw_mode(0o777)).expect("chmod");
        assert!(STOMP.place_in(&directory).expect_err("open to all").contains("others"));
        let file = directory.join("file");
        std::fs::write(&file, b"").expect("writable");
        assert!(STOMP.place_in(&file).is_err());
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn the_memory_file_holds_the_library() {
        let library = STOMP.place_in_memory("no cache".to_owned()).expect("a memory file");
        assert_eq!(std::fs::read(&library.path).expect("readable"), STOMP.content);
        assert_eq!(library.why_memory.as_deref(), Some("no cache"));
    }

    #[test]
    fn the_list_keeps_what_the_user_preloads() {
        let list = |present: Option<&str>| preload_list(Path::new("/a"), present.map(OsStr::new));
        assert_eq!(list(None), "/a");
        assert_eq!(list(Some("")), "/a");
        assert_eq!(list(Some("b.so c.so")), "/a:b.so c.so");
    }
}
