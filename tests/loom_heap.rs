//! What heaps share between threads, under loom, which tries every order of their steps: runs that
//! several take, blocks that several return to one owner, and slabs that others empty for him.
//!
//! ```text
//! RUSTFLAGS="--cfg granule_loom" cargo test --release --test loom_heap
//! ```
#![cfg(granule_loom)]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/mod.rs"]
mod ds;

use ds::handed::Handed;
use ds::primitive::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use ds::returned::{self, EMPTIED, Told};
use ds::runs::Runs;
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::ops::Range;

/// Places, each with something that its owner alone may write.
struct Places {
    runs: Runs<'static>,
    contents: Vec<UnsafeCell<u32>>,
}

// SAFETY: loom's cells say when two threads use one at the same time, which is what is tested.
unsafe impl Sync for Places {}

const FIRST: usize = 62;

impl Places {
    fn new() -> Arc<Self> {
        let words: &'static [AtomicU64] =
            Box::leak(Box::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let contents = (0..4).map(|_| UnsafeCell::new(0)).collect();
        Arc::new(Places { runs: Runs::new(words), contents })
    }

    /// Takes the run, if it can be had, writes to its places and gives it back.
    fn use_run(&self, run: Range<usize>) -> bool {
        let is_ours = self.runs.take_at(run.clone());
        if is_ours {
            for place in run.clone() {
                // SAFETY: loom would say that somebody else is here.
                self.contents[place - FIRST].with_mut(|value| unsafe { *value += 1 });
            }
            self.runs.give(run);
        }
        is_ours
    }
}

#[test]
fn a_run_over_two_words_is_had_whole_or_not_at_all() {
    loom::model(|| {
        let places = Places::new();
        let other = places.clone();
        let theirs = thread::spawn(move || other.use_run(63..66));
        let ours = places.use_run(62..65);
        let theirs = theirs.join().expect("no panic");
        assert!(ours || theirs, "both lost");
        assert!(places.use_run(62..66), "something was not given back");
    });
}

#[test]
fn a_search_goes_round_what_others_take() {
    loom::model(|| {
        let places = Places::new();
        assert_eq!(places.runs.take(FIRST, 1, 0), Some(0));
        let other = places.clone();
        let theirs = thread::spawn(move || other.runs.take(1, 1, 0));
        let ours = places.runs.take(2, 1, 0);
        let theirs = theirs.join().expect("no panic").expect("there is room");
        let ours = ours.expect("there is room");
        assert!(!(ours..ours + 2).contains(&theirs));
    });
}

/// A slab of one word and two blocks, and the queue of its owner.
struct Slab {
    announced: AtomicU32,
    words: [AtomicU64; 1],
    handed: Mutex<bool>,
    /// Blocks that are free for the owner: the first ones.
    free: AtomicU32,
    shut: AtomicUsize,
    /// What the user of a block wrote last, or `EMPTY`.
    contents: Vec<UnsafeCell<u32>>,
}

const USED: u32 = 1;
const EMPTY: u32 = 7;

// SAFETY: as above.
unsafe impl Sync for Slab {}

impl Slab {
    fn new(free: u32) -> Arc<Self> {
        Arc::new(Slab {
            announced: AtomicU32::new(0),
            words: [AtomicU64::new(0)],
            handed: Mutex::new(false),
            free: AtomicU32::new(free),
            shut: AtomicUsize::new(0),
            contents: (0..2).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    fn give(&self, block: usize) {
        // SAFETY: loom would say that somebody else is here.
        self.contents[block].with_mut(|value| unsafe { *value = USED });
        let before = returned::announce(&self.announced, 1);
        if let Some(count) = before.plus(1) {
            self.look_after(count);
        }
        match returned::put(&self.words, 0, 1 << block, before) {
            Told::Nothing => {}
            Told::HandOver => {
                let was = std::mem::replace(&mut *self.handed.lock().expect("no panic"), true);
                assert!(!was, "handed over twice");
            }
            Told::Twice => panic!("no block came twice"),
        }
    }

    /// Empties the slab if all of it is free: as `heap::waiting` does when nothing may wait.
    fn look_after(&self, count: u32) {
        let free = 2 - count;
        if self.free.load(Ordering::Relaxed) != free || !returned::claim(&self.announced, count) {
            return;
        }
        let flag = if free == 0 || self.shut(free) { self.empty() } else { 0 };
        returned::end_claim(&self.announced, flag);
    }

    fn shut(&self, free: u32) -> bool {
        self.shut.fetch_add(1, Ordering::SeqCst);
        // All threads pass one: here that is this one, and one of the owner's own.
        fence(Ordering::SeqCst);
        let is_shut = self.free.load(Ordering::Acquire) == free;
        if !is_shut {
            self.shut.fetch_sub(1, Ordering::Relaxed);
        }
        is_shut
    }

    fn empty(&self) -> u32 {
        for content in &self.contents {
            // SAFETY: loom would say that somebody else is here.
            content.with_mut(|value| unsafe { *value = EMPTY });
        }
        EMPTIED
    }

    /// What its owner finds if the slab was handed over. What was not emptied he uses at once.
    fn collect(&self) -> u64 {
        if !std::mem::replace(&mut *self.handed.lock().expect("no panic"), false) {
            return 0;
        }
        let mut got = 0;
        let found = returned::collect(&self.announced, &self.words, |_, mask| got |= mask);
        let is_emptied = found.flags & EMPTIED != 0;
        for block in (0..2).filter(|block| got >> block & 1 == 1) {
            let before = if is_emptied { EMPTY } else { USED };
            self.contents[block].with_mut(|value| {
                // SAFETY: loom would say that its last user is still here.
                assert_eq!(unsafe { std::mem::replace(&mut *value, USED) }, before);
            });
        }
        if found.more {
            *self.handed.lock().expect("no panic") = true;
        }
        got
    }

    /// The owner takes the first block out of the slab, if he may, and uses it.
    fn draw(&self) -> bool {
        let free = self.free.load(Ordering::Relaxed);
        self.free.store(free - 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let is_shut = self.shut.load(Ordering::Relaxed) != 0;
        if is_shut && returned::is_shut(&self.announced) {
            self.free.store(free, Ordering::Release);
            return false;
        }
        // SAFETY: loom would say that somebody else is here.
        self.contents[0].with_mut(|value| unsafe { *value = USED });
        true
    }
}

#[test]
fn every_block_comes_back_once() {
    loom::model(|| {
        let slab = Slab::new(0);
        let threads: Vec<_> = (0..2)
            .map(|block| {
                let slab = slab.clone();
                thread::spawn(move || slab.give(block))
            })
            .collect();
        let early = slab.collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        let late = slab.collect();
        assert_eq!((early | late, early & late), (0b11, 0));
        assert_eq!(slab.announced.load(Ordering::Relaxed), 0);
        assert!(!*slab.handed.lock().expect("no panic"));
    });
}

/// The owner has freed the first block himself, and draws it while another one gives the second.
#[test]
fn what_is_emptied_is_not_drawn_and_what_is_drawn_is_not_emptied() {
    loom::model(|| {
        let slab = Slab::new(2);
        assert!(slab.draw());
        // Freed again.
        slab.free.store(1, Ordering::Release);
        let other = slab.clone();
        let theirs = thread::spawn(move || other.give(1));
        let is_drawn = slab.draw();
        theirs.join().expect("no panic");
        let is_emptied = returned::is_shut(&slab.announced);
        assert!(!(is_drawn && is_emptied));
        assert_eq!(slab.shut.load(Ordering::Relaxed), usize::from(is_emptied));
        assert_eq!(slab.collect(), 0b10);
        assert_eq!(slab.announced.load(Ordering::Relaxed), 0);
    });
}

/// Two threads hand a slab each to an owner who takes what is there, twice.
#[test]
fn what_is_handed_over_is_taken_once_and_whole() {
    loom::model(|| {
        struct Slabs {
            handed: Handed,
            links: [AtomicU32; 2],
            contents: [UnsafeCell<u32>; 2],
        }
        // SAFETY: loom's cells say when two threads use one at the same time.
        unsafe impl Sync for Slabs {}
        let slabs = Arc::new(Slabs {
            handed: Handed::default(),
            links: [AtomicU32::new(0), AtomicU32::new(0)],
            contents: [UnsafeCell::new(0), UnsafeCell::new(0)],
        });
        let threads: Vec<_> = (0..2_u32)
            .map(|index| {
                let slabs = slabs.clone();
                thread::spawn(move || {
                    // SAFETY: loom would say that somebody else is here.
                    slabs.contents[index as usize].with_mut(|value| unsafe { *value = 7 });
                    slabs.handed.push(index, &slabs.links[index as usize]);
                })
            })
            .collect();
        let take = || -> usize {
            let taken = slabs.handed.take(|index| &slabs.links[index as usize]);
            taken
                .map(|index| {
                    // SAFETY: as above.
                    let value = slabs.contents[index as usize]
                        .with_mut(|value| unsafe { std::mem::take(&mut *value) });
                    assert_eq!(value, 7, "taken twice, or too early");
                })
                .count()
        };
        let early = take();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(early + take(), 2, "one was lost");
    });
}
