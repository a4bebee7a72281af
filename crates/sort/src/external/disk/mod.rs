//! What is asked of the system beside reading and writing: files without a name, and words about
//! the cache. Where a system has no such word the function does nothing: each is a matter of speed
//! or of room, never of what is in a file.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod attributes;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod others;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(super) use linux::*;
#[cfg(not(target_os = "linux"))]
pub(super) use others::*;
#[cfg(unix)]
pub(super) use unix::*;
#[cfg(windows)]
pub(super) use windows::*;

use std::fs::File;
use std::io::{self, ErrorKind};

/// Reads at `offset` until `bytes` is full or the file ends; says how many bytes that were.
pub(super) fn read_full(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match read_some(file, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
