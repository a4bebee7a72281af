//! Events and locks in shared memory, between threads and between processes, some of which die.

mod shared_support;

use granule::ErrorKind;
use granule::section::shared::{Held, Reset, SharedMemory};
use shared_support::{LONG, Player, kind, own_name, pause, role, say};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where things lie in these tests.
const PING: usize = 0;
const PONG: usize = 64;
const LOCK: usize = 128;
const COUNTER: u64 = 192;
const LEN: usize = 256;
const SEAT: u32 = 1;

const ROUNDS: usize = 2000;

fn player(role: &str, name: &str) -> Player {
    Player::start("a_player", role, name)
}

/// Adds 1 as two steps that somebody can come between.
fn add_one(memory: &SharedMemory) {
    let counter = memory.section().racy::<u64>(COUNTER..COUNTER + 8).expect("inside");
    counter.store(0, counter.load(0).expect("inside") + 1).expect("inside");
}

fn count(memory: &SharedMemory) -> u64 {
    memory.section().racy::<u64>(COUNTER..COUNTER + 8).expect("inside").load(0).expect("inside")
}

/// What other processes do in these tests.
#[test]
fn a_player() {
    let Some((role, name)) = role() else { return };
    let memory = SharedMemory::open(&name).expect("it is there");
    let ping = memory.event(PING, Reset::Auto).expect("inside");
    let pong = memory.event(PONG, Reset::Auto).expect("inside");
    let lock = memory.lock(LOCK).expect("inside");
    match role.as_str() {
        "answer" => {
            for _ in 0..ROUNDS {
                ping.wait(LONG).expect("it comes");
                pong.set();
            }
        }
        "set and stay" => {
            let _seat = memory.take_seat(SEAT).expect("it is free");
            ping.set();
            say("set");
            pause();
        }
        "count" => {
            say("here");
            pause();
            for _ in 0..ROUNDS {
                let held = lock.lock(LONG).expect("in time");
                assert!(!held.is_abandoned());
                add_one(&memory);
            }
        }
        "hold" => {
            let _guard = lock.lock(LONG).expect("in time");
            add_one(&memory);
            say("held");
            pause();
        }
        role => panic!("{role}"),
    }
}

fn memory() -> Option<(SharedMemory, String)> {
    let name = own_name("wait")?;
    Some((SharedMemory::create(&name, LEN).expect("nobody has it"), name))
}

#[test]
fn an_event_is_taken_back_by_one_or_by_nobody() {
    let Some((memory, _)) = memory() else { return };
    let auto = memory.event(PING, Reset::Auto).expect("inside");
    let manual = memory.event(PONG, Reset::Manual).expect("inside");
    for event in [&auto, &manual] {
        assert!(!event.is_set());
        assert_eq!(kind(event.wait(Some(Duration::ZERO))), ErrorKind::TimedOut);
        assert_eq!(kind(event.wait(Some(Duration::from_millis(3)))), ErrorKind::TimedOut);
        event.set();
        event.set();
        assert!(event.is_set());
        event.wait(Some(Duration::ZERO)).expect("it is set");
    }
    assert!(!auto.is_set());
    assert!(manual.is_set());
    manual.wait(None).expect("it is set");
    manual.reset();
    assert_eq!(kind(manual.wait(Some(Duration::ZERO))), ErrorKind::TimedOut);
}

#[test]
fn nothing_else_lies_where_an_event_or_a_lock_does() {
    let Some((memory, name)) = memory() else { return };
    let _event = memory.event(PING, Reset::Auto).expect("inside");
    let _lock = memory.lock(LOCK).expect("inside");
    let same = SharedMemory::open(&name).expect("it is there");
    let _same = same.event(PING, Reset::Auto).expect("it is one");
    assert_eq!(kind(same.event(PING, Reset::Manual)), ErrorKind::Corrupt);
    assert_eq!(kind(same.lock(PING)), ErrorKind::Corrupt);
    assert_eq!(kind(same.event(LOCK, Reset::Auto)), ErrorKind::Corrupt);
    assert_eq!(kind(same.event(8, Reset::Auto)), ErrorKind::Misaligned);
    for far in [same.len(), usize::MAX - 63] {
        assert_eq!(kind(same.event(far, Reset::Auto)), ErrorKind::OutOfRange);
        assert_eq!(kind(same.lock(far)), ErrorKind::OutOfRange);
    }
}

#[test]
fn all_sleepers_are_woken_by_a_manual_event() {
    let Some((memory, _)) = memory() else { return };
    let gate = memory.event(PONG, Reset::Manual).expect("inside");
    let through = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                gate.wait(LONG).expect("it opens");
                through.fetch_add(1, Ordering::Relaxed);
            });
        }
        // Some sleep by now, some do not; all must come through.
        std::thread::yield_now();
        gate.set();
    });
    assert_eq!(through.into_inner(), 4);
}

#[test]
fn two_processes_answer_each_other() {
    let Some((memory, name)) = memory() else { return };
    let ping = memory.event(PING, Reset::Auto).expect("inside");
    let pong = memory.event(PONG, Reset::Auto).expect("inside");
    let other = player("answer", &name);
    for _ in 0..ROUNDS {
        ping.set();
        pong.wait(LONG).expect("it comes");
    }
    other.finish();
}

#[test]
fn nobody_waits_for_the_dead() {
    let Some((memory, name)) = memory() else { return };
    let ping = memory.event(PING, Reset::Auto).expect("inside");
    assert_eq!(kind(ping.wait_while_seated(SEAT, None)), ErrorKind::PeerGone);
    let mut other = player("set and stay", &name);
    other.expect("set");
    ping.wait_while_seated(SEAT, None).expect("it is set");
    let short = Some(Duration::from_millis(5));
    assert_eq!(kind(ping.wait_while_seated(SEAT, short)), ErrorKind::TimedOut);
    let waits = std::thread::scope(|scope| {
        let waits = scope.spawn(|| kind(ping.wait_while_seated(SEAT, None)));
        other.kill();
        waits.join().expect("no panic")
    });
    assert_eq!(waits, ErrorKind::PeerGone);
    // What a process did before it died is done.
    let mut other = player("set and stay", &name);
    other.expect("set");
    other.kill();
    ping.wait_while_seated(SEAT, None).expect("it is set");
}

#[test]
fn a_lock_lets_one_in_at_a_time() {
    let Some((memory, name)) = memory() else { return };
    let mut players = [player("count", &name), player("count", &name)];
    players.iter_mut().for_each(|player| player.expect("here"));
    players.iter_mut().for_each(Player::go);
    let locks = [memory.lock(LOCK).expect("inside"), memory.lock(LOCK).expect("inside")];
    // Threads with a lock each, and two with the same one.
    std::thread::scope(|scope| {
        for lock in [&locks[0], &locks[0], &locks[1]] {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let held = lock.lock(LONG).expect("in time");
                    assert!(!held.is_abandoned());
                    add_one(&memory);
                }
            });
        }
    });
    players.into_iter().for_each(Player::finish);
    assert_eq!(count(&memory), 5 * ROUNDS as u64);
}

#[test]
fn a_lock_that_is_held_is_not_had() {
    let Some((memory, name)) = memory() else { return };
    let lock = memory.lock(LOCK).expect("inside");
    let mut other = player("hold", &name);
    other.expect("held");
    assert!(lock.try_lock().expect("the system says").is_none());
    assert_eq!(kind(lock.lock(Some(Duration::from_millis(5)))), ErrorKind::TimedOut);
    other.go();
    other.finish();
    let held = lock.lock(LONG).expect("in time");
    assert!(matches!(held, Held::Intact(_)));
    // A thread that has it waits for itself.
    assert!(lock.try_lock().expect("the system says").is_none());
    drop(held);
    assert!(lock.try_lock().expect("the system says").is_some());
}

#[test]
fn the_lock_of_a_dead_process_is_inherited_with_a_word_of_warning() {
    let Some((memory, name)) = memory() else { return };
    let lock = memory.lock(LOCK).expect("inside");
    // Nobody waits when it dies, and somebody does.
    for waits in [false, true] {
        let mut other = player("hold", &name);
        other.expect("held");
        let is_abandoned = std::thread::scope(|scope| {
            let take = || lock.lock(LONG).expect("in time").is_abandoned();
            if waits {
                let waiter = scope.spawn(take);
                other.kill();
                return waiter.join().expect("no panic");
            }
            other.kill();
            take()
        });
        assert!(is_abandoned);
        assert!(!lock.lock(LONG).expect("in time").is_abandoned(), "it is told once");
    }
    let mut other = player("hold", &name);
    other.expect("held");
    other.kill();
    let held = lock.try_lock().expect("the system says").expect("nobody lives who has it");
    assert!(held.is_abandoned());
    drop(held);
    // However short the time is, it is asked once whether the holder lives.
    let mut other = player("hold", &name);
    other.expect("held");
    other.kill();
    let held = lock.lock(Some(Duration::from_micros(1))).expect("nobody lives who has it");
    assert!(held.is_abandoned());
    assert_eq!(count(&memory), 4);
}
