//! A Rust program whose every `Box`, `Vec` and `String` lies in the heap of the process.

use granule::Granule;
use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ptr::NonNull;
use std::sync::mpsc;
use std::thread;

#[global_allocator]
static ALLOCATOR: Granule = Granule;

fn is_ours<T: ?Sized>(value: &T) -> bool {
    Granule.owns(NonNull::from(value).cast())
}

#[test]
fn what_the_language_allocates_lies_in_it() {
    let text = String::from("a string of its own");
    let mut map = HashMap::new();
    for number in 0..10_000_u64 {
        map.insert(number, vec![number; (number % 50) as usize]);
    }
    assert!(
        is_ours(text.as_str()) && map.values().skip(1).all(|v| v.is_empty() || is_ours(&v[..]))
    );
    map.retain(|number, _| number % 3 == 0);
    let tree: BTreeMap<_, _> = map.iter().collect();
    assert!(tree.iter().all(|(number, v)| v.iter().all(|word| word == *number)));
}

#[test]
fn blocks_go_from_thread_to_thread() {
    let (send, receive) = mpsc::channel::<Vec<Box<u64>>>();
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let send = send.clone();
            scope.spawn(move || {
                for round in 0..200 {
                    let batch =
                        (0..300).map(|n| Box::new(thread << 32 | round << 16 | n)).collect();
                    send.send(batch).expect("somebody listens");
                }
            });
        }
        drop(send);
        scope.spawn(move || {
            for batch in receive {
                let first = *batch[0];
                assert!(batch.iter().zip(first..).all(|(block, expected)| **block == expected));
            }
        });
    });
}

#[test]
fn many_threads_come_and_go() {
    let before = Granule.stats();
    let mut left = Vec::new();
    for round in 0..300_usize {
        let kept = thread::spawn(move || {
            let blocks: Vec<_> = (0..100).map(|n| vec![round; n * 7 + 1]).collect();
            blocks.into_iter().nth(round % 100).expect("there are a hundred")
        });
        left.push(kept.join().expect("no panic"));
    }
    assert!(left.iter().enumerate().all(|(round, v)| v.iter().all(|&word| word == round)));
    drop(left);
    Granule.trim();
    let after = Granule.stats();
    // Other tests run meanwhile; but 300 cores with slabs of their own would be 100 MiB and more.
    assert!(after.len < before.len + (64 << 20), "{before:?} {after:?}");
}

/// Uses memory when its thread is about to end.
struct Late(Vec<u8>);

impl Drop for Late {
    fn drop(&mut self) {
        let more: Vec<Vec<u8>> = (1..200).map(|len| vec![7; len * 5]).collect();
        assert!(more.iter().all(|block| block.iter().all(|&byte| byte == 7)));
        assert!(self.0.iter().all(|&byte| byte == 3));
    }
}

#[test]
fn destructors_of_threads_may_allocate() {
    thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });
    for _ in 0..100 {
        let thread =
            thread::spawn(|| LATE.with_borrow_mut(|late| *late = Some(Late(vec![3; 500]))));
        thread.join().expect("no panic");
    }
}

/// True if the first bytes of a block, which is in use and that long, are all the same.
fn all_are(block: NonNull<u8>, len: usize, byte: u8) -> bool {
    // SAFETY: in use, that long, and written.
    let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), len) };
    bytes.iter().step_by(61).all(|&found| found == byte)
}

#[test]
fn layouts_of_all_kinds() {
    for align in (0..=20).map(|power| 1 << power) {
        for size in [0, 1, 7, 8, 9, 100, 1000, 5000, 40_000, 300_000, 5 << 20] {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            let block = Granule.allocate_zeroed(layout).expect("memory");
            assert!(block.addr().get().is_multiple_of(align), "{layout:?}");
            assert!(Granule.usable_len(block).is_some_and(|len| len >= size), "{layout:?}");
            assert!(all_are(block, size, 0), "{layout:?}");
            // SAFETY: as above.
            unsafe { block.write_bytes(1, size) };
            // SAFETY: (1) in use with this layout; (2) the new address is used from here on.
            let longer = unsafe { Granule.reallocate(block, layout, size + 1000) };
            let longer = longer.expect("memory");
            assert!(all_are(longer, size, 1), "{layout:?}");
            // SAFETY: (1) in use, and not used again.
            unsafe { Granule.deallocate(longer) };
        }
    }
    let absurd = Layout::from_size_align(isize::MAX as usize - 100, 1).expect("a layout");
    Granule.allocate(absurd).expect_err("no machine has it");
}

#[test]
fn what_a_thread_has_ready_is_given_and_taken() {
    for size in [0, 1, 8, 9, 16, 17, 24, 100, 1000, 1024] {
        let align = if size <= 8 { 8 } else { 16 };
        let layout = Layout::from_size_align(size, align).expect("a layout");
        // A thread's first blocks of a size are not given back this way.
        let firsts = [(); 20].map(|()| Granule.allocate(layout).expect("memory"));
        let later = Granule.allocate(layout).expect("memory");
        // SAFETY: a block of this heap that is not used.
        assert!(unsafe { Granule.deallocate_ready(later.as_ptr()) }, "{size}");
        let block = Granule.allocate_ready(size).expect("the one that was given back");
        for first in firsts {
            // SAFETY: a block of this heap that is not used again.
            unsafe { Granule.deallocate(first) };
        }
        assert!(block.addr().get().is_multiple_of(align), "{size}");
        assert!(Granule.usable_len(block).is_some_and(|len| len >= size));
        // SAFETY: as above.
        unsafe { Granule.deallocate(block) };
    }
    assert_eq!(Granule.allocate_ready(1025), None, "too long for this way");
    let mut elsewhere = 0_u64;
    // SAFETY: it lies in no heap.
    assert!(!unsafe { Granule.deallocate_ready((&raw mut elsewhere).cast()) });
    // Another thread's is kept like one's own, but for its very first.
    let layout = Layout::new::<[u64; 6]>();
    let make =
        move || [(); 40].map(|()| Granule.allocate(layout).expect("memory").expose_provenance());
    let theirs = thread::spawn(make).join().expect("no panic");
    // With room among those that are ready: a thread makes that when it needs it.
    let ours = make();
    let block = NonNull::new(std::ptr::with_exposed_provenance_mut(theirs[39].get()));
    let block = block.expect("not at address 0");
    // SAFETY: a block of this heap that is not used.
    assert!(unsafe { Granule.deallocate_ready(block.as_ptr()) });
    assert_eq!(Granule.allocate_ready(48), Some(block));
    for addr in theirs.into_iter().chain(ours) {
        let block = NonNull::new(std::ptr::with_exposed_provenance_mut(addr.get()));
        // SAFETY: a block of this heap that is not used again.
        unsafe { Granule.deallocate(block.expect("not at address 0")) };
    }
}

#[test]
fn a_block_of_which_only_the_address_is_known_is_resized() {
    let sizes = [1, 8, 16, 100, 1000, 5000, 32_768, 40_000, 200_000, 3 << 20];
    for from in sizes {
        for to in sizes {
            let layout = Layout::from_size_align(from, 16).expect("a layout");
            let block = Granule.allocate(layout).expect("memory");
            // SAFETY: in use, and that long.
            unsafe { block.write_bytes(7, from) };
            // SAFETY: a block of this heap, which is not used by its old address.
            let block = unsafe { Granule.reallocate_unsized(block, to) }.expect("memory");
            let len = Granule.usable_len(block).expect("a block");
            assert!(len >= to && block.addr().get().is_multiple_of(8), "{from} to {to}");
            let kept = from.min(to);
            // SAFETY: in use, and that long.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), kept) };
            assert!(bytes.iter().all(|&byte| byte == 7), "{from} to {to}");
            // SAFETY: a block of this heap that is not used again.
            unsafe { Granule.deallocate(block) };
        }
    }
    let block = Granule.allocate(Layout::new::<u64>()).expect("memory");
    // SAFETY: a block of this heap; it stays as it is.
    let error = unsafe { Granule.reallocate_unsized(block, usize::MAX) };
    assert_eq!(error.expect_err("too long").kind(), granule::ErrorKind::OutOfRange);
    // SAFETY: a block of this heap that is not used again.
    unsafe { Granule.deallocate(block) };
}

#[test]
fn a_thread_that_has_left_is_served_by_the_heap_for_all() {
    let thread = thread::spawn(|| {
        let mut kept = vec![1_u8; 100];
        Granule.leave();
        Granule.leave();
        assert_eq!(Granule.allocate_ready(100), None, "it has nothing of its own");
        kept.extend(std::iter::repeat_n(2, 10_000));
        assert!(kept[..100].iter().all(|&byte| byte == 1));
        drop(kept);
        assert_eq!(Granule.allocate_ready(100), None, "and gets nothing again");
        Box::new(5_u32)
    });
    assert_eq!(*thread.join().expect("no panic"), 5);
}

/// How often a walk shows a block, with how many bytes.
fn shown(block: NonNull<u8>) -> Vec<usize> {
    let mut lens = Vec::with_capacity(4);
    Granule.walk(|found| lens.extend((found.start == block).then_some(found.usable_len)));
    lens
}

#[test]
fn a_walk_shows_what_this_thread_and_those_that_ended_have_left() {
    let take = |size| {
        Granule.allocate(Layout::from_size_align(size, 8).expect("a layout")).expect("memory")
    };
    for (size, len) in [(100, 112), (5000, 5120), (100_000, 128 << 10)] {
        let block = take(size);
        assert_eq!((shown(block), Granule.validate()), (vec![len], Ok(())));
        // SAFETY: a block of this heap that is not used again.
        unsafe { Granule.deallocate(block) };
        assert!(shown(block).is_empty(), "{size}");
    }
    let (send, receive) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let kept = Box::new([7_u64; 30]);
        send.send((&raw const *kept).expose_provenance()).expect("somebody listens");
        wait.recv().expect("a word");
        kept
    });
    let addr = receive.recv().expect("the thread lives");
    let theirs = NonNull::new(std::ptr::with_exposed_provenance_mut(addr)).expect("a block");
    assert!(shown(theirs).is_empty(), "its thread lives");
    go_on.send(()).expect("it waits");
    let kept = other.join().expect("no panic");
    // A new thread of another test may have taken the part over; tests/heap_parked.rs has none.
    let times = shown(theirs);
    assert!(times.is_empty() || times == [256], "{times:?}");
    assert_eq!((*kept, Granule.validate()), ([7; 30], Ok(())));
}

#[test]
fn who_is_shown_a_block_may_allocate_and_free() {
    let mine: Vec<Box<u64>> = (0..1000).map(Box::new).collect();
    let mut count = 0_usize;
    Granule.walk(|_| {
        let text = count.to_string();
        drop((text, vec![0_u8; 40_000]));
        count += 1;
    });
    assert!(count >= mine.len(), "{count}");
    assert_eq!(Granule.validate(), Ok(()));
}
