//! What heaps say of a program that uses them wrongly: each wrong step in a process of its own,
//! which has to end there, with a sentence.

mod start;

use granule::Granule;
use granule::heap::{Heap, HeapOptions, LocalHeap, owner_of};
use std::alloc::Layout;
use std::ptr::NonNull;

/// The variable that names the step.
const STEP: &str = "GRANULE_TEST_MISUSE";

const TWICE: &str = "the block was freed before";
const NO_BLOCK: &str = "no block begins there";
const OTHER: &str = "it belongs to another heap, or to one that was dropped";
const FOREIGN: &str = "no heap has it";

/// The wrong steps, and what is said of each.
const STEPS: [(&str, fn(), &str); 16] = [
    ("local, twice, checked", || local_twice(HeapOptions::new().checked()), TWICE),
    ("local, twice, secure", || local_twice(HeapOptions::new().secure()), TWICE),
    ("shared, twice, checked", shared_twice, TWICE),
    ("local, twice, later", local_twice_later, TWICE),
    ("local, twice, of a slab that begins again", local_twice_uncut, TWICE),
    ("long, twice", long_twice, OTHER),
    ("local, inside", local_inside, NO_BLOCK),
    ("local, another's", local_of_another, OTHER),
    ("shared, another's", shared_of_another, OTHER),
    ("process, another's", process_of_another, OTHER),
    ("process, twice by another thread", process_twice_by_another, TWICE),
    ("process, twice while its owner sleeps", process_twice_while_owner_sleeps, TWICE),
    ("process, twice, a first one", process_first_twice, TWICE),
    ("process, inside of a first one", || process_inside_first(0), NO_BLOCK),
    ("process, inside of another's first one", || process_inside_first(1), NO_BLOCK),
    ("process, foreign", process_foreign, FOREIGN),
];

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a layout")
}

fn local() -> LocalHeap {
    LocalHeap::new().expect("a heap")
}

fn give(heap: &LocalHeap, block: NonNull<u8>) {
    // SAFETY: it is not: that is what is tested, in a process that ends by it.
    unsafe { heap.deallocate(block) }
}

fn give_shared(heap: &Heap, block: NonNull<u8>) {
    // SAFETY: as above.
    unsafe { heap.deallocate(block) }
}

fn give_to_process(block: NonNull<u8>) {
    // SAFETY: as above.
    unsafe { Granule.deallocate(block) }
}

fn local_twice(options: HeapOptions) {
    let heap = options.local().expect("a heap");
    let block = heap.allocate(layout(100)).expect("memory");
    give(&heap, block);
    give(&heap, block);
}

fn shared_twice() {
    let heap = HeapOptions::new().checked().shared().expect("a heap");
    let block = heap.allocate(layout(100)).expect("memory");
    give_shared(&heap, block);
    give_shared(&heap, block);
}

/// Without the check it comes out when the caches are emptied.
fn local_twice_later() {
    let heap = local();
    let block = heap.allocate(layout(100)).expect("memory");
    give(&heap, block);
    give(&heap, block);
    heap.trim();
}

/// The heap has taken its slab as a whole again, and has not come to the block yet.
fn local_twice_uncut() {
    let heap = local();
    let blocks = [0; 9].map(|_| heap.allocate(layout(4096)).expect("memory"));
    blocks.into_iter().for_each(|block| give(&heap, block));
    heap.trim();
    assert_eq!(heap.allocate(layout(4096)).expect("memory"), blocks[0], "the same slab");
    give(&heap, blocks[8]);
    heap.trim();
}

fn long_twice() {
    let heap = local();
    let block = heap.allocate(layout(1 << 20)).expect("memory");
    give(&heap, block);
    give(&heap, block);
}

fn local_inside() {
    let heap = HeapOptions::new().checked().local().expect("a heap");
    let block = heap.allocate(layout(100)).expect("memory");
    // SAFETY: inside of the block.
    give(&heap, unsafe { block.add(16) });
}

fn local_of_another() {
    let (heap, other) = (local(), local());
    give(&heap, other.allocate(layout(100)).expect("memory"));
}

fn shared_of_another() {
    let (heap, other) = (Heap::new().expect("a heap"), local());
    give_shared(&heap, other.allocate(layout(100)).expect("memory"));
}

fn process_of_another() {
    give_to_process(local().allocate(layout(100)).expect("memory"));
}

fn process_twice_by_another() {
    let block = Granule.allocate(layout(100)).expect("memory").as_ptr().expose_provenance();
    let thread = std::thread::spawn(move || {
        let block = std::ptr::with_exposed_provenance_mut(block);
        let block = NonNull::new(block).expect("a block");
        give_to_process(block);
        give_to_process(block);
    });
    thread.join().expect("it does not panic");
}

/// The owner has freed a block of a slab, another thread frees all but one of the others, and that
/// block again: counted so, no block of the slab is in use.
fn process_twice_while_owner_sleeps() {
    let take = |_| Granule.allocate(layout(16 << 10)).expect("memory");
    let blocks: Vec<_> = (0..100).map(take).collect();
    let slab_of = |block: &NonNull<u8>| owner_of(block.as_ptr()).expect("a slab").start;
    let slab = slab_of(&blocks[50]);
    let beside: Vec<_> = blocks.iter().filter(|block| slab_of(block) == slab).collect();
    let [twice, in_use, rest @ ..] = beside.as_slice() else { panic!("more than two blocks") };
    give_to_process(**twice);
    Granule.trim();
    let again = rest.iter().chain([twice]).map(|block| block.as_ptr().expose_provenance());
    let again: Vec<_> = again.collect();
    let thread = std::thread::spawn(move || {
        for block in again {
            let block = std::ptr::with_exposed_provenance_mut(block);
            give_to_process(NonNull::new(block).expect("a block"));
        }
    });
    thread.join().expect("it does not panic");
    println!("{in_use:p} is in use");
    std::process::exit(0); // the owner does not come again
}

/// In a thread that begins, whose first blocks of a size share a granule.
fn process_first_twice() {
    let thread = std::thread::spawn(|| {
        let block = Granule.allocate(layout(1000)).expect("memory");
        give_to_process(block);
        give_to_process(block);
    });
    thread.join().expect("it does not panic");
}

/// The block is this thread's, or that of one that has ended.
fn process_inside_first(others: usize) {
    let take = || Granule.allocate(layout(1000)).expect("memory").as_ptr().expose_provenance();
    let give = |block| {
        let inside = std::ptr::with_exposed_provenance_mut::<u8>(block).wrapping_add(512);
        give_to_process(NonNull::new(inside).expect("a block"));
    };
    let thread = std::thread::spawn(move || {
        let block = if others == 0 { take() } else { std::thread::spawn(take).join().expect("ok") };
        give(block);
    });
    thread.join().expect("it does not panic");
}

fn process_foreign() {
    let mut elsewhere = 5_u64;
    give_to_process(NonNull::from(&mut elsewhere).cast());
}

/// Not a test by itself: the process of a wrong step.
#[test]
fn step() {
    let Ok(wanted) = std::env::var(STEP) else { return };
    let (_, run, _) = STEPS.iter().find(|(name, ..)| *name == wanted).expect("a step");
    run();
}

#[test]
fn every_wrong_step_ends_the_process_with_a_sentence() {
    for (name, _, says) in STEPS {
        let mut command = start::again();
        command.args(["--exact", "step", "--nocapture", "--test-threads=1"]).env(STEP, name);
        let output = start::output(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name} went on: {said}");
        assert!(said.contains(says) && said.contains("granule stomp"), "{name}: {said}");
    }
}

#[test]
fn what_was_kept_in_a_secure_heap_is_overwritten() {
    let heap = HeapOptions::new().secure().local().expect("a heap");
    for size in [40, 5000, 100_000] {
        let block = heap.allocate(layout(size)).expect("memory");
        // SAFETY: in use, and that long.
        unsafe { block.write_bytes(0xAA, size) };
        give(&heap, block);
        let again = heap.allocate(layout(size)).expect("memory");
        assert_eq!(again, block, "the block that was freed last");
        // SAFETY: in use, that long, and written: by its last user, and by the heap.
        let bytes = unsafe { std::slice::from_raw_parts(again.as_ptr(), size) };
        assert!(bytes.iter().all(|&byte| byte == 0), "{size}");
    }
}
