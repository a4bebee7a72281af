//! Rings of messages between processes: what is sent comes, and a peer that lies does no harm.

mod shared_support;

use granule::section::shared::{Consumer, Message, Producer, SharedMemory};
use granule::{Error, ErrorKind, Op};
use shared_support::{LONG, Player, Random, kind, own_name, pause, role, say};
use std::time::Duration;

/// Where the protocol has its words: see `src/section/shared/header.rs`.
const MAGIC: usize = 0;
const CAPACITY: usize = 8;
const FILLED: usize = 128;
const CONSUMED: usize = 256;
const WORDS: usize = 1024;

const MESSAGES: u64 = 20_000;

fn player(role: &str, name: &str) -> Player {
    Player::start("a_player", role, name)
}

/// The n-th message: its length and all its bytes follow from n.
fn content(number: u64) -> Vec<u8> {
    let len = (number.wrapping_mul(2_654_435_761) >> 7) % 400;
    (0..len).map(|index| (number * 31 + index * 7) as u8).chain(number.to_le_bytes()).collect()
}

fn bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.read(0, &mut bytes).expect("all of it");
    bytes
}

fn take(consumer: &mut Consumer) -> Result<Vec<u8>, Error> {
    consumer.receive(LONG).map(|message| bytes(&message))
}

/// What other processes do in these tests.
#[test]
fn a_player() {
    let Some((role, name)) = role() else { return };
    match role.as_str() {
        "produce" => {
            let mut producer = Producer::open(&name).expect("the other side has made it");
            for number in 0..MESSAGES {
                producer.send(&content(number), LONG).expect("there is somebody");
            }
        }
        "consume" => {
            let mut consumer = Consumer::open(&name).expect("the other side has made it");
            for number in 0..MESSAGES {
                assert_eq!(take(&mut consumer).expect("they come"), content(number));
            }
            say("all");
            assert_eq!(kind(consumer.receive(LONG)), ErrorKind::PeerGone);
        }
        "produce two and stay" => {
            let mut producer = Producer::open(&name).expect("the other side has made it");
            producer.send(b"one", LONG).expect("there is room");
            producer.send(b"two", LONG).expect("there is room");
            say("sent");
            pause();
        }
        "consume nothing" => {
            let _consumer = Consumer::open(&name).expect("the other side has made it");
            say("here");
            pause();
        }
        role => panic!("{role}"),
    }
}

#[test]
fn every_message_comes_once_and_in_order() {
    for capacity in [1 << 11, 1 << 16] {
        let Some(name) = own_name("order") else { return };
        let mut consumer = Consumer::create(&name, capacity).expect("nobody has it");
        let other = player("produce", &name);
        for number in 0..MESSAGES {
            assert_eq!(take(&mut consumer).expect("they come"), content(number));
        }
        assert_eq!(kind(consumer.receive(LONG)), ErrorKind::PeerGone);
        other.finish();
    }
}

#[test]
fn the_other_way_round_the_producer_makes_it() {
    let Some(name) = own_name("back") else { return };
    let mut producer = Producer::create(&name, 1 << 12).expect("nobody has it");
    let mut other = player("consume", &name);
    for number in 0..MESSAGES {
        producer.send(&content(number), LONG).expect("there is somebody");
    }
    other.expect("all");
    drop(producer);
    other.finish();
    assert_eq!(kind(Consumer::open(&name)), ErrorKind::NotFound);
}

/// Both sides in this process.
fn pair(capacity: usize) -> Option<(Producer, Consumer)> {
    let name = own_name("pair")?;
    let producer = Producer::create(&name, capacity).expect("nobody has it");
    let consumer = Consumer::open(&name).expect("it was made");
    if cfg!(target_os = "linux") {
        assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound, "the name has gone");
    }
    Some((producer, consumer))
}

#[test]
fn slots_and_messages_are_used_in_place() {
    let Some((mut producer, mut consumer)) = pair(4096) else { return };
    assert_eq!(producer.longest(), 4096 / 2 - 8);
    assert_eq!(consumer.longest(), producer.longest());
    drop(producer.reserve(10, LONG).expect("there is room")); // never sent
    assert!(consumer.try_receive().expect("the ring is well").is_none());
    let mut slot = producer.reserve(20, LONG).expect("there is room");
    assert_eq!((slot.len(), slot.is_empty()), (20, false));
    // SAFETY: (1) the other side is in this process, and does nothing meanwhile.
    unsafe { slot.bytes_mut() }.copy_from_slice(b"a message of 20 byte");
    slot.write(1, b"-MESSAGE-").expect("inside");
    slot.write(20, b"").expect("nothing, at its end");
    assert_eq!(kind(slot.write(13, b"12345678")), ErrorKind::OutOfRange);
    assert_eq!(kind(slot.write(21, b"")), ErrorKind::OutOfRange);
    slot.commit_len(12);
    producer.send(b"", LONG).expect("there is room");
    let message = consumer.receive(LONG).expect("it is there");
    // SAFETY: (1) as above.
    assert_eq!(unsafe { message.bytes() }, b"a-MESSAGE-of");
    for (from, to) in [(0, 12), (1, 12), (7, 9), (8, 12), (3, 11), (12, 12)] {
        let mut part = vec![0; to - from];
        message.read(from, &mut part).expect("inside");
        assert_eq!(part, b"a-MESSAGE-of"[from..to]);
    }
    assert_eq!(kind(message.read(12, &mut [0])), ErrorKind::OutOfRange);
    message.keep();
    assert_eq!(take(&mut consumer).expect("it was kept"), b"a-MESSAGE-of");
    assert!(consumer.receive(LONG).expect("the empty one").is_empty());
    assert!(consumer.try_receive().expect("the ring is well").is_none());
}

#[test]
fn a_full_ring_says_so_and_takes_more_later() {
    let Some((mut producer, mut consumer)) = pair(256) else { return };
    let longest = producer.longest();
    let error = producer.send(&vec![0; longest + 1], LONG).expect_err("it never fits");
    assert_eq!((error.op(), error.kind()), (Op::Send, ErrorKind::OutOfRange));
    let mut random = Random(5);
    let (mut sent, mut received) = (0u64, 0u64);
    for _ in 0..10_000 {
        let len = random.below(longest as u64 + 1) as usize;
        match producer.try_reserve(len).expect("the ring is well") {
            Some(mut slot) => {
                slot.write(0, &vec![sent as u8; len]).expect("inside");
                slot.commit();
                sent += 1;
            }
            None => {
                let short = Some(Duration::from_millis(1));
                if sent.is_multiple_of(64) {
                    assert_eq!(kind(producer.send(&vec![0; len], short)), ErrorKind::TimedOut);
                }
                let message = consumer.try_receive().expect("the ring is well");
                let bytes = bytes(&message.expect("a ring without room has messages"));
                assert!(bytes.iter().all(|&byte| byte == received as u8));
                received += 1;
            }
        }
        assert!(sent - received <= 32);
    }
    assert!(received > 2000);
}

#[test]
fn what_was_sent_before_the_end_is_received() {
    let Some(name) = own_name("end") else { return };
    let mut consumer = Consumer::create(&name, 4096).expect("nobody has it");
    assert!(!consumer.is_peer_gone().expect("the system says"), "it has not come yet");
    let short = Some(Duration::from_millis(3));
    assert_eq!(kind(consumer.receive(short)), ErrorKind::TimedOut);
    let mut other = player("produce two and stay", &name);
    other.expect("sent");
    other.kill();
    assert!(consumer.is_peer_gone().expect("the system says"));
    assert_eq!(take(&mut consumer).expect("it was sent"), b"one");
    assert_eq!(take(&mut consumer).expect("it was sent"), b"two");
    let error = consumer.receive(None).expect_err("nobody can send any more");
    assert_eq!((error.op(), error.kind()), (Op::Receive, ErrorKind::PeerGone));
    drop(consumer);
    assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
}

#[test]
fn a_producer_does_not_wait_for_a_dead_consumer() {
    let Some(name) = own_name("full") else { return };
    let mut producer = Producer::create(&name, 256).expect("nobody has it");
    let mut other = player("consume nothing", &name);
    other.expect("here");
    let kind = std::thread::scope(|scope| {
        let sends = scope.spawn(|| {
            loop {
                if let Err(error) = producer.send(&[1; 40], None) {
                    return error.kind();
                }
            }
        });
        other.kill();
        sends.join().expect("no panic")
    });
    assert_eq!(kind, ErrorKind::PeerGone);
}

#[test]
fn each_side_is_there_once() {
    let Some(name) = own_name("once") else { return };
    let producer = Producer::create(&name, 64).expect("nobody has it");
    assert_eq!(kind(Producer::open(&name)), ErrorKind::AlreadyExists);
    assert_eq!(kind(Producer::create(&name, 64)), ErrorKind::AlreadyExists);
    drop(producer);
    assert_eq!(kind(Consumer::open(&name)), ErrorKind::NotFound);
    assert_eq!(kind(Producer::create(&name, 0)), ErrorKind::OutOfRange);
    assert_eq!(kind(Producer::create(&name, usize::MAX)), ErrorKind::OutOfRange);
}

/// A ring whose other side is a program that writes what it likes.
struct Liar {
    memory: SharedMemory,
}

impl Liar {
    fn with_producer() -> Option<(Self, Producer)> {
        let name = own_name("liar")?;
        let producer = Producer::create(&name, 256).expect("nobody has it");
        Some((Liar { memory: SharedMemory::open(&name).expect("it was made") }, producer))
    }

    fn with_consumer() -> Option<(Self, Consumer)> {
        let name = own_name("liar")?;
        let consumer = Consumer::create(&name, 256).expect("nobody has it");
        Some((Liar { memory: SharedMemory::open(&name).expect("it was made") }, consumer))
    }

    fn write(&self, offset: usize, value: u64) {
        let words = self.memory.section().racy::<u64>(0..WORDS as u64 + 256).expect("addresses");
        words.store(offset / 8, value).expect("inside");
    }
}

#[test]
fn lies_about_positions_and_lengths_are_told_from_truth() {
    // Filled by more than there is, backwards, heads that leave what is filled, skips that do.
    let lies: [&[(usize, u64)]; 8] = [
        &[(FILLED, 33)],
        &[(FILLED, u64::MAX)],
        &[(WORDS, 9), (FILLED, 2)],
        &[(WORDS, 1 << 40), (FILLED, 4)],
        &[(WORDS, 128), (FILLED, 32)],
        &[(WORDS, u64::MAX), (FILLED, 1)],
        &[(WORDS, u64::MAX), (FILLED, 32)],
        &[(WORDS, u64::MAX - 1), (FILLED, 32)],
    ];
    for lie in lies {
        let Some((liar, mut consumer)) = Liar::with_consumer() else { return };
        lie.iter().for_each(|&(offset, value)| liar.write(offset, value));
        assert_eq!(kind(consumer.try_receive()), ErrorKind::Corrupt, "{lie:?}");
        assert_eq!(kind(consumer.receive(LONG)), ErrorKind::Corrupt, "{lie:?}");
    }
    for consumed in [33, 1 << 40, u64::MAX] {
        let Some((liar, mut producer)) = Liar::with_producer() else { return };
        liar.write(CONSUMED, consumed);
        let told = (0..20).find_map(|_| producer.try_reserve(8).map(|slot| slot.map(drop)).err());
        assert!(told.is_none(), "nothing was sent, so that nobody has looked");
        let told = (0..20).find_map(|_| producer.send(&[1; 8], LONG).err());
        assert_eq!(told.map(|error| error.kind()), Some(ErrorKind::Corrupt), "{consumed}");
    }
}

#[test]
fn what_is_no_ring_is_not_opened() {
    let lies = [(MAGIC, 5), (CAPACITY, 0), (CAPACITY, 33), (CAPACITY, 64), (CAPACITY, 1 << 63)];
    for (offset, value) in lies {
        let Some(name) = own_name("no-ring") else { return };
        let _producer = Producer::create(&name, 256).expect("nobody has it");
        let memory = SharedMemory::open(&name).expect("it was made");
        // On Windows the section is longer than the ring, by less than a page.
        let value = if value == 64 && cfg!(windows) { 1 << 20 } else { value };
        memory.section().racy::<u64>(0..16).expect("inside").store(offset / 8, value).expect("in");
        assert_eq!(kind(Consumer::open(&name)), ErrorKind::Corrupt, "{offset} {value}");
    }
    let Some(name) = own_name("no-ring") else { return };
    let memory = SharedMemory::create(&name, 1 << 16).expect("nobody has it");
    assert_eq!(kind(Consumer::open(&name)), ErrorKind::NotFound, "it may become one");
    drop(memory);
    if cfg!(not(windows)) {
        let _memory = SharedMemory::create(&name, 100).expect("nobody has it");
        assert_eq!(kind(Consumer::open(&name)), ErrorKind::Corrupt, "too short for one");
    }
}

/// Random bytes all over the ring, at any time: errors and wrong messages, and nothing else.
#[test]
fn noise_does_no_harm() {
    let mut random = Random(11);
    for _ in 0..200 {
        let Some((liar, mut consumer)) = Liar::with_consumer() else { return };
        for _ in 0..20 {
            let offset = match random.below(3) {
                0 => FILLED,
                1 => CONSUMED,
                _ => WORDS + 8 * random.below(32) as usize,
            };
            let value = random.below(1 << 31) << random.below(33) >> random.below(31);
            liar.write(offset, value);
            match consumer.try_receive() {
                Ok(Some(message)) => drop(bytes(&message)),
                Ok(None) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            }
        }
    }
}
