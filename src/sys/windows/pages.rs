//! Floor 1. Page verbs on Windows.
//!
//! Windows knows the three states itself, promises memory at commit and nowhere else, and does a
//! verb whole or not at all. What is left to do here is alignment beyond the granularity.

use super::super::{CommitPolicy, Errno, GuardKind, Protection};
use super::call::{checked, checked_at};
use super::late::virtual_alloc_2;
use crate::error::{Call, ErrorKind, Op};
use core::ffi::c_void;
use core::ptr::{NonNull, null, null_mut, with_exposed_provenance_mut};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_BAD_FILE_TYPE, ERROR_CALL_NOT_IMPLEMENTED,
    ERROR_COMMITMENT_LIMIT, ERROR_DISK_FULL, ERROR_FILE_NOT_FOUND, ERROR_HANDLE_DISK_FULL,
    ERROR_INVALID_ADDRESS, ERROR_INVALID_FUNCTION, ERROR_INVALID_HANDLE, ERROR_INVALID_PARAMETER,
    ERROR_MAPPED_ALIGNMENT, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOACCESS, ERROR_NOT_ENOUGH_MEMORY,
    ERROR_NOT_ENOUGH_QUOTA, ERROR_NOT_SUPPORTED, ERROR_OUTOFMEMORY, ERROR_PRIVILEGE_NOT_HELD,
    ERROR_PROC_NOT_FOUND, ERROR_SHARING_VIOLATION, ERROR_USER_MAPPED_FILE, ERROR_WORKING_SET_QUOTA,
    HANDLE,
};
use windows_sys::Win32::System::Memory::{
    MEM_ADDRESS_REQUIREMENTS, MEM_COMMIT, MEM_DECOMMIT, MEM_EXTENDED_PARAMETER,
    MEM_EXTENDED_PARAMETER_0, MEM_EXTENDED_PARAMETER_1, MEM_RELEASE, MEM_RESERVE, MEM_RESET,
    MemExtendedParameterAddressRequirements, PAGE_EXECUTE, PAGE_EXECUTE_READ,
    PAGE_EXECUTE_READWRITE, PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE, VirtualAlloc,
    VirtualFree, VirtualProtect,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// A reservation is released whole.
pub(crate) const RELEASES_PARTS: bool = false;

/// How often an aligned address may be lost to another thread before we give up.
pub(super) const ATTEMPTS: usize = 64;

pub(super) const fn rights(protection: Protection) -> u32 {
    match protection {
        Protection::NoAccess => PAGE_NOACCESS,
        Protection::Read => PAGE_READONLY,
        Protection::ReadWrite => PAGE_READWRITE,
        Protection::Execute => PAGE_EXECUTE,
        Protection::ExecuteRead => PAGE_EXECUTE_READ,
        Protection::ExecuteReadWrite => PAGE_EXECUTE_READWRITE,
    }
}

/// What an error number of a page verb means.
pub(crate) fn error_kind(errno: Errno) -> ErrorKind {
    match errno.0 as u32 {
        ERROR_NOT_ENOUGH_MEMORY
        | ERROR_OUTOFMEMORY
        | ERROR_COMMITMENT_LIMIT
        | ERROR_NO_SYSTEM_RESOURCES
        | ERROR_NOT_ENOUGH_QUOTA => ErrorKind::NoMemory,
        ERROR_ACCESS_DENIED | ERROR_PRIVILEGE_NOT_HELD | ERROR_WORKING_SET_QUOTA => {
            ErrorKind::Denied
        }
        ERROR_NOT_SUPPORTED
        | ERROR_CALL_NOT_IMPLEMENTED
        | ERROR_INVALID_FUNCTION
        | ERROR_PROC_NOT_FOUND => ErrorKind::Unsupported,
        ERROR_MAPPED_ALIGNMENT => ErrorKind::Misaligned,
        ERROR_INVALID_ADDRESS | ERROR_INVALID_PARAMETER | ERROR_NOACCESS => ErrorKind::BadState,
        _ => ErrorKind::Other,
    }
}

/// What an error number of `op` means: an address that is refused is taken when we reserve, and in
/// the wrong state when it is ours.
pub(crate) fn explain(op: Op, errno: Errno) -> ErrorKind {
    match (op, errno.0 as u32) {
        (Op::Reserve, ERROR_INVALID_ADDRESS) => ErrorKind::AddressTaken,
        (Op::Reserve, ERROR_INVALID_PARAMETER) => ErrorKind::OutOfRange,
        (Op::Reserve, ERROR_NOT_ENOUGH_MEMORY) => ErrorKind::NoAddressSpace,
        (Op::Map, ERROR_NOT_ENOUGH_MEMORY) => ErrorKind::NoAddressSpace,
        (Op::Map | Op::Hold, ERROR_SHARING_VIOLATION) => ErrorKind::InUse,
        (Op::Hold, ERROR_NOT_SUPPORTED) => ErrorKind::Unsupported,
        (Op::Map | Op::Resize, ERROR_INVALID_ADDRESS) => ErrorKind::AddressTaken,
        (Op::Map, ERROR_BAD_FILE_TYPE) => ErrorKind::Unsupported,
        (Op::Resize, ERROR_USER_MAPPED_FILE) => ErrorKind::BadState,
        (Op::Map | Op::Flush | Op::Resize, ERROR_DISK_FULL | ERROR_HANDLE_DISK_FULL) => {
            ErrorKind::DiskFull
        }
        (Op::Share, ERROR_FILE_NOT_FOUND) => ErrorKind::NotFound,
        // The second: an object of another kind has the name.
        (Op::Share, ERROR_ALREADY_EXISTS | ERROR_INVALID_HANDLE) => ErrorKind::AlreadyExists,
        // A Windows that does not know MEM_RESET_UNDO.
        (Op::Undiscard, ERROR_INVALID_PARAMETER) => ErrorKind::Unsupported,
        // Wine's word for memory that Linux refuses. Windows never denies pages of our own.
        (Op::Commit | Op::Unguard, ERROR_ACCESS_DENIED) => ErrorKind::NoMemory,
        _ => error_kind(errno),
    }
}

/// What is refused here, without asking the system.
pub(super) fn refused<T>(code: u32) -> Result<T, Errno> {
    Err(Errno(code as i32, Call::None))
}

/// The system is the allocator here: this is where the provenance of all our memory begins.
pub(super) fn address_from(addr: usize) -> *mut c_void {
    with_exposed_provenance_mut(addr)
}

/// This process, as a handle that needs no closing.
pub(super) fn process() -> HANDLE {
    // SAFETY: answers a constant.
    unsafe { GetCurrentProcess() }
}

/// # Safety
/// 1. The range is free (`MEM_RESERVE`), or ours, and what `how` does to it is the caller's to do.
pub(super) unsafe fn allocate(
    addr: usize,
    len: usize,
    how: u32,
    rights: u32,
) -> Result<NonNull<u8>, Errno> {
    let wanted = address_from(addr);
    // SAFETY: (1).
    let call = || NonNull::new(unsafe { VirtualAlloc(wanted, len, how, rights) });
    let base = checked_at(Call::VirtualAlloc, [addr, len], call)?.cast();
    #[cfg(test)]
    super::refusals::note_alloc(base, len, how);
    Ok(base)
}

/// # Safety
/// 1. The range is ours, and nobody uses what it loses.
pub(super) unsafe fn free(ptr: NonNull<u8>, len: usize, how: u32) -> Result<(), Errno> {
    // SAFETY: (1).
    let call = || (unsafe { VirtualFree(ptr.as_ptr().cast(), len, how) } != 0).then_some(());
    checked_at(Call::VirtualFree, [ptr.addr().get(), len], call)?;
    #[cfg(test)]
    super::refusals::note_free(ptr, len, how);
    Ok(())
}

/// Free -> Reserved: `len` bytes whose base is a multiple of `align`, at `hint` if that is not 0
/// and free, else where the system likes. Windows commits nothing before it is asked to, whatever
/// the policy. Calls: VirtualAlloc; above the granularity VirtualAlloc2, and where there is none
/// VirtualAlloc and VirtualFree until an aligned address is ours.
///
/// # Safety
/// 1. `len` and `align` are not zero, multiples of the page, and `align` is a power of two.
pub(crate) unsafe fn reserve(
    hint: usize,
    len: usize,
    align: usize,
    policy: CommitPolicy,
) -> Result<NonNull<u8>, Errno> {
    if hint != 0 && hint.is_multiple_of(align) {
        // SAFETY: (1); the hint is a multiple of the alignment and so of the page.
        match unsafe { reserve_at(hint, len, policy) } {
            // Taken: anywhere else will do.
            Err(Errno(code, _)) if code == ERROR_INVALID_ADDRESS as i32 => {}
            other => return other,
        }
    }
    // SAFETY: (1).
    unsafe { reserve_anywhere(len, align, MEM_RESERVE) }
}

/// The same without a hint, and in any way that reserves.
///
/// # Safety
/// 1. As for [`reserve`].
/// 2. `how` is MEM_RESERVE, perhaps with more that takes nothing from anybody.
pub(super) unsafe fn reserve_anywhere(
    len: usize,
    align: usize,
    how: u32,
) -> Result<NonNull<u8>, Errno> {
    if align <= super::limits().granularity {
        // SAFETY: (1) the system picks free addresses.
        return unsafe { allocate(0, len, how, PAGE_NOACCESS) };
    }
    // SAFETY: (1) and (2).
    match unsafe { reserve_aligned(len, align, how) } {
        Err(Errno(code, _)) if is_missing(code as u32) => {
            // SAFETY: (1) and (2).
            unsafe { reserve_by_trial(len, align, how) }
        }
        other => other,
    }
}

/// A Windows that has no `VirtualAlloc2`, or one that does not take this request, says so.
pub(super) const fn is_missing(code: u32) -> bool {
    matches!(
        code,
        ERROR_PROC_NOT_FOUND
            | ERROR_INVALID_PARAMETER
            | ERROR_NOT_SUPPORTED
            | ERROR_CALL_NOT_IMPLEMENTED
    )
}

/// Call: VirtualAlloc2 with an alignment.
///
/// # Safety
/// 1. As for [`reserve_anywhere`], both.
unsafe fn reserve_aligned(len: usize, align: usize, how: u32) -> Result<NonNull<u8>, Errno> {
    let Some(virtual_alloc_2) = virtual_alloc_2() else { return refused(ERROR_PROC_NOT_FOUND) };
    let mut requirements = MEM_ADDRESS_REQUIREMENTS {
        LowestStartingAddress: null_mut(),
        HighestEndingAddress: null_mut(),
        Alignment: align,
    };
    let mut parameter = MEM_EXTENDED_PARAMETER {
        Anonymous1: MEM_EXTENDED_PARAMETER_0 {
            _bitfield: MemExtendedParameterAddressRequirements as u64,
        },
        Anonymous2: MEM_EXTENDED_PARAMETER_1 { Pointer: (&raw mut requirements).cast() },
    };
    let process = process();
    let parameter = &raw mut parameter;
    // SAFETY: (1) the system picks free addresses; parameter and requirements outlive the call.
    let call =
        || unsafe { virtual_alloc_2(process, null(), len, how, PAGE_NOACCESS, parameter, 1) };
    let base = checked(Call::VirtualAlloc2, || NonNull::new(call()))?.cast();
    #[cfg(test)]
    super::refusals::note_alloc(base, len, how);
    Ok(base)
}

/// The way before `VirtualAlloc2`: Windows cannot trim a reservation, so a longer one is made to
/// find an aligned address, given back, and made again in the right place, before somebody else
/// takes it. Calls: VirtualAlloc, VirtualFree, each at least once.
///
/// # Safety
/// 1. As for [`reserve_anywhere`], both.
unsafe fn reserve_by_trial(len: usize, align: usize, how: u32) -> Result<NonNull<u8>, Errno> {
    let granularity = super::limits().granularity;
    let Some(padded) = len.checked_add(align - granularity) else {
        return refused(ERROR_NOT_ENOUGH_MEMORY);
    };
    for _ in 0..ATTEMPTS {
        // SAFETY: (1) the system picks free addresses.
        let longer = unsafe { allocate(0, padded, how, PAGE_NOACCESS) }?;
        let base = longer.addr().get().next_multiple_of(align);
        // SAFETY: (1) made above, and known to nobody.
        unsafe { free(longer, 0, MEM_RELEASE) }?;
        // SAFETY: (1) a multiple of the alignment; if somebody was faster, this fails.
        match unsafe { allocate(base, len, how, PAGE_NOACCESS) } {
            Err(Errno(code, _)) if code == ERROR_INVALID_ADDRESS as i32 => {}
            other => return other,
        }
    }
    Err(Errno(ERROR_NOT_ENOUGH_MEMORY as i32, Call::VirtualAlloc))
}

/// Free -> Reserved: exactly `addr..addr + len`, or ERROR_INVALID_ADDRESS if any page of it is
/// taken, or lies in the same granule as somebody's. Call: VirtualAlloc.
///
/// # Safety
/// 1. `addr` and `len` are not zero and multiples of the page, `addr` also of the granularity.
pub(crate) unsafe fn reserve_at(
    addr: usize,
    len: usize,
    _: CommitPolicy,
) -> Result<NonNull<u8>, Errno> {
    // SAFETY: (1) MEM_RESERVE takes free addresses only.
    unsafe { allocate(addr, len, MEM_RESERVE, PAGE_NOACCESS) }
}

/// Reserved -> Committed; pages that were already committed keep their content and get the new
/// rights. Call: VirtualAlloc(MEM_COMMIT).
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn commit(
    ptr: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1); content stays.
    unsafe { allocate(addr, len, MEM_COMMIT, rights(protection)) }.map(drop)
}

/// Committed -> Reserved: the memory and the system's charge go back. Call:
/// VirtualFree(MEM_DECOMMIT).
///
/// # Safety
/// 1. The range lies in one reservation of ours and nobody uses its content.
pub(crate) unsafe fn decommit(ptr: NonNull<u8>, len: usize, _: CommitPolicy) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { free(ptr, len, MEM_DECOMMIT) }
}

/// Committed pages lose content and memory, stay committed, and read zero. Where the second step
/// is refused they are Reserved. Calls: VirtualFree(MEM_DECOMMIT), VirtualAlloc(MEM_COMMIT).
///
/// # Safety
/// 1. The range lies in one reservation of ours, is committed to be read and written, without
///    guards, and nobody uses its content.
pub(crate) unsafe fn empty(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { decommit(ptr, len, CommitPolicy::Lazy) }?;
    // SAFETY: (1) the pages of a moment ago.
    unsafe { commit(ptr, len, Protection::ReadWrite) }
}

/// Any state -> Free. Call: VirtualFree(MEM_RELEASE).
///
/// # Safety
/// 1. The range is one whole reservation of ours and nobody uses it any more.
pub(crate) unsafe fn release(ptr: NonNull<u8>, _: usize) -> Result<(), Errno> {
    // SAFETY: (1); the system knows the length, and refuses to be told.
    unsafe { free(ptr, 0, MEM_RELEASE) }
}

/// New rights for committed pages. Call: VirtualProtect.
///
/// # Safety
/// 1. The range lies in one reservation of ours, and nobody relies on rights that it loses.
pub(crate) unsafe fn protect(
    ptr: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), Errno> {
    let mut before = 0;
    let (addr, rights) = (ptr.as_ptr().cast(), rights(protection));
    // SAFETY: (1); the old rights are written to a variable of ours.
    let mut call = || unsafe { VirtualProtect(addr, len, rights, &raw mut before) };
    checked(Call::VirtualProtect, || (call() != 0).then_some(()))
}

/// The content may be lost at any time until the next write; the access stays. Call:
/// VirtualAlloc(MEM_RESET).
///
/// # Safety
/// 1. The range lies in one reservation of ours and nobody needs its content.
pub(crate) unsafe fn discard(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1). The rights have to be valid ones and are not looked at.
    unsafe { allocate(addr, len, MEM_RESET, PAGE_NOACCESS) }.map(drop)
}

/// Makes committed pages fault, whoever touches them; their memory goes back. Calls: the ones of
/// [`decommit`]; `Marker` is ERROR_NOT_SUPPORTED.
///
/// # Safety
/// 1. As for [`decommit`].
pub(crate) unsafe fn guard(
    ptr: NonNull<u8>,
    len: usize,
    kind: GuardKind,
    policy: CommitPolicy,
) -> Result<(), Errno> {
    match kind {
        GuardKind::Marker => refused(ERROR_NOT_SUPPORTED),
        // SAFETY: (1).
        GuardKind::Split => unsafe { decommit(ptr, len, policy) },
    }
}

/// Takes guards away: the pages are committed again and read zero. Calls: the ones of [`commit`];
/// `Marker` is ERROR_NOT_SUPPORTED.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn unguard(
    ptr: NonNull<u8>,
    len: usize,
    kind: GuardKind,
    protection: Protection,
) -> Result<(), Errno> {
    match kind {
        GuardKind::Marker => refused(ERROR_NOT_SUPPORTED),
        // SAFETY: (1).
        GuardKind::Split => unsafe { commit(ptr, len, protection) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Both ways to an aligned address, whichever of them this system would take.
    #[test]
    fn alignment_is_kept_with_and_without_virtual_alloc_2() {
        type Way = unsafe fn(usize, usize, u32) -> Result<NonNull<u8>, Errno>;
        for (index, way) in [reserve_aligned as Way, reserve_by_trial].into_iter().enumerate() {
            if index == 0 && virtual_alloc_2().is_none() {
                std::println!("skipped: this Windows has no VirtualAlloc2");
                continue;
            }
            for shift in [17, 21, 30, 35] {
                // SAFETY: (1) a whole number of pages, a power of two.
                let base = unsafe { way(3 * MIB, 1 << shift, MEM_RESERVE) }.expect("addresses");
                assert!(base.addr().get().is_multiple_of(1 << shift), "way {index}, 2^{shift}");
                let found = super::super::mapping_at_or_above(base.addr().get());
                let found = found.expect("the system answers").expect("a reservation");
                assert_eq!((found.start, found.end - found.start), (base.addr().get(), 3 * MIB));
                assert_eq!((found.allocation_base, found.protection), (found.start, None));
                // SAFETY: (1) made above.
                unsafe { release(base, 3 * MIB) }.expect("it is ours");
            }
        }
    }

    #[test]
    fn an_aligned_reservation_that_cannot_be_says_so() {
        // SAFETY: (1) whole pages, a power of two.
        let done = unsafe { reserve_by_trial(usize::MAX - 4095, 1 << 21, MEM_RESERVE) };
        assert_eq!(done, refused(ERROR_NOT_ENOUGH_MEMORY));
    }
}
