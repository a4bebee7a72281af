//! The program that `pairs` runs under each tool: it holds many blocks and measures itself.
//!
//! A `Box` of so many bytes is one `malloc` of so many bytes here, because this program keeps the
//! allocator of its platform. So no unsafe code is needed to measure `malloc`.

use crate::Result;
use serde::{Deserialize, Serialize};
use std::fs;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Pairs are made until both are reached.
const PAIRS: u64 = 20_000;
const TIME: Duration = Duration::from_millis(500);

/// What one run found; times in nanoseconds for one thread, lengths in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// A malloc and a first write, while the number of live blocks grows.
    pub(crate) grow: f64,
    /// A free of a random live block, a malloc in its place and a first write.
    pub(crate) pair: f64,
    /// A free, while the number of live blocks shrinks.
    pub(crate) shrink: f64,
    /// Resident memory a live block.
    pub(crate) rss: f64,
    /// Page tables a live block.
    pub(crate) page_tables: f64,
    /// Mappings of the process while all blocks live.
    pub(crate) mappings: usize,
}

/// `granule-bench pairs-child SIZE LIVE THREADS`: prints one line of JSON.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let numbers: Vec<usize> =
        words.iter().map(|word| word.parse()).collect::<std::result::Result<_, _>>()?;
    let found = match numbers[..] {
        [16, live, threads] => blocks::<16>(live, threads)?,
        [64, live, threads] => blocks::<64>(live, threads)?,
        _ => return Err("pairs-child 16|64 LIVE THREADS".into()),
    };
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

/// Nanoseconds of one thread.
struct Times {
    grow: f64,
    pair: f64,
    shrink: f64,
}

/// What the process holds while all blocks live.
struct Held {
    rss: u64,
    page_tables: u64,
    mappings: usize,
}

fn held() -> Result<Held> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Result<u64> {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    };
    let mappings = fs::read_to_string("/proc/self/maps")?.lines().count();
    Ok(Held { rss: field("VmRSS:")?, page_tables: field("VmPTE:")?, mappings })
}

fn blocks<const SIZE: usize>(live: usize, threads: usize) -> Result<Found> {
    let share = live / threads;
    let mut slots: Vec<Slots<SIZE>> = (0..threads).map(|_| Slots::new(share)).collect();
    let before = held()?;
    let barrier = Barrier::new(threads + 1);
    let (times, during) = thread::scope(|scope| {
        let start = |slots| scope.spawn(|| work(slots, &barrier));
        let workers: Vec<_> = slots.iter_mut().map(start).collect();
        barrier.wait();
        // All blocks live now: the workers wait.
        let during = held();
        barrier.wait();
        let times: Vec<Times> = workers.into_iter().filter_map(|w| w.join().ok()).collect();
        (times, during)
    });
    let during = during?;
    let mean = |part: fn(&Times) -> f64| times.iter().map(part).sum::<f64>() / times.len() as f64;
    let per_block = |now: u64, then: u64| now.saturating_sub(then) as f64 / live as f64;
    Ok(Found {
        grow: mean(|times| times.grow),
        pair: mean(|times| times.pair),
        shrink: mean(|times| times.shrink),
        rss: per_block(during.rss, before.rss),
        page_tables: per_block(during.page_tables, before.page_tables),
        mappings: during.mappings,
    })
}

fn work<const SIZE: usize>(slots: &mut Slots<SIZE>, barrier: &Barrier) -> Times {
    let count = slots.blocks.len() as u64;
    let grow = per_call(count, || slots.fill());
    barrier.wait();
    barrier.wait();
    let (begin, mut pairs) = (Instant::now(), 0);
    while pairs < PAIRS || begin.elapsed() < TIME {
        (0..100).for_each(|_| slots.replace_one());
        pairs += 100;
    }
    let pair = begin.elapsed().as_secs_f64() * 1e9 / pairs as f64;
    Times { grow, pair, shrink: per_call(count, || slots.empty()) }
}

fn per_call(count: u64, action: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    action();
    begin.elapsed().as_secs_f64() * 1e9 / count as f64
}

/// The live blocks of one thread.
struct Slots<const SIZE: usize> {
    blocks: Vec<Option<Box<[u8; SIZE]>>>,
    random: u64,
}

impl<const SIZE: usize> Slots<SIZE> {
    /// All empty, and its own memory touched, so that it is in no figure.
    fn new(count: usize) -> Self {
        let mut blocks = Vec::with_capacity(count);
        blocks.resize_with(count, || None);
        Slots { blocks, random: 42 }
    }

    fn fill(&mut self) {
        self.blocks.iter_mut().for_each(|slot| *slot = Some(block()));
    }

    fn replace_one(&mut self) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let index = (self.random >> 33) as usize % self.blocks.len();
        // First the free, then the malloc.
        self.blocks[index] = None;
        self.blocks[index] = Some(block());
    }

    fn empty(&mut self) {
        self.blocks.iter_mut().for_each(|slot| *slot = None);
    }
}

fn block<const SIZE: usize>() -> Box<[u8; SIZE]> {
    black_box(Box::new(black_box([1; SIZE])))
}
