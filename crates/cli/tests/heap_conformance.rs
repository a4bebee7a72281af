//! The suite of tests/heap_conformance.rs on the C face: `malloc`, `calloc`, `realloc`,
//! `aligned_alloc` and `free`, of the C library and of libgranule_malloc in its place.
#![cfg(target_os = "linux")]

#[path = "../../../tests/conformance/mod.rs"]
mod conformance;
#[path = "../../../tests/start/mod.rs"]
mod start;

use conformance::{Allocator, conforms_for_all};
use std::alloc::Layout;
use std::ptr::NonNull;

/// What C calls malloc in this process.
struct C;

/// Whether malloc alone keeps an alignment: that of what fits into the block, up to 16.
const fn is_natural(layout: Layout) -> bool {
    layout.align() <= 8 || (layout.align() == 16 && layout.size() >= 16)
}

impl Allocator for C {
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if is_natural(layout) {
            // SAFETY: any size may be asked for.
            return NonNull::new(unsafe { libc::malloc(layout.size()) }.cast());
        }
        let size = layout.pad_to_align().size();
        // SAFETY: the alignment is a power of two, and the size a multiple of it.
        NonNull::new(unsafe { libc::aligned_alloc(layout.align(), size) }.cast())
    }

    fn take_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        if is_natural(layout) {
            // SAFETY: any size may be asked for.
            return NonNull::new(unsafe { libc::calloc(layout.size(), 1) }.cast());
        }
        let block = self.take(layout)?;
        // SAFETY: a new block of that many bytes.
        unsafe { block.write_bytes(0, layout.size()) };
        Some(block)
    }

    unsafe fn give(&self, block: NonNull<u8>, _: Layout) {
        // SAFETY: the same contract.
        unsafe { libc::free(block.as_ptr().cast()) }
    }

    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        size: usize,
    ) -> Option<NonNull<u8>> {
        let new = Layout::from_size_align(size, layout.align()).ok()?;
        if is_natural(new) {
            // SAFETY: the same contract.
            return NonNull::new(unsafe { libc::realloc(block.as_ptr().cast(), size) }.cast());
        }
        let moved = self.take(new)?;
        // SAFETY: both are in use and that long, and the new one is another block.
        unsafe { block.copy_to_nonoverlapping(moved, layout.size().min(size)) };
        // SAFETY: the same contract.
        unsafe { self.give(block, layout) };
        Some(moved)
    }
}

const C_FACE: &str = "the_malloc_of_this_process";

#[test]
fn the_malloc_of_this_process() {
    conforms_for_all(&C);
}

/// The same in a process whose malloc is ours.
#[test]
fn libgranule_malloc() {
    let mut child = start::again();
    child.args(["--exact", C_FACE]).env("LD_PRELOAD", env!("GRANULE_MALLOC_LIBRARY"));
    let output = start::output(child.env("GRANULE_STATS", "1"));
    let [said, told] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{told}");
    assert!(told.contains("blocks of"), "it was not loaded: {told}");
}
