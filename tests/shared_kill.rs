//! Processes that are killed at any moment: the others are told, and no name is left.
//!
//! Each kind of death is died some times; with `GRANULE_TEST_KILLS=1000` so many times.

mod shared_support;

use granule::ErrorKind;
use granule::section::shared::{Consumer, Producer, SharedMemory};
use shared_support::{LONG, Player, Random, kind, own_name, role, say};
use std::time::{Duration, Instant};

const CAPACITY: usize = 4096;
const LOCK: usize = 0;
/// Two numbers that are the same whenever nobody is between them.
const PAIR: u64 = 64;

/// How often somebody dies. A process under Wine or an emulator takes long to start.
fn kills() -> u64 {
    let usual = if cfg!(windows) || std::env::var("GRANULE_TEST_RUNNER").is_ok() { 10 } else { 40 };
    std::env::var("GRANULE_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn player(role: &str, name: &str) -> Player {
    Player::start("a_player", role, name)
}

/// Lets a random moment pass: from nothing to a few milliseconds.
fn a_moment(random: &mut Random) {
    let end = Instant::now() + Duration::from_micros(random.below(3000));
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// What other processes do in these tests, until they are killed.
#[test]
fn a_player() {
    let Some((role, name)) = role() else { return };
    match role.as_str() {
        "produce" => {
            let mut producer = Producer::open(&name).expect("the other side has made it");
            for number in 0u64.. {
                producer.send(&number.to_le_bytes().repeat(5), None).expect("somebody listens");
            }
        }
        "make and produce" => {
            let mut producer = Producer::create(&name, CAPACITY).expect("nobody has it");
            for number in 0u64.. {
                producer.send(&number.to_le_bytes().repeat(5), None).expect("somebody listens");
            }
        }
        "consume" => {
            let mut consumer = Consumer::open(&name).expect("the other side has made it");
            while consumer.receive(None).is_ok() {}
        }
        "come and go" => loop {
            drop(SharedMemory::open_or_create(&name, 100).expect("one or the other"));
        },
        "change the pair" => {
            let memory = SharedMemory::open(&name).expect("it is there");
            let lock = memory.lock(LOCK).expect("inside");
            say("here");
            loop {
                let held = lock.lock(LONG).expect("in time");
                assert!(!held.is_abandoned(), "nobody else dies");
                let pair = memory.section().racy::<u64>(PAIR..PAIR + 16).expect("inside");
                let number = pair.load(0).expect("inside");
                pair.store(0, number + 1).expect("inside");
                pair.store(1, number + 1).expect("inside");
            }
        }
        role => panic!("{role}"),
    }
}

/// Takes numbers in order until there are none; how many.
fn drain(consumer: &mut Consumer) -> u64 {
    for number in 0u64.. {
        match consumer.receive(LONG) {
            Ok(message) => {
                let mut bytes = [0; 40];
                message.read(0, &mut bytes).expect("all of it");
                assert_eq!(bytes[..], number.to_le_bytes().repeat(5));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PeerGone);
                return number;
            }
        }
    }
    unreachable!("numbers have no end")
}

/// Starting a process takes longer than most of what happens in it: it is killed while it starts,
/// while it opens, while it sends.
#[test]
fn a_producer_dies() {
    let mut random = Random(1);
    let mut received = 0;
    for round in 0..kills() {
        let Some(name) = own_name("producer") else { return };
        let mut consumer = Consumer::create(&name, CAPACITY).expect("nobody has it");
        let other = player("produce", &name);
        if round % 4 != 0 {
            // It has come, and sends.
            received += u64::from(consumer.receive(LONG).is_ok());
            a_moment(&mut random);
            other.kill();
            while consumer.receive(LONG).is_ok() {
                received += 1;
            }
            assert!(consumer.is_peer_gone().expect("the system says"));
        } else {
            a_moment(&mut random);
            other.kill();
            match consumer.receive(Some(Duration::from_millis(1))) {
                Ok(_) => received += 1,
                Err(error) => {
                    // It may have died before it came.
                    assert!([ErrorKind::PeerGone, ErrorKind::TimedOut].contains(&error.kind()));
                }
            }
        }
        drop(consumer);
        assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
    }
    assert!(received > 0);
}

#[test]
fn a_consumer_dies() {
    let mut random = Random(2);
    for _ in 0..kills() {
        let Some(name) = own_name("consumer") else { return };
        let mut producer = Producer::create(&name, CAPACITY).expect("nobody has it");
        let other = player("consume", &name);
        // More than the ring has room for: it has come.
        for _ in 0..500 {
            producer.send(&[7; 40], LONG).expect("somebody listens");
        }
        let told = std::thread::scope(|scope| {
            let sends = scope.spawn(|| {
                loop {
                    if let Err(error) = producer.send(&[7; 40], LONG) {
                        return error.kind();
                    }
                }
            });
            a_moment(&mut random);
            other.kill();
            sends.join().expect("no panic")
        });
        assert_eq!(told, ErrorKind::PeerGone);
        drop(producer);
        assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
    }
}

/// The one that has made the name dies, before and after the other side has come.
#[test]
fn the_maker_dies() {
    let mut random = Random(3);
    let Some(name) = own_name("maker") else { return };
    for round in 0..kills() {
        let other = player("make and produce", &name);
        if round % 2 == 0 {
            let mut consumer = open_consumer(&name);
            a_moment(&mut random);
            other.kill();
            drain(&mut consumer);
        } else {
            drop(open_memory(&name));
            a_moment(&mut random);
            other.kill();
        }
        assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
    }
}

/// Opens what another process is about to make.
fn open_consumer(name: &str) -> Consumer {
    loop {
        match Consumer::open(name) {
            Ok(consumer) => return consumer,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
        std::thread::yield_now();
    }
}

fn open_memory(name: &str) -> SharedMemory {
    loop {
        match SharedMemory::open(name) {
            Ok(memory) => return memory,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
        std::thread::yield_now();
    }
}

/// In the middle of making, opening, leaving and removing a name.
#[test]
fn one_who_comes_and_goes_dies() {
    let mut random = Random(4);
    let Some(name) = own_name("visitor") else { return };
    for _ in 0..kills() {
        let others = [player("come and go", &name), player("come and go", &name)];
        drop(open_memory(&name));
        a_moment(&mut random);
        others.into_iter().for_each(Player::kill);
        let memory = SharedMemory::open_or_create(&name, 100).expect("one or the other");
        assert!(memory.len() >= 100);
        drop(memory);
        assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
    }
}

#[test]
fn the_holder_of_a_lock_dies() {
    let mut random = Random(5);
    let Some(name) = own_name("holder") else { return };
    let memory = SharedMemory::create(&name, 128).expect("nobody has it");
    let lock = memory.lock(LOCK).expect("inside");
    let pair = memory.section().racy::<u64>(PAIR..PAIR + 16).expect("inside");
    for _ in 0..kills() {
        let mut other = player("change the pair", &name);
        other.expect("here");
        a_moment(&mut random);
        other.kill();
        let held = lock.lock(LONG).expect("in time");
        let numbers = [0, 1].map(|place| pair.load(place).expect("inside"));
        if !held.is_abandoned() {
            assert_eq!(numbers[0], numbers[1], "it has let go in order");
        }
        // It died between the two stores, or not: this is how one makes it right.
        assert!(numbers[0] - numbers[1] <= 1);
        pair.store(1, numbers[0]).expect("inside");
        drop(held);
        assert!(!lock.lock(LONG).expect("in time").is_abandoned());
    }
}
