//! Files of the measurement's own.

use crate::Result;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that is removed when this is dropped.
pub(super) struct OwnFile(PathBuf);

impl OwnFile {
    /// An empty one.
    pub(super) fn new_in(folder: &Path) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("granule-bench-{}-{number}", std::process::id()));
        File::create(&path)?;
        Ok(OwnFile(path))
    }

    /// With `len` bytes, which are on the disk and in the cache.
    pub(super) fn filled(folder: &Path, len: usize) -> Result<Self> {
        Self::written_by(folder, len, 1 << 20)
    }

    /// The same, written by pieces of a length, which divides `len`.
    pub(super) fn written_by(folder: &Path, len: usize, piece: usize) -> Result<Self> {
        let own = Self::new_in(folder)?;
        let block: Vec<u8> = (0..piece as u32).map(|index| (index >> 3) as u8).collect();
        let mut file = own.open()?;
        for _ in 0..len / block.len() {
            file.write_all(&block)?;
        }
        file.sync_all()?;
        Ok(own)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// For reading and writing.
    pub(super) fn open(&self) -> Result<File> {
        Ok(File::options().read(true).write(true).open(&self.0)?)
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // Best effort: the folder is one for temporary files.
        let _ = fs::remove_file(&self.0);
    }
}
