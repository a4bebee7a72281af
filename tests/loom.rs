//! The lock-free structures under loom, which tries every order of their steps:
//!
//! ```text
//! RUSTFLAGS="--cfg granule_loom" cargo test --release --test loom
//! ```
//! They are private to the library, so their files are included here.
#![cfg(granule_loom)]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/mod.rs"]
mod ds;
#[allow(dead_code, reason = "the tests use a part of it")]
#[path = "../src/stomp/slot.rs"]
mod slot;

use ds::batches::Batches;
use ds::depot::Depot;
use ds::once::Once;
use ds::positions::{End, Positions};
use ds::primitive::{AtomicU32, AtomicU64, Ordering};
use ds::ready_stack::ReadyStack;
use ds::ring::Ring;
use ds::shelf::Shelf;
use loom::sync::Arc;
use loom::thread;
use slot::{Moment, Slot, State};

/// For what has too many orders: those in which threads are interrupted at most three times.
fn bounded_model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

fn storage(words: usize) -> Arc<Vec<AtomicU64>> {
    Arc::new((0..words).map(|_| AtomicU64::new(0)).collect())
}

/// A depot of four buckets and room for a few stacks.
const DEPOT_WORDS: usize = 64;

fn frames_of(depot: &Depot<'_>, id: u32) -> Vec<u64> {
    let mut out = [0; 8];
    let len = depot.get(id, &mut out);
    out[..len].to_vec()
}

#[test]
fn two_threads_insert_equal_and_different_stacks() {
    loom::model(|| {
        let words = storage(DEPOT_WORDS);
        let insert = |own: u64| {
            let words = words.clone();
            move || {
                let depot = Depot::new(&words);
                let ids = [depot.insert(&[7, 8]), depot.insert(&[own])];
                assert_eq!(frames_of(&depot, ids[0]), [7, 8]);
                assert_eq!(frames_of(&depot, ids[1]), [own]);
                ids
            }
        };
        let other = thread::spawn(insert(1));
        let ours = insert(2)();
        let theirs = other.join().expect("no panic");
        let depot = Depot::new(&words);
        assert_eq!(frames_of(&depot, theirs[0]), [7, 8]);
        assert_eq!(frames_of(&depot, theirs[1]), [1]);
        assert_eq!(frames_of(&depot, ours[1]), [2]);
        // From now on everybody gets the same id.
        let settled = depot.insert(&[7, 8]);
        assert!(settled == ours[0] || settled == theirs[0]);
        assert_eq!(depot.insert(&[7, 8]), settled);
    });
}

/// An id that was handed over without any ordering still names whole frames.
#[test]
fn an_id_seen_early_names_all_frames_or_none() {
    loom::model(|| {
        let words = storage(DEPOT_WORDS);
        let first_id = Depot::new(&storage(DEPOT_WORDS)).insert(&[3, 4]);
        let writer = {
            let words = words.clone();
            thread::spawn(move || Depot::new(&words).insert(&[3, 4]))
        };
        let seen = frames_of(&Depot::new(&words), first_id);
        assert!(seen.is_empty() || seen == [3, 4], "{seen:?}");
        assert_eq!(writer.join().expect("no panic"), first_id);
    });
}

/// A ring of two cells.
const RING_WORDS: usize = 16 + 2 * 2;

#[test]
fn two_producers_and_a_consumer_lose_and_double_nothing() {
    loom::model(|| {
        let words = storage(RING_WORDS);
        let push = |value: u64| {
            let words = words.clone();
            move || Ring::new(&words).push(value)
        };
        let producers = [thread::spawn(push(10)), thread::spawn(push(20))];
        let ring = Ring::new(&words);
        let mut values: Vec<u64> = ring.pop().into_iter().collect();
        for producer in producers {
            assert!(producer.join().expect("no panic"), "there was room");
        }
        values.extend(core::iter::from_fn(|| ring.pop()));
        values.sort_unstable();
        assert_eq!(values, [10, 20]);
    });
}

#[test]
fn two_consumers_share_what_there_is() {
    loom::model(|| {
        let words = storage(RING_WORDS);
        let ring = Ring::new(&words);
        assert!(ring.push(10) && ring.push(20) && !ring.push(30));
        let other = {
            let words = words.clone();
            thread::spawn(move || Ring::new(&words).pop())
        };
        let mut values: Vec<u64> = ring.pop().into_iter().collect();
        values.extend(other.join().expect("no panic"));
        values.extend(core::iter::from_fn(|| ring.pop()));
        values.sort_unstable();
        assert_eq!(values, [10, 20]);
    });
}

/// Over the end of a lap: a push may come before the pop that makes room has ended.
#[test]
fn a_cell_is_reused_only_when_it_is_free() {
    loom::model(|| {
        let words = storage(RING_WORDS);
        let ring = Ring::new(&words);
        assert!(ring.push(10) && ring.push(20));
        let producer = {
            let words = words.clone();
            thread::spawn(move || Ring::new(&words).push(30))
        };
        let first = ring.pop();
        assert_eq!(first, Some(10));
        let pushed = producer.join().expect("no panic");
        assert_eq!(ring.pop(), Some(20));
        assert_eq!(ring.pop(), pushed.then_some(30));
    });
}

/// A ready stack and the links of three indices.
#[derive(Default)]
struct Ready {
    stack: ReadyStack,
    links: [AtomicU32; 3],
}

impl Ready {
    /// With the first `count` indices on the stack, 0 at the bottom.
    fn holding(count: u32) -> Arc<Ready> {
        let ready = Ready::default();
        (0..count).for_each(|index| ready.push(index));
        Arc::new(ready)
    }

    fn push(&self, index: u32) {
        self.stack.push(index, &self.links[index as usize]);
    }

    fn pop(&self) -> Option<u32> {
        self.stack.pop(|index| &self.links[index as usize])
    }

    /// Asserts that `held` and what is on the stack are the indices below `count`, once each.
    fn assert_whole(&self, held: impl IntoIterator<Item = u32>, count: u32) {
        let mut all: Vec<u32> = held.into_iter().collect();
        // Bounded, since a broken stack may be a circle.
        all.extend((0..=count).map_while(|_| self.pop()));
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..count), "{all:?}");
    }
}

#[test]
fn pushes_and_pops_lose_and_double_nothing() {
    loom::model(|| {
        let ready = Ready::holding(1);
        let pusher = |index: u32| {
            let ready = ready.clone();
            move || ready.push(index)
        };
        let pushers = [thread::spawn(pusher(1)), thread::spawn(pusher(2))];
        let held = ready.pop();
        assert!(held.is_some(), "never empty");
        pushers.into_iter().for_each(|pusher| pusher.join().expect("no panic"));
        ready.assert_whole(held, 3);
    });
}

/// ABA: between a pop's look at the link and its swap, the top leaves, then the one below it, and
/// the top comes back.
#[test]
fn a_top_that_left_and_came_back_is_noticed() {
    loom::model(|| {
        let ready = Ready::holding(3);
        let other = {
            let ready = ready.clone();
            thread::spawn(move || {
                let top = ready.pop().expect("three, and one other pop");
                let below = ready.pop().expect("three, and one other pop");
                ready.push(top);
                below
            })
        };
        let held = ready.pop().expect("three, and two other pops");
        let held = [held, other.join().expect("no panic")];
        ready.assert_whole(held, 3);
    });
}

#[test]
fn two_who_take_and_give_back_share_one_index() {
    loom::model(|| {
        let ready = Ready::holding(1);
        let held = Arc::new(AtomicU32::new(0));
        let take_and_give_back = || {
            let (ready, held) = (ready.clone(), held.clone());
            move || {
                let Some(index) = ready.pop() else { return };
                assert_eq!(held.fetch_add(1, Ordering::Relaxed), 0, "alone");
                held.fetch_sub(1, Ordering::Relaxed);
                ready.push(index);
            }
        };
        let other = thread::spawn(take_and_give_back());
        take_and_give_back()();
        other.join().expect("no panic");
        ready.assert_whole([], 1);
    });
}

/// Batches of two; the first was begun by one index, so the second take from now on meets its end.
struct Source {
    batches: Batches,
    /// How often each batch was prepared.
    prepared: [AtomicU32; 8],
}

impl Source {
    fn begun() -> Arc<Source> {
        let source = Source { batches: Batches::new(2), prepared: Default::default() };
        assert_eq!(source.take(), 0);
        Arc::new(source)
    }

    /// Takes an index and asserts that the taker sees its batch prepared, once.
    fn take(&self) -> usize {
        let prepare = |batch: core::ops::Range<usize>| {
            let before = self.prepared[batch.start / 2].fetch_add(1, Ordering::Relaxed);
            assert_eq!((before, batch.len()), (0, 2));
            Some(())
        };
        let index = self.batches.take(prepare).expect("never refused");
        assert_eq!(self.prepared[index / 2].load(Ordering::Relaxed), 1, "not prepared");
        assert!(index < self.batches.end());
        index
    }

    /// Lets as many threads as `counts` has entries take that many indices each.
    fn race(counts: &'static [usize]) {
        let source = Source::begun();
        let take = |count: usize| {
            let source = source.clone();
            move || (0..count).map(|_| source.take()).collect::<Vec<_>>()
        };
        let others: Vec<_> = counts[1..].iter().map(|&count| thread::spawn(take(count))).collect();
        let mut taken = take(counts[0])();
        taken.extend(others.into_iter().flat_map(|other| other.join().expect("no panic")));
        taken.push(source.take());
        taken.sort_unstable();
        assert!(taken[0] > 0 && taken.windows(2).all(|pair| pair[0] < pair[1]), "{taken:?}");
    }
}

#[test]
fn two_at_the_end_of_a_batch_get_different_indices() {
    bounded_model(|| Source::race(&[2, 3]));
}

#[test]
fn three_at_the_end_of_a_batch_get_different_indices() {
    bounded_model(|| Source::race(&[1, 1, 1]));
}

/// One thread fails to prepare; that must not cost the other its index, nor lend it a bad one.
#[test]
fn a_refused_batch_is_handed_to_nobody() {
    loom::model(|| {
        let source = Source::begun();
        let other = {
            let source = source.clone();
            thread::spawn(move || source.batches.take(|_| None))
        };
        let mut taken = vec![source.take(), source.take()];
        taken.extend(other.join().expect("no panic"));
        taken.push(source.take());
        taken.sort_unstable();
        assert!(taken[0] > 0 && taken.windows(2).all(|pair| pair[0] < pair[1]), "{taken:?}");
    });
}

/// What thread `tid` does at a moment.
fn by(tid: u32) -> Moment {
    Moment { tid, stack: tid + 100 }
}

/// A slot with a block of 32 bytes from thread 1.
fn live_slot() -> Arc<Slot> {
    let slot = Slot::default();
    assert!(slot.claim(State::Fresh));
    slot.publish(16..48, by(1));
    Arc::new(slot)
}

fn free(slot: &Slot, tid: u32) -> bool {
    let claimed = slot.claim(State::Live);
    if claimed {
        slot.note_free(by(tid));
        slot.retire();
    }
    claimed
}

#[test]
fn of_two_frees_exactly_one_wins() {
    loom::model(|| {
        let slot = live_slot();
        let other = {
            let slot = slot.clone();
            thread::spawn(move || free(&slot, 2))
        };
        let ours = free(&slot, 3);
        assert_ne!(ours, other.join().expect("no panic"));
        let freed = slot.snapshot().expect("it held a block");
        assert_eq!((slot.state(), freed.live), (State::Freed, false));
        assert_eq!(freed.freed, by(if ours { 3 } else { 2 }));
    });
}

#[test]
fn who_sees_a_block_live_sees_all_of_it() {
    loom::model(|| {
        let slot = Arc::new(Slot::default());
        let publisher = {
            let slot = slot.clone();
            thread::spawn(move || {
                assert!(slot.claim(State::Fresh));
                slot.publish(16..48, by(1));
            })
        };
        if slot.state() == State::Live {
            let seen = slot.snapshot().expect("live");
            assert_eq!((seen.block(), seen.allocated), (16..48, by(1)));
        }
        publisher.join().expect("no panic");
    });
}

/// The block may have been freed and its slot used again: a claimer has the one or the other.
#[test]
fn a_claimer_sees_the_old_block_or_the_new_one() {
    loom::model(|| {
        let slot = live_slot();
        let user = {
            let slot = slot.clone();
            thread::spawn(move || {
                if free(&slot, 2) && slot.claim(State::Freed) {
                    slot.publish(64..72, by(2));
                }
            })
        };
        if slot.claim(State::Live) {
            let seen = slot.snapshot().expect("it holds a block");
            let whole = [(16..48, by(1)), (64..72, by(2))];
            assert!(whole.contains(&(seen.block(), seen.allocated)), "{seen:?}");
            assert_eq!(seen.freed, Moment { tid: 0, stack: 0 }, "not freed");
            slot.put_back();
        }
        user.join().expect("no panic");
    });
}

#[test]
fn one_thread_makes_the_value_and_all_see_it() {
    loom::model(|| {
        let (once, made) = (Arc::new(Once::new()), Arc::new(AtomicU32::new(0)));
        let get = |own: u32| {
            let (once, made) = (once.clone(), made.clone());
            move || {
                let make = || Ok::<_, u8>((own, made.fetch_add(1, Ordering::Relaxed)));
                let value = *once.get_or_try_make(make).expect("it can be made");
                assert_eq!(made.load(Ordering::Relaxed), 1, "what the maker did is seen");
                assert_eq!(once.get(), Some(&value));
                value
            }
        };
        let other = thread::spawn(get(1));
        let ours = get(2)();
        assert_eq!(other.join().expect("no panic"), ours);
    });
}

/// Whoever cannot make it leaves it to the next one.
#[test]
fn what_could_not_be_made_is_tried_again() {
    loom::model(|| {
        let (once, tries) = (Arc::new(Once::new()), Arc::new(AtomicU32::new(0)));
        let get = || {
            let (once, tries) = (once.clone(), tries.clone());
            move || {
                let number = |number: u32| if number == 0 { Err(()) } else { Ok(number) };
                let make = || number(tries.fetch_add(1, Ordering::Relaxed));
                once.get_or_try_make(make).copied()
            }
        };
        let other = thread::spawn(get());
        let told = [get()(), other.join().expect("no panic")];
        assert!(told.contains(&Err(())) && told.contains(&Ok(1)), "{told:?}");
    });
}

/// A ring of two bytes. Loom's cells notice every access that another one does not come before.
struct Bytes {
    positions: Positions,
    cells: [loom::cell::UnsafeCell<u8>; 2],
}

// SAFETY: the cells are only touched by the end that owns them, which is what is tested here; loom
// panics where two threads touch one at the same time.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// Writes the next numbers to all that is spare, and fills it.
    fn produce(&self, next: &mut u8, end: u8) {
        let spare = self.positions.spare();
        let count = spare.len.min(usize::from(end - *next));
        for offset in spare.start..spare.start + count {
            let write = |byte: *mut u8| {
                // SAFETY: loom's cell vouches for the pointer while this runs.
                unsafe { byte.write(*next) }
            };
            self.cells[offset % 2].with_mut(write);
            *next += 1;
        }
        self.positions.fill(count);
    }

    /// Reads all that is filled, and consumes it.
    fn consume(&self, seen: &mut Vec<u8>) {
        let filled = self.positions.filled();
        for offset in filled.start..filled.start + filled.len {
            let read = |byte: *const u8| {
                // SAFETY: as in `produce`.
                unsafe { byte.read() }
            };
            seen.push(self.cells[offset % 2].with(read));
        }
        self.positions.consume(filled.len);
    }
}

#[test]
fn two_ends_of_a_ring_never_touch_the_same_byte() {
    loom::model(|| {
        let bytes = Arc::new(Bytes { positions: Positions::new(2), cells: Default::default() });
        let producer = {
            let bytes = bytes.clone();
            thread::spawn(move || {
                let mut next = 0;
                (0..3).for_each(|_| bytes.produce(&mut next, 5));
                bytes.positions.leave(End::Producer);
                next
            })
        };
        let mut seen = Vec::new();
        (0..2).for_each(|_| bytes.consume(&mut seen));
        if bytes.positions.is_gone(End::Producer) {
            bytes.consume(&mut seen);
            assert!(bytes.positions.filled().len == 0, "what came before the end is seen after it");
        }
        let produced = producer.join().expect("no panic");
        bytes.consume(&mut seen);
        assert!(seen.iter().copied().eq(0..produced), "{seen:?} of {produced}");
    });
}

/// What lies in a place of a shelf, written and read without any order of its own.
fn place_of(places: &[AtomicU64], place: u32) -> &AtomicU64 {
    &places[place as usize]
}

#[test]
fn who_holds_a_place_of_a_shelf_holds_it_alone() {
    bounded_model(|| {
        let (shelf, places) = (Arc::new(Shelf::new(2)), storage(2));
        let work = |own: u64| {
            let (shelf, places) = (shelf.clone(), places.clone());
            move || {
                let kept = shelf.take_free().inspect(|&free| {
                    place_of(&places, free).store(own, Ordering::Relaxed);
                    shelf.fill(free);
                });
                let taken = shelf.take_full().map(|full| {
                    let found = place_of(&places, full).load(Ordering::Relaxed);
                    place_of(&places, full).store(0, Ordering::Relaxed);
                    shelf.clear(full);
                    found
                });
                (kept.is_some(), taken)
            }
        };
        let threads = [thread::spawn(work(1)), thread::spawn(work(2))];
        let ours = work(3)();
        let all = threads.map(|thread| thread.join().expect("no panic"));
        let mut kept = 0;
        let mut found = Vec::new();
        for (has_kept, taken) in all.into_iter().chain([ours]) {
            kept += usize::from(has_kept);
            found.extend(taken);
        }
        while let Some(full) = shelf.take_full() {
            found.push(place_of(&places, full).load(Ordering::Relaxed));
        }
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), kept, "what is kept is found once, and whole");
        assert!(!found.contains(&0));
    });
}
