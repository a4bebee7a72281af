//! What a shared array is built on, tickets and notes, under loom, which tries every order of their
//! steps:
//!
//! ```text
//! RUSTFLAGS="--cfg granule_loom" cargo test --release --test loom_shared_vec
//! ```
//! They are private to the library, so their files are included here. The array around them is a
//! small one: its elements, and the memory for late notes, are cells that loom watches, so an
//! access that nothing orders behind the commit or the write fails like a wrong value.
#![cfg(granule_loom)]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/mod.rs"]
mod ds;

use ds::prefix::{Notes, Prefix, Ticket};
use ds::primitive::{AtomicU8, AtomicU64};
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Elements that there can be.
const MAX: usize = 4;

struct Array {
    prefix: Prefix,
    ring: Vec<AtomicU8>,
    late: AtomicU64,
    /// Written when there is memory for the late notes.
    late_memory: UnsafeCell<bool>,
    /// Written when there is memory (0), when appended, and not any more.
    elements: Vec<UnsafeCell<usize>>,
    turn: Mutex<()>,
    /// Elements that are granted at a time, at most.
    step: usize,
}

// SAFETY: loom's cells say when two threads use one at the same time, which is what is tested.
unsafe impl Sync for Array {}

impl Notes for Array {
    fn ring(&self) -> &[AtomicU8] {
        &self.ring
    }

    fn late(&self, word: usize) -> &AtomicU64 {
        assert_eq!(word, 0);
        self.late_memory.with(|there| {
            // SAFETY: loom would have said that somebody writes it.
            assert!(unsafe { *there }, "late notes without memory");
        });
        &self.late
    }
}

impl Array {
    fn new(ring_shift: u32, step: usize) -> Arc<Self> {
        Arc::new(Array {
            prefix: Prefix::new(ring_shift),
            ring: (0..1 << ring_shift).map(|_| AtomicU8::new(0)).collect(),
            late: AtomicU64::new(0),
            late_memory: UnsafeCell::new(false),
            elements: (0..MAX).map(|_| UnsafeCell::new(usize::MAX)).collect(),
            turn: Mutex::new(()),
            step,
        })
    }

    /// Grants a step, or as much of it as the ring has room for; if it has none, late notes.
    fn grow(&self) {
        let Ok(_held) = self.turn.try_lock() else {
            thread::yield_now();
            return;
        };
        let limit = self.prefix.limit();
        let window = self.prefix.advance(self) + self.ring.len();
        let is_late = self.prefix.is_late() || window == limit;
        let end = (limit + self.step).min(if is_late { MAX } else { window }).min(MAX);
        for element in &self.elements[limit..end] {
            // SAFETY: as above.
            element.with_mut(|element| unsafe { *element = 0 });
        }
        if is_late {
            if !self.prefix.is_late() {
                // SAFETY: as above.
                self.late_memory.with_mut(|there| unsafe { *there = true });
            }
            self.prefix.set_late(end);
        }
        self.prefix.grant(end);
    }

    fn take(&self) -> usize {
        loop {
            match self.prefix.take() {
                Some(Ticket { index, .. }) => return index,
                None if self.prefix.has_room() => {}
                None => self.grow(),
            }
        }
    }

    fn write(&self, index: usize) {
        self.elements[index].with_mut(|element| {
            // SAFETY: as above.
            let element = unsafe { &mut *element };
            assert_eq!(*element, 0, "taken twice, or without memory");
            *element = index + 1;
        });
        self.prefix.complete(index, self);
    }

    fn push(&self) -> usize {
        let index = self.take();
        self.write(index);
        index
    }

    /// Every element of a prefix is complete.
    fn check(&self, len: usize) {
        for (index, element) in self.elements[..len].iter().enumerate() {
            // SAFETY: as above.
            element.with(|element| assert_eq!(unsafe { *element }, index + 1));
        }
    }

    /// As a reader who wants to know it all.
    fn look(&self) -> usize {
        let len = self.prefix.advance(self);
        self.check(len);
        len
    }

    /// As a reader of an element that is known already.
    fn glance(&self) {
        self.check(self.prefix.published());
    }
}

/// Those orders in which threads are interrupted at most this often. The first thread, which loom
/// hardly interrupts, only waits for the others.
fn model(interruptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(test);
}

/// Runs all of these at the same time.
fn together(array: &Arc<Array>, bodies: &[fn(&Array)]) {
    let run = |&body: &fn(&Array)| {
        let array = array.clone();
        thread::spawn(move || body(&array))
    };
    let threads: Vec<_> = bodies.iter().map(run).collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

fn push(array: &Array) {
    array.push();
}

fn push_twice(array: &Array) {
    array.push();
    array.push();
}

fn look(array: &Array) {
    array.look();
}

/// Two appenders, of whom one or both grow the array, or find that the other does.
#[test]
fn every_index_is_taken_once_and_has_memory() {
    model(3, || {
        let array = Array::new(2, 1);
        together(&array, &[push, push]);
        assert_eq!((array.look(), array.prefix.taken(), array.prefix.limit()), (2, 2, 2));
    });
}

#[test]
fn a_reader_sees_a_prefix_of_complete_elements() {
    model(3, || {
        let array = Array::new(2, 2);
        array.grow();
        let reader = |array: &Array| {
            let first = array.look();
            assert!(array.look() >= first);
        };
        together(&array, &[push, push, reader]);
        assert_eq!(array.look(), 2);
    });
}

/// What one reader has found the other reads without looking for it.
#[test]
fn what_one_reader_finds_another_may_read() {
    model(3, || {
        let array = Array::new(1, 2);
        array.grow();
        together(&array, &[push_twice, look, |array| array.glance()]);
        assert_eq!(array.look(), 2);
    });
}

/// Two find the prefix at the same time, and perhaps not as long; a third reads what both told.
#[test]
fn what_two_readers_find_adds_up() {
    model(3, || {
        let array = Array::new(1, 2);
        array.grow();
        assert_eq!([array.take(), array.take()], [0, 1]);
        let finder = |array: &Array| {
            array.write(0);
            array.look();
        };
        let other = |array: &Array| {
            array.write(1);
            array.look();
        };
        together(&array, &[finder, other, |array| array.glance()]);
        assert_eq!(array.look(), 2);
    });
}

/// A ring of one byte, so each append needs the one before to be complete, or late notes.
#[test]
fn a_byte_of_the_ring_is_used_again_only_when_its_element_is_published() {
    model(3, || {
        let array = Array::new(0, 2);
        together(&array, &[push_twice, push]);
        assert_eq!(array.look(), 3);
    });
}

#[test]
fn a_reader_follows_from_lap_to_lap() {
    model(3, || {
        let array = Array::new(0, 1);
        array.grow();
        let reader = |array: &Array| {
            let first = array.look();
            assert!(array.look() >= first);
        };
        together(&array, &[push_twice, reader]);
        assert_eq!(array.look(), 2);
    });
}

/// One has taken an index and is slow; nobody waits for it.
#[test]
fn late_notes_let_others_go_on() {
    model(2, || {
        let array = Array::new(0, 2);
        assert_eq!(array.take(), 0);
        let appender = |array: &Array| {
            let index = array.push();
            assert!((1..=2).contains(&index));
        };
        let slow = |array: &Array| array.write(0);
        together(&array, &[appender, appender, slow]);
        assert_eq!(array.look(), 3);
    });
}

#[test]
fn a_reader_crosses_from_the_ring_to_late_notes() {
    model(3, || {
        let array = Array::new(0, 3);
        assert_eq!(array.take(), 0);
        let slow_reader = |array: &Array| {
            array.write(0);
            array.look();
        };
        together(&array, &[push_twice, slow_reader, look]);
        assert_eq!(array.look(), 3);
    });
}

/// Elements without a size: what was done before one was appended is seen with it.
#[test]
fn a_count_carries_what_came_before_it() {
    model(3, || {
        let array = Array::new(0, 1);
        let appender = |array: &Array| {
            let Some(index) = array.prefix.count(1) else { return };
            assert_eq!(index, 0);
        };
        let first = |array: &Array| {
            // SAFETY: as above.
            array.elements[0].with_mut(|element| unsafe { *element = 1 });
            assert!(array.prefix.count(2).is_some());
        };
        let reader = |array: &Array| {
            if array.prefix.published() == 2 {
                array.check(1);
            }
        };
        together(&array, &[first, appender, reader]);
        assert!((1..=2).contains(&array.prefix.published()));
    });
}
