//! Guards on many ranges in one call: all of them or none, with one system call or many.

mod vm_support;

use granule::vm::{self, GuardKind, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use std::ops::Range;
use vm_support::{byte_at, kernel_reads, put, region_at, state_at};

fn pages(range: Range<usize>) -> Range<usize> {
    let page = vm::info().page_len;
    range.start * page..range.end * page
}

fn with_guards(count: usize, kind: GuardKind) -> Reservation {
    let builder = Reservation::builder().len(pages(0..count).end).guard_kind(kind);
    let reservation = builder.reserve().expect("a small reservation");
    reservation.commit(pages(0..count), Protection::ReadWrite).expect("some pages");
    reservation
}

fn kinds() -> Vec<GuardKind> {
    let mut kinds = vec![GuardKind::Split];
    if vm::info().guard_markers {
        kinds.push(GuardKind::Marker);
    } else {
        println!("skipped: guard markers, this system has none");
    }
    kinds
}

/// Every fourth page.
fn every_fourth(count: usize) -> Vec<Range<usize>> {
    (0..count).step_by(4).map(|page| pages(page..page + 1)).collect()
}

#[test]
fn a_batch_guards_exactly_its_ranges() -> Result<(), Error> {
    const COUNT: usize = 1200; // several system calls
    for kind in kinds() {
        let reservation = with_guards(COUNT, kind);
        for page in 0..COUNT {
            put(&reservation, pages(page..page).start, 1);
        }
        let ranges = every_fourth(COUNT);
        reservation.guard_all(&ranges)?;
        reservation.guard_all(&ranges)?;
        for page in 0..COUNT {
            let guarded = page % 4 == 0;
            let offset = pages(page..page).start;
            let state = if guarded { State::Guarded } else { State::Committed };
            assert_eq!(state_at(&reservation, offset), state);
            assert_eq!(kernel_reads(reservation.base() + offset), !guarded, "page {page}");
        }
        reservation.unguard_all(&ranges)?;
        assert_eq!(region_at(&reservation, 0).len, reservation.len());
        for page in 0..COUNT {
            let byte = byte_at(&reservation, pages(page..page).start);
            assert_eq!(byte, u8::from(page % 4 != 0), "page {page}");
        }
        reservation.guard_all(&[])?;
        reservation.unguard_all(&[])?;
    }
    Ok(())
}

#[test]
fn ranges_may_overlap_and_keep_their_rights() -> Result<(), Error> {
    for kind in kinds() {
        let reservation = with_guards(8, kind);
        reservation.protect(pages(2..3), Protection::Read)?;
        reservation.guard_all(&[pages(1..4), pages(2..6), 0..1])?;
        let region = region_at(&reservation, pages(2..3).start);
        assert_eq!((region.state, region.protection), (State::Guarded, Some(Protection::Read)));
        reservation.unguard_all(&[pages(0..8), pages(2..3)])?;
        let region = region_at(&reservation, pages(2..3).start);
        assert_eq!((region.state, region.protection), (State::Committed, Some(Protection::Read)));
        assert!((0..8).all(|page| kernel_reads(reservation.base() + pages(page..page).start)));
    }
    Ok(())
}

#[test]
fn one_bad_range_refuses_all_and_is_named() -> Result<(), Error> {
    for kind in kinds() {
        let reservation = with_guards(8, kind);
        put(&reservation, 0, 5);
        reservation.decommit(pages(6..7))?;
        let len = reservation.len();
        let cases = [
            (pages(5..7), ErrorKind::BadState),
            (len..len + 1, ErrorKind::OutOfRange),
            (3..3, ErrorKind::OutOfRange),
            (Range { start: 9, end: 3 }, ErrorKind::OutOfRange),
        ];
        for (bad, kind) in cases {
            let ranges = [pages(0..1), pages(2..3), bad.clone(), pages(4..5)];
            let attempts = [
                (Op::Guard, reservation.guard_all(&ranges)),
                (Op::Unguard, reservation.unguard_all(&ranges)),
            ];
            for (op, done) in attempts {
                let error = done.expect_err("one of them is bad");
                assert_eq!((error.op(), error.kind(), error.code()), (op, kind, 0));
                assert_eq!(error.addr(), reservation.base() + bad.start);
                assert_eq!(error.len(), bad.end.saturating_sub(bad.start));
            }
        }
        assert_eq!(region_at(&reservation, 0).len, pages(0..6).end, "nothing was guarded");
        assert_eq!(byte_at(&reservation, 0), 5);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod refused {
    use super::*;
    use vm_support::filters::{Refused, refusal, with_refused};

    fn no(call: libc::c_long, argument: Option<(u32, u32)>, errno: i32) -> Refused {
        Refused { call, argument, errno }
    }

    /// A kernel without the call, without the descriptor that stands for oneself, or one that
    /// stumbles at every piece: the ranges are done one by one.
    #[test]
    fn what_the_batch_cannot_do_is_done_one_by_one() {
        if !vm::info().guard_markers {
            println!("skipped: guard markers, this kernel has none");
            return;
        }
        let itself = -10001i32 as u32;
        let old_kernels = [
            vec![no(libc::SYS_process_madvise, None, libc::ENOSYS)],
            vec![no(libc::SYS_process_madvise, Some((0, itself)), libc::EBADF)],
            vec![
                no(libc::SYS_process_madvise, Some((0, itself)), libc::EBADF),
                no(libc::SYS_pidfd_open, None, libc::EMFILE),
            ],
        ];
        for filter in old_kernels {
            let reservation = with_guards(600, GuardKind::Marker);
            let ranges = every_fourth(600);
            let done = with_refused(&filter, || {
                reservation.guard_all(&ranges)?;
                let guarded = !kernel_reads(reservation.base());
                reservation.unguard_all(&ranges)?;
                Ok::<_, Error>(guarded)
            });
            let Some(done) = done else { return };
            assert!(done.expect("as with one call"));
            assert_eq!(region_at(&reservation, 0).len, reservation.len());
        }
    }

    #[test]
    fn a_batch_that_fails_half_way_leaves_the_states_as_they_were() {
        const REMOVE: u32 = 103;
        if !vm::info().guard_markers {
            println!("skipped: guard markers, this kernel has none");
            return;
        }
        let reservation = with_guards(600, GuardKind::Marker);
        // Locked pages stop a batch; alone they would be unlocked first, which is refused here.
        reservation.lock(pages(400..401)).expect("a page");
        let ranges = every_fourth(600);
        let filter = [no(libc::SYS_munlock, None, libc::ENOMEM)];
        let told = with_refused(&filter, || reservation.guard_all(&ranges));
        let Some(told) = told else { return };
        let error = told.expect_err("page 400 is locked");
        assert_eq!((error.op(), error.kind()), (Op::Guard, ErrorKind::NoMemory));
        assert_eq!(error.addr(), reservation.base() + pages(400..401).start);
        assert_eq!(region_at(&reservation, 0).len, reservation.len(), "nothing is guarded");
        assert!((0..600).all(|page| kernel_reads(reservation.base() + pages(page..page).start)));

        reservation.guard_all(&ranges).expect("here it may be unlocked");
        let filter = [
            no(libc::SYS_process_madvise, Some((3, REMOVE)), libc::EPERM),
            no(libc::SYS_madvise, Some((2, REMOVE)), libc::ENOMEM),
        ];
        let told = with_refused(&filter, || refusal(reservation.unguard_all(&ranges)));
        assert_eq!(told, Some((Op::Unguard, ErrorKind::NoMemory)));
        for page in 0..600 {
            let offset = pages(page..page).start;
            assert_eq!(state_at(&reservation, offset) == State::Guarded, page % 4 == 0);
            assert_eq!(kernel_reads(reservation.base() + offset), page % 4 != 0);
        }
    }
}
