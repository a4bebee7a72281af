//! What a block costs in each layer of memory: one is taken, its first byte written, and given
//! back. Nanoseconds for all of that, the best of many rounds.
//!
//! ```text
//! cargo run --release --example layer_costs              # some seconds
//! cargo run --release --example layer_costs -- --quick   # a few rounds, and rough numbers
//! ```

use granule::Granule;
use granule::heap::{Heap, LocalHeap};
use granule::vm::{Protection, Reservation};
use granule::win32::{HeapAlloc, HeapCreate, HeapDestroy, HeapFree};
use std::alloc::Layout;
use std::error::Error;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

const SIZES: [(usize, &str); 5] =
    [(16, "16 B"), (256, "256 B"), (4 << 10, "4 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

unsafe extern "C" {
    /// The C library's.
    safe fn malloc(size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How much is measured.
#[derive(Clone, Copy)]
struct Plan {
    rounds: usize,
    /// Blocks in use at the same time.
    batch: usize,
}

impl Plan {
    /// Nanoseconds for one block of a layer, in the best round.
    fn cost<T>(self, take: impl Fn() -> Result<T>, give: impl Fn(T) -> Result<()>) -> Result<f64> {
        let mut best = Duration::MAX;
        let mut blocks = Vec::with_capacity(self.batch);
        for _ in 0..self.rounds {
            let begun = Instant::now();
            for _ in 0..self.batch {
                blocks.push(take()?);
            }
            for block in blocks.drain(..) {
                give(block)?;
            }
            best = best.min(begun.elapsed());
        }
        Ok(best.as_nanos() as f64 / self.batch as f64)
    }
}

/// Writes the first byte: memory that nobody touches costs little in any layer.
fn touched(block: *mut u8) -> Result<NonNull<u8>> {
    let block = NonNull::new(block).ok_or("there is no memory")?;
    // SAFETY: a new block of at least one byte.
    unsafe { block.write(1) };
    Ok(block)
}

/// Reserve, commit, release: three calls of the system, and a page that it has to fill with zeros.
fn pages(plan: Plan, size: usize) -> Result<f64> {
    let take = || {
        let block = Reservation::reserve(size)?;
        block.commit(0..size, Protection::ReadWrite)?;
        touched(block.as_ptr())?;
        Ok(block)
    };
    plan.cost(take, |block| Ok(block.release()?))
}

/// HeapAlloc and HeapFree: a lock, and a look whether the block is one.
fn heap_alloc(plan: Plan, size: usize) -> Result<f64> {
    let heap = HeapCreate(0, 0, 0)?;
    let take = || {
        // SAFETY: (1) the heap has a lock.
        touched(unsafe { HeapAlloc(heap, 0, size)? }.cast())
    };
    let give = |block: NonNull<u8>| {
        // SAFETY: (1) (2) as above, and the block is ours.
        unsafe { HeapFree(heap, 0, block.as_ptr().cast())? };
        Ok(())
    };
    let cost = plan.cost(take, give)?;
    // SAFETY: (1) (2) nobody uses its blocks any more.
    unsafe { HeapDestroy(heap)? };
    Ok(cost)
}

/// A heap that any thread may use.
fn shared_heap(plan: Plan, size: usize) -> Result<f64> {
    let (heap, layout) = (Heap::new()?, Layout::from_size_align(size, 8)?);
    let give = |block| {
        // SAFETY: (1) a block of this heap, and not used again.
        unsafe { heap.deallocate(block) };
        Ok(())
    };
    plan.cost(|| touched(heap.allocate(layout)?.as_ptr()), give)
}

/// A heap for one thread.
fn local_heap(plan: Plan, size: usize) -> Result<f64> {
    let (heap, layout) = (LocalHeap::new()?, Layout::from_size_align(size, 8)?);
    let give = |block| {
        // SAFETY: (1) a block of this heap, and not used again.
        unsafe { heap.deallocate(block) };
        Ok(())
    };
    plan.cost(|| touched(heap.allocate(layout)?.as_ptr()), give)
}

/// What C programs have.
fn c_malloc(plan: Plan, size: usize) -> Result<f64> {
    let give = |block: NonNull<u8>| {
        // SAFETY: a block of malloc, and not used again.
        unsafe { free(block.as_ptr().cast()) };
        Ok(())
    };
    plan.cost(|| touched(malloc(size).cast()), give)
}

/// The heap of the process, as C asks for it.
fn our_malloc(plan: Plan, size: usize) -> Result<f64> {
    let give = |block: NonNull<u8>| {
        // SAFETY: (1) a block of this heap, and not used again.
        unsafe { Granule.deallocate_c(block.as_ptr()) };
        Ok(())
    };
    let take = || touched(Granule.allocate_c(size).ok_or("there is no memory")?.as_ptr());
    plan.cost(take, give)
}

/// A value that is dropped when its owner goes; from the global allocator, here the C library's.
fn boxed(plan: Plan, size: usize) -> Result<f64> {
    let take = || {
        let mut value: Box<[MaybeUninit<u8>]> = Box::new_uninit_slice(size);
        touched(value.as_mut_ptr().cast())?;
        Ok(value)
    };
    let give = |value| {
        drop(value);
        Ok(())
    };
    plan.cost(take, give)
}

type Layer = (&'static str, fn(Plan, usize) -> Result<f64>);

const LAYERS: [Layer; 7] = [
    ("pages: vm::Reservation", pages),
    ("HeapAlloc: granule::win32", heap_alloc),
    ("heap::Heap, any thread", shared_heap),
    ("heap::LocalHeap, one thread", local_heap),
    ("malloc: the C library", c_malloc),
    ("malloc: granule::Granule", our_malloc),
    ("Box: the global allocator", boxed),
];

fn main() -> Result<()> {
    let plan = match std::env::args().nth(1).as_deref() {
        None => Plan { rounds: 300, batch: 100 },
        Some("--quick") => Plan { rounds: 3, batch: 10 },
        Some(word) => return Err(format!("{word}? There is --quick, and nothing else.").into()),
    };
    println!("003-1, 003-7, 003-8, 003-9. What a block costs in each layer, in nanoseconds");
    let heads: String = SIZES.iter().map(|(_, name)| format!("{name:>9}")).collect();
    println!("   {:<28}{heads}", "");
    for (name, layer) in LAYERS {
        let costs = SIZES.iter().map(|&(size, _)| layer(plan, size));
        let costs = costs.collect::<Result<Vec<f64>>>()?;
        let cells: String = costs.iter().map(|cost| format!("{cost:>9.1}")).collect();
        println!("   {name:<28}{cells}");
    }
    println!("   {} blocks at a time, the best of {} rounds", plan.batch, plan.rounds);
    Ok(())
}
