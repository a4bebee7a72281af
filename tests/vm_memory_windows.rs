//! Locking, filling, discarding and advising pages on Windows. What Wine lacks is skipped with a
//! sentence; that the errors are the right ones is checked in either case.
#![cfg(windows)]

mod vm_support;

use granule::vm::{self, Access, Advice, HugeReason, HugeWish, Protection, Reservation};
use granule::{Error, ErrorKind, Op};
use vm_support::{byte_at, put};

const MIB: usize = 1 << 20;

fn committed() -> Reservation {
    let reservation = Reservation::reserve(MIB).expect("a megabyte of addresses");
    reservation.commit(0..MIB, Protection::ReadWrite).expect("a megabyte");
    put(&reservation, 5, 9);
    reservation
}

/// True if it is done; false, with a sentence, if this Windows cannot do it.
fn is_there(op: Op, done: Result<(), Error>) -> bool {
    let Err(error) = done else { return true };
    assert_eq!((error.op(), error.kind()), (op, ErrorKind::Unsupported), "{error}");
    println!("skipped: {error}");
    false
}

#[test]
fn pages_are_locked_and_unlocked() -> Result<(), Error> {
    let reservation = committed();
    let page = vm::info().page_len;
    reservation.lock(0..4 * page)?;
    reservation.lock(page..2 * page)?;
    reservation.unlock(0..4 * page)?;
    reservation.unlock(0..4 * page)?; // not locked: no error
    reservation.lock(0..page)?;
    reservation.decommit(0..page)?;
    reservation.commit(0..page, Protection::ReadWrite)?;
    assert_eq!(byte_at(&reservation, 5), 0);
    Ok(())
}

/// A process may lock little more than its minimum working set. Wine knows no such limit.
#[test]
fn the_limit_of_locked_memory_is_told_by_its_own_kind() -> Result<(), Error> {
    let reservation = Reservation::reserve(1 << 30)?;
    reservation.commit(0..1 << 30, Protection::ReadWrite)?;
    match reservation.lock(0..1 << 30) {
        Ok(()) => println!("skipped: this system has no limit"),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Denied | ErrorKind::NoMemory), "{error}");
        }
    }
    reservation.unlock(0..1 << 30)
}

#[test]
fn populated_and_prefetched_pages_keep_their_content() -> Result<(), Error> {
    let reservation = committed();
    reservation.populate(0..MIB, Access::Read)?;
    reservation.populate(0..MIB, Access::Write)?;
    is_there(Op::Prefetch, reservation.prefetch(0..MIB));
    assert_eq!(byte_at(&reservation, 5), 9);
    Ok(())
}

#[test]
fn a_discard_is_taken_back_or_the_error_says_why_not() -> Result<(), Error> {
    let reservation = committed();
    reservation.discard(0..MIB)?;
    if is_there(Op::Undiscard, reservation.undiscard(0..MIB)) {
        assert_eq!(byte_at(&reservation, 5), 9);
    }
    put(&reservation, 5, 8);
    assert_eq!(byte_at(&reservation, 5), 8);
    Ok(())
}

#[test]
fn advice_is_followed_or_refused_by_kind() -> Result<(), Error> {
    let reservation = committed();
    // Nothing has to be done for these.
    let idle = [
        Advice::Normal,
        Advice::NoHugePages,
        Advice::Fork,
        Advice::NoFork,
        Advice::WipeOnFork,
        Advice::PageOut,
    ];
    idle.into_iter().try_for_each(|advice| reservation.advise(advice))?;
    for advice in [Advice::Sequential, Advice::Random, Advice::Cold, Advice::HugePages] {
        let error = reservation.advise(advice).expect_err("Windows has no such advice");
        assert_eq!((error.op(), error.kind()), (Op::Advise, ErrorKind::Unsupported));
    }
    is_there(Op::Advise, reservation.advise(Advice::WillNeed));
    if is_there(Op::Advise, reservation.advise(Advice::NoDump)) {
        reservation.advise(Advice::Dump)?;
        reservation.advise(Advice::Dump)?;
    }
    let error = reservation.advise_range(0..1, Advice::NoDump).expect_err("only for the whole");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, 0));
    assert_eq!(byte_at(&reservation, 5), 9);
    Ok(())
}

#[test]
fn huge_pages_are_not_given_and_the_report_says_so() -> Result<(), Error> {
    for wish in [HugeWish::Advised, HugeWish::Explicit] {
        let reservation = Reservation::builder().len(4 * MIB).huge_pages(wish).reserve()?;
        let report = reservation.huge_pages()?;
        assert_eq!((report.asked, report.given, report.len), (Some(wish), None, 0));
        assert_eq!(report.reason, HugeReason::Unsupported);
        let huge_len = vm::info().huge_page_len.max(1);
        assert!(reservation.base().is_multiple_of(huge_len));
        reservation.commit(5..6, Protection::ReadWrite)?;
    }
    Ok(())
}

#[test]
fn a_node_that_is_not_there_is_refused() {
    let error = Reservation::builder().len(MIB).numa_node(u16::MAX).reserve();
    let error = error.expect_err("no machine has so many nodes");
    assert_eq!((error.op(), error.kind()), (Op::Reserve, ErrorKind::Unsupported));
}

/// What is left out of dumps is kept by address, so pieces and joined ones are told anew.
#[test]
fn pieces_stay_out_of_dumps() -> Result<(), Error> {
    let whole = committed();
    if !is_there(Op::Advise, whole.advise(Advice::NoDump)) {
        return Ok(());
    }
    let (first, second) = whole.split(MIB / 2).map_err(|(_, error)| error)?;
    let whole = first.join(second).map_err(|(_, _, error)| error)?;
    whole.advise(Advice::Dump)?;
    whole.release()
}
