//! A linked list on a heap: freed node by node, or thrown away with the heap.
//!
//! ```text
//! cargo run --release --example list_thrown_away
//! cargo run --release --example list_thrown_away -- 1000000    with times, of so many nodes
//! ```

use granule::heap::LocalHeap;
use std::alloc::Layout;
use std::ptr::NonNull;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Node {
    next: Option<NonNull<Node>>,
    number: usize,
}

/// A list of `count` nodes, the last one in front.
fn build(heap: &LocalHeap, count: usize) -> Result<Option<NonNull<Node>>> {
    let mut list = None;
    for number in 0..count {
        let node = heap.allocate(Layout::new::<Node>())?.cast::<Node>();
        // SAFETY: a new block for a node.
        unsafe { node.write(Node { next: list, number }) };
        list = Some(node);
    }
    Ok(list)
}

/// Frees a list node by node: each has to be read for that.
fn free(heap: &LocalHeap, mut list: Option<NonNull<Node>>) -> usize {
    let mut sum = 0;
    while let Some(node) = list {
        // SAFETY: a node of the list that was not freed.
        let Node { next, number } = unsafe { node.read() };
        // SAFETY: a block of this heap that is not used again.
        unsafe { heap.deallocate(node.cast()) };
        sum += number;
        list = next;
    }
    sum
}

fn main() -> Result<()> {
    let count = std::env::args().nth(1).map(|text| text.parse::<usize>()).transpose()?;
    let (nodes, is_timed) = (count.unwrap_or(100_000), count.is_some());
    let timed = |what: &str, begun: Instant| {
        if is_timed {
            println!("   {what}: {:?}", begun.elapsed());
        }
    };
    println!("004-4. A list on a heap: a leak waits in every path, and to free it is a walk");
    let heap = LocalHeap::new()?;
    let begun = Instant::now();
    let list = build(&heap, nodes)?;
    timed("built", begun);
    println!("   {} blocks in use", heap.stats().blocks);
    let begun = Instant::now();
    let sum = free(&heap, list);
    timed("freed node by node", begun);
    println!("   freed {nodes} nodes, whose numbers add up to {sum}");
    println!("   {} blocks in use", heap.stats().blocks);

    println!("004-6. The heap thrown away: everything in it goes, without a walk");
    let begun = Instant::now();
    build(&heap, nodes)?;
    timed("built", begun);
    println!("   {} blocks in use", heap.stats().blocks);
    let slabs = heap.stats().slabs;
    let begun = Instant::now();
    drop(heap);
    timed("thrown away", begun);
    println!("   one step for each of {slabs} slabs, none for a node");
    Ok(())
}
