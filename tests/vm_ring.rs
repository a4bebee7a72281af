//! The mirrored ring through its public face: one thread, two threads, the standard streams, and
//! callers that break its rules. Refusals of the system are in `vm_ring_failures.rs`.

use granule::vm::{self, Ring};
use granule::{ErrorKind, Op};
use std::io::{self, BufRead, Read, Write};

fn ring() -> Ring {
    Ring::new(1).expect("a small ring")
}

/// A ring whose spare bytes begin `before` bytes in front of its end.
fn ring_near_its_end(before: usize) -> Ring {
    let mut ring = ring();
    let skipped = ring.capacity() - before;
    ring.fill(skipped);
    ring.consume(skipped);
    ring
}

#[test]
fn a_ring_is_whole_steps_of_zeros() {
    let granularity = vm::info().granularity;
    for (len, capacity) in [(1, 1), (granularity, 1), (granularity + 1, 2), (10 * granularity, 10)]
    {
        let mut ring = Ring::new(len).expect("a small ring");
        assert_eq!(ring.capacity(), capacity * granularity);
        assert_eq!((ring.len(), ring.is_empty()), (0, true));
        assert!(ring.filled().is_empty());
        assert!(ring.spare().iter().all(|&byte| byte == 0));
        assert_eq!(ring.spare().len(), ring.capacity());
    }
}

#[test]
fn lengths_that_no_ring_can_have_are_refused_without_asking() {
    let info = vm::info();
    for len in [0, info.address_max / 2 + 1, info.address_max, usize::MAX - 1, usize::MAX] {
        let error = Ring::new(len).expect_err("no ring is so long");
        assert_eq!((error.op(), error.kind()), (Op::Mirror, ErrorKind::OutOfRange));
        assert_eq!((error.len(), error.code()), (len, 0));
    }
}

#[test]
fn a_slice_reaches_across_the_end() {
    let mut ring = ring_near_its_end(3);
    ring.spare()[..6].copy_from_slice(b"abcdef");
    ring.fill(6);
    assert_eq!(ring.filled(), b"abcdef");
    ring.consume(4);
    assert_eq!(ring.filled(), b"ef");
    // Once around: the same bytes, now at the beginning.
    let rest = ring.spare().len();
    ring.fill(rest);
    assert_eq!(ring.len(), ring.capacity());
    assert!(ring.spare().is_empty());
    assert_eq!(ring.write(b"more"), 0);
    ring.consume(ring.capacity());
    assert!(ring.is_empty());
}

#[test]
fn a_line_across_the_end_is_one_line() {
    let mut ring = ring_near_its_end(5);
    writeln!(ring, "first line\nsecond").expect("there is room");
    let mut line = String::new();
    let mut consumer = ring.split().1;
    consumer.read_line(&mut line).expect("a line");
    assert_eq!(line, "first line\n");
    assert_eq!(consumer.fill_buf().expect("something is filled"), b"second\n");
    drop(consumer);
    let mut rest = Vec::new();
    ring.read_to_end(&mut rest).expect("an empty ring is the end");
    assert_eq!(rest, b"second\n");
}

#[test]
fn a_full_ring_takes_nothing() {
    let mut ring = ring();
    let all = vec![7; ring.capacity() + 1];
    let error = ring.write_all(&all).expect_err("one byte too many");
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_eq!(ring.filled(), &all[1..]);
}

#[test]
fn an_end_says_when_it_must_wait_and_when_it_is_alone() {
    let mut ring = ring();
    let capacity = ring.capacity();
    let (mut producer, mut consumer) = ring.split();
    let mut bytes = vec![0; capacity];
    let waits = |result: io::Result<usize>| result.map_err(|error| error.kind());
    assert_eq!(waits(Read::read(&mut consumer, &mut bytes)), Err(io::ErrorKind::WouldBlock));
    assert_eq!(waits(Write::write(&mut producer, &bytes)), Ok(capacity));
    assert_eq!(waits(Write::write(&mut producer, b"x")), Err(io::ErrorKind::WouldBlock));
    assert_eq!(waits(Write::write(&mut producer, b"")), Ok(0));
    assert_eq!(waits(Read::read(&mut consumer, &mut bytes[..9])), Ok(9));
    assert_eq!((producer.spare_len(), consumer.len()), (9, capacity - 9));
    assert!(!producer.is_abandoned() && !consumer.is_abandoned());
    drop(producer);
    assert!(consumer.is_abandoned());
    assert_eq!(waits(consumer.read_to_end(&mut bytes)), Ok(capacity - 9));
    drop(consumer);

    let (mut producer, consumer) = ring.split();
    assert!(!producer.is_abandoned() && consumer.is_empty() && !consumer.is_abandoned());
    drop(consumer);
    assert!(producer.is_abandoned());
    assert_eq!(waits(Write::write(&mut producer, b"x")), Err(io::ErrorKind::BrokenPipe));
}

/// Pseudo-random numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % end
    }
}

fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Lap after lap through both views, with pieces of all lengths and no waiting but yielding.
#[test]
fn two_threads_pass_on_every_byte_in_order() {
    const TOTAL: usize = 8 << 20;
    let mut ring = ring();
    let (mut producer, mut consumer) = ring.split();
    let produce = move || {
        let mut numbers = Numbers(1);
        let (mut sum, mut passed) = (0, 0);
        while passed < TOTAL {
            let spare = producer.spare();
            if spare.is_empty() {
                std::thread::yield_now();
                continue;
            }
            // A byte more than is filled is scribbled on, as by a reader that read too far.
            let len = (1 + numbers.below(spare.len().min(20_000))).min(TOTAL - passed);
            let seed = numbers.below(256);
            spare.iter_mut().take(len + 1).zip(seed..).for_each(|(byte, at)| *byte = at as u8);
            sum = checksum(sum, &spare[..len]);
            producer.fill(len);
            passed += len;
        }
        sum
    };
    let consume = move || {
        let mut numbers = Numbers(2);
        let (mut sum, mut seen) = (0, 0);
        while !(consumer.is_abandoned() && consumer.is_empty()) {
            let filled = consumer.filled();
            let len = filled.len().min(1 + numbers.below(30_000));
            sum = checksum(sum, &filled[..len]);
            if len == 0 {
                std::thread::yield_now();
            }
            consumer.consume(len);
            seen += len;
        }
        (sum, seen)
    };
    let (produced, consumed) = std::thread::scope(|scope| {
        let producer = scope.spawn(produce);
        let consumer = scope.spawn(consume);
        (producer.join().expect("no panic"), consumer.join().expect("no panic"))
    });
    assert_eq!(consumed, (produced, TOTAL));
    assert!(ring.is_empty());
}

#[test]
fn a_ring_moves_between_threads() {
    let mut ring = ring_near_its_end(1);
    ring.write(b"from here");
    let ring = std::thread::spawn(move || {
        let mut ring = ring;
        ring.write(b" to there");
        ring
    });
    let ring = ring.join().expect("no panic");
    let both = std::thread::scope(|scope| {
        [(); 2].map(|()| scope.spawn(|| ring.filled().to_vec())).map(|one| one.join())
    });
    for seen in both {
        assert_eq!(seen.expect("no panic"), b"from here to there");
    }
}

#[test]
#[should_panic(expected = "fill of 65537 bytes, but only 65536 are spare")]
fn more_than_is_spare_cannot_be_filled() {
    assert_eq!(vm::info().granularity, 65536);
    ring().fill(65537);
}

#[test]
#[should_panic(expected = "consume of 3 bytes, but only 2 are filled")]
fn more_than_is_filled_cannot_be_consumed() {
    let mut ring = ring();
    ring.fill(2);
    ring.split().1.consume(3);
}

#[test]
#[should_panic(expected = "fill of")]
fn lengths_that_overflow_are_no_way_around() {
    let mut ring = ring_near_its_end(1);
    ring.split().0.fill(usize::MAX);
}
