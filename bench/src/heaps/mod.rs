//! Heaps that are made and thrown away: a few blocks, a long list; against bumpalo and malloc.
#![allow(unsafe_code, reason = "blocks of a heap are raw memory")]

use crate::Result;
use crate::flags::Flags;
use crate::machine::Machine;
use crate::results::{Table, nanoseconds, publish, ratio};
use crate::vm::contest::{Contest, Line, Target};
use crate::vm::{Measured, thread_time};
use bumpalo::Bump;
use granule::heap::{Heap, LocalHeap};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Duration;

/// Rounds unless they are given.
pub(crate) const ROUNDS: usize = 21;

const LOCAL: &str = "LocalHeap";
const SHARED: &str = "Heap";
const BUMPALO: &str = "bumpalo";
const MALLOC: &str = "malloc";
const NAMES: [&str; 4] = [LOCAL, SHARED, BUMPALO, MALLOC];

const FEW: usize = 100;
const NODES: usize = 1_000_000;
/// Heaps of a few blocks in a sample.
const CYCLES: usize = 10_000;

struct Node {
    next: Option<NonNull<Node>>,
    values: [u64; 2],
}

/// Where blocks come from, and whether they can go back one by one.
trait Blocks: Sized {
    fn begin() -> Result<Self>;
    fn take(&self, layout: Layout) -> Option<NonNull<u8>>;
    /// Gives a block back that is not used again; false if blocks cannot go alone.
    ///
    /// # Safety
    /// 1. It was taken here with this layout.
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) -> bool;
    /// True if all go with the heap.
    const GO_TOGETHER: bool = true;
}

macro_rules! heap_blocks {
    ($($heap:ty)*) => { $(
        impl Blocks for $heap {
            fn begin() -> Result<Self> {
                Ok(<$heap>::new()?)
            }
            #[inline]
            fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
                self.allocate(layout).ok()
            }
            #[inline]
            unsafe fn give(&self, block: NonNull<u8>, _: Layout) -> bool {
                // SAFETY: the same contract.
                unsafe { self.deallocate(block) };
                true
            }
        }
    )* };
}

heap_blocks!(LocalHeap Heap);

impl Blocks for Bump {
    fn begin() -> Result<Self> {
        Ok(Bump::new())
    }

    #[inline]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.try_alloc_layout(layout).ok()
    }

    unsafe fn give(&self, _: NonNull<u8>, _: Layout) -> bool {
        false
    }
}

/// `malloc` and `free` of the C library.
struct Malloc;

impl Blocks for Malloc {
    const GO_TOGETHER: bool = false;

    fn begin() -> Result<Self> {
        Ok(Malloc)
    }

    #[inline]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: no layout here is empty.
        NonNull::new(unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the same contract.
        unsafe { System.dealloc(block.as_ptr(), layout) };
        true
    }
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let begun = thread_time();
    let done = work()?;
    Ok((thread_time() - begun, done))
}

fn per(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

/// A heap, 100 blocks of 32 bytes, and all of it gone; nanoseconds.
fn cycle<B: Blocks>() -> Result<f64> {
    let layout = Layout::new::<[u64; 4]>();
    let (time, ()) = timed(|| {
        // What does not go with its heap has to be remembered.
        let mut blocks = [NonNull::dangling(); FEW];
        for _ in 0..CYCLES {
            let heap = B::begin()?;
            for place in &mut blocks {
                let block = black_box(heap.take(layout).ok_or("no memory")?);
                if !B::GO_TOGETHER {
                    *place = block;
                }
            }
            if !B::GO_TOGETHER {
                for block in blocks {
                    // SAFETY: (1) taken above.
                    unsafe { heap.give(block, layout) };
                }
            }
        }
        Ok(())
    })?;
    Ok(per(time, CYCLES))
}

fn list<B: Blocks>(heap: &B) -> Result<Option<NonNull<Node>>> {
    let mut list = None;
    for number in 0..NODES as u64 {
        let node = heap.take(Layout::new::<Node>()).ok_or("no memory")?.cast::<Node>();
        // SAFETY: a new block for a node.
        unsafe { node.write(Node { next: list, values: [number, 1] }) };
        list = Some(node);
    }
    Ok(list)
}

struct Branch {
    sides: [Option<NonNull<Branch>>; 2],
    value: u64,
}

/// The levels of a tree of about as many nodes as the list has.
const LEVELS: u32 = 20;

/// A full tree, built from its root.
fn tree<B: Blocks>(heap: &B, levels: u32) -> Result<Option<NonNull<Branch>>> {
    if levels == 0 {
        return Ok(None);
    }
    let node = heap.take(Layout::new::<Branch>()).ok_or("no memory")?.cast::<Branch>();
    // SAFETY: a new block for a node.
    unsafe { node.write(Branch { sides: [None; 2], value: u64::from(levels) }) };
    let sides = [tree(heap, levels - 1)?, tree(heap, levels - 1)?];
    // SAFETY: it was written above, and nobody else has it.
    unsafe { (*node.as_ptr()).sides = sides };
    Ok(Some(node))
}

/// Reads every value, so that the tree is there.
fn sum(tree: Option<NonNull<Branch>>) -> u64 {
    tree.map_or(0, |node| {
        // SAFETY: a node of the tree that is in use.
        let Branch { sides, value } = unsafe { node.read() };
        value + sides.into_iter().map(sum).sum::<u64>()
    })
}

/// Nanoseconds for a node of a tree, the second one in its memory.
fn branches<B: Blocks>() -> Result<f64> {
    let mut last = 0.0;
    for _ in 0..2 {
        let heap = B::begin()?;
        let (time, root) = timed(|| tree(&heap, LEVELS))?;
        black_box(sum(root));
        last = per(time, (1 << LEVELS) - 1);
        give_branches(&heap, root);
    }
    Ok(last)
}

/// Gives a tree back, where it does not go with its heap.
fn give_branches<B: Blocks>(heap: &B, tree: Option<NonNull<Branch>>) {
    let Some(node) = tree.filter(|_| !B::GO_TOGETHER) else { return };
    // SAFETY: a node of the tree that is in use.
    let Branch { sides, .. } = unsafe { node.read() };
    sides.into_iter().for_each(|side| give_branches(heap, side));
    // SAFETY: (1) it was taken there, for a node.
    unsafe { heap.give(node.cast(), Layout::new::<Branch>()) };
}

/// Gives the nodes back one by one; false if that cannot be.
fn give_each<B: Blocks>(heap: &B, mut list: Option<NonNull<Node>>) -> bool {
    while let Some(node) = list {
        // SAFETY: a node of the list that is in use.
        let Node { next, values } = unsafe { node.read() };
        black_box(values);
        // SAFETY: (1) it was taken there, for a node.
        if !unsafe { heap.give(node.cast(), Layout::new::<Node>()) } {
            return false;
        }
        list = next;
    }
    true
}

/// The calls of the contest, in the order of `calls`.
fn sample<B: Blocks>() -> Result<Vec<Option<f64>>> {
    let cycle = cycle::<B>()?;
    // The first list of a heap meets memory that nobody has touched; what is measured is the next.
    let heap = B::begin()?;
    let first = list(&heap)?;
    give_each(&heap, first);
    drop(heap);
    let heap = B::begin()?;
    let (build, nodes) = timed(|| list(&heap))?;
    let (each, is_possible) = timed(|| Ok(give_each(&heap, nodes)))?;
    let each = is_possible.then(|| per(each, NODES));
    let throw = if B::GO_TOGETHER {
        if is_possible {
            list(&heap)?;
        }
        let (time, ()) = timed(|| {
            drop(heap);
            Ok(())
        })?;
        Some(per(time, 1))
    } else {
        None
    };
    Ok(vec![Some(cycle), Some(per(build, NODES)), Some(branches::<B>()?), each, throw])
}

fn calls() -> [(String, Target); 5] {
    [
        ("a heap, 100 blocks of 32 bytes, all gone".into(), Target::Nanoseconds(300.0)),
        ("a node of a list of 1,000,000".into(), Target::TimesBare(1.3)),
        ("a node of a tree of 1,048,575".into(), Target::TimesBare(1.3)),
        ("a node of it given back".into(), Target::None),
        ("the list thrown away".into(), Target::Nanoseconds(10_000.0)),
    ]
}

/// Measures and publishes.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let machine = Machine::look();
    let mut contest = Contest::new(calls());
    contest.add(LOCAL, sample::<LocalHeap>);
    contest.add(SHARED, sample::<Heap>);
    contest.add(BUMPALO, sample::<Bump>);
    contest.add(MALLOC, sample::<Malloc>);
    let lines = contest.run(flags.rounds, &mut machine.random())?;
    let text = describe(&machine, flags.rounds, &lines);
    let measured = Measured { machine: &machine, rounds: flags.rounds, lines: &lines };
    publish(flags.result_name("heaps").as_deref(), &text, &measured)
}

fn describe(machine: &Machine, rounds: usize, lines: &[Line]) -> String {
    let text = format!(
        "# Heaps made and thrown away\n\n{}- median of {rounds} rounds, one list in each\n\n\
         Processor time of one thread. A node has 24 bytes; the second list or tree of a \
         process is measured,\nin memory that the first has touched. `bumpalo` cannot give \
         a block back alone, `malloc` has no heap to\nthrow away. The ratio is LocalHeap / \
         bumpalo.\n\n",
        machine.markdown()
    );
    let names = ["what", "ratio", "goal", "reached"];
    let mut table = Table::new(names.into_iter().chain(NAMES));
    for line in lines {
        let median = |name| line.medians.get(name).copied();
        let shown = |name| median(name).map_or("-".to_string(), nanoseconds);
        let (goal, reached) = match line.target {
            Target::Nanoseconds(most) => (nanoseconds(most), median(LOCAL).map(|t| t <= most)),
            Target::TimesBare(most) => (ratio(most), line.times(LOCAL, BUMPALO).map(|t| t <= most)),
            Target::None => ("-".to_string(), None),
        };
        let reached = reached.map_or("-", |reached| if reached { "yes" } else { "no" });
        let times = line.times(LOCAL, BUMPALO);
        let times = times.map_or("-".to_string(), |times| format!("{times:.2}x"));
        let first = [line.call.clone(), times, goal, reached.to_string()];
        table.row(first.into_iter().chain(NAMES.map(shown)));
    }
    text + &table.markdown()
}
