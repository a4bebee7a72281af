//! One suite for whatever gives out blocks: mixed sizes and alignments, blocks that grow and shrink,
//! and what no machine has.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::thread;

/// What is asked: as `GlobalAlloc`, for heaps that are no globals, too.
pub(crate) trait Allocator {
    fn take(&self, layout: Layout) -> Option<NonNull<u8>>;
    fn take_zeroed(&self, layout: Layout) -> Option<NonNull<u8>>;
    /// # Safety
    /// 1. A block of this allocator with its layout, not used again.
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout);
    /// # Safety
    /// 1. As for `give`, if there is an answer.
    unsafe fn resize(&self, block: NonNull<u8>, layout: Layout, size: usize)
    -> Option<NonNull<u8>>;
}

/// A block in use, all of whose bytes are `seed`.
struct Block {
    start: NonNull<u8>,
    layout: Layout,
    seed: u8,
}

impl Block {
    fn new(start: NonNull<u8>, layout: Layout, seed: u8) -> Self {
        assert!(start.addr().get().is_multiple_of(layout.align()), "{layout:?} at {start:?}");
        // SAFETY: a new block of that many bytes.
        unsafe { start.write_bytes(seed, layout.size()) };
        Block { start, layout, seed }
    }

    /// The first bytes are what they were.
    fn check(&self, len: usize) {
        assert!(bytes(self.start, len).iter().all(|&byte| byte == self.seed), "{:?}", self.layout);
    }
}

/// The bytes of a block that is in use, that long, and written.
fn bytes<'a>(start: NonNull<u8>, len: usize) -> &'a [u8] {
    // SAFETY: so say the callers.
    unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        ((self.0 >> 32) as usize * end) >> 32
    }

    /// Mostly small, some long, with all alignments.
    fn layout(&mut self) -> Layout {
        let most = [64, 64, 512, 512, 4096, 40_000, 300_000][self.below(7)];
        let align = 1 << [0, 3, 3, 4, 4, 6, 12][self.below(7)];
        Layout::from_size_align(1 + self.below(most), align).expect("a layout")
    }
}

/// Some hundred blocks alive, thousands made, and nobody's bytes change.
pub(crate) fn conforms(allocator: &impl Allocator, seed: u64) {
    let mut random = Random(seed);
    let mut blocks: Vec<Block> = Vec::new();
    for turn in 0..4000_usize {
        let seed = turn as u8;
        match random.below(8) {
            0..4 => {
                let layout = random.layout();
                blocks.push(Block::new(allocator.take(layout).expect("memory"), layout, seed));
            }
            4 => {
                let layout = random.layout();
                let start = allocator.take_zeroed(layout).expect("memory");
                assert!(bytes(start, layout.size()).iter().all(|&byte| byte == 0), "{layout:?}");
                blocks.push(Block::new(start, layout, seed));
            }
            5 if !blocks.is_empty() => {
                let old = blocks.swap_remove(random.below(blocks.len()));
                let size = random.layout().size();
                // SAFETY: (1) in use with this layout, and used by its new address only.
                let start = unsafe { allocator.resize(old.start, old.layout, size) };
                let start = start.expect("memory");
                let new = Layout::from_size_align(size, old.layout.align()).expect("a layout");
                Block { start, layout: new, seed: old.seed }.check(size.min(old.layout.size()));
                blocks.push(Block::new(start, new, seed));
            }
            _ if !blocks.is_empty() => drop_one(allocator, &mut blocks, &mut random),
            _ => {}
        }
        while blocks.len() > 400 {
            drop_one(allocator, &mut blocks, &mut random);
        }
    }
    while !blocks.is_empty() {
        drop_one(allocator, &mut blocks, &mut random);
    }
}

fn drop_one(allocator: &impl Allocator, blocks: &mut Vec<Block>, random: &mut Random) {
    let block = blocks.swap_remove(random.below(blocks.len()));
    block.check(block.layout.size());
    // SAFETY: (1) in use with this layout, and not used again.
    unsafe { allocator.give(block.start, block.layout) };
}

/// What no machine has is refused, and a block stays as it is then.
pub(crate) fn refuses_the_absurd(allocator: &impl Allocator) {
    let most = Layout::from_size_align(isize::MAX as usize - 4096, 1).expect("a layout");
    assert_eq!(allocator.take(most), None);
    assert_eq!(allocator.take_zeroed(most), None);
    let layout = Layout::from_size_align(100, 8).expect("a layout");
    let block = Block::new(allocator.take(layout).expect("memory"), layout, 9);
    // SAFETY: (1) in use with this layout; there is no answer.
    assert_eq!(unsafe { allocator.resize(block.start, layout, most.size()) }, None);
    block.check(100);
    // SAFETY: (1) in use with this layout, and not used again.
    unsafe { allocator.give(block.start, layout) };
}

pub(crate) fn conforms_for_all(allocator: &(impl Allocator + Sync)) {
    refuses_the_absurd(allocator);
    thread::scope(|scope| {
        (0..2).for_each(|seed| drop(scope.spawn(move || conforms(allocator, seed))));
    });
}
