//! Eight bytes from each layer of memory: what is underneath, and what it costs.

mod support;

use granule::vm::{self, Protection, Reservation};
use std::alloc::{Layout, alloc, dealloc};
use support::{PAGE, picture, step};

const WISH: usize = 0x5678_0000;
const TIB: usize = 1 << 40;

fn main() -> Result<(), granule::Error> {
    println!("003-1. The layers");
    for line in [
        "   new, Box          constructs a value in a block, drops it when its owner goes",
        "   malloc            a block of any size, not initialised; portable",
        "   HeapAlloc         a heap: blocks from pages, thrown away at once",
        "   VirtualAlloc      pages from addresses: vm::Reservation",
        "   memory manager    in the kernel: page tables, files, sharing, copy on write",
    ] {
        println!("{line}");
    }
    let info = vm::info();
    println!("   kernel: {} bytes is the least it can give rights to", info.page_len);
    let block = step("vm::Reservation, 8 bytes", WISH, 16, || {
        let block = Reservation::builder().hint(WISH).len(8).reserve()?;
        block.commit(0..8, Protection::ReadWrite).map(|()| block)
    })?;
    println!("   {} bytes of memory, {} of addresses", block.len(), info.granularity);
    println!("   malloc: 1000 blocks of 8 bytes share pages: {}", share_pages(1000));
    println!("   Box: {:?} is constructed and dropped", *Box::new("a value"));
    step("VirtualFree", WISH, 16, || block.release())?;

    println!("003-2. What the lowest layer is for");
    let large = Reservation::reserve(TIB)?;
    println!("   {} a terabyte in one call", picture(large.base(), 8));
    step("a part of it", large.base(), 8, || large.commit(0..3 * PAGE, Protection::ReadWrite))?;
    step("rights of its own for a page", large.base(), 8, || {
        large.protect(PAGE..2 * PAGE, Protection::Read)
    })?;
    step("a guard between two pages", large.base(), 8, || large.guard(PAGE..2 * PAGE))?;
    step("and all of it back in one call", large.base(), 8, || large.release())
}

/// Whether most blocks of the allocator share their page with others.
fn share_pages(count: usize) -> bool {
    let layout = Layout::new::<u64>();
    // SAFETY: the layout is not empty.
    let blocks: Vec<*mut u8> = (0..count).map(|_| unsafe { alloc(layout) }).collect();
    let mut pages: Vec<usize> = blocks.iter().map(|block| block.addr() / PAGE).collect();
    pages.sort_unstable();
    pages.dedup();
    for block in blocks {
        // SAFETY: allocated above with this layout, and freed once.
        unsafe { dealloc(block, layout) };
    }
    pages.len() < count / 2
}
