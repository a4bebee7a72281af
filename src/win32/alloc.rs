//! Floor 5, uses floors 0 to 2. `VirtualAlloc`: reserve, commit, reset.

use super::error::{Reason, Win32Error};
use super::flags::{
    MEM_COMMIT, MEM_LARGE_PAGES, MEM_RESERVE, MEM_RESET, MEM_RESET_UNDO, MEM_TOP_DOWN,
    MEM_WRITE_WATCH, Rights,
};
use super::range::{covering, lend, offsets};
use crate::addr::{align_down, align_up};
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use crate::vm::{HugeReport, HugeWish, Reservation};
use core::ffi::c_void;
use core::num::NonZeroU32;
use core::ops::Range;

const CALL: &str = "VirtualAlloc";

const fn refused(reason: Reason) -> Win32Error {
    Win32Error::new(CALL, reason)
}

fn failed(error: Error) -> Win32Error {
    Win32Error::from_vm(CALL, error)
}

/// Reserves addresses, commits pages, or says that their content is not needed any more.
///
/// - `MEM_RESERVE`: Free -> Reserved. `address` null: anywhere; else exactly there, rounded down to
///   64 KiB. `protect` is remembered as `AllocationProtect`.
/// - `MEM_RESERVE | MEM_COMMIT`, or `MEM_COMMIT` with a null address: both steps at once.
/// - `MEM_COMMIT`: Reserved -> Committed, for the pages that have a byte of the range. Pages that
///   are committed already keep their content and get the new rights.
/// - `MEM_RESET`: Committed pages that lie in the range whole read as before or zero from now on,
///   until they are written.
///
/// - `MEM_RESET_UNDO`: the content is needed after all; success means that it is as it was.
///
/// To a reservation may be added `MEM_TOP_DOWN`, the highest free addresses; `MEM_WRITE_WATCH`, for
/// [`GetWriteWatch`](super::GetWriteWatch); with `MEM_COMMIT` also `MEM_LARGE_PAGES`, whose sizes
/// are multiples of [`GetLargePageMinimum`](super::GetLargePageMinimum). With `PAGE_GUARD` in
/// `protect` the first touch of each committed page faults, once; the program's handler calls
/// [`trip`](crate::vm::trip).
///
/// Returns the first byte of the first page that the call concerned.
///
/// Windows: the calls of the [`vm`](crate::vm) floor, whose base is `VirtualAlloc`.
/// Linux: [`reserve`](crate::vm::Builder::reserve), [`commit`](Reservation::commit),
/// [`arm`](Reservation::arm), [`discard`](Reservation::discard) or
/// [`undiscard`](Reservation::undiscard).
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): the size is 0; the range leaves the addresses of programs; a
///   flag is unknown, missing or does not go with the others; private memory cannot have
///   the protection.
/// - `ERROR_INVALID_ADDRESS` (487): the range to reserve is taken, even by one page of its 64 KiB
///   steps; the range to commit is not in one reservation; a page to reset is not committed.
/// - `ERROR_ACCESS_DENIED` (5): the pages were not reserved by this function.
/// - `ERROR_NOT_ENOUGH_MEMORY` (8): no free range of addresses is long enough.
/// - `ERROR_COMMITMENT_LIMIT` (1455): the system will not promise so much memory.
/// - `ERROR_NO_SYSTEM_RESOURCES` (1450): no mapping is left, or no room to remember a reservation.
/// - `ERROR_PRIVILEGE_NOT_HELD` (1314): the process has no large pages to use.
/// - `ERROR_NOT_SUPPORTED` (50): this system cannot do it.
/// - 87 too where the system cannot take a reset back, as on Linux and before Windows 8.
///
/// # Safety
/// 1. Nobody has references into the pages of a call with an address, unless they stay valid: a
///    commit may take their rights away, a reset their content.
///
/// ```
/// use granule::win32::*;
/// use std::ptr::null;
/// // SAFETY: (1) no address is given.
/// let base = unsafe { VirtualAlloc(null(), 100 << 20, MEM_RESERVE, PAGE_NOACCESS)? };
/// let page = base.wrapping_byte_add(4096);
/// // SAFETY: (1) nobody has references into the range.
/// let page = unsafe { VirtualAlloc(page, 4096, MEM_COMMIT, PAGE_READWRITE)? };
/// // SAFETY: the page is committed for writing, and nobody else has it.
/// unsafe { page.cast::<u8>().write(b'A') };
/// // SAFETY: (1) (2) nobody uses the range any more.
/// unsafe { VirtualFree(base, 0, MEM_RELEASE)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "mmap")]
pub unsafe fn VirtualAlloc(
    address: *const c_void,
    size: usize,
    allocation_type: u32,
    protect: u32,
) -> Result<*mut c_void, Win32Error> {
    if size == 0 {
        return Err(refused(Reason::SizeZero));
    }
    let addr = address.addr();
    if addr != 0 && addr < sys::limits().address_min {
        return Err(refused(Reason::OutsideAddresses));
    }
    let kinds = allocation_type & (MEM_RESERVE | MEM_COMMIT | MEM_RESET | MEM_RESET_UNDO);
    let modifiers = allocation_type & !kinds;
    check(kinds, modifiers)?;
    let rights = Rights::from_flags(protect).ok_or(refused(Reason::Protection))?;
    let request = Request { addr, size, modifiers, protect };
    match kinds {
        MEM_RESET => request.reset(Reservation::discard),
        MEM_RESET_UNDO => request.reset(Reservation::undiscard),
        MEM_RESERVE => request.reserve(None),
        MEM_COMMIT if addr != 0 => request.commit(rights),
        _ => request.reserve(Some(rights)),
    }
}

/// Whether the flags go together.
fn check(kinds: u32, modifiers: u32) -> Result<(), Win32Error> {
    let has = |flag| modifiers & flag != 0;
    let lacks = |companions| kinds & companions != companions;
    if modifiers & !(MEM_TOP_DOWN | MEM_WRITE_WATCH | MEM_LARGE_PAGES) != 0
        || has(MEM_WRITE_WATCH) && lacks(MEM_RESERVE)
        || has(MEM_LARGE_PAGES) && lacks(MEM_RESERVE | MEM_COMMIT)
    {
        return Err(refused(Reason::UnknownFlag));
    }
    if kinds == 0 {
        return Err(refused(Reason::NothingAsked));
    }
    let is_reset = kinds & (MEM_RESET | MEM_RESET_UNDO) != 0;
    if is_reset && (!kinds.is_power_of_two() || modifiers != 0) {
        return Err(refused(Reason::ResetNotAlone));
    }
    Ok(())
}

struct Request {
    addr: usize,
    size: usize,
    modifiers: u32,
    protect: u32,
}

impl Request {
    /// Free -> Reserved, and on to Committed if `rights` are given.
    fn reserve(&self, rights: Option<Rights>) -> Result<*mut c_void, Win32Error> {
        let has = |flag| self.modifiers & flag != 0;
        let mut builder = Reservation::builder().hint(self.addr).len(self.size);
        if has(MEM_TOP_DOWN) && self.addr == 0 {
            builder = builder.top_down();
        }
        if has(MEM_WRITE_WATCH) {
            builder = builder.write_watch();
        }
        if has(MEM_LARGE_PAGES) {
            builder = builder.huge_pages(HugeWish::Explicit);
        }
        let reservation = builder.reserve().map_err(failed)?;
        let are_large = |report: HugeReport| report.given == Some(HugeWish::Explicit);
        if has(MEM_LARGE_PAGES) && !reservation.huge_pages().is_ok_and(are_large) {
            return Err(refused(Reason::NoLargePages));
        }
        if let Some(rights) = rights {
            rights.commit(&reservation, 0..reservation.len()).map_err(failed)?;
        }
        let base = reservation.as_ptr();
        // Some right was asked for, so this is not 0. Dropping the reservation releases it.
        let word = NonZeroU32::new(self.protect).ok_or(refused(Reason::Protection))?;
        reservation.leave(word);
        Ok(base.cast())
    }

    /// Reserved or Committed -> Committed.
    fn commit(&self, rights: Rights) -> Result<*mut c_void, Win32Error> {
        let pages = covering(CALL, self.addr, self.size)?;
        lend(CALL, pages.start, Reason::NotReserved, |reservation, _| {
            let range = offsets(reservation, &pages).ok_or(refused(Reason::NotReserved))?;
            let first = range.start;
            rights.commit(reservation, range).map_err(failed)?;
            Ok(reservation.as_ptr().wrapping_add(first).cast())
        })
    }

    /// Committed -> Committed, for the pages that lie in the range whole.
    fn reset(
        &self,
        verb: fn(&Reservation, Range<usize>) -> Result<(), Error>,
    ) -> Result<*mut c_void, Win32Error> {
        let pages = covering(CALL, self.addr, self.size)?;
        lend(CALL, pages.start, Reason::NotReserved, |reservation, _| {
            let around = offsets(reservation, &pages).ok_or(refused(Reason::NotReserved))?;
            let page_len = sys::limits().page_len;
            let end = self.addr + self.size - reservation.base();
            let inside = align_up(self.addr - reservation.base(), page_len).unwrap_or(end)
                ..align_down(end, page_len);
            if !inside.is_empty() {
                verb(reservation, inside).map_err(|error| match (error.op(), error.kind()) {
                    (Op::Undiscard, ErrorKind::Unsupported) => {
                        Win32Error::with_cause(CALL, Reason::CannotUndo, error)
                    }
                    _ => failed(error),
                })?;
            }
            Ok(reservation.as_ptr().wrapping_add(around.start).cast())
        })
    }
}
