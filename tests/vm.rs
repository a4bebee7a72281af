//! The vm floor through its public face: what the verbs do, and what they refuse without a system
//! call. Refusals of the system are in `vm_failures.rs`, the charge is in `vm_charge.rs`.

mod vm_support;

use granule::vm::{self, CommitPolicy, GuardKind, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use std::ops::Range;
use vm_support::{byte_at, in_own_process, kernel_reads, means, put, region_at};
use vm_support::{state_at, system};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const TIB: usize = 1 << 40;

fn page_len() -> usize {
    vm::info().page_len
}

fn pages(range: Range<usize>) -> Range<usize> {
    range.start * page_len()..range.end * page_len()
}

fn both_guard_kinds() -> Vec<GuardKind> {
    if vm::info().guard_markers {
        vec![GuardKind::Marker, GuardKind::Split]
    } else {
        println!("skipped: guard markers, this kernel has none");
        vec![GuardKind::Split]
    }
}

fn with_guards(count: usize, kind: GuardKind) -> Reservation {
    let builder = Reservation::builder().len(count * page_len()).guard_kind(kind);
    builder.reserve().expect("a small reservation")
}

#[test]
fn a_reservation_starts_at_the_granularity_and_has_whole_pages() -> Result<(), Error> {
    let info = vm::info();
    for len in [1, 8, info.page_len, info.page_len + 1, 10 * MIB, GIB, TIB] {
        if !means::has_addresses(len) {
            continue;
        }
        let reservation = Reservation::reserve(len)?;
        assert_eq!(reservation.base() % info.granularity, 0);
        assert_eq!(reservation.len(), len.next_multiple_of(info.page_len));
        let region = region_at(&reservation, reservation.len() - 1);
        assert_eq!((region.state, region.protection), (State::Reserved, None));
        assert_eq!(region_at(&reservation, 0).len, reservation.len());
        assert!(!kernel_reads(reservation.base()));
    }
    Ok(())
}

#[test]
fn a_hint_is_rounded_down_and_its_last_byte_is_covered() -> Result<(), Error> {
    let builder = Reservation::builder().hint(0x5678_1234).len(10 * MIB);
    let reservation = builder.reserve()?;
    assert_eq!(reservation.base(), 0x5678_0000);
    let end = (0x5678_1234 + 10 * MIB).next_multiple_of(page_len());
    assert_eq!(reservation.len(), end - 0x5678_0000);

    let error = builder.reserve().expect_err("the range is taken");
    assert_eq!((error.op(), error.kind()), (Op::Reserve, ErrorKind::AddressTaken));
    assert_eq!((error.addr(), error.len()), (0x5678_1234, 10 * MIB));
    assert_ne!(error.code(), 0, "the system was asked");

    reservation.release()?;
    builder.reserve().map(drop)
}

#[test]
fn what_cannot_be_reserved_is_refused() {
    let info = vm::info();
    let refused = |builder: vm::Builder| {
        let error = builder.reserve().expect_err("this cannot be reserved");
        assert_eq!((error.op(), error.code()), (Op::Reserve, 0), "{error}");
        error.kind()
    };
    let new = Reservation::builder;
    assert_eq!(refused(new()), ErrorKind::OutOfRange);
    for len in [usize::MAX, usize::MAX / 2, 1 << (usize::BITS - 1)] {
        assert_eq!(refused(new().len(len)), ErrorKind::OutOfRange);
    }
    for hint in [1, 0x1000, 0xffff, info.address_max, info.address_max + 1, usize::MAX] {
        assert_eq!(refused(new().hint(hint).len(2 * info.page_len)), ErrorKind::OutOfRange);
    }
    assert_eq!(refused(new().len(1).align(0)), ErrorKind::Misaligned);
    assert_eq!(refused(new().len(1).align(3)), ErrorKind::Misaligned);
    let between = new().len(1).hint(0x5000_0000 + info.granularity).align(2 * info.granularity);
    assert_eq!(refused(between), ErrorKind::Misaligned);
    assert_eq!(refused(new().len(1).align(1 << (usize::BITS - 1))), ErrorKind::OutOfRange);
}

#[test]
fn alignment_is_kept() -> Result<(), Error> {
    for shift in [0, 12, 16, 21, 30, 35] {
        let reservation = Reservation::builder().len(3 * page_len()).align(1 << shift).reserve()?;
        assert_eq!(reservation.base() % (1usize << shift), 0);
        assert_eq!(reservation.len(), 3 * page_len());
    }
    Ok(())
}

#[test]
fn verbs_act_on_whole_pages() -> Result<(), Error> {
    let page = page_len();
    let reservation = Reservation::reserve(10 * page)?;
    reservation.commit(2 * page - 1..2 * page + 1, Protection::ReadWrite)?;
    let region = region_at(&reservation, page + 17);
    assert_eq!(region.base, reservation.base() + page);
    assert_eq!((region.len, region.state), (2 * page, State::Committed));
    assert_eq!(region_at(&reservation, 0).len, page);
    assert_eq!(region_at(&reservation, 3 * page).len, 7 * page);
    assert!(kernel_reads(reservation.base() + page) && !kernel_reads(reservation.base()));
    assert!(!kernel_reads(reservation.base() + 3 * page));

    reservation.protect(page..page + 1, Protection::Read)?;
    assert_eq!(region_at(&reservation, page).protection, Some(Protection::Read));
    assert_eq!(region_at(&reservation, 2 * page).protection, Some(Protection::ReadWrite));
    reservation.decommit(2 * page..2 * page + 1)?;
    assert_eq!(state_at(&reservation, 2 * page), State::Reserved);
    Ok(())
}

#[test]
fn commit_again_keeps_data_and_decommit_loses_it() -> Result<(), Error> {
    let reservation = Reservation::reserve(4 * page_len())?;
    let all = pages(0..4);
    reservation.decommit(all.clone())?; // never committed: fine
    reservation.commit(pages(1..2), Protection::ReadWrite)?;
    put(&reservation, page_len(), b'A');
    reservation.commit(all.clone(), Protection::Read)?;
    assert_eq!(byte_at(&reservation, page_len()), b'A');
    assert_eq!(region_at(&reservation, 0).len, 4 * page_len());
    reservation.decommit(all.clone())?;
    reservation.decommit(all.clone())?;
    assert!(!kernel_reads(reservation.base() + page_len()));
    reservation.commit(all, Protection::ReadWrite)?;
    assert_eq!(byte_at(&reservation, page_len()), 0);
    Ok(())
}

#[test]
fn every_verb_refuses_a_bad_range_and_changes_nothing() -> Result<(), Error> {
    let page = page_len();
    let reservation = Reservation::reserve(4 * page)?;
    reservation.commit(pages(1..3), Protection::ReadWrite)?;
    put(&reservation, page, 7);
    let inverted = Range { start: 2 * page, end: page };
    for range in [0..0, 5..5, inverted, 0..4 * page + 1, 4 * page..4 * page + 1, 0..usize::MAX] {
        let attempts = [
            (Op::Commit, reservation.commit(range.clone(), Protection::Read)),
            (Op::Decommit, reservation.decommit(range.clone())),
            (Op::Protect, reservation.protect(range.clone(), Protection::Read)),
            (Op::Discard, reservation.discard(range.clone())),
            (Op::Guard, reservation.guard(range.clone())),
            (Op::Unguard, reservation.unguard(range.clone())),
        ];
        for (op, done) in attempts {
            let error = done.expect_err("the range is bad");
            let told = (error.op(), error.kind(), error.code());
            assert_eq!(told, (op, ErrorKind::OutOfRange, 0));
            assert_eq!(error.addr(), reservation.base().wrapping_add(range.start));
            assert_eq!(error.len(), range.end.saturating_sub(range.start));
        }
    }
    for offset in [4 * page, usize::MAX] {
        let error = reservation.query(offset).expect_err("behind the end");
        assert_eq!((error.op(), error.kind()), (Op::Query, ErrorKind::OutOfRange));
    }
    assert_eq!(region_at(&reservation, page).len, 2 * page);
    assert_eq!(byte_at(&reservation, page), 7);
    Ok(())
}

#[test]
fn pages_in_the_wrong_state_refuse_the_whole_range() -> Result<(), Error> {
    for kind in both_guard_kinds() {
        let reservation = with_guards(4, kind);
        reservation.commit(pages(0..3), Protection::ReadWrite)?;
        put(&reservation, 0, 9);
        reservation.guard(pages(2..3))?;
        let refused = [
            (Op::Protect, reservation.protect(pages(0..4), Protection::Read)),
            (Op::Protect, reservation.protect(pages(0..3), Protection::Read)),
            (Op::Discard, reservation.discard(pages(0..3))),
            (Op::Discard, reservation.discard(pages(3..4))),
            (Op::Guard, reservation.guard(pages(0..4))),
            (Op::Unguard, reservation.unguard(pages(0..4))),
            (Op::Commit, reservation.commit(pages(0..3), Protection::Read)),
        ];
        for (op, done) in refused {
            let error = done.expect_err("a page is in the wrong state");
            let told = (error.op(), error.kind(), error.code());
            assert_eq!(told, (op, ErrorKind::BadState, 0));
        }
        assert_eq!(region_at(&reservation, 0).protection, Some(Protection::ReadWrite));
        assert_eq!(region_at(&reservation, 0).len, 2 * page_len());
        assert_eq!(state_at(&reservation, 2 * page_len()), State::Guarded);
        assert_eq!(state_at(&reservation, 3 * page_len()), State::Reserved);
        assert_eq!(byte_at(&reservation, 0), 9);
    }
    Ok(())
}

#[test]
fn guards_fault_and_come_back_zero_with_their_rights() -> Result<(), Error> {
    for kind in both_guard_kinds() {
        let reservation = with_guards(6, kind);
        assert_eq!(reservation.guard_kind(), kind);
        reservation.commit(pages(0..6), Protection::ReadWrite)?;
        for page in 0..6 {
            put(&reservation, page * page_len(), 1 + page as u8);
        }
        reservation.protect(pages(3..4), Protection::Read)?;
        reservation.guard(pages(2..3))?;
        reservation.guard(pages(2..5))?;
        let readable = |page: usize| kernel_reads(reservation.base() + page * page_len());
        assert_eq!([0, 1, 2, 3, 4, 5].map(readable), [true, true, false, false, false, true]);
        assert_eq!(region_at(&reservation, 3 * page_len()).protection, Some(Protection::Read));

        reservation.unguard(pages(1..6))?;
        assert_eq!([0, 1, 2, 3, 4, 5].map(readable), [true; 6]);
        let bytes = [0, 1, 2, 3, 4, 5].map(|page| byte_at(&reservation, page * page_len()));
        assert_eq!(bytes, [1, 2, 0, 0, 0, 6]);
        assert_eq!(region_at(&reservation, 3 * page_len()).protection, Some(Protection::Read));
        put(&reservation, 2 * page_len(), 1);

        reservation.guard(pages(0..6))?;
        reservation.decommit(pages(0..6))?;
        reservation.commit(pages(0..6), Protection::ReadWrite)?;
        assert_eq!([0, 1, 2, 3, 4, 5].map(readable), [true; 6], "decommit takes guards along");
    }
    Ok(())
}

#[test]
fn discard_keeps_access_and_later_writes() -> Result<(), Error> {
    let reservation = Reservation::reserve(2 * page_len())?;
    reservation.commit(pages(0..2), Protection::ReadWrite)?;
    put(&reservation, 0, 5);
    reservation.discard(pages(0..2))?;
    assert!([0, 5].contains(&byte_at(&reservation, 0)));
    put(&reservation, 0, 6);
    assert_eq!((byte_at(&reservation, 0), state_at(&reservation, 0)), (6, State::Committed));
    Ok(())
}

#[test]
fn an_untracked_reservation_keeps_no_books() -> Result<(), Error> {
    for kind in both_guard_kinds() {
        let lens = [64 * TIB, TIB, 64 * GIB];
        let len = lens.into_iter().find(|&len| means::has_addresses(len)).expect("addresses");
        let builder = Reservation::builder().len(len).policy(CommitPolicy::Lazy);
        let reservation = builder.guard_kind(kind).untracked().reserve()?;
        assert_eq!((reservation.len(), reservation.policy()), (len, CommitPolicy::Lazy));
        let error = reservation.query(0).expect_err("there is no table");
        assert_eq!((error.op(), error.kind()), (Op::Query, ErrorKind::Unsupported));

        let far = len / 64 * 63 + 5 * page_len();
        let range = far..far + 2 * page_len();
        reservation.commit(range.clone(), Protection::ReadWrite)?;
        assert!(kernel_reads(reservation.base() + far));
        reservation.guard(far + page_len()..far + 2 * page_len())?;
        assert!(kernel_reads(reservation.base() + far));
        assert!(!kernel_reads(reservation.base() + far + page_len()));
        reservation.unguard(range.clone())?;
        assert!(kernel_reads(reservation.base() + far + page_len()));
        reservation.protect(range.clone(), Protection::NoAccess)?;
        assert!(!kernel_reads(reservation.base() + far));
        reservation.decommit(range)?;
        let error = reservation.guard(len..len + 1).expect_err("behind the end");
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
        reservation.release()?;
    }
    Ok(())
}

/// The flags of mappings are told by Linux alone.
#[cfg(target_os = "linux")]
#[test]
fn advice_outlives_decommit() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    let reservation = Reservation::reserve(16 * page_len())?;
    reservation.advise(vm::Advice::NoDump)?;
    if let Err(error) = reservation.advise(vm::Advice::NoHugePages) {
        println!("skipped: huge page advice, {error}");
        return Ok(());
    }
    for range in [pages(0..16), pages(3..5)] {
        reservation.commit(pages(0..16), Protection::ReadWrite)?;
        reservation.decommit(range)?;
        for page in 0..16 {
            let flags = vm_support::mapping_flags(reservation.base() + page * page_len());
            assert!(flags.iter().any(|flag| flag == "dd"), "page {page}: {flags:?}");
            assert!(flags.iter().any(|flag| flag == "nh"), "page {page}: {flags:?}");
        }
    }
    Ok(())
}

#[test]
fn drop_and_release_free_committed_pages() -> Result<(), Error> {
    for drops in [true, false] {
        let reservation = Reservation::builder().hint(0x6000_0000).len(MIB).reserve()?;
        reservation.commit(0..MIB, Protection::ReadWrite)?;
        put(&reservation, 0, 1);
        if drops {
            drop(reservation)
        } else {
            reservation.release()?
        }
        assert_eq!(vm::query(0x6000_0000)?.state, State::Free);
    }
    Ok(())
}

#[test]
fn the_system_tells_free_reserved_and_committed() -> Result<(), Error> {
    let at = |page: usize| vm::query(0x6800_0000 + page * page_len());
    let builder = Reservation::builder().hint(0x6800_0000).len(8 * page_len());
    let reservation = builder.guard_kind(GuardKind::Split).reserve()?;
    reservation.commit(pages(2..5), Protection::ReadWrite)?;
    reservation.protect(pages(4..5), Protection::Read)?;
    let told = |page: usize| at(page).map(|region| (region.state, region.protection));
    assert_eq!(told(0)?, (State::Reserved, None));
    assert_eq!(told(2)?, (State::Committed, Some(Protection::ReadWrite)));
    assert_eq!(told(4)?, (State::Committed, Some(Protection::Read)));
    let inner = vm::query(0x6800_0000 + 3 * page_len() + 5)?;
    assert_eq!((inner.base, inner.len), (0x6800_0000 + 3 * page_len(), page_len()));
    assert_eq!(at(0)?.len, 2 * page_len());
    assert_eq!(told(8)?, (State::Free, None));
    drop(reservation);
    assert_eq!(told(3)?, (State::Free, None));
    assert!(at(3)?.len >= 5 * page_len());

    let error = vm::query(usize::MAX).expect_err("the kernel's");
    assert_eq!((error.op(), error.kind()), (Op::Query, ErrorKind::OutOfRange));
    let last = vm::query(vm::info().address_max)?;
    assert!(last.state != State::Free || last.base + last.len == vm::info().address_max + 1);
    Ok(())
}

#[test]
fn threads_work_on_neighbouring_pages() -> Result<(), Error> {
    const THREADS: usize = 4;
    const PAGES: usize = 64;
    for kind in both_guard_kinds() {
        let reservation = with_guards(THREADS * PAGES, kind);
        let work = |thread: usize| -> Result<(), Error> {
            for round in 0..8 {
                // Every fourth page is this thread's: the table's words are shared by all.
                for page in (thread..THREADS * PAGES).step_by(THREADS) {
                    let range = pages(page..page + 1);
                    reservation.commit(range.clone(), Protection::ReadWrite)?;
                    put(&reservation, range.start, 1);
                    reservation.guard(range.clone())?;
                    reservation.unguard(range.clone())?;
                    assert_eq!(byte_at(&reservation, range.start), 0);
                    if (page + round) % 2 == 0 {
                        reservation.decommit(range)?;
                    }
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })?;
        for page in 0..THREADS * PAGES {
            let kept = (page + 7) % 2 != 0;
            let state = if kept { State::Committed } else { State::Reserved };
            assert_eq!(state_at(&reservation, page * page_len()), state);
            assert_eq!(kernel_reads(reservation.base() + page * page_len()), kept);
        }
    }
    Ok(())
}

#[test]
fn the_error_number_of_the_thread_is_kept() -> Result<(), Error> {
    let reservation = Reservation::builder().hint(0x7000_0000).len(MIB).reserve()?;
    system::set_error_number(42);
    drop(Reservation::builder().len(MIB).align(16 * MIB).reserve()?);
    Reservation::builder().hint(0x7000_0000).len(MIB).reserve().expect_err("taken");
    reservation.commit(0..MIB, Protection::ReadWrite)?;
    reservation.protect(0..MIB, Protection::Read)?;
    vm::query(reservation.base())?;
    vm::query(page_len as *const () as usize)?;
    reservation.release()?;
    assert_eq!(system::error_number(), 42);
    Ok(())
}

#[test]
fn the_environment_forces_split_guards() {
    in_own_process("the_environment_forces_split_guards", &[("GRANULE_GUARD", "split")], || {
        assert_eq!(vm::info().guard, GuardKind::Split);
        let reservation = Reservation::reserve(3 * page_len()).expect("a small reservation");
        assert_eq!(reservation.guard_kind(), GuardKind::Split);
        reservation.commit(pages(0..3), Protection::ReadWrite).expect("three pages");
        reservation.guard(pages(1..2)).expect("one guard");
        assert!(!kernel_reads(reservation.base() + page_len()));
        assert!(kernel_reads(reservation.base() + 2 * page_len()));
    });
}

#[test]
fn info_agrees_with_the_system() {
    let info = vm::info();
    assert_eq!(info.page_len, system::page_len());
    assert_eq!(info.mappings_max, system::mappings_max());
    assert!(info.address_min <= info.address_max && info.memory_len > 0);
    assert!(info.guard_markers || info.guard == GuardKind::Split);
}
