//! One suite for whatever gives out blocks: mixed sizes and alignments, blocks that grow and
//! shrink, and what no machine has.

#![allow(dead_code, reason = "every test program uses another part of it")]

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
pub(crate) struct Block {
    start: NonNull<u8>,
    layout: Layout,
    seed: u8,
}

// SAFETY: nobody else has the block; whoever sends it asks for an allocator of all threads.
unsafe impl Send for Block {}

impl Block {
    fn new(start: NonNull<u8>, layout: Layout, seed: u8) -> Self {
        assert!(start.addr().get().is_multiple_of(layout.align()), "{layout:?} at {start:?}");
        // SAFETY: a new block of that many bytes.
        unsafe { start.write_bytes(seed, layout.size()) };
        Block { start, layout, seed }
    }

    /// Where it is.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The first bytes are what they were.
    fn check(&self, len: usize) {
        assert!(are_all(self.start, len, self.seed), "{:?} at {:?}", self.layout, self.start);
    }
}

/// Whether the bytes of a block, which is in use, that long, and written, are all the same.
fn are_all(start: NonNull<u8>, len: usize, byte: u8) -> bool {
    const LINE: usize = 4096;
    // SAFETY: so say the callers.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), len) };
    let expected = [byte; LINE];
    bytes.chunks(LINE).all(|chunk| *chunk == expected[..chunk.len()])
}

/// Numbers that are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
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

/// Somebody who takes blocks, changes them and gives them back; nobody's bytes change.
pub(crate) struct Player<'a, A> {
    allocator: &'a A,
    pub(crate) random: Random,
    pub(crate) blocks: Vec<Block>,
}

impl<'a, A: Allocator> Player<'a, A> {
    pub(crate) const fn new(allocator: &'a A, seed: u64) -> Self {
        Player { allocator, random: Random(seed), blocks: Vec::new() }
    }

    pub(crate) fn take(&mut self) {
        let (layout, seed) = (self.random.layout(), self.random.below(256) as u8);
        let start = self.allocator.take(layout).expect("memory");
        self.blocks.push(Block::new(start, layout, seed));
    }

    pub(crate) fn take_zeroed(&mut self) {
        let (layout, seed) = (self.random.layout(), self.random.below(256) as u8);
        let start = self.allocator.take_zeroed(layout).expect("memory");
        assert!(are_all(start, layout.size(), 0), "{layout:?}");
        self.blocks.push(Block::new(start, layout, seed));
    }

    /// One of the blocks, which is taken out.
    pub(crate) fn pick(&mut self) -> Option<Block> {
        let which = self.random.below(self.blocks.len());
        (which < self.blocks.len()).then(|| self.blocks.swap_remove(which))
    }

    pub(crate) fn resize_one(&mut self) {
        let Some(old) = self.pick() else { return };
        let (size, seed) = (self.random.layout().size(), self.random.below(256) as u8);
        old.check(old.layout.size());
        // SAFETY: (1) in use with this layout, and used by its new address only.
        let start = unsafe { self.allocator.resize(old.start, old.layout, size) };
        let start = start.expect("memory");
        let layout = Layout::from_size_align(size, old.layout.align()).expect("a layout");
        Block { start, layout, seed: old.seed }.check(size.min(old.layout.size()));
        self.blocks.push(Block::new(start, layout, seed));
    }

    pub(crate) fn give_one(&mut self) {
        if let Some(block) = self.pick() {
            self.give(&block);
        }
    }

    pub(crate) fn give(&self, block: &Block) {
        block.check(block.layout.size());
        // SAFETY: (1) in use with this layout, and not used again.
        unsafe { self.allocator.give(block.start, block.layout) };
    }

    /// Gives blocks back until so many are left.
    pub(crate) fn give_down_to(&mut self, count: usize) {
        while self.blocks.len() > count {
            self.give_one();
        }
    }
}

/// Some hundred blocks alive, thousands made.
pub(crate) fn conforms(allocator: &impl Allocator, seed: u64) {
    let mut player = Player::new(allocator, seed);
    for _ in 0..4000 {
        match player.random.below(8) {
            0..4 => player.take(),
            4 => player.take_zeroed(),
            5 => player.resize_one(),
            _ => player.give_one(),
        }
        player.give_down_to(400);
    }
    player.give_down_to(0);
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
