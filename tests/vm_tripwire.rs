//! Tripwires with a real handler: of SIGSEGV, and on Windows of exceptions. What the other verbs do
//! to armed pages is here, too.

mod vm_support;

use granule::vm::{self, GuardKind, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Once};
use vm_support::{byte_at, kernel_reads, put, region_at, state_at, system};

thread_local! {
    /// Faults of this thread that were told to have hit a tripwire.
    static TRIPPED: Cell<usize> = const { Cell::new(0) };
    /// Those where another thread was faster.
    static TOO_LATE: Cell<usize> = const { Cell::new(0) };
    /// Those that were somebody else's: the page is made writable, to go on.
    static FOREIGN: Cell<usize> = const { Cell::new(0) };
    /// The reservation that foreign faults are expected in.
    static OWN: Cell<Option<&'static Reservation>> = const { Cell::new(None) };
}

/// What the handler of this program does. True: go on.
fn handle(addr: usize) -> bool {
    // SAFETY: (1) the address of a fault; the reservations of this program outlive their use.
    match unsafe { vm::trip(addr) }.map(|region| region.state) {
        Some(State::Tripwire) => TRIPPED.set(TRIPPED.get() + 1),
        Some(_) => TOO_LATE.set(TOO_LATE.get() + 1),
        None => {
            let Some(own) = OWN.get() else { return false };
            FOREIGN.set(FOREIGN.get() + 1);
            let offset = addr - own.base();
            return own.protect(offset..offset + 1, Protection::ReadWrite).is_ok();
        }
    }
    true
}

fn with_handler() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| system::on_faults(handle));
}

fn page_len() -> usize {
    vm::info().page_len
}

fn pages(range: Range<usize>) -> Range<usize> {
    range.start * page_len()..range.end * page_len()
}

fn committed(count: usize) -> Reservation {
    let reservation = Reservation::reserve(pages(0..count).end).expect("a small reservation");
    reservation.commit(pages(0..count), Protection::ReadWrite).expect("some pages");
    reservation
}

/// Writes a byte at `offset`, whatever its page is: a handler is there.
fn touch(reservation: &Reservation, offset: usize, value: u8) {
    // SAFETY: the offset lies inside the reservation.
    let byte = unsafe { reservation.as_ptr().add(offset) };
    // SAFETY: the page is committed for writing once the handler has ended its tripwire.
    unsafe { byte.write_volatile(value) };
}

fn read(reservation: &Reservation, offset: usize) -> u8 {
    // SAFETY: the offset lies inside the reservation.
    let byte = unsafe { reservation.as_ptr().add(offset) };
    // SAFETY: the page can be read once the handler has ended its tripwire.
    unsafe { byte.read_volatile() }
}

#[test]
fn the_first_touch_faults_and_the_second_does_not() -> Result<(), Error> {
    with_handler();
    let reservation = committed(4);
    put(&reservation, page_len(), 7);
    reservation.arm(pages(1..3))?;
    reservation.arm(pages(1..3))?;
    let region = region_at(&reservation, page_len());
    assert_eq!((region.state, region.len), (State::Tripwire, 2 * page_len()));
    assert_eq!(region.protection, Some(Protection::ReadWrite));

    touch(&reservation, 0, 1);
    assert_eq!(TRIPPED.get(), 0);
    assert_eq!(read(&reservation, page_len()), 7, "the content stays");
    assert_eq!(TRIPPED.get(), 1);
    touch(&reservation, page_len(), 8);
    assert_eq!((TRIPPED.get(), read(&reservation, page_len())), (1, 8), "once");
    assert_eq!(state_at(&reservation, page_len()), State::Committed);
    assert_eq!(state_at(&reservation, 2 * page_len()), State::Tripwire);

    reservation.arm(pages(1..2))?;
    touch(&reservation, page_len() + 9, 9);
    assert_eq!(TRIPPED.get(), 2, "once for each arming");
    reservation.disarm(pages(0..4))?;
    touch(&reservation, 2 * page_len(), 1);
    assert_eq!((TRIPPED.get(), TOO_LATE.get()), (2, 0));
    assert_eq!(region_at(&reservation, 0).len, 4 * page_len());
    Ok(())
}

#[test]
fn an_access_over_a_page_border_trips_both_pages() -> Result<(), Error> {
    with_handler();
    let reservation = committed(2);
    reservation.arm(pages(0..2))?;
    // SAFETY: the offset lies inside the reservation.
    let across = unsafe { reservation.as_ptr().add(page_len() - 4) }.cast::<u64>();
    // SAFETY: both pages are committed for writing once the handler has ended their tripwires.
    unsafe { across.write_unaligned(u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8])) };
    assert_eq!(byte_at(&reservation, page_len() - 1), 4);
    assert_eq!((byte_at(&reservation, page_len()), TRIPPED.get()), (5, 2));
    Ok(())
}

#[test]
fn threads_that_touch_at_once_all_go_on() -> Result<(), Error> {
    const THREADS: usize = 4;
    const ROUNDS: usize = 300;
    with_handler();
    let reservation = committed(1);
    let (tripped, together) = (AtomicUsize::new(0), Barrier::new(THREADS));
    let work = |thread: usize| {
        for round in 0..ROUNDS {
            if together.wait().is_leader() {
                reservation.arm(pages(0..1)).expect("nobody touches it now");
            }
            together.wait();
            touch(&reservation, thread, round as u8);
            together.wait();
            assert_eq!(read(&reservation, thread), round as u8);
        }
        tripped.fetch_add(TRIPPED.get(), Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread))));
    });
    assert!(tripped.load(Ordering::Relaxed) >= ROUNDS, "somebody trips in every round");
    assert_eq!(state_at(&reservation, 0), State::Committed);
    Ok(())
}

#[test]
fn a_fault_that_is_no_tripwire_is_told_so() -> Result<(), Error> {
    with_handler();
    let reservation: &'static Reservation = Box::leak(Box::new(committed(3)));
    OWN.set(Some(reservation));
    reservation.protect(pages(0..3), Protection::Read)?;
    touch(reservation, 0, 1);
    assert_eq!((TRIPPED.get(), TOO_LATE.get(), FOREIGN.get()), (0, 0, 1), "never armed");

    // A write to a page that may only be read: the tripwire goes first, then the right is missing.
    reservation.arm(pages(1..2))?;
    touch(reservation, page_len(), 1);
    assert_eq!((TRIPPED.get(), TOO_LATE.get(), FOREIGN.get()), (1, 0, 2));
    // Another page of that reservation: one try too much, as documented, and no more.
    touch(reservation, 2 * page_len(), 1);
    assert!(TRIPPED.get() == 1 && TOO_LATE.get() <= 1 && FOREIGN.get() == 3);

    for addr in [0, handle as fn(usize) -> bool as usize, usize::MAX] {
        // SAFETY: (1) there is no reservation.
        let told = unsafe { vm::trip(addr) };
        assert_eq!(told, None);
    }
    Ok(())
}

fn both_guard_kinds() -> Vec<GuardKind> {
    if vm::info().guard_markers {
        vec![GuardKind::Marker, GuardKind::Split]
    } else {
        println!("skipped: guard markers, this system has none");
        vec![GuardKind::Split]
    }
}

#[test]
fn other_verbs_take_armed_pages_for_committed_ones() -> Result<(), Error> {
    for kind in both_guard_kinds() {
        let builder = Reservation::builder().len(pages(0..8).end).guard_kind(kind);
        let reservation = builder.reserve()?;
        reservation.commit(pages(0..8), Protection::ReadWrite)?;
        put(&reservation, 0, 5);
        put(&reservation, 2 * page_len(), 5);
        reservation.arm(pages(0..8))?;

        reservation.protect(pages(0..1), Protection::Read)?;
        reservation.commit(pages(1..3), Protection::ReadWrite)?;
        reservation.decommit(pages(3..4))?;
        reservation.guard(pages(4..5))?;
        reservation.guard_all(&[pages(5..6)])?;
        reservation.unguard(pages(6..7))?; // leaves armed pages alone
        let states = [0, 1, 2, 3, 4, 5, 6, 7].map(|page| state_at(&reservation, page * page_len()));
        use State::{Committed, Guarded, Reserved, Tripwire};
        let expected =
            [Committed, Committed, Committed, Reserved, Guarded, Guarded, Tripwire, Tripwire];
        assert_eq!(states, expected, "{kind:?}");
        let readable = |page: usize| kernel_reads(reservation.base() + page * page_len());
        assert_eq!([0, 1, 2, 3, 4, 5].map(readable), [true, true, true, false, false, false]);
        assert_eq!((byte_at(&reservation, 0), byte_at(&reservation, 2 * page_len())), (5, 5));

        reservation.unguard(pages(4..6))?;
        assert!(readable(4) && readable(5), "guards on armed pages leave plain ones");
        put(&reservation, 4 * page_len(), 1);
        reservation.disarm(pages(4..8))?;
        reservation.release()?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_armed_or_needs_disarming_is_refused() -> Result<(), Error> {
    let reservation = committed(6);
    reservation.decommit(pages(5..6))?;
    reservation.protect(pages(4..5), Protection::NoAccess)?;
    reservation.arm(pages(0..2))?;
    let access = vm::Access::Read;
    let refused = [
        (Op::Arm, reservation.arm(pages(3..6)), ErrorKind::BadState),
        (Op::Arm, reservation.arm(pages(4..5)), ErrorKind::BadState),
        (Op::Disarm, reservation.disarm(pages(0..6)), ErrorKind::BadState),
        (Op::Discard, reservation.discard(pages(0..3)), ErrorKind::BadState),
        (Op::Lock, reservation.lock(pages(1..3)), ErrorKind::BadState),
        (Op::Prefetch, reservation.prefetch(pages(1..3)), ErrorKind::BadState),
        (Op::Populate, reservation.populate(pages(1..3), access), ErrorKind::BadState),
        (Op::Arm, reservation.arm(0..0), ErrorKind::OutOfRange),
        (Op::Disarm, reservation.disarm(pages(5..7)), ErrorKind::OutOfRange),
    ];
    for (op, done, kind) in refused {
        let error = done.expect_err("refused");
        assert_eq!((error.op(), error.kind(), error.code()), (op, kind, 0), "{error}");
    }
    assert_eq!(region_at(&reservation, 0).len, 2 * page_len());
    assert_eq!(state_at(&reservation, 2 * page_len()), State::Committed);

    let untracked = Reservation::builder().len(pages(0..1).end).untracked().reserve()?;
    untracked.commit(pages(0..1), Protection::ReadWrite)?;
    for done in [untracked.arm(pages(0..1)), untracked.disarm(pages(0..1))] {
        assert_eq!(done.expect_err("no books").kind(), ErrorKind::Unsupported);
    }
    Ok(())
}

#[test]
fn pieces_take_their_tripwires_along() -> Result<(), Error> {
    with_handler();
    let granularity = vm::info().granularity;
    let whole = Reservation::reserve(2 * granularity)?;
    whole.commit(0..2 * granularity, Protection::ReadWrite)?;
    whole.arm(granularity..granularity + 2 * page_len())?;
    let (lower, upper) = whole.split(granularity).map_err(|(_, error)| error)?;
    let before = TRIPPED.get();
    touch(&upper, 0, 3);
    assert_eq!((TRIPPED.get(), read(&upper, 0)), (before + 1, 3));
    // A guard ends the tripwire below it: unguarded the page has its rights.
    upper.guard(pages(1..2))?;
    upper.unguard(pages(1..2))?;
    assert_eq!((state_at(&upper, page_len()), byte_at(&upper, page_len())), (State::Committed, 0));
    upper.arm(pages(1..2))?;
    let joined = lower.join(upper).map_err(|(_, _, error)| error)?;
    joined.guard(granularity + page_len()..granularity + page_len() + 1)?;
    joined.unguard(granularity + page_len()..granularity + page_len() + 1)?;
    assert_eq!(byte_at(&joined, granularity + page_len()), 0);
    Ok(())
}
