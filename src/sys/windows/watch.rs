//! Floor 1. Write watch on Windows, which has had it since Windows 2000.

use super::super::{CommitPolicy, Errno, GuardKind};
use super::call::{checked, checked_at};
use super::info::limits;
use super::pages::{allocate, reserve_anywhere};
use crate::ds::extents::Extents;
use crate::error::{Call, Op};
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use windows_sys::Win32::System::Memory::{
    GetWriteWatch, MEM_RESERVE, PAGE_NOACCESS, ResetWriteWatch,
};

/// With MEM_RESERVE: the system notes writes.
const MEM_WRITE_WATCH: u32 = 0x20_0000;
/// `WRITE_WATCH_FLAG_RESET`: forget the pages that are told.
const RESET: u32 = 1;
/// Pages that one call can answer with, 2 KiB of addresses.
const BATCH: usize = 256;

/// Free -> Reserved, and watched: at `addr`, or if that is 0 anywhere. An error names the step that
/// failed. Calls: those of [`reserve`](super::reserve), with MEM_WRITE_WATCH.
///
/// # Safety
/// 1. As for [`reserve`](super::reserve) and [`reserve_at`](super::reserve_at).
pub(crate) unsafe fn reserve_watched(
    addr: usize,
    len: usize,
    align: usize,
    _: CommitPolicy,
) -> Result<NonNull<u8>, (Op, Errno)> {
    let how = MEM_RESERVE | MEM_WRITE_WATCH;
    let base = if addr == 0 {
        // SAFETY: (1); (2) a watch takes nothing from anybody.
        unsafe { reserve_anywhere(len, align, how) }
    } else {
        // SAFETY: (1) MEM_RESERVE takes free addresses only.
        unsafe { allocate(addr, len, how, PAGE_NOACCESS) }
    };
    base.map_err(|errno| (Op::Reserve, errno))
}

/// The system's watch lasts as long as the reservation, and so do the writes that it has noted,
/// also over a decommit: they are forgotten here. Call: ResetWriteWatch.
///
/// # Safety
/// 1. The range lies in one reservation of ours that is to be watched.
pub(crate) unsafe fn watch_again(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    unsafe { forget_written(ptr, len) }
}

/// Guards are pages without memory, which are not written. No call.
pub(crate) fn can_watch_guards(_: GuardKind) -> bool {
    true
}

/// Adds the pages that were written to `found`, as addresses, and with `take` forgets them.
/// Returns the address where it stopped: the end of the range, or where there was no more room.
/// Call: GetWriteWatch, at least once.
///
/// # Safety
/// 1. The range lies in one reservation of ours.
pub(crate) unsafe fn written(
    ptr: NonNull<u8>,
    len: usize,
    take: bool,
    found: &mut Extents<'_>,
) -> Result<usize, Errno> {
    let page_len = limits().page_len;
    let flags = if take { RESET } else { 0 };
    let start = ptr.addr().get();
    let end = start + len;
    let mut rest = start;
    let mut pages = [null_mut::<c_void>(); BATCH];
    while rest < end && found.room() > 0 {
        // Each page may be a range of its own, and what is not told must not be forgotten.
        let wanted = found.room().min(BATCH);
        let (mut count, mut granularity) = (wanted, 0);
        let base = ptr.as_ptr().with_addr(rest).cast();
        let target = pages.as_mut_ptr();
        // SAFETY: (1); the system fills in at most `count` addresses, and the two numbers.
        let mut call = || unsafe {
            GetWriteWatch(flags, base, end - rest, target, &raw mut count, &raw mut granularity)
        };
        let done =
            checked_at(Call::GetWriteWatch, [rest, end - rest], || (call() == 0).then_some(()));
        match done {
            // What was taken has to be told. The error comes again when one goes on.
            Err(errno) if found.count() == 0 => return Err(errno),
            Err(_) => return Ok(rest),
            Ok(()) => {}
        }
        for page in &pages[..count] {
            let is_told = found.push(page.addr()..page.addr() + page_len);
            debug_assert!(is_told, "no more was asked for than there is room for");
        }
        rest = match pages[..count].last() {
            Some(last) if count == wanted => last.addr() + page_len,
            _ => end,
        };
    }
    Ok(rest)
}

/// Forgets all writes to a range. Call: ResetWriteWatch.
///
/// # Safety
/// 1. The range lies in one reservation of ours that is watched.
pub(crate) unsafe fn forget_written(ptr: NonNull<u8>, len: usize) -> Result<(), Errno> {
    // SAFETY: (1).
    let call = || unsafe { ResetWriteWatch(ptr.as_ptr().cast(), len) };
    checked(Call::ResetWriteWatch, || (call() == 0).then_some(()))
}
