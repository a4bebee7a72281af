//! Floor 1, tests only. What the kernel itself says about pages, past all books of ours.

use super::super::Protection;
use super::raw::syscall;
use std::fs;
use std::vec::Vec;

/// One page as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The rights of the mapping. A guard marker does not show here.
    pub(crate) rights: Protection,
    /// The mapping counts in `Committed_AS`.
    pub(crate) charged: bool,
}

/// The mapping behind each page of `addr..addr + count * page_len`; `None` where there is none.
pub(crate) fn pages_at(addr: usize, count: usize, page_len: usize) -> Vec<Option<Seen>> {
    let text = fs::read_to_string("/proc/self/smaps").expect("smaps is readable");
    let mut seen = std::vec![None; count];
    let mut mapping = None;
    for line in text.lines() {
        if let Some((range, rights)) = parse_header(line) {
            mapping = Some((range, rights));
        } else if let (Some(flags), Some(((start, end), rights))) =
            (line.strip_prefix("VmFlags:"), mapping)
        {
            let charged = flags.split_whitespace().any(|flag| flag == "ac");
            for (index, page) in seen.iter_mut().enumerate() {
                if (start..end).contains(&(addr + index * page_len)) {
                    *page = Some(Seen { rights, charged });
                }
            }
        }
    }
    seen
}

/// `start-end rwxp ...`
fn parse_header(line: &str) -> Option<((usize, usize), Protection)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let rights = match rest.get(..3)? {
        "---" => Protection::NoAccess,
        "r--" => Protection::Read,
        "rw-" => Protection::ReadWrite,
        "--x" => Protection::Execute,
        "r-x" => Protection::ExecuteRead,
        "rwx" => Protection::ExecuteReadWrite,
        _ => return None,
    };
    Some(((start, end), rights))
}

/// Lets the kernel read a byte: `None` where an access would fault, guard markers included.
pub(crate) fn read_byte(addr: usize) -> Option<u8> {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: core::ptr::without_provenance_mut(addr), iov_len: 1 };
    let process = super::process_id() as usize;
    let local_addr = (&raw const local).expose_provenance();
    let remote_addr = (&raw const remote).expose_provenance();
    (&raw mut byte).expose_provenance();
    let args = [process, local_addr, 1, remote_addr, 1, 0];
    // SAFETY: the kernel writes at most one byte, into `byte`; the address it reads from may be
    // anything, a bad one is an error.
    let count = unsafe { syscall(libc::SYS_process_vm_readv, args) };
    (count == Ok(1)).then_some(byte)
}
