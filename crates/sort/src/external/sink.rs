//! Elements on their way into a file, at a place of their own in it.

use super::disk;
use super::error::Error;
use super::watch::Watch;
use std::fs::File;
use std::path::Path;

/// Bytes that are written at once, at most.
const BLOCK_LEN: usize = 2 << 20;

/// Where a sink writes, and how.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) file: &'a File,
    /// The directory of the file, and the bytes that it will have: for errors.
    pub(crate) directory: &'a Path,
    pub(crate) wanted: u64,
    /// What was written leaves the cache: nobody reads it soon.
    pub(crate) drop_behind: bool,
    /// Bytes that are collected and written at once; not more than are of use.
    pub(crate) block_len: usize,
    pub(crate) watch: &'a dyn Watch,
}

/// Takes elements in order, and writes them from `at` on.
pub(crate) struct Sink<'a> {
    target: Target<'a>,
    at: u64,
    /// Behind it everything has left the cache.
    forgotten: u64,
    block: Vec<u8>,
    block_len: usize,
}

impl<'a> Sink<'a> {
    /// A sink that begins to write at `at`.
    pub(crate) fn new(target: Target<'a>, at: u64) -> Self {
        let block_len = BLOCK_LEN.min(target.block_len).max(1);
        Sink { target, at, forgotten: at, block: Vec::with_capacity(block_len), block_len }
    }

    /// Takes some bytes.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.block.len() + bytes.len() > self.block_len {
            self.flush()?;
            if bytes.len() >= self.block_len {
                return bytes.chunks(BLOCK_LEN).try_for_each(|block| self.write(block));
            }
        }
        self.block.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is left, and says where it ended.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        if self.target.drop_behind {
            disk::forget(self.target.file, self.forgotten, self.at - self.forgotten);
        }
        Ok(self.at)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut block = std::mem::take(&mut self.block);
        let written = self.write(&block);
        block.clear();
        self.block = block;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.target.watch.is_stopped() {
            return Err(Error::Stopped);
        }
        let Target { file, directory, wanted, .. } = self.target;
        disk::write_all(file, bytes, self.at).map_err(Error::writing(directory, wanted))?;
        let len = bytes.len() as u64;
        // The disk works while we do: at the end there is less to wait for.
        disk::start_writing(file, self.at, len);
        self.at += len;
        if self.target.drop_behind {
            // The blocks before this one were begun long enough ago.
            let behind = (self.at - len).saturating_sub(4 * len).max(self.forgotten);
            disk::forget(file, self.forgotten, behind - self.forgotten);
            self.forgotten = behind;
        }
        self.target.watch.advance(len);
        Ok(())
    }
}
