//! Floor 1, tests only. What the system itself says about pages, past all books of ours.

use super::super::Protection;
use super::maps::{mapping_at_or_above, run_at};
use core::ptr::without_provenance;
use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::windows::io::AsRawHandle;
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::Memory::{MEM_COMMIT, MEM_FREE};

/// One page as the system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The rights of the page, none where it is only reserved; `None` where they cannot be seen.
    pub(crate) rights: Option<Protection>,
    /// Memory is promised for it; `None` where that cannot be seen.
    pub(crate) charged: Option<bool>,
}

/// Each page of `addr..addr + count * page_len`; `None` where nothing is.
pub(crate) fn pages_at(addr: usize, count: usize, page_len: usize) -> Vec<Option<Seen>> {
    let page = |index: usize| {
        let addr = addr + index * page_len;
        let state = run_at(addr).expect("an address of a program").State;
        if state == MEM_FREE {
            return None;
        }
        let mapping = mapping_at_or_above(addr).expect("as above")?;
        let rights = mapping.protection.unwrap_or(Protection::NoAccess);
        Some(Seen { rights: Some(rights), charged: Some(state == MEM_COMMIT) })
    };
    (0..count).map(page).collect()
}

/// Has the system move a byte into a pipe and out again: `None` where an access would fault.
/// `ReadProcessMemory` is no such witness, because under Wine it reads pages without rights, too.
pub(crate) fn read_byte(addr: usize) -> Option<u8> {
    static PIPE: Mutex<Option<(PipeReader, PipeWriter)>> = Mutex::new(None);
    let mut pipes = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    let (reader, writer) = pipes.get_or_insert_with(|| pipe().expect("a pipe"));
    let mut count = 0;
    let source = without_provenance(addr);
    let handle = writer.as_raw_handle();
    let told = (&raw mut count, core::ptr::null_mut());
    // SAFETY: the system reads the byte for us; a bad address is an error and no fault.
    let written = unsafe { WriteFile(handle, source, 1, told.0, told.1) };
    if written == 0 || count != 1 {
        return None;
    }
    let mut byte = [0];
    reader.read_exact(&mut byte).expect("the byte that was written");
    Some(byte[0])
}
