//! Touching memory without dying of it, and words for what `query` says. Shared by the examples.
//!
//! The kernel is asked to move one byte between a pipe and the page. Where an access of our own
//! would fault, it answers with an error.

use granule::vm::{Protection, Region, State, query};
use std::io::{Error, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;

/// Writes a byte to any address, and reads it back: what a program would find there.
pub(crate) fn write_and_read(addr: usize, byte: u8) -> Result<char, &'static str> {
    move_byte(addr, byte).map(char::from).map_err(|_| "access violation")
}

fn move_byte(addr: usize, byte: u8) -> Result<u8, Error> {
    let (mut reader, mut writer): (PipeReader, PipeWriter) = pipe()?;
    writer.write_all(&[byte])?;
    let target = std::ptr::with_exposed_provenance_mut(addr);
    // SAFETY: the examples pass pages of their own or nobody's, which no Rust value lives in.
    let moved = unsafe { libc::read(reader.as_raw_fd(), target, 1) };
    if moved != 1 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the kernel only reads the byte that it has just written.
    let moved = unsafe { libc::write(writer.as_raw_fd(), target, 1) };
    if moved != 1 {
        return Err(Error::last_os_error());
    }
    let mut found = [0];
    reader.read_exact(&mut found)?;
    Ok(found[0])
}

/// State and rights in words.
pub(crate) fn words(region: &Region) -> String {
    let rights = match region.protection {
        None => "",
        Some(Protection::ReadWrite) => ", read and write",
        Some(Protection::Read) => ", read",
        Some(_) => ", other rights",
    };
    format!("{:?}{rights}", region.state)
}

/// The pages from `addr` on, a letter each: F free, R reserved, C committed.
pub(crate) fn picture(addr: usize, pages: usize) -> String {
    let page_len = granule::vm::info().page_len;
    let letter = |page| match query(addr + page * page_len).map(|region| region.state) {
        Ok(State::Free) => 'F',
        Ok(State::Reserved) => 'R',
        Ok(State::Committed) => 'C',
        _ => '?',
    };
    format!("|{}|", (0..pages).map(letter).collect::<String>())
}
