//! Floor 5, pure. The flags, with the names and the values of the Windows headers.
#![forbid(unsafe_code)]

use crate::vm::Protection;

/// Commit pages: they become memory that reads zero.
pub const MEM_COMMIT: u32 = 0x1000;
/// Reserve addresses.
pub const MEM_RESERVE: u32 = 0x2000;
/// Committed pages become reserved again; their content is lost.
pub const MEM_DECOMMIT: u32 = 0x4000;
/// Give a whole reservation back.
pub const MEM_RELEASE: u32 = 0x8000;
/// The state of pages that are nobody's.
pub const MEM_FREE: u32 = 0x1_0000;
/// The type of pages that belong to the process alone.
pub const MEM_PRIVATE: u32 = 0x2_0000;
/// The type of pages of a file or of shared memory.
pub const MEM_MAPPED: u32 = 0x4_0000;
/// The content is not needed any more.
pub const MEM_RESET: u32 = 0x8_0000;
/// Prefer high addresses.
pub const MEM_TOP_DOWN: u32 = 0x10_0000;
/// Note which pages are written.
pub const MEM_WRITE_WATCH: u32 = 0x20_0000;
/// Reserve a window for physical pages.
pub const MEM_PHYSICAL: u32 = 0x40_0000;
/// The type of pages of a program or a library.
pub const MEM_IMAGE: u32 = 0x100_0000;
/// Take a `MEM_RESET` back.
pub const MEM_RESET_UNDO: u32 = 0x100_0000;
/// Use large pages.
pub const MEM_LARGE_PAGES: u32 = 0x2000_0000;

/// No access: every touch faults.
pub const PAGE_NOACCESS: u32 = 0x01;
/// Read.
pub const PAGE_READONLY: u32 = 0x02;
/// Read and write.
pub const PAGE_READWRITE: u32 = 0x04;
/// Read, and write to a copy of one's own. For views of files, never for private memory.
pub const PAGE_WRITECOPY: u32 = 0x08;
/// Execute.
pub const PAGE_EXECUTE: u32 = 0x10;
/// Execute and read.
pub const PAGE_EXECUTE_READ: u32 = 0x20;
/// Execute, read and write.
pub const PAGE_EXECUTE_READWRITE: u32 = 0x40;
/// Execute, read, and write to a copy of one's own.
pub const PAGE_EXECUTE_WRITECOPY: u32 = 0x80;
/// Added to the rights: the first touch faults, once.
pub const PAGE_GUARD: u32 = 0x100;
/// Added to the rights: no processor cache. Accepted, without effect: it is for drivers.
pub const PAGE_NOCACHE: u32 = 0x200;
/// Added to the rights: combine writes. Accepted, without effect: it is for drivers.
pub const PAGE_WRITECOMBINE: u32 = 0x400;

/// What `flProtect` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) protection: Protection,
    /// `PAGE_GUARD`.
    pub(super) tripwire: bool,
}

impl Rights {
    /// `None` for what private memory cannot have: no right or two, a copy on write, modifiers that
    /// exclude each other.
    pub(super) const fn from_flags(protect: u32) -> Option<Self> {
        let modifier = match protect & !0xff {
            0 | PAGE_NOCACHE | PAGE_WRITECOMBINE => false,
            PAGE_GUARD => true,
            _ => return None,
        };
        let protection = match protect & 0xff {
            PAGE_NOACCESS if protect != PAGE_NOACCESS => return None,
            PAGE_NOACCESS => Protection::NoAccess,
            PAGE_READONLY => Protection::Read,
            PAGE_READWRITE => Protection::ReadWrite,
            PAGE_EXECUTE => Protection::Execute,
            PAGE_EXECUTE_READ => Protection::ExecuteRead,
            PAGE_EXECUTE_READWRITE => Protection::ExecuteReadWrite,
            _ => return None,
        };
        Some(Rights { protection, tripwire: modifier })
    }

    /// As `VirtualQuery` tells them.
    pub(super) const fn flags(self) -> u32 {
        let rights = match self.protection {
            Protection::NoAccess => PAGE_NOACCESS,
            Protection::Read => PAGE_READONLY,
            Protection::ReadWrite => PAGE_READWRITE,
            Protection::Execute => PAGE_EXECUTE,
            Protection::ExecuteRead => PAGE_EXECUTE_READ,
            Protection::ExecuteReadWrite => PAGE_EXECUTE_READWRITE,
        };
        if self.tripwire { rights | PAGE_GUARD } else { rights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_that_private_memory_can_have_come_back_as_they_went_in() {
        for protect in [0x01, 0x02, 0x04, 0x10, 0x20, 0x40, 0x102, 0x104, 0x110, 0x120, 0x140] {
            assert_eq!(Rights::from_flags(protect).map(Rights::flags), Some(protect));
        }
        let plain = Rights::from_flags(PAGE_READWRITE | PAGE_NOCACHE).map(Rights::flags);
        assert_eq!(plain, Some(PAGE_READWRITE));
    }

    #[test]
    fn other_rights_are_refused() {
        let wrong = [0, 3, 6, 0x08, 0x80, 0x100, 0x101, 0x201, 0x304, 0x604, 0x804, u32::MAX];
        assert!(wrong.iter().all(|&protect| Rights::from_flags(protect).is_none()));
    }
}
