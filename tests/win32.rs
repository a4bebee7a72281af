//! `granule::win32` where it is no copy of Windows: what it leaves to others, and what it says. The
//! answers that are those of Windows are in `windows_semantics`.

use granule::vm::{Protection, Reservation};
use granule::win32::*;
use granule::{ErrorKind, Op};
use std::error::Error;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

/// The codes that the family gives for a range that is somebody else's.
fn refusals(address: *mut c_void) -> Vec<Option<u32>> {
    let mut old = 0;
    // SAFETY: (1) these are refused, which is the point.
    let alloc = unsafe { VirtualAlloc(address, 1, MEM_COMMIT, PAGE_READWRITE) };
    // SAFETY: (1) as above.
    let reset = unsafe { VirtualAlloc(address, 1, MEM_RESET, PAGE_READWRITE) };
    // SAFETY: (1) (2) as above.
    let release = unsafe { VirtualFree(address, 0, MEM_RELEASE) };
    // SAFETY: (1) (2) as above.
    let decommit = unsafe { VirtualFree(address, 1, MEM_DECOMMIT) };
    // SAFETY: (1) as above.
    let protect = unsafe { VirtualProtect(address, 1, PAGE_NOACCESS, Some(&mut old)) };
    let lock = VirtualLock(address, 1);
    let unlock = VirtualUnlock(address, 1);
    let written = GetWriteWatch(0, address, 1, &mut [null_mut()]).map(drop);
    let forget = ResetWriteWatch(address, 1);
    let answers = [
        alloc.map(drop),
        reset.map(drop),
        release,
        decommit,
        protect,
        lock,
        unlock,
        written,
        forget,
    ];
    answers.into_iter().map(|answer| answer.err().map(|error| error.code())).collect()
}

#[test]
fn what_is_not_of_virtual_alloc_is_left_alone() -> Result<(), granule::Error> {
    let mut local = 7;
    let stack = (&raw mut local).cast();
    let code = refusals as *const () as *mut c_void;
    let reservation = Reservation::reserve(1 << 16)?;
    reservation.commit(0..4096, Protection::ReadWrite)?;
    for place in [stack, code, reservation.as_ptr().cast()] {
        assert!(refusals(place).iter().all(|&code| code == Some(ERROR_ACCESS_DENIED)), "{place:?}");
    }
    // SAFETY: a local variable of ours.
    assert_eq!(unsafe { stack.cast::<i32>().read_volatile() }, 7);
    Ok(())
}

#[test]
fn a_reservation_is_told_about_like_any_other_memory() -> Result<(), Box<dyn Error>> {
    let reservation = Reservation::reserve(1 << 16)?;
    let page = granule::vm::info().page_len;
    reservation.commit(page..2 * page, Protection::Read)?;
    let mut found = MEMORY_BASIC_INFORMATION::default();
    let base: *mut c_void = reservation.as_ptr().cast();
    let len = size_of::<MEMORY_BASIC_INFORMATION>();
    assert_eq!(VirtualQuery(base.wrapping_byte_add(page + 5), &mut found, len), Ok(len));
    assert_eq!((found.BaseAddress, found.AllocationBase), (base.wrapping_byte_add(page), base));
    assert_eq!((found.RegionSize, found.State, found.Type), (page, MEM_COMMIT, MEM_PRIVATE));
    assert_eq!((found.Protect, found.AllocationProtect), (PAGE_READONLY, PAGE_READONLY));
    reservation.guard(page..2 * page)?;
    VirtualQuery(base.wrapping_byte_add(page), &mut found, len)?;
    assert_eq!((found.State, found.Protect), (MEM_COMMIT, PAGE_NOACCESS));
    Ok(())
}

#[test]
fn an_error_says_number_name_reason_next_step_and_cause() {
    // SAFETY: (1) no address is given.
    let error = unsafe { VirtualAlloc(null(), 0, MEM_RESERVE, PAGE_NOACCESS) }.unwrap_err();
    assert_eq!((error.code(), error.name(), error.cause()), (87, "ERROR_INVALID_PARAMETER", None));
    let words =
        "VirtualAlloc: ERROR_INVALID_PARAMETER (87): the size is 0; give the number of bytes";
    assert_eq!(error.to_string(), words);
    assert!(error.source().is_none());

    // SAFETY: (1) no address is given.
    let error = unsafe { VirtualAlloc(null(), usize::MAX, MEM_RESERVE, PAGE_NOACCESS) };
    let error = error.unwrap_err();
    let cause = error.cause().expect("the vm floor has refused it");
    assert_eq!((cause.op(), cause.kind()), (Op::Reserve, ErrorKind::OutOfRange));
    assert!(error.source().is_some_and(|source| source.to_string() == cause.to_string()));
}

#[test]
fn a_reset_keeps_what_shares_a_page_with_it() -> Result<(), Win32Error> {
    let page = granule::vm::info().page_len;
    // SAFETY: (1) no address is given.
    let base = unsafe { VirtualAlloc(null(), 4 * page, MEM_COMMIT, PAGE_READWRITE)? };
    let bytes = base.cast::<u8>();
    for offset in [0, 3 * page - 1] {
        // SAFETY: the offset lies in the range.
        let byte = unsafe { bytes.add(offset) };
        // SAFETY: the page is committed for writing, and nobody else has it.
        unsafe { byte.write_volatile(b'A') };
    }
    // From the second byte of page 0 to the last but one of page 2: page 1 alone is whole.
    // SAFETY: (1) nobody has references into the range.
    let start =
        unsafe { VirtualAlloc(base.wrapping_byte_add(1), 3 * page - 2, MEM_RESET, PAGE_NOACCESS)? };
    assert_eq!(start, base);
    // SAFETY: the page is committed, and nobody else has it.
    assert_eq!(unsafe { bytes.read_volatile() }, b'A');
    // SAFETY: the offset lies in the range.
    let last = unsafe { bytes.add(3 * page - 1) };
    // SAFETY: the page is committed, and nobody else has it.
    assert_eq!(unsafe { last.read_volatile() }, b'A');
    // Not one whole page: nothing happens.
    // SAFETY: (1) nobody has references into the range.
    unsafe { VirtualAlloc(base.wrapping_byte_add(1), 2, MEM_RESET, PAGE_NOACCESS)? };
    // SAFETY: (1) (2) nobody uses the range any more.
    unsafe { VirtualFree(base, 0, MEM_RELEASE) }
}
