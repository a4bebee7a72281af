//! The ground, small and by itself.

use super::super::class::Class;
use super::super::held::Held;
use super::stays::KEPT_MIN;
use super::*;
use crate::sys::inject::{Plan, Session};
use std::vec::Vec;

/// Twice of what is kept, and little to look at for who reads all mappings of a process.
pub(in super::super) const SMALL_LEN: usize = 4 * KEPT_MIN;

/// A small one, which stays for ever.
pub(in super::super) fn small(is_counted: bool) -> &'static Ground {
    let ground = Ground::new(SMALL_LEN, is_counted).expect("64 MiB of addresses");
    std::boxed::Box::leak(std::boxed::Box::new(ground))
}

pub(in super::super) fn core_of(ground: &'static Ground) -> Result<Held, Error> {
    let core = ground.take_core()?;
    core.begin(core.number(), usize::MAX, false);
    // SAFETY: (1) nobody else has it.
    Ok(unsafe { Held::new(ground, core) })
}

/// Blocks of three sizes, and what they stand on.
fn story(ground: &'static Ground) -> Result<(), Error> {
    let heap = core_of(ground)?;
    let blocks = [16, 3000, 20_000].map(|size| heap.allocate(Class::of(size)));
    let long = heap.allocate_run(1 << 20, 1);
    let told = blocks.iter().map(|block| block.map(drop)).chain([long.map(drop)]);
    let told = told.collect::<Result<Vec<_>, _>>().map(drop);
    for (block, size) in blocks.iter().zip([16, 3000, 20_000]) {
        if let Ok(block) = *block {
            // SAFETY: in use and that long: it has to be there.
            unsafe { block.write_bytes(1, size) };
            heap.free(Class::of(size), block);
        }
    }
    assert_eq!(heap.validate(), Ok(()));
    heap.drop_all();
    ground.rest(heap.core);
    assert_eq!(ground.taken_count.load(Relaxed), ground.spares.load(Relaxed));
    told
}

#[test]
fn where_commits_count_each_may_be_refused() {
    let count = {
        let ground = small(true);
        let session = Session::open(Plan::NOTHING);
        story(ground).expect("memory");
        session.counted()
    };
    assert!(count >= 6, "{count} calls: the core, words, slabs and granules");
    for nth in 1..=count {
        let ground = small(true);
        let session = Session::open(Plan { nth, count: 1, choice: 0 });
        let error = story(ground).expect_err("a call was refused");
        assert_ne!(error.code(), 0, "{error}");
        story(ground).expect("memory again");
        drop(session);
    }
}

#[test]
fn free_memory_goes_back_above_what_is_kept() {
    let ground = small(false);
    let all = SMALL_LEN - 64;
    let (first, is_zero) = ground.take(all, 1).expect("room");
    assert!(is_zero);
    for granule in first..first + all {
        // SAFETY: ours, committed, and 64 KiB long.
        unsafe { ground.place(granule).write(1) };
    }
    ground.give(first..first + all / 2);
    assert!(ground.idle.load(Relaxed) <= KEPT_MIN, "{}", ground.idle.load(Relaxed));
    ground.give(first + all / 2..first + all);
    assert!(ground.idle.load(Relaxed) <= KEPT_MIN);
    ground.empty_idle(0);
    assert_eq!(ground.idle.load(Relaxed), 0);
    let (again, is_zero) = ground.take(all, 1).expect("room");
    assert!(
        is_zero
            && (0..all).all(|granule| {
                // SAFETY: ours and committed.
                unsafe { ground.place(again + granule).read() == 0 }
            })
    );
}

#[test]
fn what_is_taken_again_and_again_is_kept_after_a_while() {
    let ground = small(false);
    let part = SMALL_LEN / 4;
    let turn = || {
        let runs = [0; 2].map(|_| ground.take(part, 1).expect("room"));
        runs.iter().for_each(|&(first, _)| ground.give(first..first + part));
        ground.idle.load(Relaxed) < 2 * part
    };
    assert!(turn() && ground.allowance.load(Relaxed) == 0, "nothing was missed yet");
    let emptied = (0..20).filter(|_| turn()).count();
    assert!(emptied < 10 && !turn(), "{emptied} turns of 20 gave memory back");
    assert!(ground.allowance.load(Relaxed) <= SMALL_LEN / 2);
}

#[test]
fn memory_that_the_system_does_not_take_stays_in_use() {
    for is_counted in [false, true] {
        refuse_to_be_emptied(small(is_counted));
    }
}

fn refuse_to_be_emptied(ground: &'static Ground) {
    let (first, _) = ground.take(10, 1).expect("room");
    // SAFETY: ours, committed, and 64 KiB long.
    unsafe { ground.place(first).write(1) };
    ground.give(first..first + 10);
    let session = Session::open(Plan { nth: 1, count: usize::MAX, choice: 0 });
    ground.empty_idle(0);
    drop(session);
    assert_eq!(ground.idle.load(Relaxed), 10);
    let (first, is_zero) = ground.take(10, 1).expect("room");
    assert!(!is_zero, "granule {first} was not emptied");
    // SAFETY: ours, committed, and 64 KiB long.
    unsafe { ground.place(first).write(2) };
}

#[test]
fn with_room_there_is_as_much_free_on_both_sides() {
    let ground = small(false);
    ground.take(3, 1).expect("room");
    let (first, _) = ground.take_with_room(20, 4, 0).expect("room");
    assert!(ground.place(first).addr().is_multiple_of(4 * GRANULE_LEN), "granule {first}");
    assert!(first >= 3 + 20, "the next small ones go below");
    assert_eq!(ground.take(1, 1).expect("room").0, 3);
    assert!(ground.take_behind(first + 20..first + 40).expect("memory"), "it grows where it is");
    assert!(ground.take_with_room(SMALL_LEN / 2, 1, 0).is_ok(), "without, if there is none");
    assert!(ground.take_with_room(SMALL_LEN, 1, 0).is_err());
    assert!(ground.take_with_room(usize::MAX / 2, 1, 0).is_err());
}

#[test]
fn when_all_is_taken_it_says_so() {
    let ground = small(false);
    let error = ground.take(SMALL_LEN + 1, 1).expect_err("there are fewer");
    assert_eq!(error.kind(), ErrorKind::NoAddressSpace);
    let (first, _) = ground.take(SMALL_LEN, 1).expect("room");
    assert!(ground.take(1, 1).is_err());
    ground.give(first..first + SMALL_LEN);
}
