//! For the tests of sections: files of one's own.
#![allow(dead_code, reason = "every test program uses another part of it")]

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file in the folder for temporary files, removed when this is dropped.
pub(crate) struct OwnFile(PathBuf);

impl OwnFile {
    pub(crate) fn new(content: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("granule-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).expect("the folder for temporary files takes one");
        OwnFile(path)
    }

    /// Open for reading and writing.
    pub(crate) fn open(&self) -> File {
        File::options().read(true).write(true).open(&self.0).expect("it is there")
    }

    /// What a read tells, and not a view.
    pub(crate) fn content(&self) -> Vec<u8> {
        fs::read(&self.0).expect("it is there")
    }
}

impl Deref for OwnFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for OwnFile {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // Best effort: the folder is one for temporary files.
        let _ = fs::remove_file(&self.0);
    }
}

/// Bytes of which no two pages are equal.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index ^ (index >> 8) ^ (index >> 16).wrapping_mul(31)) as u8).collect()
}
