//! Floor 1, tests only. What the system itself says about pages, past all books of ours.

use super::super::Protection;
use super::mapping_at_or_above;
use core::ptr::with_exposed_provenance;
use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

/// One page as the system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The rights of the page; `None` where they cannot be seen.
    pub(crate) rights: Option<Protection>,
    /// Memory is promised for it: neither system tells.
    pub(crate) charged: Option<bool>,
}

/// Each page of `addr..addr + count * page_len`; `None` where nothing is.
pub(crate) fn pages_at(addr: usize, count: usize, page_len: usize) -> Vec<Option<Seen>> {
    let page = |index: usize| {
        let addr = addr + index * page_len;
        let mapping = mapping_at_or_above(addr).expect("an answer")?;
        let rights = mapping.protection.unwrap_or(Protection::NoAccess);
        (mapping.start <= addr).then_some(Seen { rights: Some(rights), charged: None })
    };
    (0..count).map(page).collect()
}

/// Has the system move a byte into a pipe and out again: `None` where an access would fault.
pub(crate) fn read_byte(addr: usize) -> Option<u8> {
    static PIPE: Mutex<Option<(PipeReader, PipeWriter)>> = Mutex::new(None);
    let mut pipes = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    let (reader, writer) = pipes.get_or_insert_with(|| pipe().expect("a pipe"));
    // SAFETY: the system reads the byte for us; a bad address is an error and no fault.
    let written = unsafe { libc::write(writer.as_raw_fd(), with_exposed_provenance(addr), 1) };
    if written != 1 {
        return None;
    }
    let mut byte = [0];
    reader.read_exact(&mut byte).expect("the byte that was written");
    Some(byte[0])
}
