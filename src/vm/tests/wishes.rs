//! The wishes of a builder, and the verbs that change no state, while system calls fail.

use super::failures::{
    GUARDED_OVER, MAPPED_OVER, NAMED, PLACE, READ, RENAMED, WRITE, has_markers, pages,
};
use super::stage::{Absorbed, play};
use crate::error::{Call, Error, ErrorKind, Op};
use crate::sys::model::Verb::{Commit, Decommit, Write};
use crate::sys::{self, Access, Advice};
use crate::vm::{Builder, GuardKind, HugeWish, Name, Reservation};
use core::ops::Range;
use std::vec::Vec;

/// Addresses that no system chooses by itself, and no other test asks for.
const NOBODYS: usize = 0x3_5700_0000;

fn bytes(pages: Range<usize>) -> Range<usize> {
    let page_len = sys::limits().page_len;
    pages.start * page_len..pages.end * page_len
}

/// False, with a sentence, where the system cannot do it at all.
fn is_supported(done: Result<(), Error>) -> bool {
    if let Err(error) = &done {
        std::println!("skipped: {error}");
    }
    done.is_ok()
}

#[test]
fn a_base_at_an_exact_address_with_a_name() {
    play(&[PLACE, MAPPED_OVER, NAMED, RENAMED], |stage| {
        stage.reserve(pages(4).exact(NOBODYS).name(Name::new(b"story")))?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.apply(0, Decommit, 1..2)?;
        stage.release(0)
    });
}

#[test]
fn the_highest_and_the_lowest_addresses() {
    let list = "the whole list of mappings is read instead";
    let lost = "as if another thread were faster: the next place is tried";
    let room = "the room of the stack is not known, and not spared";
    let absorbs = [
        PLACE,
        // Kernels before 6.11 are asked once in a process.
        Absorbed::by(Op::Reserve, Call::Ioctl, list).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Mmap, lost),
        Absorbed::by(Op::Reserve, Call::Openat, room).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Read, room).on_some_systems(),
    ];
    play(&absorbs, |stage| {
        stage.reserve(pages(3).top_down())?;
        stage.reserve(pages(3).bottom_up())?;
        assert!(stage.base(0) > stage.base(1));
        stage.apply(0, Commit(WRITE), 0..3)
    });
}

#[test]
fn huge_pages_by_advice_and_from_the_pool() {
    if sys::inject::is_emulated() {
        return std::println!("skipped: an emulator tells of huge pages by a long list only");
    }
    let fewer = "fewer huge pages, or none: the report says so";
    let again = "advice is a hint: it may be lost when it has to be repeated";
    let list = "a longer list is read instead";
    let trial = "as from an older system: an aligned place is found by trial";
    let absorbs = [
        PLACE,
        MAPPED_OVER,
        Absorbed::by(Op::Reserve, Call::VirtualAlloc2, trial).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Madvise, fewer).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Mmap, fewer).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Openat, fewer).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Read, fewer).on_some_systems(),
        Absorbed::by(Op::Decommit, Call::Madvise, again).on_some_systems(),
        Absorbed::by(Op::Query, Call::Openat, list).on_some_systems(),
        Absorbed::by(Op::Query, Call::Ioctl, list).on_some_systems(),
    ];
    play(&absorbs, |stage| {
        for wish in [HugeWish::Advised, HugeWish::Explicit] {
            let range = stage.verb(Op::Reserve, || pages(8).huge_pages(wish).reserve())?;
            let all = 0..range.len();
            stage.verb(Op::Commit, || range.commit(all.clone(), WRITE))?;
            let report = stage.verb(Op::Query, || range.huge_pages())?;
            assert!(report.asked == Some(wish) && report.len <= range.len());
            stage.verb(Op::Decommit, || range.decommit(all))?;
            stage.verb(Op::Release, || range.release())?;
        }
        Ok(())
    });
}

#[test]
fn a_memory_node_and_no_dumps() {
    let wish = |builder: Builder| builder.numa_node(0).no_dump();
    if !is_supported(wish(pages(1)).reserve().map(drop)) {
        return;
    }
    let again = "a hint: it may be lost when it has to be repeated";
    let absorbs = [
        PLACE,
        MAPPED_OVER,
        Absorbed::by(Op::Decommit, Call::Madvise, again).on_some_systems(),
        Absorbed::by(Op::Decommit, Call::Mbind, again).on_some_systems(),
    ];
    play(&absorbs, |stage| {
        stage.reserve(wish(pages(4)))?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.apply(0, Decommit, 1..2)?;
        stage.release(0)
    });
}

#[test]
fn lock_and_unlock() {
    let made = Reservation::reserve(1).and_then(|range| {
        range.commit(0..1, WRITE)?;
        range.lock(0..1)
    });
    if !is_supported(made) {
        return;
    }
    let loose = "pages that are not locked need no unlocking";
    let unlocked = Absorbed::by(Op::Unlock, Call::VirtualUnlock, loose).on_some_systems();
    play(&[PLACE, MAPPED_OVER, unlocked], |stage| {
        stage.reserve(pages(4))?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.ask(Op::Lock, 0, |range| range.lock(bytes(1..3)))?;
        stage.apply(0, Write(3), 0..4)?;
        stage.ask(Op::Unlock, 0, |range| range.unlock(bytes(1..2)))?;
        stage.apply(0, Decommit, 0..4)
    });
}

#[test]
fn populate_and_prefetch() {
    let touched = "EINVAL as from an older kernel: the pages are touched one by one";
    let absorbs = [PLACE, Absorbed::by(Op::Populate, Call::Madvise, touched)];
    play(&absorbs, |stage| {
        stage.reserve(pages(4))?;
        stage.apply(0, Commit(WRITE), 0..3)?;
        stage.apply(0, Write(3), 0..1)?;
        stage.ask(Op::Populate, 0, |range| range.populate(bytes(0..3), Access::Write))?;
        stage.apply(0, Commit(READ), 3..4)?;
        stage.ask(Op::Populate, 0, |range| range.populate(bytes(0..4), Access::Read))?;
        stage.ask(Op::Prefetch, 0, |range| range.prefetch(bytes(0..4)))
    });
}

#[test]
fn advice_of_every_kind() {
    let kinds = [
        Advice::Sequential,
        Advice::Random,
        Advice::Normal,
        Advice::WillNeed,
        Advice::Cold,
        Advice::NoHugePages,
        Advice::NoDump,
        Advice::Dump,
        Advice::NoFork,
        Advice::Fork,
    ];
    let has = |&advice: &Advice| Reservation::reserve(1).and_then(|one| one.advise(advice)).is_ok();
    let kinds: Vec<_> = kinds.into_iter().filter(has).collect();
    play(&[PLACE], |stage| {
        stage.reserve(pages(4))?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.apply(0, Write(9), 0..4)?;
        kinds.iter().try_for_each(|&advice| stage.ask(Op::Advise, 0, |range| range.advise(advice)))
    });
}

/// Batches are stages of their own for the model: every range is applied there one by one.
#[test]
fn guards_in_batches() {
    let one_by_one = "the ranges are guarded one by one instead";
    let locked = "EINVAL as from locked pages: they are unlocked, and it is tried again";
    for kind in [GuardKind::Split, GuardKind::Marker] {
        if kind == GuardKind::Marker && !has_markers() {
            continue;
        }
        let absorbs = [
            PLACE,
            MAPPED_OVER,
            GUARDED_OVER.on_some_systems(),
            Absorbed::by(Op::Guard, Call::ProcessMadvise, one_by_one).on_some_systems(),
            Absorbed::by(Op::Unguard, Call::ProcessMadvise, one_by_one).on_some_systems(),
            Absorbed::by(Op::Guard, Call::Madvise, locked).on_some_systems(),
        ];
        play(&absorbs, |stage| {
            stage.reserve(pages(8).guard_kind(kind))?;
            stage.apply(0, Commit(WRITE), 0..8)?;
            stage.apply(0, Write(3), 0..8)?;
            stage.guard_all(0, &[1..2, 3..5, 6..7])?;
            stage.unguard_all(0, &[3..4, 6..7])?;
            stage.apply(0, Decommit, 0..8)
        });
    }
}

/// What was written is told once, whatever was refused in between; or that nothing can be told, and
/// then one begins anew.
#[test]
fn a_write_watch() {
    let wish = || pages(4).write_watch().guard_kind(GuardKind::Split);
    if !is_supported(wish().reserve().map(drop)) {
        return;
    }
    let usual = "pages of the usual length are the rule anyway";
    let lost = "the next question about these pages is an error";
    let kept = "what was noted before the decommit is told once more";
    let anew = "the story takes this number for a watch that is lost, and begins anew";
    let absorbs = [
        PLACE,
        MAPPED_OVER.on_some_systems(),
        Absorbed::by(Op::Decommit, Call::Ioctl, lost).on_some_systems(),
        Absorbed::by(Op::Decommit, Call::ResetWriteWatch, kept).on_some_systems(),
        Absorbed::by(Op::Written, Call::GetWriteWatch, anew).on_some_systems(),
        Absorbed::by(Op::Reserve, Call::Madvise, usual).on_some_systems(),
        Absorbed::by(Op::Decommit, Call::Madvise, usual).on_some_systems(),
    ];
    play(&absorbs, |stage| {
        let take = |range: &Reservation| {
            let mut found = [0..0, 0..0, 0..0];
            match range.take_written(bytes(0..4), &mut found) {
                Err(error) if error.kind() == ErrorKind::BadState => {
                    range.forget_written(bytes(0..4)).map(|()| None)
                }
                told => told.map(|told| Some(found[..told.count].to_vec())),
            }
        };
        let is = |told: Option<Vec<_>>, wanted: &[Range<usize>]| {
            assert!(told.is_none_or(|told| told == wanted));
        };
        stage.reserve(wish())?;
        stage.apply(0, Commit(WRITE), 0..4)?;
        stage.apply(0, Write(1), 1..3)?;
        is(stage.ask(Op::Written, 0, take)?, &[bytes(1..3)]);
        is(stage.ask(Op::Written, 0, take)?, &[]);
        stage.apply(0, Decommit, 0..2)?;
        stage.apply(0, Commit(WRITE), 0..2)?;
        stage.apply(0, Write(2), 0..1)?;
        is(stage.ask(Op::Written, 0, take)?, &[bytes(0..1)]);
        stage.apply(0, Write(3), 3..4)?;
        stage.ask(Op::Written, 0, |range| range.forget_written(bytes(0..4)))?;
        stage.apply(0, Write(4), 2..3)?;
        is(stage.ask(Op::Written, 0, take)?, &[bytes(2..3)]);
        Ok(())
    });
}
