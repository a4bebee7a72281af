//! Locking, filling and advising pages, and what the other verbs do to locked and advised ones.
//! Linux: the witnesses are smaps, mincore and children of a fork.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::vm::{self, Access, Advice, GuardKind, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use std::ops::Range;
use vm_support::filters::{Refused, refusal, resident, with_refused};
use vm_support::{byte_at, in_child, in_own_process, kernel_reads, limit, mapping_flags, means};
use vm_support::{put, state_at};

fn pages(range: Range<usize>) -> Range<usize> {
    let page = vm::info().page_len;
    range.start * page..range.end * page
}

fn committed(count: usize) -> Reservation {
    let reservation = Reservation::reserve(pages(0..count).end).expect("a small reservation");
    reservation.commit(pages(0..count), Protection::ReadWrite).expect("a few pages");
    reservation
}

fn has_flag(reservation: &Reservation, page: usize, flag: &str) -> bool {
    let flags = mapping_flags(reservation.base() + pages(page..page).start);
    assert!(!flags.is_empty(), "page {page} is mapped");
    flags.iter().any(|found| found == flag)
}

fn bad_state(done: Result<(), Error>) -> Op {
    let error = done.expect_err("a page is in the wrong state");
    assert_eq!((error.kind(), error.code()), (ErrorKind::BadState, 0), "{error}");
    error.op()
}

#[test]
fn locked_pages_are_in_memory_until_they_are_unlocked() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    let reservation = committed(8);
    put(&reservation, 0, 5);
    assert_eq!(resident(&reservation, 2..6), 0);
    reservation.lock(pages(2..6))?;
    reservation.lock(pages(3..4))?; // locks are not counted
    assert_eq!(resident(&reservation, 0..8), 5);
    assert_eq!(
        [1, 2, 5, 6].map(|page| has_flag(&reservation, page, "lo")),
        [false, true, true, false]
    );
    reservation.unlock(pages(0..3))?;
    reservation.unlock(pages(3..8))?;
    assert_eq!([2, 5].map(|page| has_flag(&reservation, page, "lo")), [false, false]);
    assert_eq!((byte_at(&reservation, 0), state_at(&reservation, 0)), (5, State::Committed));
    Ok(())
}

#[test]
fn only_pages_that_can_be_touched_are_locked() -> Result<(), Error> {
    let reservation = committed(4);
    reservation.decommit(pages(3..4))?;
    reservation.protect(pages(2..3), Protection::NoAccess)?;
    assert_eq!(bad_state(reservation.lock(pages(0..4))), Op::Lock);
    assert_eq!(bad_state(reservation.lock(pages(2..3))), Op::Lock);
    assert_eq!(bad_state(reservation.unlock(pages(0..4))), Op::Unlock);
    assert!(!has_flag(&reservation, 0, "lo"), "nothing was locked");
    reservation.protect(pages(2..3), Protection::Execute)?;
    assert_eq!(bad_state(reservation.lock(pages(2..3))), Op::Lock);
    reservation.protect(pages(0..3), Protection::ExecuteRead)?;
    reservation.lock(pages(0..3))?;
    reservation.unlock(pages(0..3))
}

#[test]
fn a_lock_ends_with_its_pages() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    for kind in [GuardKind::Marker, GuardKind::Split] {
        if kind == GuardKind::Marker && !vm::info().guard_markers {
            println!("skipped: guard markers, this kernel has none");
            continue;
        }
        let builder = Reservation::builder().len(pages(0..6).end).guard_kind(kind);
        let reservation = builder.reserve()?;
        reservation.commit(pages(0..6), Protection::ReadWrite)?;
        put(&reservation, 0, 9);
        reservation.lock(pages(0..6))?;

        assert_eq!(refusal(reservation.discard(pages(0..1))), (Op::Discard, ErrorKind::BadState));
        assert_eq!(byte_at(&reservation, 0), 9);
        reservation.protect(pages(0..1), Protection::Read)?;
        assert!(has_flag(&reservation, 0, "lo"), "a lock outlives protect");

        reservation.decommit(pages(1..2))?;
        reservation.guard(pages(2..3))?;
        reservation.unguard(pages(2..3))?;
        reservation.commit(pages(1..2), Protection::ReadWrite)?;
        reservation.guard_all(&[pages(3..4), pages(5..6)])?;
        reservation.unguard_all(&[pages(3..4), pages(5..6)])?;
        let locked = [0, 1, 2, 3, 4, 5].map(|page| has_flag(&reservation, page, "lo"));
        assert_eq!(locked, [true, false, false, false, true, false], "{kind:?}");
        reservation.unlock(pages(0..6))?;
        reservation.discard(pages(1..6))?;
    }
    Ok(())
}

/// The limit holds for who may not ignore it: so the child becomes somebody else first.
#[test]
fn the_limit_of_locked_memory_is_told_by_its_own_kind() {
    in_own_process("the_limit_of_locked_memory_is_told_by_its_own_kind", &[], || {
        if !means::advice_shows() {
            return;
        }
        let reservation = committed(64);
        put(&reservation, 0, 1);
        limit(libc::RLIMIT_MEMLOCK, pages(0..16).end as u64);
        // SAFETY: plain numbers; fails for who is nobody already.
        let changed = unsafe { libc::setresuid(65534, 65534, 65534) } == 0;
        // SAFETY: takes nothing.
        if !changed && unsafe { libc::geteuid() } == 0 {
            println!("skipped: this process must stay root, for whom there is no limit");
            return;
        }
        reservation.lock(pages(0..8)).expect("below the limit");
        let error = reservation.lock(pages(0..64)).expect_err("beyond it");
        assert_eq!((error.op(), error.kind()), (Op::Lock, ErrorKind::Denied));
        assert_eq!((error.addr(), error.len()), (reservation.base(), pages(0..64).end));
        assert!(error.to_string().contains("ulimit -l"), "the next step: {error}");
        let locked = [0, 7, 8, 63].map(|page| has_flag(&reservation, page, "lo"));
        assert_eq!(locked, [true, true, false, false], "nothing was changed");
        limit(libc::RLIMIT_MEMLOCK, 0);
        assert_eq!(refusal(reservation.lock(pages(20..21))), (Op::Lock, ErrorKind::Denied));
        reservation.unlock(pages(0..64)).expect("needs no permission");
        assert_eq!(byte_at(&reservation, 0), 1);
    });
}

#[test]
fn populated_pages_are_in_memory_and_keep_their_content() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    let reservation = committed(16);
    put(&reservation, 1, 7);
    reservation.populate(pages(0..8), Access::Write)?;
    assert_eq!((resident(&reservation, 0..8), resident(&reservation, 8..16)), (8, 0));
    reservation.populate(pages(8..12), Access::Read)?;
    assert_eq!(resident(&reservation, 8..16), 4);
    assert_eq!([1, pages(9..9).start].map(|offset| byte_at(&reservation, offset)), [7, 0]);

    reservation.protect(pages(0..1), Protection::Read)?;
    reservation.protect(pages(1..2), Protection::NoAccess)?;
    reservation.populate(pages(0..1), Access::Read)?;
    assert_eq!(bad_state(reservation.populate(pages(0..1), Access::Write)), Op::Populate);
    assert_eq!(bad_state(reservation.populate(pages(0..2), Access::Read)), Op::Populate);
    reservation.decommit(pages(15..16))?;
    assert_eq!(bad_state(reservation.populate(pages(14..16), Access::Read)), Op::Populate);
    assert_eq!(resident(&reservation, 14..15), 0, "nothing was done");
    Ok(())
}

/// Before Linux 5.14 the pages are touched: a filter makes the kernel that old.
#[test]
fn populate_touches_pages_where_the_kernel_cannot() {
    let reservation = committed(16);
    put(&reservation, 3, 250);
    let unknown = |advice: i32| Refused {
        call: libc::SYS_madvise,
        argument: Some((2, advice as u32)),
        errno: libc::EINVAL,
    };
    let filter = [unknown(libc::MADV_POPULATE_READ), unknown(libc::MADV_POPULATE_WRITE)];
    let done = with_refused(&filter, || {
        reservation.protect(pages(0..4), Protection::Read)?;
        reservation.populate(pages(0..4), Access::Read)?;
        reservation.populate(pages(8..16), Access::Write)
    });
    let Some(done) = done else { return };
    done.expect("the pages are touched");
    assert_eq!((resident(&reservation, 0..4), resident(&reservation, 4..8)), (4, 0));
    assert_eq!((resident(&reservation, 8..16), byte_at(&reservation, 3)), (8, 250));
}

#[test]
fn what_the_system_refuses_is_told_by_verb_and_number() {
    let reservation = committed(4);
    let no = |call, errno| Refused { call, argument: None, errno };
    let filter = [
        no(libc::SYS_mlock, libc::EAGAIN),
        no(libc::SYS_munlock, libc::ENOMEM),
        no(libc::SYS_madvise, libc::ENOMEM),
    ];
    let told = with_refused(&filter, || {
        [
            refusal(reservation.lock(pages(0..2))),
            refusal(reservation.unlock(pages(0..2))),
            refusal(reservation.prefetch(pages(0..2))),
            refusal(reservation.populate(pages(0..2), Access::Read)),
            refusal(reservation.advise(Advice::Random)),
            refusal(reservation.advise_range(pages(0..1), Advice::Cold)),
        ]
    });
    let Some(told) = told else { return };
    let ops = [Op::Lock, Op::Unlock, Op::Prefetch, Op::Populate, Op::Advise, Op::Advise];
    assert_eq!(told, ops.map(|op| (op, ErrorKind::NoMemory)));
    reservation.decommit(pages(0..4)).expect("allowed");
    assert!(!has_flag(&reservation, 0, "rr"), "refused advice is not remembered");
}

#[test]
fn prefetch_is_for_committed_pages() -> Result<(), Error> {
    let reservation = committed(4);
    reservation.prefetch(pages(0..4))?;
    reservation.decommit(pages(1..2))?;
    assert_eq!(bad_state(reservation.prefetch(pages(0..4))), Op::Prefetch);
    Ok(())
}

#[test]
fn a_discard_cannot_be_taken_back_here_and_the_error_says_why() -> Result<(), Error> {
    let reservation = committed(4);
    reservation.discard(pages(0..2))?;
    let error = reservation.undiscard(pages(0..2)).expect_err("not on this system");
    assert_eq!((error.op(), error.kind()), (Op::Undiscard, ErrorKind::Unsupported));
    assert!(error.to_string().contains("write to the pages"), "{error}");
    reservation.decommit(pages(1..2))?;
    assert_eq!(bad_state(reservation.undiscard(pages(0..2))), Op::Undiscard);
    Ok(())
}

/// The advice that shows in smaps, and how.
const SHOWN: [(Advice, &str); 7] = [
    (Advice::Sequential, "sr"),
    (Advice::Random, "rr"),
    (Advice::HugePages, "hg"),
    (Advice::NoHugePages, "nh"),
    (Advice::NoDump, "dd"),
    (Advice::NoFork, "dc"),
    (Advice::WipeOnFork, "wf"),
];

#[test]
fn advice_for_the_whole_is_repeated_and_advice_for_a_range_is_not() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    for (advice, flag) in SHOWN {
        let reservation = committed(8);
        if let Err(error) = reservation.advise_range(pages(0..4), advice) {
            println!("skipped: {advice:?}, {error}");
            continue;
        }
        assert_eq!([0, 3, 4].map(|page| has_flag(&reservation, page, flag)), [true, true, false]);
        reservation.decommit(pages(2..3))?;
        assert_eq!([1, 2].map(|page| has_flag(&reservation, page, flag)), [true, false]);
        reservation.advise(advice)?;
        reservation.decommit(pages(0..8))?;
        reservation.commit(pages(3..5), Protection::ReadWrite)?;
        assert!((0..8).all(|page| has_flag(&reservation, page, flag)), "{advice:?}");
    }
    Ok(())
}

#[test]
fn the_last_advice_of_a_group_holds() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    let reservation = committed(4);
    let pairs = [
        (Advice::NoFork, Advice::WipeOnFork, "dc", "wf"),
        (Advice::Random, Advice::Sequential, "rr", "sr"),
        (Advice::NoDump, Advice::Dump, "dd", "wr"),
        (Advice::WipeOnFork, Advice::Fork, "wf", "wr"),
        (Advice::Sequential, Advice::Normal, "sr", "wr"),
    ];
    for (first, second, gone, there) in pairs {
        reservation.advise(first)?;
        assert!(has_flag(&reservation, 0, gone), "{first:?}");
        reservation.advise(second)?;
        reservation.decommit(pages(1..2))?;
        reservation.commit(pages(1..2), Protection::ReadWrite)?;
        for page in [0, 1] {
            assert!(!has_flag(&reservation, page, gone), "{second:?} ends {first:?}");
            assert!(has_flag(&reservation, page, there), "{second:?}");
        }
    }
    Ok(())
}

#[test]
fn advice_that_is_done_once_keeps_the_content() -> Result<(), Error> {
    let huge = vm::info().huge_page_len;
    let reservation = Reservation::builder().len(2 * huge.max(1)).align(huge.max(1)).reserve()?;
    reservation.commit(0..reservation.len(), Protection::ReadWrite)?;
    reservation.populate(0..reservation.len(), Access::Write)?;
    put(&reservation, 0, 3);
    for advice in [Advice::WillNeed, Advice::Cold, Advice::PageOut, Advice::Collapse] {
        if let Err(error) = reservation.advise(advice) {
            println!("skipped: {advice:?}, {error}");
        }
        assert_eq!((byte_at(&reservation, 0), state_at(&reservation, 0)), (3, State::Committed));
    }
    Ok(())
}

/// What a child of a fork reads at `addr`; `None` if it has no such page.
fn read_in_a_child(addr: usize) -> Option<u8> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the child makes system calls only.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let byte = std::ptr::with_exposed_provenance(addr);
        // SAFETY: the kernel reads the byte for us; a bad address is its error.
        let written = unsafe { libc::write(ends[1], byte, 1) };
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(written != 1)) };
    }
    assert!(child > 0, "a child");
    let (mut status, mut byte) = (0, 0u8);
    // SAFETY: `status` is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    let there = libc::WEXITSTATUS(status) == 0;
    // SAFETY: one byte of room.
    let count = if there { unsafe { libc::read(ends[0], (&raw mut byte).cast(), 1) } } else { 0 };
    for end in ends {
        // SAFETY: opened above and used by nobody else.
        assert_eq!(unsafe { libc::close(end) }, 0);
    }
    (count == 1).then_some(byte)
}

#[test]
fn children_get_what_was_advised() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    let reservation = committed(1);
    put(&reservation, 0, 8);
    let in_child =
        |advice| reservation.advise(advice).map(|()| read_in_a_child(reservation.base()));
    assert_eq!(in_child(Advice::NoFork)?, None);
    assert_eq!(in_child(Advice::WipeOnFork)?, Some(0));
    assert_eq!(in_child(Advice::Fork)?, Some(8));
    assert_eq!(byte_at(&reservation, 0), 8);
    Ok(())
}

#[test]
fn guard_markers_are_wiped_in_a_child_until_they_are_laid_again() {
    in_own_process("guard_markers_are_wiped_in_a_child_until_they_are_laid_again", &[], || {
        if !means::advice_shows() {
            return;
        }
        for kind in [GuardKind::Marker, GuardKind::Split] {
            if kind == GuardKind::Marker && !vm::info().guard_markers {
                continue;
            }
            let builder = Reservation::builder().len(pages(0..2).end).guard_kind(kind);
            let reservation = builder.reserve().expect("addresses");
            reservation.commit(pages(0..2), Protection::ReadWrite).expect("two pages");
            reservation.guard(pages(0..1)).expect("a committed page");
            let is_read = || kernel_reads(reservation.base());
            assert_eq!(in_child(|| assert!(!is_read())), 0, "{kind:?}");
            reservation.advise(Advice::WipeOnFork).expect("a range of ours");
            let status = in_child(|| {
                assert_eq!(is_read(), kind == GuardKind::Marker);
                reservation.guard(pages(0..1)).expect("it is guarded in the table");
                assert!(!is_read(), "it is guarded again");
            });
            assert_eq!(status, 0, "{kind:?}");
        }
    });
}

/// Fills the range that the child of a fork did not get with a mapping of somebody else.
fn take_hole(addr: usize) {
    let hint = std::ptr::with_exposed_provenance_mut(addr);
    let (rights, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let fixed = flags | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: takes free addresses only.
    let taken = unsafe { libc::mmap(hint, pages(0..1).end, rights, fixed, -1, 0) };
    assert_eq!(taken, hint, "the child has nothing there");
}

#[test]
fn the_child_of_a_fork_leaves_alone_what_it_did_not_get() {
    in_own_process("the_child_of_a_fork_leaves_alone_what_it_did_not_get", &[], || {
        if !means::advice_shows() {
            return;
        }
        let reservation = committed(32);
        // Both halves come from a reservation that lacks a page there.
        reservation.advise_range(pages(20..21), Advice::NoFork).expect("a range of ours");
        let (first, second) = reservation.split(pages(0..16).end).expect("a multiple of 64 KiB");
        let addr = second.base() + pages(0..4).end;
        let status = in_child(|| {
            take_hole(addr);
            assert_eq!(bad_state(second.decommit(pages(0..16))), Op::Decommit);
            assert_eq!(bad_state(second.protect(pages(0..1), Protection::Read)), Op::Protect);
            let found = vm::query(addr).map(|region| (region.base, region.protection));
            assert_eq!(found, Ok((addr, Some(Protection::Read))), "what the system says");
            // SAFETY: the child has a copy of its own, and ends without another drop.
            drop(unsafe { std::ptr::read(&raw const second) });
            assert!(!mapping_flags(addr).is_empty(), "it is somebody else's");
        });
        assert_eq!(status, 0);
        second.advise(Advice::Fork).expect("all of it again");
        let status = in_child(|| {
            second.decommit(pages(0..16)).expect("the child has all of it");
            // SAFETY: as above.
            drop(unsafe { std::ptr::read(&raw const second) });
            assert!(mapping_flags(addr).is_empty());
        });
        assert_eq!(status, 0);
        first.advise(Advice::NoFork).expect("all of it");
        let addr = first.base();
        let status = in_child(|| {
            take_hole(addr);
            // SAFETY: as above.
            unsafe { std::ptr::read(&raw const first) }.release().expect("nothing to do");
            assert!(!mapping_flags(addr).is_empty());
        });
        assert_eq!(status, 0);
        first.release().expect("it is the parent's");
    });
}
