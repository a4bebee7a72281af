//! Floor 1. Mappings on macOS, by the Mach call that answers about one address.

use super::super::super::{Errno, Kind, Mapping, inject};
use super::super::call::checked;
use super::protection;
use crate::ds::name::Name;
use crate::error::Call;
use core::ffi::c_int;

/// `struct vm_region_extended_info`.
#[repr(C)]
#[derive(Default)]
struct RegionInfo {
    rights: c_int,
    tag: u32,
    resident: u32,
    shared_now_private: u32,
    swapped_out: u32,
    dirtied: u32,
    references: u32,
    shadow_depth: u16,
    has_pager: u8,
    share_mode: u8,
    reusable: u32,
}

/// `VM_REGION_EXTENDED_INFO`, and the length of its answer in words of 32 bits.
const EXTENDED_INFO: c_int = 13;
const INFO_WORDS: u32 = (size_of::<RegionInfo>() / size_of::<u32>()) as u32;

/// `SM_SHARED`, `SM_TRUESHARED`, `SM_SHARED_ALIASED`.
const SHARED_MODES: [u8; 3] = [4, 5, 7];

const KERN_SUCCESS: c_int = 0;
/// There is no mapping there, nor above.
const KERN_INVALID_ADDRESS: c_int = 1;

unsafe extern "C" {
    static mach_task_self_: u32;

    fn mach_vm_region(
        task: u32,
        address: *mut u64,
        size: *mut u64,
        flavor: c_int,
        info: *mut RegionInfo,
        words: *mut u32,
        object: *mut u32,
    ) -> c_int;
}

pub(super) struct Found {
    pub(super) mapping: Mapping,
}

pub(super) fn find(addr: usize) -> Result<Option<Found>, Errno> {
    inject::step(Call::MachVmRegion, [addr, 0])?;
    let (mut start, mut len) = (addr as u64, 0);
    let mut info = RegionInfo::default();
    let (mut words, mut object) = (INFO_WORDS, 0);
    // SAFETY: the loader has set it before any code of ours ran.
    let task = unsafe { mach_task_self_ };
    // SAFETY: all places are ours, and the answer is as long as said.
    let status = unsafe {
        mach_vm_region(
            task,
            &raw mut start,
            &raw mut len,
            EXTENDED_INFO,
            &raw mut info,
            &raw mut words,
            &raw mut object,
        )
    };
    match status {
        KERN_SUCCESS => {}
        KERN_INVALID_ADDRESS => return Ok(None),
        // Mach has numbers of its own, none of which is told as an `errno`.
        _ => return Err(Errno(libc::EIO, Call::MachVmRegion)),
    }
    let is_shared = SHARED_MODES.contains(&info.share_mode);
    let kind = match (is_shared, info.has_pager != 0) {
        (true, _) => Kind::Mapped,
        (false, true) => Kind::Image,
        (false, false) => Kind::Private,
    };
    let (start, end) = (start as usize, (start + len) as usize);
    let protection = protection(info.rights);
    Ok(Some(Found { mapping: Mapping { start, end, allocation_base: start, protection, kind } }))
}

/// Paths that are longer have no name: only the system knows their end.
const PATH_LEN_MAX: usize = 1024;

pub(super) fn name(found: &Found) -> Option<Name> {
    let start = found.mapping.start;
    let mut path = [0u8; PATH_LEN_MAX];
    let target = path.as_mut_ptr().cast();
    // SAFETY: takes nothing and cannot fail.
    let process = unsafe { libc::getpid() };
    // SAFETY: the buffer is as long as said.
    let ask =
        || unsafe { libc::proc_regionfilename(process, start as u64, target, PATH_LEN_MAX as u32) };
    let len = checked(Call::Other, [start, 0], || usize::try_from(ask()).ok()).ok()?;
    path.get(..len).filter(|path| !path.is_empty()).map(Name::new)
}
