//! Touching memory without dying of it.
//!
//! The kernel is asked to move one byte between a pipe and the page. Where an access of our own
//! would fault, it answers with an error.

use std::io::{Error, PipeReader, PipeWriter, Read, Write, pipe};

/// What stands for the fault in the stories.
const FAULT: &str = "access violation";

/// Writes a byte to any address, and reads it back: what a program would find there.
pub(crate) fn write_and_read(addr: usize, byte: u8) -> Result<char, &'static str> {
    write(addr, byte)?;
    read(addr).map(char::from)
}

/// Writes a byte to any address.
pub(crate) fn write(addr: usize, byte: u8) -> Result<(), &'static str> {
    let (reader, mut writer) = pipe().expect("two handles are to be had");
    writer.write_all(&[byte]).expect("a pipe takes a byte");
    system::from_pipe(&reader, addr).map_err(|_| FAULT)
}

/// Reads a byte from any address.
pub(crate) fn read(addr: usize) -> Result<u8, &'static str> {
    let (mut reader, writer) = pipe().expect("two handles are to be had");
    system::to_pipe(&writer, addr).map_err(|_| FAULT)?;
    let mut found = [0];
    reader.read_exact(&mut found).expect("the byte that was written");
    Ok(found[0])
}

/// The letter at any address; `.` for the byte 0.
pub(crate) fn letter(addr: usize) -> Result<char, &'static str> {
    read(addr).map(|byte| if byte == 0 { '.' } else { char::from(byte) })
}

#[cfg(unix)]
mod system {
    use super::{Error, PipeReader, PipeWriter};
    use std::os::fd::AsRawFd;

    pub(super) fn from_pipe(pipe: &PipeReader, addr: usize) -> Result<(), Error> {
        let target = std::ptr::with_exposed_provenance_mut(addr);
        // SAFETY: the examples pass pages of their own or nobody's, which no Rust value lives in.
        let moved = unsafe { libc::read(pipe.as_raw_fd(), target, 1) };
        if moved == 1 { Ok(()) } else { Err(Error::last_os_error()) }
    }

    pub(super) fn to_pipe(pipe: &PipeWriter, addr: usize) -> Result<(), Error> {
        let source = std::ptr::with_exposed_provenance(addr);
        // SAFETY: the kernel only reads the byte, and answers with an error where it cannot.
        let moved = unsafe { libc::write(pipe.as_raw_fd(), source, 1) };
        if moved == 1 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}

#[cfg(windows)]
mod system {
    use super::{Error, PipeReader, PipeWriter};
    use std::os::windows::io::AsRawHandle;
    use std::ptr::null_mut;
    use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};

    pub(super) fn from_pipe(pipe: &PipeReader, addr: usize) -> Result<(), Error> {
        let target = std::ptr::with_exposed_provenance_mut(addr);
        let mut moved = 0;
        let pipe = pipe.as_raw_handle();
        // SAFETY: the examples pass pages of their own or nobody's, which no Rust value lives in.
        let done = unsafe { ReadFile(pipe, target, 1, &raw mut moved, null_mut()) };
        if done != 0 && moved == 1 { Ok(()) } else { Err(Error::last_os_error()) }
    }

    pub(super) fn to_pipe(pipe: &PipeWriter, addr: usize) -> Result<(), Error> {
        let source = std::ptr::with_exposed_provenance(addr);
        let mut moved = 0;
        let pipe = pipe.as_raw_handle();
        // SAFETY: the kernel only reads the byte, and answers with an error where it cannot.
        let done = unsafe { WriteFile(pipe, source, 1, &raw mut moved, null_mut()) };
        if done != 0 && moved == 1 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}
