//! Requests that cannot be right, on every system: each is refused with the verb, the address, the
//! length and the next step in words, and changes nothing.
//!
//! Releasing twice is not among them: `release` takes the reservation away, so safe code cannot
//! write it. Through `granule::win32` it can be written: see "release wants the start" and "free
//! what is free" in `windows_semantics/rows_free.rs`.

mod vm_support;

use granule::vm::{self, Access, Advice, Builder, Protection, Reservation, Ring, State};
use granule::{Error, ErrorKind, Op};
use std::ops::Range;
use vm_support::means::has_addresses;

const TIB: usize = 1 << 40;
const WRITE: Protection = Protection::ReadWrite;
/// Where kernels live: the upper half of the addresses.
const KERNEL: usize = 0xffff_8000_0000_0000;

const POWER: &str = "give an alignment of 2, 4, 8 .. and let the system choose the address";
const ADDRESSES: &str = "give a length, and an address between the two that `granule info` tells";
const INSIDE: &str = "give a range that lies inside the reservation";
const ASK_INSIDE: &str = "ask inside the reservation, or below the last address of programs";
const ANOTHER: &str = "let the system choose the address, or pick another";
const COMMIT_FIRST: &str = "query the range, and commit it first";
const COMMIT_AND_UNLOCK: &str = "query the range, commit it first, and unlock what is locked";

/// What is asked, and what the error must say: address, length, kind, next step.
struct Row {
    what: &'static str,
    done: Result<(), Error>,
    op: Op,
    addr: usize,
    len: usize,
    kind: ErrorKind,
    next_step: &'static str,
}

impl Row {
    fn check(self) {
        let Row { what, done, op, addr, len, kind, next_step } = self;
        let error = done.expect_err(what);
        let told = (error.op(), error.addr(), error.len(), error.kind());
        assert_eq!(told, (op, addr, len, kind), "{what}: {error}");
        let asked = kind == ErrorKind::AddressTaken;
        assert_eq!((error.code() != 0, error.call().is_some()), (asked, asked), "{what}: {error}");
        let words = error.to_string();
        let place = if addr == 0 { String::new() } else { format!(" at {addr:#x}") };
        let begin = format!("{} of {len} bytes{place}: ", op.name());
        assert!(words.starts_with(&begin), "{what}: {words:?} begins otherwise than {begin:?}");
        assert!(words.ends_with(&format!("; {next_step}")), "{what}: {words:?}");
    }
}

fn reserving(
    what: &'static str,
    builder: Builder,
    (addr, len): (usize, usize),
    (kind, next_step): (ErrorKind, &'static str),
) -> Row {
    let done = builder.reserve().map(drop);
    Row { what, done, op: Op::Reserve, addr, len, kind, next_step }
}

#[test]
fn reservations_that_cannot_be() -> Result<(), Error> {
    let info = vm::info();
    let new = Reservation::builder;
    let out = (ErrorKind::OutOfRange, ADDRESSES);
    let crooked = (ErrorKind::Misaligned, POWER);
    let step = info.granularity;
    let taken = Reservation::reserve(16 * step)?;
    let foreign = (&raw const info).addr();
    let rows = [
        reserving("empty", new(), (0, 0), out),
        reserving("empty, at an address", new().hint(8 * step), (8 * step, 0), out),
        reserving("longer than all", new().len(usize::MAX), (0, usize::MAX), out),
        reserving("half of all", new().len(1 << 63), (0, 1 << 63), out),
        reserving("overflow", new().hint(step).len(usize::MAX), (step, usize::MAX), out),
        reserving("the null page", new().hint(1).len(1), (1, 1), out),
        reserving("below the first", new().hint(step - 1).len(9), (step - 1, 9), out),
        reserving("kernel space", new().hint(KERNEL).len(step), (KERNEL, step), out),
        reserving("the last byte", new().hint(usize::MAX).len(1), (usize::MAX, 1), out),
        reserving(
            "into kernel space",
            new().hint(info.address_max).len(2 * step),
            (info.address_max, 2 * step),
            out,
        ),
        reserving("alignment 0", new().len(1).align(0), (0, 1), crooked),
        reserving("alignment 3", new().len(1).align(3), (0, 1), crooked),
        reserving(
            "not a multiple of the alignment",
            new().len(1).hint(3 * step).align(2 * step),
            (3 * step, 1),
            crooked,
        ),
        reserving("an alignment above all", new().len(1).align(1 << 63), (0, 1), out),
        reserving(
            "ours already",
            new().hint(taken.base()).len(1),
            (taken.base(), 1),
            (ErrorKind::AddressTaken, ANOTHER),
        ),
        reserving(
            "over the end of ours",
            new().hint(taken.base() + 15 * step).len(2 * step),
            (taken.base() + 15 * step, 2 * step),
            (ErrorKind::AddressTaken, ANOTHER),
        ),
        reserving(
            "somebody's stack",
            new().hint(foreign).len(1),
            (foreign, 1),
            (ErrorKind::AddressTaken, ANOTHER),
        ),
    ];
    rows.into_iter().for_each(Row::check);
    assert_eq!(taken.query(0)?.len, taken.len());
    Ok(())
}

/// Every verb that takes a range, on one.
fn every_verb(reservation: &Reservation, range: Range<usize>) -> Vec<(Op, Result<(), Error>)> {
    let range = || range.clone();
    vec![
        (Op::Commit, reservation.commit(range(), WRITE)),
        (Op::Decommit, reservation.decommit(range())),
        (Op::Protect, reservation.protect(range(), Protection::Read)),
        (Op::Discard, reservation.discard(range())),
        (Op::Guard, reservation.guard(range())),
        (Op::Unguard, reservation.unguard(range())),
        (Op::Guard, reservation.guard_all(&[range()])),
        (Op::Unguard, reservation.unguard_all(&[range()])),
        (Op::Arm, reservation.arm(range())),
        (Op::Disarm, reservation.disarm(range())),
        (Op::Lock, reservation.lock(range())),
        (Op::Unlock, reservation.unlock(range())),
        (Op::Prefetch, reservation.prefetch(range())),
        (Op::Populate, reservation.populate(range(), Access::Write)),
        (Op::Undiscard, reservation.undiscard(range())),
        (Op::Advise, reservation.advise_range(range(), Advice::Random)),
    ]
}

#[test]
fn ranges_that_no_verb_takes() -> Result<(), Error> {
    let page = vm::info().page_len;
    let reservation = Reservation::reserve(4 * page)?;
    reservation.commit(page..3 * page, WRITE)?;
    // SAFETY: page 1 is inside, and committed for writing.
    let byte = unsafe { reservation.as_ptr().add(page) };
    // SAFETY: as above; nobody else has it.
    unsafe { byte.write(7) };
    let ranges = [
        ("empty, at the start", 0..0),
        ("empty, inside", 5..5),
        ("inverted", Range { start: 2 * page, end: page }),
        ("one byte beyond the reservation", 0..4 * page + 1),
        ("behind the reservation", 4 * page..4 * page + 1),
        ("far away", TIB..2 * TIB),
        ("to the end of all", page..usize::MAX),
        ("overflow: the address does not fit", usize::MAX - 1..usize::MAX),
    ];
    for (what, range) in ranges {
        let addr = reservation.base().wrapping_add(range.start);
        let len = range.end.saturating_sub(range.start);
        for (op, done) in every_verb(&reservation, range) {
            Row { what, done, op, addr, len, kind: ErrorKind::OutOfRange, next_step: INSIDE }
                .check();
        }
    }
    let states = [0, page, 3 * page].map(|offset| reservation.query(offset).map(|told| told.state));
    assert_eq!(states, [Ok(State::Reserved), Ok(State::Committed), Ok(State::Reserved)]);
    // SAFETY: as above.
    assert_eq!(unsafe { byte.read() }, 7);
    Ok(())
}

#[test]
fn pages_that_are_not_committed() -> Result<(), Error> {
    let page = vm::info().page_len;
    let reservation = Reservation::reserve(4 * page)?;
    reservation.commit(0..page, WRITE)?;
    let mixed = 0..2 * page;
    let refusing = [Op::Protect, Op::Discard, Op::Guard, Op::Unguard];
    let range = || mixed.clone();
    let attempts = [
        reservation.protect(range(), Protection::Read),
        reservation.discard(range()),
        reservation.guard(range()),
        reservation.unguard(range()),
    ];
    for (op, done) in refusing.into_iter().zip(attempts) {
        let (addr, len) = (reservation.base(), 2 * page);
        let kind = ErrorKind::BadState;
        let next_step = if op == Op::Discard { COMMIT_AND_UNLOCK } else { COMMIT_FIRST };
        Row { what: "partly reserved", done, op, addr, len, kind, next_step }.check();
    }
    assert_eq!(reservation.query(0)?.protection, Some(WRITE));
    Ok(())
}

#[test]
fn pieces_that_cannot_be() -> Result<(), Error> {
    let step = vm::info().granularity;
    let whole = Reservation::reserve(4 * step)?;
    let (base, len) = (whole.base(), whole.len());
    let row = |what, op, (addr, len), error, (kind, next_step)| {
        Row { what, done: Err(error), op, addr, len, kind, next_step }.check();
    };
    let outside = (ErrorKind::OutOfRange, "cut inside the reservation");
    let crooked =
        (ErrorKind::Misaligned, "cut at a multiple of the granularity, which `granule info` tells");
    let mut whole = whole;
    for (what, offset, answer) in [
        ("nothing below", 0, outside),
        ("nothing above", len, outside),
        ("beyond", 2 * len, outside),
        ("inside a step", step + 1, crooked),
    ] {
        let (same, error) = whole.split(offset).expect_err(what);
        row(what, Op::Split, (base + offset, 0), error, answer);
        whole = same;
    }
    let (lower, upper) = whole.split(step).map_err(|(_, error)| error)?;
    let (upper, lower, error) = upper.join(lower).expect_err("the wrong way round");
    let lower_first = (ErrorKind::OutOfRange, "give the lower one first, then its neighbour");
    row("the wrong way round", Op::Join, (base, step), error, lower_first);
    assert_eq!(lower.join(upper).map_err(|(_, _, error)| error)?.len(), len);
    Ok(())
}

#[test]
fn what_is_not_watched_and_what_is_no_ring() -> Result<(), Error> {
    let reservation = Reservation::reserve(1)?;
    reservation.commit(0..1, WRITE)?;
    let place = (reservation.base(), 1);
    let watch = "reserve with `write_watch`; after a fork call `forget_written` first";
    for done in [
        reservation.forget_written(0..1),
        reservation.written(0..1, &mut [const { 0..0 }; 2]).map(drop),
        reservation.take_written(0..1, &mut [const { 0..0 }; 2]).map(drop),
    ] {
        let (what, op, (addr, len)) = ("not watched", Op::Written, place);
        Row { what, done, op, addr, len, kind: ErrorKind::BadState, next_step: watch }.check();
    }
    for len in [0, usize::MAX] {
        let (done, next_step) = (Ring::new(len).map(drop), "give a length that fits twice");
        let kind = ErrorKind::OutOfRange;
        Row { what: "no ring", done, op: Op::Mirror, addr: 0, len, kind, next_step }.check();
    }
    Ok(())
}

#[test]
fn a_commit_of_guarded_pages() -> Result<(), Error> {
    let page = vm::info().page_len;
    let reservation = Reservation::reserve(2 * page)?;
    reservation.commit(0..page, WRITE)?;
    reservation.guard(0..page)?;
    Row {
        what: "partly guarded",
        done: reservation.commit(0..2 * page, WRITE),
        op: Op::Commit,
        addr: reservation.base(),
        len: 2 * page,
        kind: ErrorKind::BadState,
        next_step: "query the range, and unguard or decommit it first",
    }
    .check();
    assert_eq!(reservation.query(page)?.state, State::Reserved);
    Ok(())
}

#[test]
fn questions_without_an_answer() -> Result<(), Error> {
    let info = vm::info();
    let reservation = Reservation::reserve(info.page_len)?;
    let question = |what, done: Result<vm::Region, Error>, addr| Row {
        what,
        done: done.map(drop),
        op: Op::Query,
        addr,
        len: 1,
        kind: ErrorKind::OutOfRange,
        next_step: ASK_INSIDE,
    };
    let behind = reservation.len();
    question("behind", reservation.query(behind), reservation.base() + behind).check();
    for addr in [info.address_max + 1, KERNEL, usize::MAX] {
        question("kernel space", vm::query(addr), addr).check();
    }
    Ok(())
}

/// More than any machine can promise is an error at the call, and no kill later.
#[test]
fn a_commit_of_sixteen_terabytes() -> Result<(), Error> {
    if vm::info().overcommit == 1 {
        println!("skipped: this system is told to promise anything");
        return Ok(());
    }
    let memory_len = vm::info().memory_len;
    let mut lens = [16 * TIB, TIB / 2, TIB / 8].into_iter().filter(|&len| len / 2 > memory_len);
    let Some(len) = lens.find(|&len| has_addresses(len)) else { return Ok(()) };
    let reservation = Reservation::reserve(len)?;
    let done = reservation.commit(0..len, WRITE);
    let error = done.expect_err("no machine has so much");
    assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::NoMemory), "{error}");
    assert_eq!((error.addr(), error.len()), (reservation.base(), len));
    let call = error.call().expect("the system was asked");
    let reason = format!("({call}: os error {}); commit less at a time", error.code());
    assert!(error.to_string().contains(&reason), "{error}");
    let told = reservation.query(0)?;
    assert_eq!((told.state, told.len), (State::Reserved, len));
    reservation.commit(0..1, WRITE)?;
    // SAFETY: the page is committed for writing, and nobody else has it.
    unsafe { reservation.as_ptr().write(1) };
    Ok(())
}
