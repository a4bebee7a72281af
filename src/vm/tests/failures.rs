//! Every verb and option, from the first reservation to the last release, with every system call
//! refused in turn. What is checked each time is written in `stage.rs`.

use super::stage::{Absorbed, Stage, play};
use crate::error::{Call, Error, Op};
use crate::sys::model::Verb::{Commit, Decommit, Discard, Guard, Protect, Unguard, Write};
use crate::sys::{self, Advice};
use crate::vm::{
    self, Builder, CommitPolicy, GuardKind, Name, Protection, Reservation, Ring, State,
};
use std::vec::Vec;

pub(super) const READ: Protection = Protection::Read;
pub(super) const WRITE: Protection = Protection::ReadWrite;

/// Decommit falls back to madvise and mprotect, which keep the charge.
pub(super) const MAPPED_OVER: Absorbed =
    Absorbed::by(Op::Decommit, Call::Mmap, "emptied in place instead, which keeps the charge");
/// As above: a split guard is made by a decommit.
pub(super) const GUARDED_OVER: Absorbed =
    Absorbed::by(Op::Guard, Call::Mmap, "emptied in place instead, which keeps the charge");
/// Told when a range is made, and again when a decommit has made a new one.
pub(super) const NAMED: Absorbed =
    Absorbed::by(Op::Reserve, Call::Prctl, "a name is for readers only").on_some_systems();
pub(super) const RENAMED: Absorbed =
    Absorbed::by(Op::Decommit, Call::Prctl, "a name is for readers only").on_some_systems();
/// Where to reserve is tried first at a place of our choice.
pub(super) const PLACE: Absorbed =
    Absorbed::by(Op::Reserve, Call::VirtualAlloc, "the system chooses instead").on_some_systems();
/// Addresses that no system chooses by itself so early, and no other test asks for.
pub(super) const NOBODYS: usize = 0x3_5600_0000;

pub(super) fn pages(count: usize) -> Builder {
    Reservation::builder().len(count * sys::limits().page_len)
}

pub(super) fn has_markers() -> bool {
    let markers = sys::guards().markers;
    if !markers {
        std::println!("skipped: guard markers, this system has none");
    }
    markers
}

#[test]
fn commit_decommit_and_release() {
    play(&[PLACE, MAPPED_OVER, NAMED, RENAMED], |stage| {
        for policy in [CommitPolicy::Strict, CommitPolicy::Lazy] {
            stage.reserve(pages(8).policy(policy).name(Name::new(b"story")))?;
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
    play(&[PLACE], |stage| {
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
    let trial = "a system without the call: an aligned address is found by trial";
    let trial = Absorbed::by(Op::Reserve, Call::VirtualAlloc2, trial).on_some_systems();
    play(&[PLACE, trial], |stage| {
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
    play(&[PLACE, MAPPED_OVER, GUARDED_OVER], |stage| guards_come_and_go(stage, GuardKind::Split));
}

#[test]
fn guards_by_markers() {
    if has_markers() {
        let locked = "EINVAL as from locked pages: they are unlocked, and it is tried again";
        let absorbs = [PLACE, MAPPED_OVER, Absorbed::by(Op::Guard, Call::Madvise, locked)];
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
    play(&[PLACE, MAPPED_OVER, Absorbed::by(Op::Decommit, Call::Madvise, hint)], |stage| {
        stage.reserve(pages(4))?;
        stage.ask(Op::Advise, 0, |range| range.advise(Advice::NoDump))?;
        stage.ask(Op::Advise, 0, |range| range.advise(Advice::NoHugePages))?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.apply(0, Decommit, 1..2)
    });
}

#[test]
fn questions_about_any_address() {
    let list = "the whole list of mappings is read instead";
    // Kernels before 6.11 are asked once in a process.
    let asked = Absorbed::by(Op::Query, Call::Ioctl, list).on_some_systems();
    play(&[PLACE, asked], |stage| {
        stage.reserve(pages(4))?;
        stage.apply(0, Commit(WRITE), 1..2)?;
        let (base, page_len) = (stage.base(0), sys::limits().page_len);
        let ours = stage.verb(Op::Query, || vm::query(base + page_len))?;
        assert_eq!((ours.state, ours.allocation_base), (State::Committed, base));
        let stack = (&raw const ours).addr();
        let foreign = stage.verb(Op::Query, || vm::query(stack))?;
        assert_eq!((foreign.state, foreign.protection), (State::Committed, Some(WRITE)));
        assert_eq!(stage.verb(Op::Query, || vm::query(0))?.state, State::Free);
        let some = || vm::regions().take(3).collect::<Result<Vec<_>, _>>();
        let first = stage.verb(Op::Query, some)?;
        assert!(first.windows(2).all(|pair| pair[0].base + pair[0].len == pair[1].base));
        Ok(())
    });
}

#[test]
fn pieces_are_cut_and_joined() {
    play(&[PLACE, MAPPED_OVER], |stage| {
        let step = sys::limits().granularity / sys::limits().page_len;
        stage.reserve(pages(3 * step))?;
        stage.apply(0, Commit(WRITE), 1..3 * step - 1)?;
        stage.apply(0, Write(5), step - 1..step + 1)?;
        stage.split(0, step)?;
        stage.split(1, step)?;
        stage.apply(1, Protect(READ), 0..1)?;
        stage.apply(2, Decommit, 0..step)?;
        stage.join_last()?;
        stage.apply(1, Commit(WRITE), 0..2 * step)?;
        stage.release(0)?;
        stage.split(0, step)?;
        stage.release(1)
    });
}

/// Nobody keeps books here, so only the errors and the ledger are looked at.
#[test]
fn an_untracked_reservation() {
    play(&[PLACE, MAPPED_OVER, GUARDED_OVER], |stage| {
        let builder = pages(8).untracked().guard_kind(GuardKind::Split);
        let range = stage.verb(Op::Reserve, || builder.reserve())?;
        let page_len = sys::limits().page_len;
        let (all, inner) = (0..8 * page_len, page_len..2 * page_len);
        stage.verb(Op::Commit, || range.commit(all.clone(), WRITE))?;
        stage.verb(Op::Protect, || range.protect(inner.clone(), READ))?;
        stage.verb(Op::Discard, || range.discard(inner.clone()))?;
        stage.verb(Op::Guard, || range.guard(inner.clone()))?;
        stage.verb(Op::Unguard, || range.unguard(inner.clone()))?;
        stage.verb(Op::Decommit, || range.decommit(all))?;
        stage.verb(Op::Release, || range.release())
    });
}

#[test]
fn a_mirrored_ring() {
    let trial = "no placeholders: a free place is found by trial";
    let faster = "somebody else was faster there: another place is tried";
    let left = "as above; the view at the first place stays";
    let absorbs = [
        Absorbed::by(Op::Mirror, Call::VirtualAlloc2, trial).on_some_systems(),
        Absorbed::by(Op::Mirror, Call::MapViewOfFile, faster).on_some_systems(),
        Absorbed::by(Op::Mirror, Call::UnmapViewOfFile, left).on_some_systems(),
    ];
    play(&absorbs, |stage| {
        let mut ring = stage.verb(Op::Mirror, || Ring::new(1))?;
        assert_eq!(ring.write(b"once around"), 11);
        assert_eq!(ring.filled(), b"once around");
        Ok(())
    });
}

#[test]
fn what_the_machine_offers() {
    let unknown = "0, or the careful answer, stands for what cannot be read";
    let absorbs =
        [Call::Mmap, Call::Mprotect, Call::Madvise, Call::Munmap, Call::Openat, Call::Read]
            .map(|call| Absorbed::by_answer(call, unknown));
    play(&absorbs, |stage| {
        let info = stage.tell(vm::info);
        assert!(info.page_len.is_power_of_two() && info.address_min < info.address_max);
        assert!(info.guard_markers || info.guard == GuardKind::Split);
        Ok(())
    });
}
