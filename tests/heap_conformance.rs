//! One suite for everything here that gives out blocks, and for the system's own allocator, which
//! shows that the suite asks nothing that only ours can do.

mod conformance;

use conformance::{Allocator, conforms, conforms_for_all, refuses_the_absurd};
use granule::Granule;
use granule::heap::{Heap, HeapOptions, LocalHeap};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

/// A global allocator as one.
struct Global<A>(A);

impl<A: GlobalAlloc> Allocator for Global<A> {
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the suite asks for no layout of 0 bytes.
        NonNull::new(unsafe { self.0.alloc(layout) })
    }

    fn take_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: as above.
        NonNull::new(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the same contract.
        unsafe { self.0.dealloc(block.as_ptr(), layout) }
    }

    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the same contract.
        NonNull::new(unsafe { self.0.realloc(block.as_ptr(), layout, size) })
    }
}

macro_rules! heaps {
    ($($heap:ty)*) => { $(
        impl Allocator for $heap {
            fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
                self.allocate(layout).ok()
            }

            fn take_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
                self.allocate_zeroed(layout).ok()
            }

            unsafe fn give(&self, block: NonNull<u8>, _: Layout) {
                // SAFETY: the same contract.
                unsafe { self.deallocate(block) }
            }

            unsafe fn resize(
                &self,
                block: NonNull<u8>,
                layout: Layout,
                size: usize,
            ) -> Option<NonNull<u8>> {
                // SAFETY: the same contract.
                unsafe { self.reallocate(block, layout, size) }.ok()
            }
        }
    )* };
}

heaps!(LocalHeap Heap);

#[test]
fn the_system() {
    conforms_for_all(&Global(System));
}

#[test]
fn the_heap_of_the_process() {
    conforms_for_all(&Global(Granule));
}

#[test]
fn a_heap() {
    conforms_for_all(&Heap::new().expect("a heap"));
    let small = HeapOptions::new().max_len(256 << 20).shared().expect("a heap");
    conforms_for_all(&small);
}

#[test]
fn a_local_heap() {
    let heap = LocalHeap::new().expect("a heap");
    refuses_the_absurd(&heap);
    (0..2).for_each(|seed| conforms(&heap, seed));
    assert_eq!(heap.validate(), Ok(()));
    assert_eq!(heap.stats().blocks, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_finder() {
    conforms_for_all(&Global(granule::stomp::Stomp::new()));
}
