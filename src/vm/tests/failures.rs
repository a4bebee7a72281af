//! Every verb and option, from the first reservation to the last release, with every system call
//! refused in turn. What is checked each time is written in `stage.rs`.

use super::stage::{Absorbed, Stage, play};
use crate::error::{Call, Error, Op};
use crate::sys::model::Verb::{Commit, Decommit, Discard, Guard, Protect, Unguard, Write};
use crate::sys::{self, Advice};
use crate::vm::{self, Builder, CommitPolicy, GuardKind, Protection, Reservation, State};

const READ: Protection = Protection::Read;
const WRITE: Protection = Protection::ReadWrite;

/// Decommit falls back to madvise and mprotect, which keep the charge.
const MAPPED_OVER: Absorbed =
    Absorbed::by(Op::Decommit, Call::Mmap, "emptied in place instead, which keeps the charge");
/// As above: a split guard is made by a decommit.
const GUARDED_OVER: Absorbed =
    Absorbed::by(Op::Guard, Call::Mmap, "emptied in place instead, which keeps the charge");
/// Addresses that no system chooses by itself so early, and no other test asks for.
const NOBODYS: usize = 0x3_5600_0000;
const TABLE: Absorbed =
    Absorbed::by(Op::Release, Call::Munmap, "the addresses of the table stay taken");

fn pages(count: usize) -> Builder {
    Reservation::builder().len(count * sys::limits().page_len)
}

fn has_markers() -> bool {
    let markers = sys::guards().markers;
    if !markers {
        std::println!("skipped: guard markers, this system has none");
    }
    markers
}

#[test]
fn commit_decommit_and_release() {
    play(&[MAPPED_OVER, TABLE], |stage| {
        for policy in [CommitPolicy::Strict, CommitPolicy::Lazy] {
            stage.reserve(pages(8).policy(policy))?;
            stage.apply(0, Commit(WRITE), 1..4)?;
            stage.apply(0, Write(1), 1..4)?;
            stage.apply(0, Commit(READ), 0..2)?;
            stage.apply(0, Commit(WRITE), 0..8)?;
            stage.apply(0, Decommit, 2..3)?;
            stage.apply(0, Decommit, 0..8)?;
            stage.apply(0, Commit(WRITE), 7..8)?;
            stage.release(0)?;
        }
        Ok(())
    });
}

#[test]
fn all_rights_and_protect_over_pages_that_differ() {
    play(&[], |stage| {
        stage.reserve(pages(6))?;
        let rights = [
            Protection::NoAccess,
            Protection::Read,
            Protection::ReadWrite,
            Protection::Execute,
            Protection::ExecuteRead,
            Protection::ExecuteReadWrite,
        ];
        for (page, rights) in rights.into_iter().enumerate() {
            stage.apply(0, Commit(rights), page..page + 1)?;
        }
        stage.apply(0, Write(7), 2..3)?;
        stage.apply(0, Protect(READ), 1..5)?;
        stage.apply(0, Protect(WRITE), 0..6)?;
        stage.apply(0, Write(8), 0..6)?;
        stage.apply(0, Discard, 1..3)
    });
}

#[test]
fn an_aligned_base_and_a_base_at_a_hint() {
    play(&[TABLE], |stage| {
        stage.reserve(pages(3).align(2 << 20))?;
        stage.reserve(pages(3).align(1 << 30))?;
        stage.apply(1, Commit(WRITE), 0..3)?;
        stage.reserve(pages(3).hint(NOBODYS))?;
        stage.apply(2, Commit(WRITE), 1..2)?;
        stage.release(0)
    });
}

/// Split guards one by one, markers in one call; partly there already, and with other rights.
fn guards_come_and_go(stage: &mut Stage<'_>, kind: GuardKind) -> Result<(), Error> {
    stage.reserve(pages(8).guard_kind(kind))?;
    stage.apply(0, Commit(WRITE), 0..8)?;
    stage.apply(0, Write(3), 0..8)?;
    stage.apply(0, Protect(READ), 4..5)?;
    stage.apply(0, Guard, 2..3)?;
    stage.apply(0, Guard, 2..6)?;
    stage.apply(0, Unguard, 1..7)?;
    stage.apply(0, Write(4), 3..4)?;
    stage.apply(0, Guard, 0..2)?;
    stage.apply(0, Decommit, 1..2)?;
    stage.apply(0, Commit(WRITE), 1..2)
}

#[test]
fn guards_by_protection() {
    play(&[MAPPED_OVER, GUARDED_OVER], |stage| guards_come_and_go(stage, GuardKind::Split));
}

#[test]
fn guards_by_markers() {
    if has_markers() {
        let locked = "EINVAL as from locked pages: they are unlocked, and it is tried again";
        let absorbs = [MAPPED_OVER, Absorbed::by(Op::Guard, Call::Madvise, locked)];
        play(&absorbs, |stage| guards_come_and_go(stage, GuardKind::Marker));
    }
}

#[test]
fn advice_outlives_decommit() {
    let hint = "advice is a hint: it may be lost when it has to be repeated";
    let supported = Reservation::reserve(1).and_then(|range| range.advise(Advice::NoDump));
    if let Err(error) = supported {
        std::println!("skipped: {error}");
        return;
    }
    play(&[MAPPED_OVER, Absorbed::by(Op::Decommit, Call::Madvise, hint)], |stage| {
        stage.reserve(pages(4))?;
        stage.ask(Op::Advise, 0, |range| range.advise(Advice::NoDump))?;
        stage.ask(Op::Advise, 0, |range| range.advise(Advice::NoHugePages))?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.apply(0, Decommit, 1..2)
    });
}

#[test]
fn questions_about_any_address() {
    let list = "an older kernel: its list of mappings is read instead";
    play(&[Absorbed::by(Op::Query, Call::Ioctl, list)], |stage| {
        stage.reserve(pages(4))?;
        stage.apply(0, Commit(WRITE), 1..2)?;
        let (base, page_len) = (stage.base(0), sys::limits().page_len);
        for (page, state) in [State::Reserved, State::Committed, State::Reserved].iter().enumerate()
        {
            let told = stage.ask(Op::Query, 0, |_| vm::query(base + page * page_len))?;
            assert_eq!(told.state, *state, "page {page}");
        }
        Ok(())
    });
}

#[test]
fn what_the_machine_offers() {
    let unknown = "0, or the careful answer, stands for what cannot be read";
    let absorbs = [Call::Mmap, Call::Madvise, Call::Munmap, Call::Openat, Call::Read]
        .map(|call| Absorbed::by_answer(call, unknown));
    play(&absorbs, |stage| {
        let info = stage.tell(vm::info);
        assert!(info.page_len.is_power_of_two() && info.address_min < info.address_max);
        assert!(info.guard_markers || info.guard == GuardKind::Split);
        Ok(())
    });
}
