//! Floor 4, uses floors 0 to 3. What a user of a shared array cannot bring about at will: system
//! calls that are refused while it grows, and appends that stop half way.

use super::turn::Taken;
use super::{PushReason, SharedVec};
use crate::sys;
use crate::sys::inject::{Plan, Session};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::string::{String, ToString};
use std::sync::mpsc;
use std::thread;
use std::vec::Vec;

/// More than the ring has notes for.
const LONG: usize = (1 << 20) + 1000;

/// Appends `count` elements. An append that is refused memory says so, changes nothing, and is
/// made again when the system has some.
fn append<T: Clone>(session: &Session, vec: &SharedVec<T>, count: usize, element: &T) {
    for _ in 0..count {
        let taken = vec.prefix.taken();
        let Err(error) = vec.try_push(element.clone()) else { continue };
        let PushReason::System(refused) = error.reason() else { panic!("{error}") };
        assert!(session.refused().iter().any(|call| call.code == refused.code()), "{error}");
        assert_eq!(vec.prefix.taken(), taken);
        session.follow(Plan::NOTHING);
        vec.push(error.into_value());
    }
}

/// Plays a story with its first call refused, its second, and so on until there is none left; with
/// one refused, or all from there on.
fn play(counts: &[usize], story: impl Fn(&Session)) {
    let run = |plan| {
        let session = Session::open(plan);
        story(&session);
        let refused = session.refused();
        session.follow(Plan::NOTHING);
        for left in session.ledger().ranges() {
            // Windows gives back what was reserved at an address, and is told no length.
            let is_about = |addr: usize, len: usize| {
                left.start < addr.saturating_add(len.max(1)) && addr < left.end
            };
            let was_refused = refused.iter().any(|call| is_about(call.about[0], call.about[1]));
            assert!(was_refused, "{left:x?} left with {plan:?}");
            // Other tests search among all that is there.
            let start = NonNull::new(core::ptr::with_exposed_provenance_mut(left.start));
            // SAFETY: (1) it was reserved by the story, which is over. If it is not all of one
            // reservation, nothing happens.
            let _ = unsafe { sys::release(start.expect("not page 0"), left.len()) };
        }
        refused.len()
    };
    // What is made once in a process is there afterwards.
    let session = Session::open(Plan::NOTHING);
    story(&session);
    drop(session);
    for &count in counts {
        for choice in 0..2 {
            let refusals = |nth: usize| run(Plan { nth, count, choice });
            let played = (1..100).take_while(|&nth| refusals(nth) > 0).count();
            assert!(played < 99, "there is an end of calls");
        }
    }
}

#[test]
fn refused_memory_changes_nothing() {
    play(&[1, usize::MAX], |session| {
        let Ok(vec) = SharedVec::with_max(70_000) else { return };
        append(session, &vec, 70_000, &[7u64; 8]);
        assert_eq!(vec.len(), 70_000);
        assert!(vec.iter().all(|element| *element == [7; 8]));
        session.follow(Plan::NOTHING);
    });
}

#[test]
fn refused_memory_for_late_notes_changes_nothing() {
    play(&[1], |session| {
        let Ok(vec) = SharedVec::with_max(2 * LONG) else { return };
        append(session, &vec, 1, &7u8);
        let slow = vec.prefix.take().expect("there is room").index;
        append(session, &vec, LONG, &7);
        assert!(vec.prefix.is_late());
        assert_eq!(vec.len(), slow);
        finish(&vec, slow, 7);
        assert_eq!(vec.len(), LONG + 2);
        assert!(vec.iter().all(|&element| element == 7));
        session.follow(Plan::NOTHING);
    });
}

/// The rest of an append, after its ticket was taken.
fn finish<T>(vec: &SharedVec<T>, index: usize, value: T) {
    let memory = vec.memory.as_ref().expect("elements with a size");
    // SAFETY: the ticket of the index is the caller's.
    let place = unsafe { vec.elements.add(index) };
    // SAFETY: and nobody reads it before the note.
    unsafe { place.write(value) };
    vec.prefix.complete(index, memory);
}

/// Nobody waits for a slow append, and nobody sees what comes after it before it is through.
#[test]
fn others_go_on_past_a_slow_append() {
    let vec = SharedVec::with_max(3 * LONG).expect("addresses");
    vec.push(9u8);
    let slow = vec.prefix.take().expect("there is room").index;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..LONG {
                    vec.push(3);
                }
            });
        }
    });
    assert_eq!((vec.len(), vec.as_slice()), (1, &[9][..]));
    assert!(vec.prefix.is_late());
    finish(&vec, slow, 9);
    assert_eq!(vec.len(), 2 * LONG + 2);
    assert!(vec.iter().enumerate().all(|(index, &value)| value == if index < 2 { 9 } else { 3 }));
    vec.push(4);
    assert_eq!(vec.as_slice().last(), Some(&4));
}

struct Counted<'c>(&'c AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// As in the child of a fork, where the other thread is gone.
#[test]
fn what_lies_behind_a_lost_append_is_dropped_once() {
    let drops = AtomicUsize::new(0);
    for by_value in [false, true] {
        for count in [100, LONG] {
            drops.store(0, Ordering::Relaxed);
            let vec = SharedVec::with_max(2 * LONG).expect("addresses");
            vec.push(Counted(&drops));
            assert!(vec.prefix.take().is_some());
            for _ in 0..count {
                vec.push(Counted(&drops));
            }
            assert_eq!((vec.len(), vec.prefix.is_late()), (1, count == LONG));
            if by_value {
                let values = vec.into_iter();
                assert_eq!((values.len(), drops.load(Ordering::Relaxed)), (1, count));
            } else {
                drop(vec);
            }
            assert_eq!(drops.load(Ordering::Relaxed), 1 + count);
        }
    }
}

/// One whose drop panics is not dropped again, and the others are not forgotten.
#[test]
fn a_drop_that_panics_is_not_repeated() {
    struct Panics<'c>(&'c AtomicUsize, bool);
    impl Drop for Panics<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(!self.1, "as it should");
        }
    }
    let drops = AtomicUsize::new(0);
    let vec = SharedVec::with_max(10).expect("addresses");
    vec.push(Panics(&drops, false));
    assert!(vec.prefix.take().is_some());
    for panics in [false, true, false] {
        vec.push(Panics(&drops, panics));
    }
    let by_value = std::panic::AssertUnwindSafe(|| vec.into_iter().len());
    assert!(std::panic::catch_unwind(by_value).is_err());
    assert_eq!(drops.load(Ordering::Relaxed), 4);
}

#[test]
fn a_handler_that_interrupted_the_growth_gets_an_error() {
    let vec = SharedVec::with_max(100).expect("addresses");
    let memory = vec.memory.as_ref().expect("elements with a size");
    let Taken::Ours(turn) = memory.turn.take() else { panic!("nobody grows it") };
    let error = vec.try_push(String::from("x")).expect_err("no room, and nobody makes it");
    assert_eq!((error.reason(), error.into_value()), (PushReason::Interrupted, "x".to_string()));
    drop(turn);
    vec.push("y".to_string());
    assert_eq!(vec.as_slice(), ["y"]);
}

#[test]
fn who_finds_no_room_waits_for_who_makes_it() {
    let vec = SharedVec::with_max(100).expect("addresses");
    let memory = vec.memory.as_ref().expect("elements with a size");
    let (started, starts) = mpsc::channel();
    thread::scope(|scope| {
        let Taken::Ours(turn) = memory.turn.take() else { panic!("nobody grows it") };
        let appenders: Vec<_> = (0..2)
            .map(|value| {
                let (vec, started) = (&vec, started.clone());
                scope.spawn(move || {
                    started.send(()).expect("somebody listens");
                    vec.push(value)
                })
            })
            .collect();
        assert_eq!(starts.iter().take(2).count(), 2);
        assert_eq!(vec.len(), 0);
        drop(turn);
        let mut places = Vec::new();
        for appender in appenders {
            places.push(appender.join().expect("no panic"));
        }
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
    });
}
