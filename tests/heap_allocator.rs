//! Heaps as allocators of collections:
//! `cargo test --features allocator-api2-02,allocator-api2-04 --test heap_allocator`.
#![cfg(all(feature = "allocator-api2-02", feature = "allocator-api2-04"))]

use granule::heap::{Heap, HeapHandle, HeapOptions, LocalHeap};
use std::alloc::Layout;
use std::cell::RefCell;
use std::ptr::NonNull;

/// Notes its drop.
struct Noted<'a>(usize, &'a RefCell<Vec<usize>>);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

fn fill(block: NonNull<u8>, len: usize, byte: u8) {
    // SAFETY: the tests pass blocks that are in use and that long.
    unsafe { block.write_bytes(byte, len) };
}

fn holds(block: NonNull<u8>, len: usize, byte: u8) -> bool {
    // SAFETY: as above, and they were filled.
    let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), len) };
    bytes.iter().all(|&found| found == byte)
}

macro_rules! suite {
    ($name:ident, $api:ident) => {
        mod $name {
            use super::*;
            use $api::alloc::{AllocError, Allocator};
            use $api::boxed::Box;
            use $api::vec::Vec;

            #[test]
            fn a_vector_grows_and_shrinks() {
                let heap = LocalHeap::new().expect("a heap");
                let mut numbers = Vec::new_in(&heap);
                numbers.extend(0..100_000_usize);
                assert!(numbers.iter().copied().eq(0..100_000));
                assert_eq!(heap.stats().blocks, 1);
                numbers.truncate(10);
                numbers.shrink_to_fit();
                assert!(numbers.iter().copied().eq(0..10));
                assert_eq!((heap.stats().blocks, heap.stats().bytes), (1, 80));
                drop(numbers);
                assert_eq!((heap.stats().blocks, heap.validate()), (0, Ok(())));
            }

            #[test]
            fn what_has_no_size_needs_no_care() {
                let heap = Heap::new().expect("a heap");
                let mut nothing = Vec::new_in(&heap);
                nothing.resize(1000, ());
                assert_eq!((nothing.len(), heap.stats().blocks), (1000, 0));
                drop(Box::new_in([0_u8; 0], &heap));
                let blocks = [0, 0, 0].map(|size| {
                    Allocator::allocate(&heap, layout(size, 64)).expect("memory").cast::<u8>()
                });
                assert_eq!(heap.stats().blocks, 0);
                assert!(blocks.iter().all(|block| block.addr().get().is_multiple_of(64)));
                for block in blocks {
                    // SAFETY: a block of this heap with this layout.
                    unsafe { Allocator::deallocate(&heap, block, layout(0, 64)) };
                }
                assert_eq!(heap.stats().blocks, 0);
            }

            #[test]
            fn a_collection_may_own_its_heap() {
                let dropped = RefCell::new(std::vec::Vec::new());
                let mut owner = Vec::new_in(LocalHeap::new().expect("a heap"));
                owner.extend((0..3).map(|number| Noted(number, &dropped)));
                drop(owner);
                assert_eq!(*dropped.borrow(), [0, 1, 2]);
            }

            #[test]
            fn the_last_of_many_collections_drops_the_heap() {
                let dropped = RefCell::new(std::vec::Vec::new());
                let handle = HeapHandle::new(Heap::new().expect("a heap")).expect("memory");
                let mut vectors = std::vec::Vec::new();
                for number in 0..4 {
                    let mut vector = Vec::with_capacity_in(10, handle.clone());
                    vector.push(Box::new_in(Noted(number, &dropped), handle.clone()));
                    vectors.push(vector);
                }
                // The heap's own block, and two for each.
                assert_eq!(handle.stats().blocks, 9);
                let last = vectors.pop().expect("four of them");
                drop(vectors);
                assert_eq!((handle.stats().blocks, dropped.borrow().len()), (3, 3));
                drop(handle);
                assert_eq!(last[0].0, 3, "the heap is there as long as its last handle");
                drop(last);
                assert_eq!(*dropped.borrow(), [0, 1, 2, 3]);
            }

            #[test]
            fn a_heap_at_its_limit_says_so() {
                let options = HeapOptions::new().max_len(1 << 20);
                let (shared, local) = (options.shared(), options.local());
                let (shared, local) = (shared.expect("a heap"), local.expect("a heap"));
                assert_eq!(Allocator::allocate(&shared, layout(2 << 20, 8)), Err(AllocError));
                assert_eq!(Allocator::allocate(&local, layout(2 << 20, 8)), Err(AllocError));
                let mut bytes = Vec::<u8, _>::new_in(&local);
                bytes.resize(500_000, 7);
                assert!(bytes.try_reserve(1 << 20).is_err());
                assert!(bytes.len() == 500_000 && bytes.iter().all(|&byte| byte == 7));
                let none = HeapOptions::new().max_len(0).shared().expect("a heap");
                assert!(Box::try_new_in(5_u64, &none).is_err());
            }

            /// Every change of size and alignment keeps what both blocks have.
            #[test]
            fn layouts_change_in_both_ways() {
                let heap = HeapHandle::new(Heap::new().expect("a heap")).expect("memory");
                let sizes = [0, 1, 24, 100, 4000, 30_000, 70_000, 300_000];
                let aligns = [1, 16, 256, 8192, 1 << 17];
                let all = sizes.iter().flat_map(|&size| aligns.map(|align| layout(size, align)));
                let all: std::vec::Vec<Layout> = all.collect();
                for &old in &all {
                    for &new in &all {
                        let block = heap.as_allocator().allocate(old).expect("memory").cast();
                        fill(block, old.size(), 7);
                        let kept = old.size().min(new.size());
                        let grows = new.size() >= old.size();
                        let changed = match grows {
                            // SAFETY: a block in use with this layout; the new one is no shorter.
                            true => unsafe { heap.as_allocator().grow_zeroed(block, old, new) },
                            // SAFETY: as above; the new one is shorter.
                            false => unsafe { heap.as_allocator().shrink(block, old, new) },
                        };
                        let changed = changed.expect("memory");
                        let block = changed.cast::<u8>();
                        assert_eq!(changed.len(), new.size());
                        assert!(block.addr().get().is_multiple_of(new.align()));
                        assert!(holds(block, kept, 7), "{old:?} to {new:?}");
                        // SAFETY: not behind the end of the block.
                        let rest = unsafe { block.add(kept) };
                        assert!(holds(rest, new.size() - kept, 0), "{old:?} to {new:?}");
                        // SAFETY: the block is in use with this layout.
                        unsafe { heap.as_allocator().deallocate(block, new) };
                    }
                }
                assert_eq!((heap.stats().blocks, heap.validate()), (1, Ok(())));
            }

            /// The trait's functions where a heap has others of the same name.
            trait AsAllocator {
                fn as_allocator(&self) -> &dyn Allocator;
            }

            impl AsAllocator for HeapHandle {
                fn as_allocator(&self) -> &dyn Allocator {
                    self
                }
            }
        }
    };
}

suite!(version_02, allocator_api2_02);
suite!(version_04, allocator_api2_04);

#[test]
fn a_hash_map_of_hashbrown_lives_on_a_heap() {
    use hashbrown::{DefaultHashBuilder, HashMap};
    let heap = LocalHeap::new().expect("a heap");
    let mut map = HashMap::with_hasher_in(DefaultHashBuilder::default(), &heap);
    for number in 0..50_000_u64 {
        map.insert(number, number * number);
    }
    map.retain(|number, _| number % 7 == 0);
    map.shrink_to_fit();
    assert!((0..50_000).all(|number| map.contains_key(&number) == (number % 7 == 0)));
    assert_eq!(heap.stats().blocks, 1);
    drop(map);
    assert_eq!((heap.stats().blocks, heap.validate()), (0, Ok(())));
    let small = HeapOptions::new().max_len(64 << 10).local().expect("a heap");
    let mut map = HashMap::with_hasher_in(DefaultHashBuilder::default(), &small);
    map.insert(1, 1);
    assert!(map.try_reserve(100_000).is_err() && map[&1] == 1);
}

#[test]
fn maps_on_different_threads_share_a_heap() {
    use hashbrown::{DefaultHashBuilder, HashMap};
    let handle = HeapHandle::new(Heap::new().expect("a heap")).expect("memory");
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let handle = handle.clone();
            std::thread::spawn(move || {
                let mut map = HashMap::with_hasher_in(DefaultHashBuilder::default(), handle);
                map.extend((0..10_000).map(|number| (number, number ^ thread)));
                map
            })
        })
        .collect();
    for (thread, map) in threads.into_iter().enumerate() {
        let map = map.join().expect("no panic");
        assert!((0..10_000).all(|number| map[&number] == number ^ thread as u64));
    }
    assert_eq!(handle.stats().blocks, 1);
}
