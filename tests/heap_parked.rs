//! What threads leave behind in the heap of the process. One test, because all of the heap is
//! counted: nothing else in this program lies in it.

use granule::Granule;
use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::mpsc;
use std::thread;

/// A block that may go to another thread.
struct Block(NonNull<u8>);

// SAFETY: a block of the heap of the process is tied to no thread.
unsafe impl Send for Block {}

impl Block {
    fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        let start = Granule.allocate(layout).expect("memory");
        // SAFETY: a new block of that many bytes.
        unsafe { start.write_bytes(size as u8, size) };
        Block(start)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: (1) in use, and not used again.
        unsafe { Granule.deallocate(self.0) };
    }
}

const THREADS: usize = 300;

/// Blocks of many sizes, the last one too long for a slab.
fn blocks() -> impl Iterator<Item = Block> {
    (1..60).map(|number| number * 17).chain([40_000, 300_000]).map(Block::new)
}

#[test]
fn nothing_is_left_when_the_blocks_of_ended_threads_are_freed() {
    let (send, receive) = mpsc::channel();
    // Frees while the threads that made the blocks end, and never allocates.
    let freer = thread::spawn(move || receive.into_iter().for_each(drop::<Block>));
    for _ in 0..THREADS {
        let send = send.clone();
        let thread = thread::spawn(move || {
            blocks().for_each(|block| send.send(block).expect("somebody listens"));
        });
        thread.join().expect("no panic");
    }
    drop(send);
    freer.join().expect("no panic");
    assert_eq!(Granule.stats().blocks, 0);
    Granule.trim();
    let left = Granule.stats();
    assert_eq!((left.runs, left.slabs, left.len, left.cached), (0, 0, 0, 0), "{left:?}");

    // And what a thread keeps to itself goes with it.
    let kept: Vec<Block> = thread::spawn(|| blocks().collect()).join().expect("no panic");
    assert_eq!(Granule.stats().blocks, kept.len());
    let mut shown = Vec::new();
    Granule.walk(|block| shown.push(block.start));
    let mut expected: Vec<_> = kept.iter().map(|block| block.0).collect();
    shown.sort();
    expected.sort();
    assert_eq!((shown, Granule.validate()), (expected, Ok(())));
    drop(kept);
    Granule.trim();
    assert_eq!(Granule.stats(), Default::default());
}
