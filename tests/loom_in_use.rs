//! Who is inside, under loom: after the remover has waited nobody uses what was taken away.
//!
//! ```text
//! RUSTFLAGS="--cfg granule_loom" cargo test --release --test loom_in_use
//! ```
#![cfg(granule_loom)]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests use a part of it")]
#[path = "../src/ds/mod.rs"]
mod ds;

use ds::in_use::{InUse, Places};
use ds::primitive::{AtomicU32, AtomicUsize, Ordering};
use loom::sync::Arc;
use loom::thread;

/// A thing that is there or not, its users, and what they must not find broken.
struct Thing {
    users: InUse,
    there: AtomicU32,
    is_alive: loom::cell::UnsafeCell<bool>,
}

impl Thing {
    fn new() -> Arc<Self> {
        let is_alive = loom::cell::UnsafeCell::new(true);
        Arc::new(Thing { users: InUse::new(), there: AtomicU32::new(1), is_alive })
    }

    /// True if it was there.
    fn use_it(&self) -> bool {
        let is_in = self.users.enter(1, || self.there.load(Ordering::Relaxed) == 1);
        if is_in {
            // SAFETY: loom checks that the remover's write is ordered with this.
            self.is_alive.with(|place| assert!(unsafe { *place }));
            self.users.leave(1);
        }
        is_in
    }

    /// Takes it away, and breaks it if nobody is inside at one look: all moments of that look are
    /// tried, so there is no need to look again.
    fn remove(&self) {
        self.there.store(0, Ordering::Relaxed);
        if self.users.is_left(1) {
            // SAFETY: as above.
            self.is_alive.with_mut(|place| unsafe { *place = false });
        }
    }
}

#[test]
fn a_remover_waits_for_whoever_has_found_it() {
    loom::model(|| {
        let thing = Thing::new();
        let user = thread::spawn({
            let thing = thing.clone();
            move || thing.use_it()
        });
        thing.remove();
        user.join().expect("no panic");
        assert!(!thing.use_it());
    });
}

#[test]
fn two_users_and_a_remover() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let thing = Thing::new();
        let users = [(); 2].map(|()| {
            let thing = thing.clone();
            thread::spawn(move || thing.use_it())
        });
        thing.remove();
        for user in users {
            user.join().expect("no panic");
        }
    });
}

#[test]
fn a_place_has_one_taker() {
    loom::model(|| {
        let places = Arc::new(Places::<1>::new());
        let held = Arc::new([AtomicUsize::new(0)]);
        let work = || {
            let (places, held) = (places.clone(), held.clone());
            move || {
                if let Some(place) = places.take(1) {
                    assert_eq!(held[place].fetch_add(1, Ordering::Relaxed), 0, "alone");
                    held[place].fetch_sub(1, Ordering::Relaxed);
                    places.give_back(place, 1);
                }
            }
        };
        let other = thread::spawn(work());
        work()();
        other.join().expect("no panic");
    });
}
