//! Questions to a malloc that are not about speed: what it holds, and what it gives back.

use crate::Result;
use crate::block::Block;
use crate::own::{LastWords, in_fork, rss};
use crate::random::Random;
use std::cell::RefCell;
use std::fs;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Names and values for the one who asked; lengths in bytes.
type Figures = Vec<(&'static str, u64)>;

/// A name, and the answer.
pub(crate) type Probe = (&'static str, fn() -> Result<Figures>);

pub(crate) const PROBES: [Probe; 7] = [
    ("one", one),
    ("hundred-few", || hundred(&[64])),
    ("hundred-many", || hundred(&(1..=64).map(|n| n * 16).collect::<Vec<_>>())),
    ("freed", freed),
    ("forks", forks),
    ("destructors", destructors),
    ("shuffled-list", shuffled_list),
];

/// One block: what a program pays that hardly uses malloc.
fn one() -> Result<Figures> {
    drop(Block::new(64));
    Ok(Vec::new())
}

/// The resident size while a hundred threads live that have a block of each of these sizes.
fn hundred(sizes: &[usize]) -> Result<Figures> {
    const THREADS: usize = 100;
    let barrier = Barrier::new(THREADS + 1);
    let during = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let blocks: Vec<Block> = sizes.iter().map(|&len| Block::new(len)).collect();
                barrier.wait();
                barrier.wait();
                drop(blocks);
            });
        }
        barrier.wait();
        let during = rss();
        barrier.wait();
        during
    });
    Ok(vec![("rss", during?)])
}

/// 190 MiB of small blocks, and all freed: what is resident beyond the size before, with the
/// blocks, after the last free, after three seconds without a call, and after three with many.
fn freed() -> Result<Figures> {
    const LEN: usize = 190 << 20;
    const PAUSE: Duration = Duration::from_secs(3);
    let mut random = Random::new(1);
    let mut blocks: Vec<Option<Block>> = Vec::new();
    blocks.resize_with(LEN / 72, || None);
    black_box(&mut blocks);
    let before = rss()?;
    blocks.iter_mut().for_each(|place| *place = Some(Block::new(16 + random.below(113))));
    let live = rss()?;
    blocks.iter_mut().for_each(|place| *place = None);
    let freed = rss()?;
    thread::sleep(PAUSE);
    let idle = rss()?;
    traffic(&mut blocks[..2000], PAUSE);
    let traffic = rss()?;
    let all = [("live", live), ("freed", freed), ("idle", idle), ("traffic", traffic)];
    Ok(all.map(|(name, now)| (name, now.saturating_sub(before))).to_vec())
}

fn traffic(table: &mut [Option<Block>], time: Duration) {
    let mut random = Random::new(2);
    let begin = Instant::now();
    while begin.elapsed() < time {
        for _ in 0..1000 {
            let place = random.below(table.len());
            table[place] = Some(Block::new(random.small()));
        }
    }
}

/// Forks while four threads use malloc: every child must be able to use it too.
fn forks() -> Result<Figures> {
    const FORKS: usize = 150;
    let stop = AtomicBool::new(false);
    let failed = thread::scope(|scope| {
        for number in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                let mut random = Random::new(number);
                while !stop.load(Ordering::Relaxed) {
                    drop((0..100).map(|_| Block::new(random.mixed())).collect::<Vec<_>>());
                }
            });
        }
        let failed = (0..FORKS).find_map(|_| one_fork().err());
        stop.store(true, Ordering::Relaxed);
        failed
    });
    failed.map_or(Ok(Vec::new()), Err)
}

/// A child that frees a block of its parent and takes many.
fn one_fork() -> Result<()> {
    let mut kept = Some(Block::new(64));
    in_fork(|| {
        kept = None;
        let mut random = Random::new(3);
        drop((0..1000).map(|_| Block::new(random.mixed())).collect::<Vec<_>>());
    })
}

/// Uses malloc when its thread is almost gone.
struct Late(Option<Block>);

impl Drop for Late {
    fn drop(&mut self) {
        self.0 = None;
        drop((1..50).map(|n| Block::new(n * 16)).collect::<Vec<_>>());
    }
}

/// Threads whose last words use malloc: in destructors of thread-locals, and in that of a key,
/// which comes later than what the malloc itself does for a thread that ends.
fn destructors() -> Result<Figures> {
    const THREADS: usize = 20_000;
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    let words = LastWords::new(|| drop(Late(Some(Block::new(100)))))?;
    for _ in 0..THREADS / 2 {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    LATE.with_borrow_mut(|late| *late = Some(Late(Some(Block::new(32)))));
                    words.speak_at_the_end();
                });
            }
        });
    }
    Ok(Vec::new())
}

/// An element of a list, a cache line long.
struct Node {
    next: Option<Box<Node>>,
    _value: [u64; 7],
}

/// A list of 128 MiB that lies in memory in no order: what a step costs, in picoseconds, when it
/// was just made, and when the kernel has had time to make huge pages of what the malloc has asked
/// for. The kernel's thread is told to hurry, if we may; else it needs minutes.
fn shuffled_list() -> Result<Figures> {
    const NODES: usize = 128 << 20 >> 6;
    const TIME: Duration = Duration::from_secs(4);
    let mut random = Random::new(4);
    let mut nodes: Vec<Box<Node>> =
        (0..NODES as u64).map(|n| Box::new(Node { next: None, _value: [n; 7] })).collect();
    for place in (1..NODES).rev() {
        nodes.swap(place, random.below(place + 1));
    }
    let first = nodes.into_iter().fold(None, |next, mut node| {
        node.next = next;
        Some(node)
    });
    let fresh = step_time(first.as_deref());
    let hurry = Hurry::begin();
    thread::sleep(TIME);
    drop(hurry);
    let settled = step_time(first.as_deref());
    // One by one: a list of so many that drops itself needs a long stack.
    let mut rest = first;
    while let Some(mut node) = rest {
        rest = node.next.take();
    }
    Ok(vec![("fresh", fresh), ("settled", settled)])
}

/// The mean time of a step through a list, of three times to its end.
fn step_time(first: Option<&Node>) -> u64 {
    let begin = Instant::now();
    let steps: u128 = (0..3)
        .map(|_| {
            let mut at = first;
            let mut steps = 0;
            while let Some(node) = black_box(at) {
                at = node.next.as_deref();
                steps += 1;
            }
            steps
        })
        .sum();
    (begin.elapsed().as_nanos() * 1000 / steps) as u64
}

/// While it lives khugepaged looks at memory all the time.
struct Hurry(Option<String>);

impl Hurry {
    const PAUSE: &str = "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs";

    fn begin() -> Self {
        let usual = fs::read_to_string(Self::PAUSE).ok();
        Hurry(usual.filter(|_| fs::write(Self::PAUSE, "20").is_ok()))
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        if let Some(usual) = &self.0 {
            fs::write(Self::PAUSE, usual).expect("it could be written before");
        }
    }
}
