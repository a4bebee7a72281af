//! An array from its first element to its drop, with every system call refused in turn: it says so
//! and is as it was, or the memory that could not be given back was only a wish.

use super::{StableVec, trim};
use crate::error::{Call, Error, Op};
use crate::vm::tests::stage::{Absorbed, Stage, play};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// An array that gets no addresses gives back what the whole process has kept: the reservations of
/// another story, too.
static STORIES: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    STORIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More than what the arrays of most stories hold, and not the usual maximum: such arrays leave
/// their reservation to others.
const MAX: usize = 1 << 13;

/// 4 KiB, so that some hundred are worth a system call.
type Element = [u64; 512];

const AHEAD: [Absorbed; 2] = [
    Absorbed::by(Op::Commit, Call::Mprotect, "what is needed is committed, if not what is ahead"),
    Absorbed::by(Op::Commit, Call::VirtualAlloc, "as above"),
];
const PLACE: Absorbed =
    Absorbed::by(Op::Commit, Call::VirtualAlloc, "the system chooses the place").on_some_systems();
const ADVISED: Absorbed =
    Absorbed::by(Op::Commit, Call::Madvise, "huge pages are a wish").on_some_systems();
/// Questions to the system when it has refused: two in a row can be.
const ASKED: [Absorbed; 13] = [
    Absorbed::by(Op::Commit, Call::VirtualQuery, "only asked why").on_some_systems(),
    Absorbed::by_answer(Call::VirtualQuery, "only asked why").on_some_systems(),
    Absorbed::by(Op::Commit, Call::VirtualAlloc2, "an aligned address by trial").on_some_systems(),
    Absorbed::by(Op::Commit, Call::VirtualFree, "an aligned address by trial").on_some_systems(),
    Absorbed::by(Op::Commit, Call::Munmap, "only asked why").on_some_systems(),
    Absorbed::by_answer(Call::Munmap, "only asked why").on_some_systems(),
    Absorbed::by(Op::Commit, Call::Mmap, "no table for what is ahead").on_some_systems(),
    Absorbed::by(Op::Commit, Call::Openat, "only asked why").on_some_systems(),
    Absorbed::by(Op::Commit, Call::Read, "only asked why").on_some_systems(),
    Absorbed::by(Op::Commit, Call::Ioctl, "only asked why").on_some_systems(),
    Absorbed::by_answer(Call::Openat, "only asked why").on_some_systems(),
    Absorbed::by_answer(Call::Read, "only asked why").on_some_systems(),
    Absorbed::by_answer(Call::Ioctl, "only asked why").on_some_systems(),
];
const GIVEN_BACK: [Absorbed; 4] = [
    Absorbed::by_answer(Call::Mmap, "pages are emptied in place, or stay spare"),
    Absorbed::by_answer(Call::Madvise, "huge pages are a wish").on_some_systems(),
    Absorbed::by_answer(Call::Mprotect, "they stay spare").on_some_systems(),
    Absorbed::by_answer(Call::VirtualFree, "they stay spare"),
];

/// Appends elements, and looks at what became of the array.
fn extend(
    stage: &mut Stage<'_>,
    array: &mut StableVec<Element>,
    count: usize,
) -> Result<(), Error> {
    let (before, capacity) = (firsts(array), array.capacity());
    let done = array.try_extend((0..count).map(|number| [number as u64; 512]));
    let op = done.as_ref().err().map_or(Op::Commit, Error::op);
    if done.is_err() {
        assert_eq!((firsts(array), array.capacity()), (before, capacity));
    }
    stage.verb(op, || done)
}

fn firsts(array: &[Element]) -> Vec<u64> {
    array.iter().map(|element| element[0]).collect()
}

/// What is left can be read and written.
fn check(array: &mut StableVec<Element>) {
    assert!(array.len() <= array.capacity());
    array.iter_mut().for_each(|element| element[1] = element[0] + 1);
}

#[test]
fn growing_and_giving_back() {
    let _alone = one_at_a_time();
    let mut absorbs = Vec::from(AHEAD);
    absorbs.extend([PLACE, ADVISED]);
    absorbs.extend(ASKED);
    absorbs.extend(GIVEN_BACK);
    play(&absorbs, |stage| {
        let mut array = StableVec::with_max(MAX);
        for count in [1, 20, 100, 700, 1000] {
            extend(stage, &mut array, count)?;
        }
        stage.tell(|| array.truncate(100));
        check(&mut array);
        extend(stage, &mut array, 2000)?;
        stage.tell(|| array.clear());
        stage.tell(|| array.shrink_to_fit());
        extend(stage, &mut array, 5)?;
        check(&mut array);
        Ok(())
    });
}

#[test]
fn shrinking_tells() {
    let _alone = one_at_a_time();
    let emptied = Absorbed::by(Op::Decommit, Call::Mmap, "pages are emptied in place");
    let advised = Absorbed::by(Op::Decommit, Call::Madvise, "huge pages are a wish");
    let mut absorbs = Vec::from(AHEAD);
    absorbs.extend([PLACE, ADVISED, emptied, advised]);
    absorbs.extend(ASKED);
    play(&absorbs, |stage| {
        let mut array = StableVec::with_max(MAX);
        extend(stage, &mut array, 3000)?;
        array.truncate(2500);
        let done = array.try_shrink_to(0);
        check(&mut array);
        stage.verb(Op::Decommit, || done)?;
        extend(stage, &mut array, 1000)?;
        check(&mut array);
        Ok(())
    });
}

#[test]
fn a_guarded_spare() {
    let _alone = one_at_a_time();
    let mut absorbs = Vec::from([PLACE]);
    absorbs.extend(ASKED);
    absorbs.extend(GIVEN_BACK);
    play(&absorbs, |stage| {
        let mut array = StableVec::builder().max(MAX).guard_spare().build();
        extend(stage, &mut array, 3)?;
        stage.tell(|| array.truncate(1));
        check(&mut array);
        extend(stage, &mut array, 5)?;
        stage.tell(|| array.clear());
        extend(stage, &mut array, 1)?;
        check(&mut array);
        Ok(())
    });
}

#[test]
fn reservations_that_are_kept() {
    let _alone = one_at_a_time();
    /// The process's reservations, which only this story has then.
    struct Kept;
    impl Drop for Kept {
        fn drop(&mut self) {
            trim();
        }
    }
    let mut absorbs = Vec::from(AHEAD);
    absorbs.extend([PLACE, ADVISED]);
    absorbs.extend(ASKED);
    absorbs.extend(GIVEN_BACK);
    play(&absorbs, |stage| {
        let _kept = Kept;
        let mut array = StableVec::new();
        let mut other = StableVec::new();
        extend(stage, &mut array, 1)?;
        extend(stage, &mut array, 1000)?;
        extend(stage, &mut other, 1)?;
        stage.tell(|| drop(array));
        let mut array = StableVec::new();
        extend(stage, &mut array, 3)?;
        extend(stage, &mut array, 100)?;
        check(&mut array);
        stage.tell(|| drop(array));
        stage.tell(|| drop(other));
        stage.tell(trim);
        Ok(())
    });
}
