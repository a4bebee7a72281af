//! Floor 1, tests only. What the kernel itself says about pages, past all books of ours.

use super::super::Protection;
use super::raw::syscall;
use std::fs;
use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::vec::Vec;

/// One page as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The rights of the mapping; `None` where they cannot be seen. A guard marker does not show.
    pub(crate) rights: Option<Protection>,
    /// The mapping counts in `Committed_AS`; `None` where that cannot be seen.
    pub(crate) charged: Option<bool>,
}

/// What this witness can see: the lists of an emulator show less than the kernel's do, or the
/// emulator itself.
#[derive(Clone, Copy, Debug)]
struct Sight {
    rights: bool,
    charge: bool,
}

/// Finds out by looking at four pages side by side. An emulator takes the rights to execute and to
/// read for one.
fn sight() -> Sight {
    static SIGHT: OnceLock<Sight> = OnceLock::new();
    *SIGHT.get_or_init(|| {
        let len = super::limits().page_len;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        let all = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize;
        let ask = |call, args| {
            // SAFETY: fresh pages that nobody else knows.
            unsafe { syscall(call, args) }.expect("pages to look at")
        };
        let rights = libc::PROT_NONE as usize;
        let first = ask(libc::SYS_mmap, [0, 4 * len, rights, flags, usize::MAX, 0]);
        for (page, rights) in
            [all, libc::PROT_EXEC as usize, libc::PROT_READ as usize].iter().enumerate()
        {
            ask(libc::SYS_mprotect, [first + page * len, len, *rights, 0, 0, 0]);
        }
        let seen = look(first, 4, len);
        ask(libc::SYS_munmap, [first, 4 * len, 0, 0, 0, 0]);
        let told = [0, 1, 2, 3].map(|page: usize| seen[page].and_then(|seen| seen.rights));
        let wanted = [
            Protection::ExecuteReadWrite,
            Protection::Execute,
            Protection::Read,
            Protection::NoAccess,
        ];
        let charged = seen[0].and_then(|seen| seen.charged);
        let sight = Sight { rights: told == wanted.map(Some), charge: charged == Some(true) };
        if !sight.rights {
            std::println!("skipped: here the list of mappings does not show the rights of pages");
        }
        if !sight.charge {
            std::println!("skipped: here the list of mappings does not show what is charged");
        }
        sight
    })
}

/// The mapping behind each page of `addr..addr + count * page_len`; `None` where there is none, if
/// that can be seen.
pub(crate) fn pages_at(addr: usize, count: usize, page_len: usize) -> Vec<Option<Seen>> {
    let sight = sight();
    if !sight.rights {
        return std::vec![Some(Seen { rights: None, charged: None }); count];
    }
    let mut seen = look(addr, count, page_len);
    if !sight.charge {
        seen.iter_mut().flatten().for_each(|page| page.charged = None);
    }
    seen
}

fn look(addr: usize, count: usize, page_len: usize) -> Vec<Option<Seen>> {
    let page = |at: usize| (at.saturating_sub(addr)).div_ceil(page_len).min(count);
    let mut seen = std::vec![None; count];
    // An emulator answers for this list; `smaps` may be that of its own process.
    for line in fs::read_to_string("/proc/self/maps").expect("maps is readable").lines() {
        let ((start, end), rights) = parse_header(line).expect("a range and rights");
        seen[page(start)..page(end)]
            .fill(Some(Seen { rights: Some(rights), charged: Some(false) }));
    }
    let mut inside = 0..0;
    for line in fs::read_to_string("/proc/self/smaps").expect("smaps is readable").lines() {
        if let Some(((start, end), _)) = parse_header(line) {
            inside = page(start)..page(end);
        } else if let Some(flags) = line.strip_prefix("VmFlags:") {
            let charged = flags.split_whitespace().any(|flag| flag == "ac");
            for page in seen[inside.clone()].iter_mut().flatten() {
                page.charged = Some(charged);
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

/// Lets the kernel move a byte into a pipe and out again: `None` where an access would fault, guard
/// markers included. Not every system lets a process read itself by `process_vm_readv`.
pub(crate) fn read_byte(addr: usize) -> Option<u8> {
    static PIPE: Mutex<Option<(PipeReader, PipeWriter)>> = Mutex::new(None);
    let mut pipes = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    let (reader, writer) = pipes.get_or_insert_with(|| pipe().expect("a pipe"));
    let file = writer.as_raw_fd() as usize;
    // SAFETY: the kernel reads a byte from an address that may be anything; a bad one is an error.
    unsafe { syscall(libc::SYS_write, [file, addr, 1, 0, 0, 0]) }.ok()?;
    let mut byte = [0];
    reader.read_exact(&mut byte).expect("the byte that was written");
    Some(byte[0])
}
