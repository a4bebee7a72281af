//! The ring against a queue: on the system's memory, and in the world of the language, where the
//! two views are two memories and only `reflect` makes them equal.

use super::mirror::Mirror;
use super::{Core, Positions, Ring};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec::Vec;

/// Small, so that random steps run through many laps.
const SIMULATED_LEN: usize = 29;

fn simulated() -> Ring {
    let memory = Mirror::simulated(SIMULATED_LEN);
    Ring { core: Core { memory, positions: Positions::new(SIMULATED_LEN) } }
}

/// One thing that is done with a ring. Lengths are shares of 256 of what is possible.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Writes all of the spare bytes, and fills a part of them.
    Scribble {
        seed: u8,
        share: usize,
    },
    Consume {
        share: usize,
    },
    Write {
        seed: u8,
        len: usize,
    },
    Read {
        len: usize,
    },
}

fn steps(len_max: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (any::<u8>(), 0usize..=256).prop_map(|(seed, share)| Step::Scribble { seed, share }),
        (0usize..=256).prop_map(|share| Step::Consume { share }),
        (any::<u8>(), 0..len_max).prop_map(|(seed, len)| Step::Write { seed, len }),
        (0..len_max).prop_map(|len| Step::Read { len }),
    ];
    prop::collection::vec(step, 0..60)
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|index| seed.wrapping_add((index * 7 + index / 256) as u8)).collect()
}

/// Does the step to the ring, whole or split, and to the queue.
fn apply(ring: &mut Ring, queue: &mut VecDeque<u8>, step: Step, is_split: bool) {
    let room = ring.capacity() - queue.len();
    match step {
        Step::Scribble { seed, share } => {
            let (content, len) = (bytes(seed, room), room * share / 256);
            if is_split {
                let mut producer = ring.split().0;
                producer.spare().copy_from_slice(&content);
                producer.fill(len);
            } else {
                ring.spare().copy_from_slice(&content);
                ring.fill(len);
            }
            queue.extend(&content[..len]);
        }
        Step::Consume { share } => {
            let len = queue.len() * share / 256;
            if is_split {
                ring.split().1.consume(len)
            } else {
                ring.consume(len)
            }
            queue.drain(..len);
        }
        Step::Write { seed, len } => {
            let content = bytes(seed, len);
            let written =
                if is_split { ring.split().0.write(&content) } else { ring.write(&content) };
            assert_eq!(written, len.min(room));
            queue.extend(&content[..written]);
        }
        Step::Read { len } => {
            let mut content = std::vec![0; len];
            let read =
                if is_split { ring.split().1.read(&mut content) } else { ring.read(&mut content) };
            assert_eq!(read, len.min(queue.len()));
            assert!(queue.make_contiguous()[..read] == content[..read]);
            queue.drain(..read);
        }
    }
}

fn compare(ring: &mut Ring, steps: &[Step], is_split: bool) {
    let mut queue = VecDeque::new();
    for &step in steps {
        apply(ring, &mut queue, step, is_split);
        assert!(ring.filled() == queue.make_contiguous(), "after {step:?}");
        assert_eq!((ring.len(), ring.is_empty()), (queue.len(), queue.is_empty()));
        assert_eq!(ring.spare().len(), ring.capacity() - queue.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_ring_is_a_queue(steps in steps(100_000), is_split in any::<bool>()) {
        let mut ring = Ring::new(1).expect("a small ring");
        compare(&mut ring, &steps, is_split);
    }

    #[test]
    fn two_memories_and_reflections_are_a_queue(
        steps in steps(2 * SIMULATED_LEN),
        is_split in any::<bool>(),
    ) {
        compare(&mut simulated(), &steps, is_split);
    }
}

/// What was scribbled behind the filled part is read back when the spare bytes change views.
#[test]
fn spare_bytes_keep_what_was_written_across_the_views() {
    for mut ring in [Ring::new(1).expect("a small ring"), simulated()] {
        let capacity = ring.capacity();
        ring.fill(capacity - 4);
        ring.consume(capacity - 4);
        ring.spare()[..10].copy_from_slice(b"0123456789");
        ring.fill(6);
        assert_eq!(&ring.spare()[..4], b"6789");
        assert_eq!(ring.filled(), b"012345");
    }
}
