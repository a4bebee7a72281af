//! Floor 4. Heaps against a model, and what they say of themselves.

use super::*;
use crate::error::ErrorKind;
use ::core::alloc::Layout;
use ::core::ptr::NonNull;
use proptest::prelude::*;
use std::vec::Vec;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

/// A block with a pattern in it, which tells whether somebody else wrote there.
struct Held {
    block: NonNull<u8>,
    layout: Layout,
    seed: u8,
}

impl Held {
    fn fill(&self) {
        // SAFETY: the block is in use and that long.
        unsafe { self.block.write_bytes(self.seed, self.layout.size()) };
    }

    fn check(&self, len: usize) {
        // SAFETY: the block is in use, that long, and was filled.
        let bytes = unsafe { std::slice::from_raw_parts(self.block.as_ptr(), len) };
        assert!(bytes.iter().all(|&byte| byte == self.seed), "{:?}", self.layout);
    }
}

/// What both kinds can do.
trait AnyHeap {
    fn take(&self, layout: Layout) -> NonNull<u8>;
    unsafe fn give(&self, block: NonNull<u8>);
    unsafe fn change(&self, block: NonNull<u8>, layout: Layout, size: usize) -> NonNull<u8>;
    fn numbers(&self) -> HeapStats;
    fn check(&self) -> Result<(), Violation>;
    fn see(&mut self, visit: &mut dyn FnMut(Block));
    fn compact(&self);
}

macro_rules! any_heap {
    ($($heap:ty)*) => { $(
        impl AnyHeap for $heap {
            fn take(&self, layout: Layout) -> NonNull<u8> {
                self.allocate(layout).expect("memory")
            }
            unsafe fn give(&self, block: NonNull<u8>) {
                // SAFETY: the same contract.
                unsafe { self.deallocate(block) }
            }
            unsafe fn change(&self, block: NonNull<u8>, old: Layout, size: usize) -> NonNull<u8> {
                // SAFETY: the same contract.
                unsafe { self.reallocate(block, old, size) }.expect("memory")
            }
            fn numbers(&self) -> HeapStats {
                self.stats()
            }
            fn check(&self) -> Result<(), Violation> {
                self.validate()
            }
            fn see(&mut self, visit: &mut dyn FnMut(Block)) {
                self.walk(visit);
            }
            fn compact(&self) {
                self.trim();
            }
        }
    )* };
}

any_heap!(LocalHeap Heap);

#[derive(Clone, Copy, Debug)]
enum Move {
    Take(usize, u32),
    Give(usize),
    Change(usize, usize),
    Compact,
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0_usize..300, 2 => 0_usize..9000, 1 => 0_usize..100_000, 1 => 0_usize..400_000]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (sizes(), 0_u32..14).prop_map(|(size, align)| Move::Take(size, align)),
        4 => any::<usize>().prop_map(Move::Give),
        2 => (any::<usize>(), sizes()).prop_map(|(which, size)| Move::Change(which, size)),
        1 => Just(Move::Compact),
    ];
    prop::collection::vec(one, 1..300)
}

fn play(heap: &mut impl AnyHeap, moves: &[Move]) {
    let mut held: Vec<Held> = Vec::new();
    for (number, step) in moves.iter().enumerate() {
        match *step {
            Move::Take(size, align) => {
                let layout = layout(size, 1 << align);
                let new = Held { block: heap.take(layout), layout, seed: number as u8 };
                assert!(new.block.addr().get().is_multiple_of(layout.align()));
                new.fill();
                held.push(new);
            }
            Move::Give(which) if !held.is_empty() => {
                let old = held.swap_remove(which % held.len());
                old.check(old.layout.size());
                // SAFETY: it came from this heap and is not used again.
                unsafe { heap.give(old.block) };
            }
            Move::Change(which, size) if !held.is_empty() => {
                let place = which % held.len();
                let old = &mut held[place];
                let kept = old.layout.size().min(size);
                // SAFETY: it came from this heap with this layout.
                old.block = unsafe { heap.change(old.block, old.layout, size) };
                old.check(kept);
                old.layout = layout(size, old.layout.align());
                old.fill();
            }
            Move::Give(_) | Move::Change(..) => {}
            Move::Compact => heap.compact(),
        }
        assert_eq!(heap.check(), Ok(()));
        let numbers = heap.numbers();
        assert_eq!(numbers.blocks, held.len());
        assert!(numbers.bytes >= held.iter().map(|block| block.layout.size()).sum());
    }
    let mut seen = Vec::new();
    heap.see(&mut |block| seen.push(block));
    let mut expected: Vec<_> = held.iter().map(|block| block.block).collect();
    seen.sort_by_key(|block| block.start);
    expected.sort();
    assert_eq!(seen.iter().map(|block| block.start).collect::<Vec<_>>(), expected);
    held.iter().for_each(|block| block.check(block.layout.size()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_local_heap_keeps_every_block(moves in moves()) {
        play(&mut LocalHeap::new().expect("a heap"), &moves);
    }

    #[test]
    fn a_shared_heap_keeps_every_block(moves in moves()) {
        play(&mut Heap::new().expect("a heap"), &moves);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_heap_with_a_starter_keeps_every_block(moves in moves()) {
        let mut heap = LocalHeap::new().expect("a heap");
        heap.held.core.own.starter.allow();
        play(&mut heap, &moves);
    }
}

#[test]
fn what_is_dropped_is_there_again() {
    for _ in 0..2000 {
        let heap = LocalHeap::new().expect("a heap");
        for _ in 0..100 {
            heap.take(layout(32, 8));
        }
        heap.take(layout(100_000, 8));
        assert_eq!((heap.stats().slabs, heap.stats().runs, heap.stats().blocks), (1, 1, 101));
    }
}

#[test]
fn the_limit_is_kept_and_the_heap_goes_on() {
    let options = HeapOptions::new().max_len(1 << 20);
    let heap = options.local().expect("a heap");
    let mut blocks = Vec::new();
    let error = loop {
        match heap.allocate(layout(4000, 8)) {
            Ok(block) => blocks.push(block),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), blocks.len()), (ErrorKind::LimitReached, 256));
    assert_eq!(heap.validate(), Ok(()));
    // SAFETY: a block of this heap.
    unsafe { heap.deallocate(blocks[7]) };
    assert_eq!(heap.allocate(layout(4000, 8)), Ok(blocks[7]));
    let too_long = heap.allocate(layout(isize::MAX as usize - 64, 8)).expect_err("too long");
    assert_eq!(too_long.kind(), ErrorKind::LimitReached);
    let shared = options.shared().expect("a heap");
    assert!(shared.allocate(layout(1 << 20, 8)).is_ok());
    assert!(shared.allocate(layout(1, 1)).is_err());
}

#[test]
fn zeroed_heaps_and_blocks_read_zero() {
    let heap = HeapOptions::new().zeroed().local().expect("a heap");
    let is_zero = |block: NonNull<u8>, len: usize| {
        // SAFETY: in use, that long and initialised.
        unsafe { std::slice::from_raw_parts(block.as_ptr(), len) }.iter().all(|&byte| byte == 0)
    };
    for size in [1, 24, 5000, 40_000, 300_000] {
        for _ in 0..3 {
            let block = heap.take(layout(size, 8));
            assert!(is_zero(block, size));
            // SAFETY: in use and that long.
            unsafe { block.write_bytes(7, size) };
            // SAFETY: a block of this heap with this layout.
            let longer = unsafe { heap.change(block, layout(size, 8), size + 1000) };
            // SAFETY: in use and longer than that.
            assert!(is_zero(unsafe { longer.add(size) }, 1000));
            // SAFETY: in use and that long.
            unsafe { longer.write_bytes(7, size + 1000) };
            // SAFETY: a block of this heap.
            unsafe { heap.deallocate(longer) };
        }
    }
}

#[test]
fn a_long_block_grows_in_place_where_there_is_room() {
    let heap = LocalHeap::new().expect("a heap");
    let block = heap.take(layout(50 << 20, 8));
    // SAFETY: a block of this heap with this layout.
    let shorter = unsafe { heap.change(block, layout(50 << 20, 8), 40 << 20) };
    assert_eq!((shorter, heap.usable_len(block)), (block, Some(40 << 20)));
    assert_eq!(heap.stats().len, 40 << 20);
}

#[test]
fn long_blocks_that_grow_by_turns_seldom_move() {
    let heap = LocalHeap::new().expect("a heap");
    let mut held = [1, 2].map(|seed| {
        let layout = layout(8 << 20, 8);
        Held { block: heap.take(layout), layout, seed }
    });
    let mut moves = 0;
    for _ in 0..3 {
        for held in &mut held {
            held.fill();
            let size = 2 * held.layout.size();
            // SAFETY: a block of this heap with this layout; its old address is forgotten.
            let block = unsafe { heap.change(held.block, held.layout, size) };
            moves += usize::from(block != held.block);
            held.block = block;
            held.check(held.layout.size());
            held.layout = layout(size, 8);
            // Something that comes between.
            heap.take(layout(100 << 10, 8));
        }
    }
    assert!(moves < 6, "{moves} of 6 moved");
    assert_eq!(heap.validate(), Ok(()));
}

#[test]
fn threads_share_a_heap_and_free_for_each_other() {
    let heap = Heap::new().expect("a heap");
    let (send, receive) = std::sync::mpsc::sync_channel::<usize>(100);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (send, heap) = (send.clone(), &heap);
            scope.spawn(move || {
                for number in 0..50_000_usize {
                    let size = 8 + number * 7 % 300 + usize::from(number % 1000 == 0) * 50_000;
                    let block = heap.take(layout(size, 8)).cast::<usize>();
                    // SAFETY: a new block of at least 8 bytes.
                    unsafe { block.write(number ^ thread) };
                    send.send(block.as_ptr().expose_provenance()).expect("somebody takes it");
                }
            });
        }
        drop(send);
        for addr in receive {
            let block = NonNull::new(::core::ptr::with_exposed_provenance_mut::<u8>(addr));
            // SAFETY: a block of this heap that nobody uses any more.
            unsafe { heap.deallocate(block.expect("no null is sent")) };
        }
    });
    assert_eq!((heap.stats().blocks, heap.validate()), (0, Ok(())));
    heap.trim();
    assert_eq!(heap.stats(), HeapStats::default());
}

#[test]
fn a_heap_knows_its_own() {
    let (one, other) = (LocalHeap::new().expect("a heap"), Heap::new().expect("a heap"));
    let (mine, long) = (one.take(layout(10, 1)), other.take(layout(100_000, 1)));
    assert!(one.owns(mine) && !other.owns(mine) && other.owns(long) && !one.owns(long));
    assert_eq!((one.usable_len(mine), other.usable_len(long)), (Some(16), Some(128 << 10)));
    let nowhere = NonNull::from(&one).cast();
    assert!(!one.owns(nowhere) && other.usable_len(nowhere).is_none());
}

#[test]
fn any_alignment_is_kept_or_refused() {
    let (local, shared) = (LocalHeap::new().expect("a heap"), Heap::new().expect("a heap"));
    for power in 13..=30 {
        for size in [1, 70_000] {
            let wanted = layout(size, 1 << power);
            for block in [local.allocate(wanted), shared.allocate(wanted)] {
                match block {
                    Ok(block) => assert!(block.addr().get().is_multiple_of(1 << power), "{power}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NoAddressSpace),
                }
            }
        }
    }
    let error = local.allocate(layout(1, 1 << 62)).expect_err("nothing is there");
    assert_eq!(error.kind(), ErrorKind::NoAddressSpace);
}

#[test]
fn at_the_limit_what_is_not_in_use_makes_room() {
    let options = HeapOptions::new().max_len(64 << 10);
    let (local, shared) = (options.local().expect("a heap"), options.shared().expect("a heap"));
    for size in [8, 100, 1000, 5000, 64 << 10, 8] {
        let block = local.allocate(layout(size, 8)).expect("there is room");
        // SAFETY: a block of this heap.
        unsafe { local.deallocate(block) };
        let block = shared.allocate(layout(size, 8)).expect("there is room");
        // SAFETY: a block of this heap.
        unsafe { shared.deallocate(block) };
    }
}

#[test]
fn an_address_that_no_block_begins_at_has_no_length() {
    let heap = LocalHeap::new().expect("a heap");
    let (small, long) = (heap.take(layout(48, 8)), heap.take(layout(200_000, 8)));
    // SAFETY: inside the block.
    let in_small = unsafe { small.add(8) };
    // SAFETY: inside the block.
    let in_long = unsafe { long.add(64 << 10) };
    let inside = [in_small, in_long];
    assert!(inside.iter().all(|&place| heap.owns(place) && heap.usable_len(place).is_none()));
    // The slab has a tail of 16 bytes, and the granules behind were never used.
    for offset in [65_520, 1 << 30] {
        let place = NonNull::new(small.as_ptr().wrapping_add(offset)).expect("not at 0");
        assert!(heap.usable_len(place).is_none());
    }
}

#[test]
fn a_heap_goes_to_another_thread() {
    const fn is_send<T: Send>() {}
    const { is_send::<LocalHeap>() };
    let heap = LocalHeap::new().expect("a heap");
    let block = heap.take(layout(100, 8));
    let heap = std::thread::spawn(move || {
        heap.take(layout(100, 8));
        heap
    });
    let heap = heap.join().expect("no panic");
    // SAFETY: a block of this heap.
    unsafe { heap.deallocate(block) };
    assert_eq!((heap.stats().blocks, heap.validate()), (1, Ok(())));
}
