//! What processes share under loom, which tries every order of the steps: messages, the doorbell,
//! the lock with keys. See `loom.rs` for the command.
#![cfg(granule_loom)]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/mod.rs"]
mod ds;

use ds::doorbell;
use ds::keyed_lock::{self, Try};
use ds::messages::{Lanes, Reader, Writer};
use ds::primitive::{AtomicU32, AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A ring as it lies in shared memory.
struct Shared {
    filled: AtomicU64,
    consumed: AtomicU64,
    words: Vec<AtomicU64>,
    asleep: [AtomicU32; 2],
}

impl Shared {
    fn new(words: usize) -> Arc<Self> {
        Arc::new(Shared {
            filled: AtomicU64::new(0),
            consumed: AtomicU64::new(0),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            asleep: [AtomicU32::new(0), AtomicU32::new(0)],
        })
    }

    fn lanes(&self) -> Lanes<'_> {
        Lanes { filled: &self.filled, consumed: &self.consumed, words: &self.words }
    }

    fn send(&self, writer: &mut Writer, bytes: &[u8]) -> bool {
        let lanes = self.lanes();
        let Some(place) = writer.room(&lanes, bytes.len()).expect("the reader is honest") else {
            return false;
        };
        lanes.copy_in(place.at, 0, bytes);
        writer.commit(&lanes, place, bytes.len());
        true
    }

    fn receive(&self, reader: &mut Reader) -> Option<Vec<u8>> {
        let lanes = self.lanes();
        let place = reader.next(&lanes).expect("the writer is honest")?;
        let mut bytes = vec![0; place.len];
        lanes.copy_out(place.at, 0, &mut bytes);
        reader.release(&lanes, place);
        Some(bytes)
    }
}

/// Four words hold two messages of one word each; the third has to wait for the first to be read,
/// and so on around.
#[test]
fn messages_come_whole_and_in_order() {
    loom::model(|| {
        let shared = Shared::new(4);
        let producer = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut writer = Writer::new();
                let sent = (1..=4u8).take_while(|&number| shared.send(&mut writer, &[number; 8]));
                sent.count()
            })
        };
        let mut reader = Reader::new();
        let mut received: Vec<Vec<u8>> =
            (0..2).filter_map(|_| shared.receive(&mut reader)).collect();
        let sent = producer.join().expect("no panic");
        received.extend(core::iter::from_fn(|| shared.receive(&mut reader)));
        assert_eq!(received.len(), sent);
        assert!((2..=4).contains(&sent));
        for (number, bytes) in (1u8..).zip(&received) {
            assert_eq!(bytes[..], [number; 8]);
        }
    });
}

/// A message that does not fit behind the last one stands at the beginning, behind a skip.
#[test]
fn a_skip_is_seen_with_its_message() {
    loom::model(|| {
        let shared = Shared::new(8);
        let producer = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut writer = Writer::new();
                assert!(shared.send(&mut writer, &[1; 24]));
                assert!(shared.send(&mut writer, &[2; 8]));
                // Two words are left: no room for three.
                shared.send(&mut writer, &[3; 16])
            })
        };
        let mut reader = Reader::new();
        let first = shared.receive(&mut reader);
        let is_sent = producer.join().expect("no panic");
        let rest: Vec<_> = core::iter::from_fn(|| shared.receive(&mut reader)).collect();
        let mut expected = vec![vec![1; 24], vec![2; 8]];
        expected.extend(is_sent.then(|| vec![3; 16]));
        let received: Vec<_> = first.into_iter().chain(rest).collect();
        assert_eq!(received, expected);
    });
}

/// Whoever finds nothing and sleeps is rung for.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let shared = Shared::new(4);
        let producer = {
            let shared = shared.clone();
            thread::spawn(move || {
                assert!(shared.send(&mut Writer::new(), &[1; 8]));
                doorbell::must_ring(&shared.asleep[1])
            })
        };
        doorbell::fall_asleep(&shared.asleep[1]);
        let mut reader = Reader::new();
        let sleeps = shared.receive(&mut reader).is_none();
        let rings = producer.join().expect("no panic");
        assert!(!sleeps || rings, "it sleeps, and nobody rings");
    });
}

/// Of two who wake a sleeper one does.
#[test]
fn one_rings() {
    loom::model(|| {
        let word = Arc::new(AtomicU32::new(0));
        doorbell::fall_asleep(&word);
        let other = {
            let word = word.clone();
            thread::spawn(move || doorbell::must_ring(&word))
        };
        let ours = doorbell::must_ring(&word);
        assert!(ours != other.join().expect("no panic"));
    });
}

/// What a lock guards: loom finds two who are there at once.
struct Guarded {
    word: AtomicU32,
    value: UnsafeCell<u32>,
}

impl Guarded {
    fn add_one(&self) {
        self.value.with_mut(|value| {
            // SAFETY: the test is whether whoever has the lock is alone; loom reports it if not.
            unsafe { *value += 1 }
        });
    }
}

#[test]
fn one_at_a_time_has_the_lock_and_who_waits_is_rung_for() {
    loom::model(|| {
        let shared = Arc::new(Guarded { word: AtomicU32::new(0), value: UnsafeCell::new(0) });
        let visit = |key: u32| {
            let shared = shared.clone();
            move || match keyed_lock::try_take(&shared.word, key, false) {
                Try::Taken => {
                    shared.add_one();
                    (true, keyed_lock::let_go(&shared.word))
                }
                // What a sleeper does first; it would sleep if this tells a word.
                Try::Held(found) => {
                    (false, keyed_lock::mark_awaited(&shared.word, found).is_some())
                }
            }
        };
        let other = thread::spawn(visit(1));
        let (ours, theirs) = (visit(2)(), other.join().expect("no panic"));
        assert!(ours.0 || theirs.0);
        if ours.0 != theirs.0 {
            // One has waited: it sleeps only if the other one rings.
            let (holder, sleeper) = if ours.0 { (ours, theirs) } else { (theirs, ours) };
            assert_eq!(holder.1, sleeper.1);
        }
        assert_eq!(shared.word.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn one_inherits_from_the_dead() {
    loom::model(|| {
        let shared = Arc::new(Guarded { word: AtomicU32::new(0), value: UnsafeCell::new(0) });
        assert_eq!(keyed_lock::try_take(&shared.word, 9, false), Try::Taken);
        let Try::Held(dead) = keyed_lock::try_take(&shared.word, 1, false) else {
            unreachable!("9 has it")
        };
        let inherit = |key: u32| {
            let shared = shared.clone();
            move || {
                let ours = keyed_lock::take_over(&shared.word, dead, key);
                if ours {
                    shared.add_one();
                    assert_eq!(keyed_lock::key_of(shared.word.load(Ordering::Relaxed)), key);
                }
                ours
            }
        };
        let other = thread::spawn(inherit(1));
        assert!(inherit(2)() != other.join().expect("no panic"));
    });
}
