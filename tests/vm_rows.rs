//! The rows of Windows' semantics that speak of commit, decommit and protect, on our own verbs:
//! whole pages, pages that are partly in another state already, and every kind of rights.

mod vm_support;

use granule::vm::{self, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use std::ops::Range;
use vm_support::{byte_at, in_own_process, kernel_reads, put, region_at, state_at};

const RIGHTS: [Protection; 6] = [
    Protection::NoAccess,
    Protection::Read,
    Protection::ReadWrite,
    Protection::Execute,
    Protection::ExecuteRead,
    Protection::ExecuteReadWrite,
];

fn page_len() -> usize {
    vm::info().page_len
}

fn pages(range: Range<usize>) -> Range<usize> {
    range.start * page_len()..range.end * page_len()
}

fn reserved(count: usize) -> Reservation {
    Reservation::reserve(pages(0..count).end).expect("a small reservation")
}

/// State, rights and length of the run at each of the first pages.
fn told(reservation: &Reservation, count: usize) -> Vec<(State, Option<Protection>, usize)> {
    let at = |page: usize| {
        let region = region_at(reservation, page * page_len());
        assert_eq!(region.allocation_base, reservation.base());
        (region.state, region.protection, region.len / page_len())
    };
    (0..count).map(at).collect()
}

#[test]
fn a_committed_page_splits_what_query_tells() -> Result<(), Error> {
    let reservation = reserved(4);
    reservation.commit(pages(1..2), Protection::ReadWrite)?;
    let expected = [
        (State::Reserved, None, 1),
        (State::Committed, Some(Protection::ReadWrite), 1),
        (State::Reserved, None, 2),
        (State::Reserved, None, 1),
    ];
    assert_eq!(told(&reservation, 4), expected);
    assert_eq!(region_at(&reservation, page_len() + 5).base, reservation.base() + page_len());
    Ok(())
}

#[test]
fn commit_over_committed_keeps_data_and_gives_the_new_rights() -> Result<(), Error> {
    let reservation = reserved(4);
    reservation.commit(pages(1..2), Protection::ReadWrite)?;
    put(&reservation, page_len(), 7);
    reservation.commit(pages(1..2), Protection::Read)?;
    assert_eq!(byte_at(&reservation, page_len()), 7);
    // Some of the pages are committed, some are not.
    reservation.commit(pages(0..4), Protection::ReadWrite)?;
    assert_eq!(told(&reservation, 1), [(State::Committed, Some(Protection::ReadWrite), 4)]);
    assert_eq!((byte_at(&reservation, page_len()), byte_at(&reservation, 0)), (7, 0));
    Ok(())
}

#[test]
fn two_bytes_across_a_border_are_two_pages() -> Result<(), Error> {
    let reservation = reserved(4);
    let border = page_len() - 1..page_len() + 1;
    reservation.commit(border.clone(), Protection::ReadWrite)?;
    assert_eq!(told(&reservation, 1), [(State::Committed, Some(Protection::ReadWrite), 2)]);
    reservation.protect(border.clone(), Protection::Read)?;
    assert_eq!(told(&reservation, 1), [(State::Committed, Some(Protection::Read), 2)]);
    reservation.decommit(border)?;
    assert_eq!(told(&reservation, 1), [(State::Reserved, None, 4)]);
    Ok(())
}

#[test]
fn commit_or_decommit_beyond_the_end_changes_nothing() -> Result<(), Error> {
    let reservation = reserved(4);
    reservation.commit(pages(3..4), Protection::ReadWrite)?;
    put(&reservation, pages(3..4).start, 3);
    for (op, done) in [
        (Op::Commit, reservation.commit(pages(2..5), Protection::Read)),
        (Op::Decommit, reservation.decommit(pages(2..5))),
        (Op::Decommit, reservation.decommit(0..0)),
    ] {
        let error = done.expect_err("not inside");
        assert_eq!((error.op(), error.kind(), error.code()), (op, ErrorKind::OutOfRange, 0));
    }
    assert_eq!(state_at(&reservation, pages(2..3).start), State::Reserved);
    assert_eq!(byte_at(&reservation, pages(3..4).start), 3);
    Ok(())
}

#[test]
fn decommit_takes_pages_in_any_state_and_recommit_reads_zero() -> Result<(), Error> {
    let reservation = reserved(6);
    reservation.decommit(pages(0..6))?; // never committed
    reservation.commit(pages(1..5), Protection::ReadWrite)?;
    put(&reservation, page_len(), 1);
    reservation.guard(pages(2..3))?;
    reservation.arm(pages(3..4))?;
    reservation.decommit(pages(4..5).start + 17..pages(4..5).start + 18)?; // one byte
    assert_eq!(state_at(&reservation, pages(4..5).start), State::Reserved);
    reservation.decommit(pages(0..6))?;
    reservation.decommit(pages(0..6))?;
    assert_eq!(told(&reservation, 1), [(State::Reserved, None, 6)]);
    assert!((0..6).all(|page| !kernel_reads(reservation.base() + page * page_len())));
    reservation.commit(pages(0..6), Protection::ReadWrite)?;
    assert!((0..6).all(|page| byte_at(&reservation, page * page_len()) == 0));
    Ok(())
}

#[test]
fn protect_of_pages_that_are_not_all_committed_changes_nothing() -> Result<(), Error> {
    let reservation = reserved(4);
    reservation.commit(pages(0..2), Protection::ReadWrite)?;
    for range in [pages(2..3), pages(1..3), pages(0..4)] {
        let error = reservation.protect(range, Protection::NoAccess).expect_err("not committed");
        assert_eq!((error.op(), error.kind(), error.code()), (Op::Protect, ErrorKind::BadState, 0));
    }
    assert_eq!(told(&reservation, 1), [(State::Committed, Some(Protection::ReadWrite), 2)]);
    put(&reservation, page_len(), 1);
    reservation.protect(pages(0..1).start + 5..pages(0..1).start + 6, Protection::Read)?;
    let expected = [
        (State::Committed, Some(Protection::Read), 1),
        (State::Committed, Some(Protection::ReadWrite), 1),
    ];
    assert_eq!(told(&reservation, 2), expected);
    Ok(())
}

#[test]
fn pages_side_by_side_have_all_kinds_of_rights() -> Result<(), Error> {
    let reservation = reserved(6);
    for (page, rights) in RIGHTS.into_iter().enumerate() {
        reservation.commit(pages(page..page + 1), rights)?;
    }
    let expected = RIGHTS.map(|rights| (State::Committed, Some(rights), 1));
    assert_eq!(told(&reservation, 6), expected);
    for (page, rights) in RIGHTS.into_iter().enumerate() {
        let readable = kernel_reads(reservation.base() + page * page_len());
        match rights {
            Protection::NoAccess => assert!(!readable),
            Protection::Execute => {} // the processor's own affair
            _ => assert!(readable, "{rights:?}"),
        }
    }
    reservation.protect(pages(0..6), Protection::ExecuteReadWrite)?;
    let expected = [(State::Committed, Some(Protection::ExecuteReadWrite), 6)];
    assert_eq!(told(&reservation, 1), expected);
    Ok(())
}

/// Code that was written to a page and may only be executed after that.
#[test]
#[cfg(target_arch = "x86_64")]
fn code_runs_where_it_may_be_executed() -> Result<(), Error> {
    const RETURN_42: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3]; // mov eax, 42; ret
    for rights in [Protection::Execute, Protection::ExecuteRead, Protection::ExecuteReadWrite] {
        let reservation = reserved(1);
        reservation.commit(pages(0..1), Protection::ReadWrite)?;
        for (offset, byte) in RETURN_42.into_iter().enumerate() {
            put(&reservation, offset, byte);
        }
        reservation.protect(pages(0..1), rights)?;
        // SAFETY: the bytes are a whole function of this type, in a page that may be executed.
        let function: extern "C" fn() -> i32 = unsafe { std::mem::transmute(reservation.as_ptr()) };
        assert_eq!(function(), 42, "{rights:?}");
    }
    Ok(())
}

/// Alone, because another thread may get the addresses next.
#[test]
fn release_needs_no_decommit() {
    in_own_process("release_needs_no_decommit", &[], || {
        let reservation = reserved(4);
        reservation.commit(pages(1..3), Protection::ReadWrite).expect("two pages");
        reservation.arm(pages(1..2)).expect("a tripwire");
        let base = reservation.base();
        reservation.release().expect("it is ours");
        assert!((0..4).all(|page| !kernel_reads(base + page * page_len())));
    });
}
