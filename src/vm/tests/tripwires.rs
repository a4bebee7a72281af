//! Tripwires, with every system call refused in turn: see `stage`.

use super::failures::{GUARDED_OVER, MAPPED_OVER, PLACE, has_markers, pages};
use super::stage::{Absorbed, play};
use crate::error::{Call, Op};
use crate::sys::model::Verb::{
    Arm, Commit, Decommit, Disarm, Guard, Protect, Trip, Unguard, Write,
};
use crate::vm::{GuardKind, Protection};

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
