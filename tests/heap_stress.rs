//! Many steps of many threads on one heap: blocks go from thread to thread, every one is filled
//! with a pattern that is looked at when it is resized or given back, and in between somebody
//! walks, checks and trims. In the end nothing is left.

mod conformance;
#[path = "conformance/ours.rs"]
mod ours;

use conformance::{Allocator, Block, Player};
use granule::Granule;
use granule::heap::{HeapOptions, HeapStats, owner_of};
use ours::Global;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Steps of all threads together.
const STEPS: usize = 40_000;
/// Blocks that a thread keeps at most.
const KEPT: usize = 150;
/// So often somebody looks at the whole heap.
const LOOK: usize = 499;

/// Blocks for each thread that others have sent.
struct Post(Vec<Mutex<Vec<Block>>>);

impl Post {
    fn send(&self, to: usize, block: Block) {
        let place = &self.0[to % self.0.len()];
        place.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }

    fn fetch(&self, to: usize) -> Vec<Block> {
        std::mem::take(&mut *self.0[to].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One thread's part.
fn play(allocator: &impl Allocator, post: &Post, me: usize, seed: u64, look: &dyn Fn()) {
    let mut player = Player::new(allocator, seed + me as u64);
    for step in 1..=STEPS / post.0.len() {
        match player.random.below(16) {
            0..6 => player.take(),
            6 => player.take_zeroed(),
            7..10 => player.resize_one(),
            10..12 => player.give_one(),
            12..15 => {
                let to = me + 1 + player.random.below(7);
                if let Some(block) = player.pick() {
                    post.send(to, block);
                }
            }
            _ => {
                // Some are given back here at once, others live on.
                for block in post.fetch(me) {
                    match player.random.below(2) {
                        0 => player.give(&block),
                        _ => player.blocks.push(block),
                    }
                }
            }
        }
        player.give_down_to(KEPT);
        if let Some(block) = player.blocks.last() {
            let owner = owner_of(block.start().as_ptr()).expect("memory of a heap");
            assert!(owner.block.is_some_and(|at| at.start == block.start()));
        }
        if step % LOOK == 0 {
            look();
        }
    }
    player.give_down_to(0);
}

/// All threads; what is in the post when they have ended is given back by this one.
fn stress(
    allocator: &(impl Allocator + Sync),
    threads: usize,
    seed: u64,
    look: &(dyn Fn() + Sync),
) {
    println!("{threads} threads, seed {seed:#x}");
    let post = Post((0..threads).map(|_| Mutex::new(Vec::new())).collect());
    thread::scope(|scope| {
        let post = &post;
        let play = |me| scope.spawn(move || play(allocator, post, me, seed, look));
        let players: Vec<_> = (0..threads).map(play).collect();
        // Until the very end of each: what it kept for itself goes back then.
        players.into_iter().for_each(|player| player.join().expect("no panic"));
    });
    let player = Player::new(allocator, seed);
    (0..threads).flat_map(|to| post.fetch(to)).for_each(|block| player.give(&block));
}

fn stress_heap(options: HeapOptions, initial: usize) {
    for (threads, seed) in [(2, 0x5eed_0002), (8, 0x5eed_0008)] {
        let heap = options.shared().expect("memory");
        let look = || {
            assert_eq!(heap.validate(), Ok(()));
            heap.walk(|block| assert!(heap.owns(block.start)));
            heap.trim();
        };
        stress(&heap, threads, seed, &look);
        assert_eq!(heap.validate(), Ok(()));
        assert_eq!((heap.stats().blocks, heap.stats().bytes), (0, 0));
        heap.trim();
        let stats = heap.stats();
        let left = (stats.slabs, stats.runs, stats.cached, stats.len, stats.initial_left);
        assert_eq!(left, (0, 0, 0, initial, initial));
    }
}

#[test]
fn a_heap() {
    stress_heap(HeapOptions::new(), 0);
}

#[test]
fn a_heap_that_looks_at_every_free_and_begins_with_a_part() {
    let initial = 4 << 20;
    let options = HeapOptions::new().initial_len(initial).max_len(1 << 30).secure();
    stress_heap(options, initial);
}

/// All of the heap is counted: nothing else in this program lies in it.
#[test]
fn the_heap_of_the_process() {
    for (threads, seed) in [(2, 0x6eed_0002), (8, 0x6eed_0008)] {
        let look = || {
            assert_eq!(Granule.validate(), Ok(()));
            Granule.walk(|block| assert!(Granule.owns(block.start)));
            Granule.trim();
        };
        stress(&Global(Granule), threads, seed, &look);
        Granule.trim();
        assert_eq!((Granule.stats(), Granule.validate()), (HeapStats::default(), Ok(())));
    }
}
