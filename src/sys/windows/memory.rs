//! Floor 1. Locking, filling and advising pages on Windows, tripwires, and memory nodes.
//!
//! What is younger than Windows 7 is looked up when it is first needed, and is
//! ERROR_PROC_NOT_FOUND where it is absent.

use super::super::memory::touch;
use super::super::{Access, Advice, CommitPolicy, Errno, HugePages, Piece, Protection, Stumble};
use super::call::{checked, checked_at};
use super::late::{exclude_from_dumps, include_in_dumps, prefetch_virtual_memory};
use super::pages::{
    ATTEMPTS, address_from, allocate, process, protect, refused, release, reserve, rights,
};
use crate::ds::name::Name;
use crate::error::Call;
use core::ops::Range;
use core::ptr::NonNull;
use windows_sys::Win32::Foundation::{
    ERROR_INVALID_ADDRESS, ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_LOCKED, ERROR_NOT_SUPPORTED,
    ERROR_PROC_NOT_FOUND,
};
use windows_sys::Win32::System::Memory::{
    GetLargePageMinimum, MEM_RESERVE, MEM_RESET_UNDO, PAGE_GUARD, PAGE_NOACCESS,
    VirtualAllocExNuma, VirtualLock, VirtualProtect, VirtualUnlock, WIN32_MEMORY_RANGE_ENTRY,
};
use windows_sys::Win32::System::Threading::{GetCurrentThreadId, GetNumaHighestNodeNumber};

/// A commit is a promise, and is charged at once.
pub(crate) const COMMITS_LAZILY: bool = false;

/// The system keeps what is said of dumps by address: decommit does not end it, nor does release.
pub(crate) const ADVICE_OUTLIVES_PAGES: bool = true;

/// Tells the system how a range will be used. Calls: WerRegisterExcludedMemoryBlock and
/// WerUnregisterExcludedMemoryBlock (Windows 10, version 1703), PrefetchVirtualMemory,
/// VirtualUnlock, which takes pages that are not locked out of the working set. Without a call:
/// there are no huge pages but explicit ones, and no children of forks.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn advise(ptr: NonNull<u8>, len: usize, advice: Advice) -> Result<(), Errno> {
    match advice {
        Advice::Normal | Advice::NoHugePages => Ok(()),
        Advice::Fork | Advice::NoFork | Advice::WipeOnFork => Ok(()),
        Advice::NoDump => exclude(ptr, len),
        Advice::Dump => include(ptr),
        // SAFETY: (1).
        Advice::WillNeed => unsafe { prefetch(ptr, len) },
        // SAFETY: (1).
        Advice::PageOut => unsafe { unlock(ptr, len) },
        Advice::Sequential
        | Advice::Random
        | Advice::Cold
        | Advice::HugePages
        | Advice::Collapse => refused(ERROR_NOT_SUPPORTED),
    }
}

fn exclude(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let function = exclude_from_dumps().ok_or(absent(Call::WerRegisterExcludedMemoryBlock))?;
    // The system takes a length of 32 bits. To leave out a part of the range would be no answer.
    let Ok(len) = u32::try_from(len) else { return refused(ERROR_NOT_SUPPORTED) };
    // SAFETY: notes an address; nothing is read there but by who writes a dump, and he skips it.
    let answer = unsafe { function(ptr.as_ptr().cast(), len) };
    if answer >= 0 { Ok(()) } else { Err(Errno(answer, Call::WerRegisterExcludedMemoryBlock)) }
}

/// A block that was not excluded is included: the system's number for that is no error.
fn include(ptr: NonNull<u8>) -> Result<(), Errno> {
    /// HRESULT of ERROR_NOT_FOUND.
    const NOT_FOUND: i32 = 0x8007_0490_u32 as i32;
    let Some(function) = include_in_dumps() else { return Ok(()) };
    // SAFETY: forgets an address.
    let answer = unsafe { function(ptr.as_ptr().cast()) };
    let done = answer >= 0 || answer == NOT_FOUND;
    if done { Ok(()) } else { Err(Errno(answer, Call::WerUnregisterExcludedMemoryBlock)) }
}

const fn absent(call: Call) -> Errno {
    Errno(ERROR_PROC_NOT_FOUND as i32, call)
}

/// Keeps pages in memory, and brings them there. Call: VirtualLock.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn lock(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    checked(Call::VirtualLock, || {
        // SAFETY: (1); neither content nor rights change.
        let done = unsafe { VirtualLock(ptr.as_ptr().cast(), len) };
        (done != 0).then_some(())
    })
}

/// Lets pages be swapped again; those that were not locked leave the working set. Call:
/// VirtualUnlock.
///
/// # Safety
/// 1. The range lies in one reservation of ours. Its content and its rights stay.
pub(crate) unsafe fn unlock(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let done = checked(Call::VirtualUnlock, || {
        // SAFETY: (1).
        let done = unsafe { VirtualUnlock(ptr.as_ptr().cast(), len) };
        (done != 0).then_some(())
    });
    match done {
        Err(Errno(code, _)) if code == ERROR_NOT_LOCKED as i32 => Ok(()),
        done => done,
    }
}

/// Begins to read what was swapped out. Call: PrefetchVirtualMemory (Windows 8).
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn prefetch(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let call = Call::PrefetchVirtualMemory;
    let function = prefetch_virtual_memory().ok_or(absent(call))?;
    let range =
        WIN32_MEMORY_RANGE_ENTRY { VirtualAddress: ptr.as_ptr().cast(), NumberOfBytes: len };
    let process = process();
    checked(call, || {
        // SAFETY: (1); the system reads one entry, which outlives the call.
        let done = unsafe { function(process, 1, &raw const range, 0) };
        (done != 0).then_some(())
    })
}

/// Brings pages into memory now. No call: they are touched.
///
/// # Safety
/// 1. The range lies in one reservation of ours, is committed with the right to do `access`, and
///    keeps it during the call.
pub(crate) unsafe fn populate(ptr: NonNull<u8>, len: usize, access: Access) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { touch(ptr, len, super::limits().page_len, access) };
    Ok(())
}

/// Takes a discard back. Call: VirtualAlloc(MEM_RESET_UNDO) (Windows 8).
///
/// # Safety
/// 1. The range lies in one reservation of ours and is committed.
pub(crate) unsafe fn undiscard(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    let addr = ptr.as_ptr().expose_provenance();
    // SAFETY: (1). The rights have to be valid ones and are not looked at.
    unsafe { allocate(addr, len, MEM_RESET_UNDO, PAGE_NOACCESS) }.map(drop)
}

/// Committed pages of equal rights raise an exception at the next touch, once: the system takes the
/// tripwire away itself. Call: VirtualProtect(PAGE_GUARD).
///
/// # Safety
/// 1. The range lies in one reservation of ours, and nobody relies on touching it without a fault.
pub(crate) unsafe fn arm(
    ptr: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), Errno> {
    let (addr, rights) = (ptr.as_ptr().cast(), rights(protection) | PAGE_GUARD);
    let mut before = 0;
    checked_at(Call::VirtualProtect, [ptr.addr().get(), len], || {
        // SAFETY: (1); the old rights are written to a variable of ours.
        let done = unsafe { VirtualProtect(addr, len, rights, &raw mut before) };
        (done != 0).then_some(())
    })
}

/// Armed pages have their rights again. Call: VirtualProtect.
///
/// # Safety
/// 1. The range lies in one reservation of ours and had these rights before it was armed.
pub(crate) unsafe fn disarm(
    ptr: NonNull<u8>,
    len: usize,
    protection: Protection,
) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { protect(ptr, len, protection) }
}

/// The system's number of the calling thread. Call: GetCurrentThreadId.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: reads a number of the thread's own block.
    unsafe { GetCurrentThreadId() }
}

/// Windows has no names for memory.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn name(_: NonNull<u8>, _: usize, _: Name) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// There are no guard markers on Windows, so there is no batch of them.
///
/// # Safety
/// 1. Every range lies in one reservation of ours, and nobody uses its content.
pub(crate) unsafe fn guard_many(_: &[Piece]) -> Result<(), Stumble> {
    Err(Stumble { index: 0, errno: Errno(ERROR_NOT_SUPPORTED as i32, Call::None) })
}

/// As [`guard_many`].
///
/// # Safety
/// 1. Every range lies in one reservation of ours.
pub(crate) unsafe fn unguard_many(_: &[Piece]) -> Result<(), Stumble> {
    Err(Stumble { index: 0, errno: Errno(ERROR_NOT_SUPPORTED as i32, Call::None) })
}

/// Windows counts every promise.
pub(crate) fn overcommits_always() -> bool {
    false
}

/// Stacks are reserved whole, so there is no room beside them to keep clear.
pub(crate) fn stack_room() -> Option<Range<usize>> {
    None
}

/// Bytes of a large page; 0 when there are none.
pub(crate) fn huge_page_len() -> usize {
    // SAFETY: asks for a constant of the system.
    unsafe { GetLargePageMinimum() }
}

/// Windows never makes large pages by itself.
pub(crate) fn huge_pages() -> HugePages {
    HugePages::Never
}

/// Large pages cannot be reserved without being committed, and can always be read and written: that
/// is no reservation.
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn reserve_huge(
    _: usize,
    _: usize,
    _: usize,
    _: Option<u16>,
) -> Result<NonNull<u8>, Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// As [`reserve_huge`].
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn decommit_huge(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    refused(ERROR_NOT_SUPPORTED)
}

/// As [`reserve_huge`].
///
/// # Safety
/// 1. None.
pub(crate) unsafe fn huge_len(_: NonNull<u8>, _: usize) -> Result<usize, Errno> {
    Ok(0)
}

/// Free -> Reserved, as `reserve` or, if `addr` is not 0, `reserve_at`, of memory that comes from
/// node `node` while that has some. Calls: GetNumaHighestNodeNumber, VirtualAllocExNuma; for an
/// alignment above the granularity those of `reserve` and VirtualFree, to find an address.
///
/// # Safety
/// 1. As for `reserve` and `reserve_at`.
pub(crate) unsafe fn reserve_near(
    addr: usize,
    len: usize,
    align: usize,
    policy: CommitPolicy,
    node: u16,
) -> Result<NonNull<u8>, Errno> {
    if u32::from(node) > highest_node() {
        return refused(ERROR_NOT_SUPPORTED);
    }
    if addr != 0 || align <= super::limits().granularity {
        // SAFETY: (1).
        return unsafe { allocate_near(addr, len, node) };
    }
    for _ in 0..ATTEMPTS {
        // SAFETY: (1).
        let base = unsafe { reserve(0, len, align, policy) }?;
        // SAFETY: (1) made above, and known to nobody.
        unsafe { release(base, len) }?;
        // SAFETY: (1) a multiple of the alignment; if somebody was faster, this fails.
        match unsafe { allocate_near(base.addr().get(), len, node) } {
            Err(Errno(code, _)) if code == ERROR_INVALID_ADDRESS as i32 => {}
            done => return done,
        }
    }
    refused(ERROR_NOT_ENOUGH_MEMORY)
}

/// # Safety
/// 1. `addr` is 0 or a multiple of the granularity, `len` whole pages and not 0.
unsafe fn allocate_near(addr: usize, len: usize, node: u16) -> Result<NonNull<u8>, Errno> {
    let wanted = address_from(addr);
    let process = process();
    let node = u32::from(node);
    let (how, rights) = (MEM_RESERVE, PAGE_NOACCESS);
    // SAFETY: (1) MEM_RESERVE takes free addresses only.
    let call = || unsafe { VirtualAllocExNuma(process, wanted, len, how, rights, node) };
    let base = checked_at(Call::VirtualAllocExNuma, [addr, len], || NonNull::new(call()))?.cast();
    #[cfg(test)]
    super::refusals::note_alloc(base, len, how);
    Ok(base)
}

fn highest_node() -> u32 {
    let mut highest = 0;
    let asked = checked(Call::Other, || {
        // SAFETY: writes one number.
        let done = unsafe { GetNumaHighestNodeNumber(&raw mut highest) };
        (done != 0).then_some(())
    });
    if asked.is_ok() { highest } else { 0 }
}

/// The node was named when the range was reserved, and decommit does not forget it.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn prefer_node(_: NonNull<u8>, _: usize, _: u16) -> Result<(), Errno> {
    Ok(())
}

/// How many of the pages are memory because they were touched. Windows does not tell: all that are
/// committed.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
#[expect(clippy::unnecessary_wraps, reason = "others have to ask the kernel")]
pub(crate) unsafe fn touched(_: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    Ok(len / super::limits().page_len)
}

/// How many of the pages are memory just now. Windows does not tell: all that are committed.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn resident(ptr: NonNull<u8>, len: usize) -> Result<usize, Errno> {
    // SAFETY: (1).
    unsafe { touched(ptr, len) }
}
