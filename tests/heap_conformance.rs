//! One suite for everything here that gives out blocks, and for the system's own allocator, which
//! shows that the suite asks nothing that only ours can do.

mod conformance;
#[path = "conformance/ours.rs"]
mod ours;

use conformance::{conforms, conforms_for_all, refuses_the_absurd};
use granule::Granule;
use granule::heap::{Heap, HeapOptions, LocalHeap};
use ours::Global;
use std::alloc::System;

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
