//! The lock-free structures under loom, which tries every order of their steps:
//!
//! ```text
//! RUSTFLAGS="--cfg granule_loom" cargo test --release --test loom
//! ```
//! They are private to the library, so their files are included here.
#![cfg(granule_loom)]

#[allow(dead_code, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/depot.rs"]
mod depot;
#[path = "../src/ds/primitive.rs"]
mod primitive;
#[allow(dead_code, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/ring.rs"]
mod ring;

use depot::Depot;
use loom::sync::Arc;
use loom::thread;
use primitive::AtomicU64;
use ring::Ring;

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
