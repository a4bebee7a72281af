//! Heaps as allocators of the standard library's collections, with a nightly compiler:
//! `cargo +nightly test --features nightly --test heap_allocator_nightly`.
#![cfg(feature = "nightly")]
#![feature(allocator_api, btreemap_alloc)]

use granule::heap::{Heap, HeapHandle, HeapOptions, LocalHeap};
use std::collections::{BTreeMap, VecDeque};

#[test]
fn collections_of_the_standard_library_live_on_heaps() {
    let heap = LocalHeap::new().expect("a heap");
    let mut numbers = Vec::new_in(&heap);
    numbers.extend(0..10_000);
    let boxed = Box::new_in([7_u8; 1000], &heap);
    assert_eq!((numbers.iter().sum::<i32>(), heap.stats().blocks), (49_995_000, 2));
    drop((numbers, boxed));
    assert_eq!((heap.stats().blocks, heap.validate()), (0, Ok(())));
    let handle = HeapHandle::new(Heap::new().expect("a heap")).expect("memory");
    let mut map = BTreeMap::new_in(handle.clone());
    map.extend((0..1000).map(|number| (number, Box::new_in(number, handle.clone()))));
    let mut queue = VecDeque::new_in(handle);
    queue.extend(map.into_iter().filter(|(number, _)| number % 2 == 0));
    assert!(queue.iter().all(|(number, boxed)| *number == **boxed) && queue.len() == 500);
}

#[test]
fn a_heap_at_its_limit_says_so() {
    let heap = HeapOptions::new().max_len(64 << 10).local().expect("a heap");
    let mut bytes = Vec::<u8, _>::new_in(&heap);
    bytes.extend([7; 1000]);
    assert!(bytes.try_reserve(1 << 20).is_err() && bytes.iter().all(|&byte| byte == 7));
    assert!(Box::try_new_in([0_u64; 10_000], &heap).is_err());
}
