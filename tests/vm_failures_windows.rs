//! System calls that fail on Windows: every verb says so with the right kind, names the number of
//! the system, and changes nothing. What fails on Linux is in `vm_failures.rs`.
#![cfg(windows)]

mod vm_support;

use granule::vm::{self, GuardKind, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use vm_support::{byte_at, kernel_reads, put, region_at, state_at};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_COMMITMENT_LIMIT, ERROR_INVALID_ADDRESS, ERROR_NOT_ENOUGH_MEMORY,
};

const MIB: usize = 1 << 20;
const TIB: usize = 1 << 40;

/// What the system refused: the verb, why, and its number.
fn refusal<T>(done: Result<T, Error>) -> (Op, ErrorKind, u32) {
    let error = done.err().expect("the system must refuse this");
    (error.op(), error.kind(), error.code() as u32)
}

/// A reservation without a table: nothing but the system refuses a verb of it.
fn unwatched(len: usize) -> Reservation {
    Reservation::builder().len(len).untracked().reserve().expect("addresses")
}

#[test]
fn a_commit_beyond_the_limit_fails_at_the_call_and_changes_nothing() {
    let range = unwatched(TIB);
    range.commit(0..MIB, Protection::ReadWrite).expect("a megabyte");
    put_untracked(&range, 0, 7);
    let (op, kind, code) = refusal(range.commit(0..TIB, Protection::ReadWrite));
    assert_eq!((op, kind), (Op::Commit, ErrorKind::NoMemory));
    // The last one is Wine's.
    let known = [ERROR_COMMITMENT_LIMIT, ERROR_NOT_ENOUGH_MEMORY, ERROR_ACCESS_DENIED];
    assert!(known.contains(&code), "{code}");
    assert!(kernel_reads(range.base()) && !kernel_reads(range.base() + MIB));
    let found = vm::query(range.base() + MIB).expect("an address of ours");
    assert_eq!(found.state, State::Reserved);
}

fn put_untracked(range: &Reservation, offset: usize, value: u8) {
    // SAFETY: the offset lies inside the reservation.
    let byte = unsafe { range.as_ptr().add(offset) };
    // SAFETY: the page is committed for writing, says the test, and nobody else works on it.
    unsafe { byte.write_volatile(value) };
}

#[test]
fn taken_addresses_are_named_so() {
    let builder = Reservation::builder().hint(0x5a00_0000).len(MIB);
    let first = builder.reserve().expect("free addresses");
    let taken = (Op::Reserve, ErrorKind::AddressTaken, ERROR_INVALID_ADDRESS);
    assert_eq!(refusal(builder.reserve()), taken);
    assert_eq!(refusal(builder.hint(0x5a00_0000 - MIB).len(2 * MIB).reserve()), taken);
    // The rest of a granule belongs to whoever has its first page.
    first.release().expect("it is ours");
    let page = builder.len(1).reserve().expect("free again");
    assert_eq!(refusal(builder.hint(0x5a00_0000 + 4096).len(1).reserve()), taken);
    drop(page);
}

#[test]
fn verbs_on_pages_that_are_only_reserved_are_refused_by_the_system() {
    let range = unwatched(MIB);
    let (op, kind, code) = refusal(range.protect(0..MIB, Protection::Read));
    assert_eq!((op, kind, code), (Op::Protect, ErrorKind::BadState, ERROR_INVALID_ADDRESS));
    range.commit(0..4096, Protection::ReadWrite).expect("a page");
    put_untracked(&range, 0, 9);
    // One page in the wrong state refuses the whole range.
    let (op, kind, _) = refusal(range.protect(0..8192, Protection::NoAccess));
    assert_eq!((op, kind), (Op::Protect, ErrorKind::BadState));
    assert!(kernel_reads(range.base()));
}

/// The system refuses a verb that reaches from one of its reservations into the next.
#[test]
fn neighbours_are_not_grown_together() {
    let builder = Reservation::builder().len(MIB);
    let first = builder.hint(0x5c00_0000).reserve().expect("free addresses");
    let second = builder.hint(0x5c00_0000 + MIB).reserve().expect("free addresses");
    first.commit(0..MIB, Protection::ReadWrite).expect("a megabyte");
    second.commit(0..MIB, Protection::ReadWrite).expect("a megabyte");
    let told = vm::query(0x5c00_0000).expect("an address of ours");
    assert_eq!(told.len, MIB, "the neighbour is an allocation of its own");
    first.release().expect("whole");
    assert_eq!(state_at(&second, 0), State::Committed);
    put(&second, 0, 1);
    assert_eq!(byte_at(&second, 0), 1);
}

#[test]
fn markers_are_not_to_be_had() {
    let builder = Reservation::builder().len(MIB).guard_kind(GuardKind::Marker);
    let Ok(range) = builder.reserve() else { return };
    range.commit(0..MIB, Protection::ReadWrite).expect("a megabyte");
    let error = range.guard(0..4096).expect_err("no markers on Windows");
    assert_eq!((error.op(), error.kind()), (Op::Guard, ErrorKind::Unsupported));
    assert_eq!(region_at(&range, 0).len, MIB, "nothing has changed");
    put(&range, 0, 1);
}
