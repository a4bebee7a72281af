//! A heap for each thread: nobody waits for anybody, and what a thread did goes with it.
//!
//! ```text
//! cargo run --example heap_per_thread
//! ```

use granule::heap::{Heap, HeapOptions, LocalHeap};
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;

type Result<T> = std::result::Result<T, granule::Error>;

const WORDS: usize = 10_000;

/// Copies words into blocks of a heap, gives every second one back, and counts the rest.
fn work(heap: &LocalHeap) -> Result<usize> {
    let mut kept = BTreeMap::new();
    for number in 0..WORDS {
        let word = format!("word {number}");
        let block = heap.allocate(Layout::for_value(word.as_bytes()))?;
        // SAFETY: a new block as long as the word.
        unsafe {
            block.copy_from_nonoverlapping(NonNull::from(word.as_bytes()).cast(), word.len())
        };
        kept.insert(word, block);
    }
    for number in (0..WORDS).step_by(2) {
        let block = kept.remove(&format!("word {number}"));
        // SAFETY: a block of this heap that is not used again.
        unsafe { heap.deallocate(block.expect("it was put there")) };
    }
    Ok(heap.stats().blocks)
}

fn main() -> Result<()> {
    println!("004-7. One heap for each thread: no synchronisation");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                let heap = LocalHeap::new()?;
                work(&heap)
                // The heap goes here, with all that is left in it.
            })
        })
        .collect();
    for (number, thread) in threads.into_iter().enumerate() {
        let left = thread.join().expect("no panic")?;
        println!("   thread {number}: {left} blocks were left, and went with its heap");
    }

    println!("004-7. One heap for all threads: any of them frees what another has made");
    let heap = Heap::new()?;
    let blocks = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| heap.allocate(Layout::new::<u64>()).map(Made))).collect();
        makers.into_iter().map(|maker| maker.join().expect("no panic")).collect::<Result<Vec<_>>>()
    })?;
    println!("   {} blocks in use", heap.stats().blocks);
    for Made(block) in blocks {
        // SAFETY: a block of this heap that is not used again.
        unsafe { heap.deallocate(block) };
    }
    println!("   {} blocks in use", heap.stats().blocks);

    println!("004-8. What one part of a program may take: a heap with a limit");
    let small = HeapOptions::new().max_len(1 << 20).local()?;
    let block = Layout::from_size_align(4000, 8).expect("a layout");
    let count = (0..).take_while(|_| small.allocate(block).is_ok()).count();
    println!("   1 MiB held {count} blocks of 4000 bytes");
    match small.allocate(block) {
        Ok(_) => println!("   and one more"),
        Err(error) => println!("   then: {:?}", error.kind()),
    }
    Ok(())
}

/// A block on its way to another thread.
struct Made(NonNull<u8>);

// SAFETY: a block of a heap for all threads.
unsafe impl Send for Made {}
