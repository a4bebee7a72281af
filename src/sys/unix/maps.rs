//! Floor 1. What the system has given to the process, ours or not.

#[cfg(target_os = "freebsd")]
mod freebsd;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "freebsd")]
use freebsd as system;
#[cfg(target_os = "macos")]
use macos as system;

use super::super::{Errno, Mapping, Protection};
use crate::ds::name::Name;

/// The mapping that has `addr`, else the next one above; `None` if there is neither. Calls: macOS
/// mach_vm_region; FreeBSD sysctl(KERN_PROC_VMMAP), which lists all mappings, twice, and mmap and
/// munmap for the room it takes.
pub(crate) fn mapping_at_or_above(addr: usize) -> Result<Option<Mapping>, Errno> {
    Ok(system::find(addr)?.map(|found| found.mapping))
}

/// The same, and the path of the file behind it. Calls: macOS also proc_regionfilename.
pub(crate) fn named_mapping_at_or_above(
    addr: usize,
) -> Result<Option<(Mapping, Option<Name>)>, Errno> {
    Ok(system::find(addr)?.map(|found| (found.mapping, system::name(&found))))
}

/// Rights by three numbers that both systems share: 1 read, 2 write, 4 execute. Pages without any
/// are taken for reserved: the kernel does not know which are.
const fn protection(rights: i32) -> Option<Protection> {
    match (rights & 1 != 0, rights & 2 != 0, rights & 4 != 0) {
        (false, false, false) => None,
        (true, false, false) => Some(Protection::Read),
        (_, true, false) => Some(Protection::ReadWrite),
        (false, false, true) => Some(Protection::Execute),
        (true, false, true) => Some(Protection::ExecuteRead),
        (_, true, true) => Some(Protection::ExecuteReadWrite),
    }
}
