//! Patterns of several threads. At most two work at a time.

use crate::block::Block;
use crate::random::Random;
use std::collections::VecDeque;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

const THREADS: usize = 2;

/// Runs the work of each of the threads, with its number.
fn all(work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

/// Batches of blocks that are freed in the order of their birth, backwards, in steps of seven, and
/// in random order.
pub(crate) fn orders(ops: usize) {
    const BATCH: usize = 4099;
    all(|number| {
        let mut random = Random::new(number as u64);
        let mut blocks: Vec<Option<Block>> = (0..BATCH).map(|_| None).collect();
        let steps: Vec<usize> = (0..BATCH).map(|n| n * 7 % BATCH).collect();
        let orders = [(0..BATCH).collect(), (0..BATCH).rev().collect(), steps, random.order(BATCH)];
        for batch in 0..ops / BATCH / THREADS {
            blocks.fill_with(|| Some(Block::new(8 + random.below(random_end(batch)))));
            for &place in &orders[batch % orders.len()] {
                blocks[place] = None;
            }
        }
    });
}

/// Most batches have small blocks only.
fn random_end(batch: usize) -> usize {
    if batch.is_multiple_of(5) { 1000 } else { 120 }
}

/// A server: threads replace blocks at random places of a table, and hand the table on to a new
/// thread after some time, so that blocks are freed by others than those who made them.
pub(crate) fn server(ops: usize) {
    const PLACES: usize = 5000;
    const GENERATION: usize = 50_000;
    all(|number| {
        let mut random = Random::new(number as u64);
        let mut table: Vec<Block> =
            (0..PLACES).map(|_| Block::new(8 + random.below(993))).collect();
        for _ in 0..(ops / THREADS).div_ceil(GENERATION) {
            let work = move || {
                for _ in 0..GENERATION {
                    let place = random.below(PLACES);
                    table[place] = Block::new(8 + random.below(993));
                }
                (table, random)
            };
            (table, random) = thread::spawn(work).join().expect("it does not panic");
        }
    });
}

/// A queue with an end.
struct Queue<T> {
    waiting: Mutex<VecDeque<T>>,
    changed: Condvar,
    most: usize,
}

impl<T> Queue<T> {
    fn new(most: usize) -> Self {
        let waiting = Mutex::new(VecDeque::with_capacity(most));
        Queue { waiting, changed: Condvar::new(), most }
    }

    fn send(&self, value: T) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |waiting: &mut VecDeque<T>| waiting.len() >= self.most;
        let mut waiting =
            self.changed.wait_while(waiting, full).unwrap_or_else(PoisonError::into_inner);
        waiting.push_back(value);
        self.changed.notify_one();
    }

    fn receive(&self) -> T {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |waiting: &mut VecDeque<T>| waiting.is_empty();
        let mut waiting =
            self.changed.wait_while(waiting, empty).unwrap_or_else(PoisonError::into_inner);
        let value = waiting.pop_front().expect("it is not empty");
        self.changed.notify_one();
        value
    }
}

/// One thread makes small blocks, in batches of 128, and another frees them.
pub(crate) fn handoff(ops: usize) {
    const BATCH: usize = 128;
    let queue = Queue::new(64);
    let batches = ops / BATCH;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(1);
            for _ in 0..batches {
                queue.send((0..BATCH).map(|_| Block::new(random.small())).collect::<Vec<_>>());
            }
        });
        scope.spawn(|| (0..batches).for_each(|_| drop(queue.receive())));
    });
}

/// Two threads that make large batches of blocks and free those of the other.
pub(crate) fn batches(ops: usize) {
    const BATCH: usize = 10_000;
    let queues: [Queue<Vec<Block>>; THREADS] = [Queue::new(2), Queue::new(2)];
    all(|number| {
        let mut random = Random::new(number as u64);
        for batch in 0..ops / BATCH / THREADS {
            let end = random_end(batch);
            let made = (0..BATCH).map(|_| Block::new(8 + random.below(end))).collect();
            queues[number].send(made);
            drop(queues[1 - number].receive());
        }
    });
}

/// A place that threads exchange blocks at.
struct Place(AtomicPtr<u64>);

impl Place {
    /// Puts a block there, and takes the one that was there.
    #[allow(unsafe_code, reason = "a block is a pointer while it is there")]
    fn exchange(&self, block: Option<Block>) -> Option<Block> {
        let own = block.map_or(null_mut(), |block| block.into_address().as_ptr());
        let other = NonNull::new(self.0.swap(own, Ordering::AcqRel))?;
        // SAFETY: (1) only this function puts addresses there, and the swap took it away.
        Some(unsafe { Block::from_address(other) })
    }
}

/// Blocks of mixed sizes that slowly grow, some of which change hands; every thread ends after a
/// while, and another goes on with its table.
pub(crate) fn drift(ops: usize) {
    const PLACES: usize = 4000;
    const SHARED: usize = 1000;
    const ROUNDS: usize = 40;
    let shared: Arc<Vec<Place>> =
        Arc::new((0..SHARED).map(|_| Place(AtomicPtr::new(null_mut()))).collect());
    all(|number| {
        let mut random = Random::new(number as u64);
        let mut table: Vec<Option<Block>> = (0..PLACES).map(|_| None).collect();
        for round in 0..ROUNDS {
            let places = Arc::clone(&shared);
            let work = move || {
                for _ in 0..ops / ROUNDS / THREADS {
                    let place = random.below(PLACES);
                    let len = random.mixed() * (ROUNDS + round) / ROUNDS;
                    table[place] = None;
                    let block = Block::new(len);
                    block.touch(0, len);
                    table[place] = Some(block);
                    if random.next() & 15 == 0 {
                        let other = &places[random.below(SHARED)];
                        table[place] = other.exchange(table[place].take());
                    }
                }
                (table, random)
            };
            (table, random) = thread::spawn(work).join().expect("it does not panic");
        }
    });
    shared.iter().for_each(|place| drop(place.exchange(None)));
}

/// Takes a block and writes to it many times, again and again: slow if two threads have got blocks
/// of one line of the cache.
fn write_often(ops: usize) {
    for _ in 0..ops {
        let block = Block::new(16);
        (0..100).for_each(|_| block.count(8));
    }
}

/// Each thread begins with a block of the main thread, made beside the other's, and frees it.
pub(crate) fn scratch(ops: usize) {
    let begin: Vec<Mutex<Option<Block>>> =
        (0..THREADS).map(|_| Mutex::new(Some(Block::new(16)))).collect();
    all(|number| {
        drop(begin[number].lock().unwrap_or_else(PoisonError::into_inner).take());
        write_often(ops / THREADS);
    });
}

/// Each thread has blocks of its own.
pub(crate) fn thrash(ops: usize) {
    all(|_| write_often(ops / THREADS));
}

/// Threads that live for 200 blocks. An operation is a thread.
pub(crate) fn threads(ops: usize) {
    all(|number| {
        for count in 0..ops / THREADS {
            let work = move || {
                let mut random = Random::new((number + count) as u64);
                let blocks: Vec<Block> =
                    (0..200).map(|_| Block::new(16 + random.below(1009))).collect();
                drop(blocks);
            };
            thread::spawn(work).join().expect("it does not panic");
        }
    });
}

/// Threads that free what the last one has left, and leave as much. An operation is a thread.
pub(crate) fn generations(ops: usize) {
    all(|number| {
        let mut left: Vec<Block> = Vec::new();
        for count in 0..ops / THREADS {
            let work = move || {
                let mut random = Random::new((number + count) as u64);
                let own = (0..100).map(|_| Block::new(random.small())).collect();
                drop(left);
                own
            };
            left = thread::spawn(work).join().expect("it does not panic");
        }
    });
}
