//! The verbs that change no state, the wishes of a builder, tripwires and batches, with every
//! system call refused in turn: see `stage`.

use super::failures::{GUARDED_OVER, MAPPED_OVER, PLACE, has_markers, pages};
use super::stage::{Absorbed, play};
use crate::error::{Call, ErrorKind, Op};
use crate::sys::model::Verb::{
    Arm, Commit, Decommit, Disarm, Guard, Protect, Trip, Unguard, Write,
};
use crate::sys::{self, Access, Advice};
use crate::vm::{GuardKind, HugeWish, Protection, Reservation};

const WRITE: Protection = Protection::ReadWrite;

#[test]
fn tripwires_are_armed_trip_and_go() {
    let not_told = Absorbed::by_answer(Call::Mprotect, "None: the page stays armed");
    let not_told_there = Absorbed::by_answer(Call::VirtualProtect, "as above");
    let absorbs = [
        PLACE,
        MAPPED_OVER,
        GUARDED_OVER,
        not_told.on_some_systems(),
        not_told_there.on_some_systems(),
    ];
    play(&absorbs, |stage| {
        stage.reserve(pages(8).guard_kind(GuardKind::Split))?;
        stage.apply(0, Commit(WRITE), 0..8)?;
        stage.apply(0, Write(1), 0..8)?;
        stage.apply(0, Protect(Protection::Read), 3..5)?;
        stage.apply(0, Arm, 1..7)?;
        stage.apply(0, Trip, 2..4)?;
        stage.apply(0, Disarm, 0..3)?;
        stage.apply(0, Arm, 4..6)?;
        stage.apply(0, Commit(WRITE), 4..5)?;
        stage.apply(0, Guard, 5..6)?;
        stage.apply(0, Decommit, 6..7)
    });
}

#[test]
fn markers_lie_on_armed_pages() {
    if !has_markers() {
        return;
    }
    let locked = "EINVAL as from locked pages: they are unlocked, and it is tried again";
    play(&[PLACE, Absorbed::by(Op::Guard, Call::Madvise, locked)], |stage| {
        stage.reserve(pages(6).guard_kind(GuardKind::Marker))?;
        stage.apply(0, Commit(WRITE), 0..6)?;
        stage.apply(0, Arm, 1..5)?;
        stage.apply(0, Guard, 0..3)?;
        stage.apply(0, Unguard, 0..6)
    });
}

#[test]
fn pages_are_locked_filled_and_advised() {
    let touched = "EINVAL as from a kernel without it: the pages are touched";
    let missing = Reservation::reserve(1).and_then(|range| {
        range.commit(0..1, WRITE)?;
        range.lock(0..1)?;
        range.prefetch(0..1)
    });
    if let Err(error) = missing {
        std::println!("skipped: {error}");
        return;
    }
    let absorbs = [
        PLACE,
        Absorbed::by(Op::Populate, Call::Madvise, touched).on_some_systems(),
        Absorbed::by(Op::Unlock, Call::VirtualUnlock, "it was not locked").on_some_systems(),
    ];
    play(&absorbs, |stage| {
        let page = sys::limits().page_len;
        stage.reserve(pages(8))?;
        stage.apply(0, Commit(WRITE), 0..6)?;
        stage.ask(Op::Lock, 0, |range| range.lock(page..3 * page))?;
        stage.ask(Op::Unlock, 0, |range| range.unlock(0..6 * page))?;
        stage.ask(Op::Prefetch, 0, |range| range.prefetch(0..page))?;
        stage.ask(Op::Populate, 0, |range| range.populate(0..2 * page, Access::Read))?;
        stage.ask(Op::Populate, 0, |range| range.populate(page..4 * page, Access::Write))?;
        stage.ask(Op::Advise, 0, |range| range.advise_range(page..2 * page, Advice::WillNeed))
    });
}

#[test]
fn both_ends_of_the_address_space() {
    // Without a list of what is taken nothing can be searched, but the room of the stack is a
    // courtesy.
    let courtesy = "the room below the stack counts as free";
    let listed = "an older kernel: its list of mappings is read instead";
    let absorbs = [
        Absorbed::by(Op::Reserve, Call::Ioctl, listed).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Openat, courtesy).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Read, courtesy).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Mmap, "the next free place").on_some_systems(),
    ];
    play(&absorbs, |stage| {
        stage.reserve(pages(3).top_down())?;
        stage.reserve(pages(3).bottom_up())?;
        stage.apply(1, Commit(WRITE), 0..3)
    });
}

#[test]
fn wishes_are_met_or_the_reservation_is_not_made() {
    let builder = pages(4).no_dump().numa_node(0);
    match builder.reserve() {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            std::println!("skipped: {error}");
            return;
        }
        made => drop(made.expect("four pages")),
    }
    let hint = "a hint, when it is repeated";
    let absorbs = [
        MAPPED_OVER,
        Absorbed::by(Op::Decommit, Call::Madvise, hint),
        Absorbed::by(Op::Decommit, Call::Mbind, hint),
    ];
    play(&absorbs, |stage| {
        stage.reserve(builder)?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.apply(0, Decommit, 1..2)
    });
}

#[test]
fn a_wish_for_huge_pages_is_no_condition() {
    if sys::huge_page_len() == 0 {
        std::println!("skipped: no huge pages here");
        return;
    }
    let without = "the pool gives none, or the advice is refused: usual pages";
    let absorbs = [
        PLACE,
        Absorbed::by(Op::Reserve, Call::Mmap, without).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Madvise, without).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Openat, "the setting is not known").on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Read, "the setting is not known").on_some_systems(),
        Absorbed::by(Op::Query, Call::Openat, "smaps is asked instead").on_some_systems(),
        Absorbed::by(Op::Query, Call::Ioctl, "smaps is asked instead").on_some_systems(),
    ];
    play(&absorbs, |stage| {
        stage.reserve(pages(1).huge_pages(HugeWish::Advised))?;
        stage.reserve(pages(1).huge_pages(HugeWish::Explicit))?;
        stage.ask(Op::Query, 0, |range| range.huge_pages().map(drop))
    });
}

#[test]
fn a_batch_is_done_whole_or_not_at_all() {
    if !has_markers() {
        return;
    }
    let one_by_one = "the ranges are done one by one";
    let locked = "EINVAL as from locked pages: they are unlocked, and it is tried again";
    let absorbs = [
        PLACE,
        Absorbed::by(Op::Guard, Call::ProcessMadvise, one_by_one),
        Absorbed::by(Op::Unguard, Call::ProcessMadvise, one_by_one),
        Absorbed::by(Op::Guard, Call::Madvise, locked).on_some_systems(),
    ];
    play(&absorbs, |stage| {
        let page = sys::limits().page_len;
        let ranges = [0..page, 2 * page..3 * page, 5 * page..6 * page];
        stage.reserve(pages(8).guard_kind(GuardKind::Marker))?;
        stage.apply(0, Commit(WRITE), 0..8)?;
        stage.batch(Guard, &ranges)?;
        stage.batch(Unguard, &ranges)
    });
}
