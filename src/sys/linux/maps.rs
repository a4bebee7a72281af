//! Floor 1. What the kernel has mapped, ours or not.

use super::super::{Errno, Kind, Mapping, Protection};
use super::listing;
use super::process::{close, open_read, read};
use super::raw::syscall;
use crate::ds::name::Name;

/// The question and answer of ioctl PROCMAP_QUERY (Linux 6.11), `struct procmap_query`.
#[repr(C)]
struct ProcmapQuery {
    size: u64,
    flags: u64,
    addr: u64,
    start: u64,
    end: u64,
    rights: u64,
    page_len: u64,
    offset: u64,
    inode: u64,
    device: [u32; 2],
    name_len: u32,
    build_id_len: u32,
    name: u64,
    build_id: u64,
}

/// `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: usize = 3 << 30 | size_of::<ProcmapQuery>() << 16 | 0x66 << 8 | 17;
const COVERING_OR_NEXT: u64 = 0x10;
const READABLE: u64 = 1;
const WRITABLE: u64 = 2;
const EXECUTABLE: u64 = 4;
const SHARED: u64 = 8;

/// The mapping that has `addr`, else the next one above; `None` if there is neither. Calls:
/// ioctl(PROCMAP_QUERY), and now and then openat and fcntl before; on older kernels openat, read of
/// the whole list up to there, close.
pub(crate) fn mapping_at_or_above(addr: usize) -> Result<Option<Mapping>, Errno> {
    let answer = ask_or_search(addr, &mut []);
    answer.map(|found| found.map(|(mapping, _)| mapping))
}

/// The same, and what the kernel calls it: the path of a file, or `[stack]` and the like.
pub(crate) fn named_mapping_at_or_above(
    addr: usize,
) -> Result<Option<(Mapping, Option<Name>)>, Errno> {
    let mut name = [0; USUAL_NAME_LEN];
    match ask_or_search(addr, &mut name) {
        Err(Errno(libc::ENAMETOOLONG, _)) => with_long_name(addr),
        answer => answer,
    }
}

/// Enough for the names that are not paths, and for nearly all paths.
const USUAL_NAME_LEN: usize = 256;

/// The kernel's limit of a path.
const LONGEST_NAME_LEN: usize = 4096;

/// By itself, so that only the rare caller needs so much of the stack.
#[inline(never)]
fn with_long_name(addr: usize) -> Result<Option<(Mapping, Option<Name>)>, Errno> {
    let mut name = [0; LONGEST_NAME_LEN];
    match ask_or_search(addr, &mut name) {
        // Longer than any path can be: then it has no name.
        Err(Errno(libc::ENAMETOOLONG, _)) => ask_or_search(addr, &mut []),
        answer => answer,
    }
}

/// Asks the kernel, or reads its list where it does not understand the question. `name` is for the
/// name; if it is empty the name is not asked for.
fn ask_or_search(addr: usize, name: &mut [u8]) -> Result<Option<(Mapping, Option<Name>)>, Errno> {
    match listing::with_file(|file| ask(file, addr, name)) {
        Some(Ok(found)) => Ok(Some(found)),
        Some(Err(Errno(libc::ENOENT, _))) => Ok(None),
        Some(Err(errno @ Errno(libc::ENAMETOOLONG, _))) => Err(errno),
        Some(Err(_)) | None => {
            let file = open_read(c"/proc/self/maps")?;
            let answer = search(file, addr);
            close(file);
            answer
        }
    }
}

/// Writes the path of the file that is mapped at `addr` to `name` and returns its length. `None` if
/// none is, if it does not fit, or before Linux 6.11. Calls: openat, ioctl(PROCMAP_QUERY), close.
pub(crate) fn file_at(addr: usize, name: &mut [u8]) -> Option<usize> {
    let file = open_read(c"/proc/self/maps").ok()?;
    let mut query = ProcmapQuery::new(addr, 0);
    query.name = name.as_mut_ptr().expose_provenance() as u64;
    query.name_len = name.len().min(4096) as u32;
    // SAFETY: (1) the name is a buffer of ours, of the length given.
    let answer = unsafe { query.ask(file) };
    close(file);
    answer.ok()?;
    // The kernel counts the closing zero.
    (query.name_len as usize).checked_sub(1).filter(|&len| len > 0)
}

impl ProcmapQuery {
    fn new(addr: usize, flags: u64) -> Self {
        ProcmapQuery {
            size: size_of::<ProcmapQuery>() as u64,
            flags,
            addr: addr as u64,
            start: 0,
            end: 0,
            rights: 0,
            page_len: 0,
            offset: 0,
            inode: 0,
            device: [0; 2],
            name_len: 0,
            build_id_len: 0,
            name: 0,
            build_id: 0,
        }
    }

    /// Has the kernel fill in the answers.
    ///
    /// # Safety
    /// 1. `name` is 0, or the address of `name_len` bytes that may be written.
    unsafe fn ask(&mut self, file: usize) -> Result<(), Errno> {
        let target = (&raw mut *self).expose_provenance();
        // SAFETY: the kernel fills in the structure of which we say the size, and (1).
        unsafe { syscall(libc::SYS_ioctl, [file, PROCMAP_QUERY, target, 0, 0, 0]) }.map(drop)
    }
}

fn ask(file: usize, addr: usize, name: &mut [u8]) -> Result<(Mapping, Option<Name>), Errno> {
    let mut query = ProcmapQuery::new(addr, COVERING_OR_NEXT);
    if !name.is_empty() {
        query.name = name.as_mut_ptr().expose_provenance() as u64;
        query.name_len = name.len() as u32;
    }
    // SAFETY: (1) the name is a buffer of ours, of the length given, or 0.
    unsafe { query.ask(file) }?;
    let has = |right| query.rights & right != 0;
    let rights = [has(READABLE), has(WRITABLE), has(EXECUTABLE)];
    let range = [query.start as usize, query.end as usize];
    // The kernel counts the closing zero.
    let told = name.get(..(query.name_len as usize).saturating_sub(1)).filter(|t| !t.is_empty());
    Ok((mapping(range, rights, has(SHARED), query.inode != 0), told.map(Name::new)))
}

/// The nearest of ours for what the kernel allows; it has some that we do not offer. It does not
/// know which pages are only reserved: the ones without rights are taken for that.
const fn protection([read, write, execute]: [bool; 3]) -> Option<Protection> {
    match (read, write, execute) {
        (false, false, false) => None,
        (true, false, false) => Some(Protection::Read),
        (_, true, false) => Some(Protection::ReadWrite),
        (false, false, true) => Some(Protection::Execute),
        (true, false, true) => Some(Protection::ExecuteRead),
        (_, true, true) => Some(Protection::ExecuteReadWrite),
    }
}

/// A mapping is an allocation of its own; the kernel remembers nothing larger.
const fn mapping([start, end]: [usize; 2], rights: [bool; 3], shared: bool, file: bool) -> Mapping {
    let kind = match (shared, file) {
        (true, _) => Kind::Mapped,
        (false, true) => Kind::Image,
        (false, false) => Kind::Private,
    };
    Mapping { start, end, allocation_base: start, protection: protection(rights), kind }
}

/// Reads lines `start-end rwxp ...` until one ends behind `addr`.
fn search(file: usize, addr: usize) -> Result<Option<(Mapping, Option<Name>)>, Errno> {
    let mut block = [0u8; 4096];
    let mut line = Line::default();
    loop {
        let count = match read(file, &mut block) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(Errno(libc::EINTR, _)) => continue,
            Err(errno) => return Err(errno),
        };
        for &byte in &block[..count] {
            if let Some(found) = line.push(byte).filter(|(mapping, _)| addr < mapping.end) {
                return Ok(Some(found));
            }
        }
    }
}

/// One line of the list, read byte by byte: `start-end rwxp offset device inode name`.
#[derive(Default)]
struct Line {
    field: usize,
    numbers: [usize; 2],
    rights: [u8; 4],
    rights_len: usize,
    has_inode: bool,
    /// The end of the name, with one byte more than a [`Name`] keeps. In rows, because only short
    /// arrays have a default.
    name: [[u8; 16]; 3],
    name_len: usize,
}

impl Line {
    /// The dash counts as the end of a field, as the blanks do.
    const RIGHTS: usize = 2;
    const INODE: usize = 5;
    const NAME: usize = 6;

    /// Takes one byte; answers when it ends a line.
    fn push(&mut self, byte: u8) -> Option<(Mapping, Option<Name>)> {
        match (byte, self.field) {
            (b'\n', _) => {
                let Line { numbers, rights, has_inode, name, name_len, .. } = core::mem::take(self);
                let [read, write, execute, shared] = rights;
                let rights = [read, write, execute].map(|right| right != b'-');
                let name = (name_len > 0).then(|| Name::new(&name.as_flattened()[..name_len]));
                return Some((mapping(numbers, rights, shared == b's', has_inode), name));
            }
            (b'-', 0) | (b' ', 1..=Self::INODE) => self.field += 1,
            (_, 0 | 1) => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                let number = &mut self.numbers[self.field];
                *number = *number << 4 | digit as usize;
            }
            (_, Self::RIGHTS) if self.rights_len < self.rights.len() => {
                self.rights[self.rights_len] = byte;
                self.rights_len += 1;
            }
            (_, Self::INODE) => self.has_inode |= byte != b'0',
            // Blanks fill the space before the name.
            (b' ', Self::NAME) if self.name_len == 0 => {}
            (_, Self::NAME) => self.push_name(byte),
            _ => {}
        }
        None
    }

    fn push_name(&mut self, byte: u8) {
        let name = self.name.as_flattened_mut();
        if self.name_len == name.len() {
            name.copy_within(1.., 0);
            self.name_len -= 1;
        }
        name[self.name_len] = byte;
        self.name_len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Option<(Mapping, Option<Name>)>;

    /// What is at or above `addr` by the kernel's call and by the list. Other tests of this process
    /// map and unmap between the two looks (below everything, under an emulator): looks again until
    /// nothing did, and gives the last pair if they never agree.
    fn both_answers(addr: usize) -> [Found; 2] {
        let look = || {
            let file = open_read(c"/proc/self/maps").expect("the list is readable");
            let searched = search(file, addr).expect("the list is readable");
            close(file);
            let asked = named_mapping_at_or_above(addr).expect("the list is readable");
            let nameless = mapping_at_or_above(addr).expect("the list is readable");
            (nameless == asked.as_ref().map(|(mapping, _)| *mapping), [asked, searched])
        };
        let agree = |(same, [asked, searched]): &(bool, [Found; 2])| *same && asked == searched;
        let (same, answers) = (0..100).map(|_| look()).find(agree).unwrap_or_else(look);
        assert!(same, "with and without the name: {answers:?}");
        answers
    }

    #[test]
    fn the_kernel_and_the_list_agree() {
        let code = both_answers as fn(usize) -> _ as usize;
        let [asked, searched] = both_answers(code);
        assert_eq!(asked, searched);
        let (found, name) = asked.expect("our code is mapped");
        assert!(name.is_some_and(|name| name.as_str().contains("granule")), "{name:?}");
        assert!((found.start..found.end).contains(&code));
        assert_eq!((found.protection, found.kind), (Some(Protection::ExecuteRead), Kind::Image));

        let stack = (&raw const found).addr();
        let [asked, searched] = both_answers(stack);
        assert_eq!(asked, searched);
        let told = asked.map(|(found, _)| (found.protection, found.kind));
        assert_eq!(told, Some((Some(Protection::ReadWrite), Kind::Private)));

        let [asked, searched] = both_answers(0);
        assert_eq!(asked, searched);
        assert!(
            asked.is_some_and(|(found, _)| found.start > 0),
            "page 0 is free, something is above"
        );
        let [asked, _] = both_answers(usize::MAX);
        assert_eq!(asked, None);
    }
}
