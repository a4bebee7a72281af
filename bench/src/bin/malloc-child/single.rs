//! Patterns of one thread.

use crate::block::{Block, LEAST};
use crate::random::Random;

/// Small blocks as of a program that calculates with long numbers or sets: three of four die in the
/// order of a stack, the others at any time. An operation is a malloc or a free of the stack, or a
/// free and a malloc at a random place.
pub(crate) fn churn(ops: usize) {
    let mut random = Random::new(1);
    let mut stack: Vec<Block> = Vec::with_capacity(256);
    let mut table: Vec<Block> = (0..4096).map(|_| Block::new(random.small())).collect();
    for _ in 0..ops {
        let choice = random.next();
        if choice & 3 == 0 {
            let place = random.below(table.len());
            table[place] = Block::new(random.small());
        } else if choice & 4 == 0 && stack.len() < stack.capacity() {
            stack.push(Block::new(random.small()));
        } else {
            stack.pop();
        }
    }
}

/// Many blocks of one size, and all freed: forwards, then backwards.
pub(crate) fn bursts(ops: usize) {
    let mut blocks: Vec<Block> = Vec::with_capacity(1600);
    let mut left = ops;
    while left > 0 {
        for len in [16, 24, 48, 64, 128, 256, 512, 1024] {
            for count in [25, 100, 400, 1600] {
                for _ in 0..1600 / count {
                    blocks.extend((0..count).map(|_| Block::new(len)));
                    blocks.drain(..);
                    blocks.extend((0..count).map(|_| Block::new(len)));
                    while blocks.pop().is_some() {}
                    left = left.saturating_sub(2 * count);
                }
            }
        }
    }
}

/// Blocks of 5 to 25 MiB, sixteen of them alive, each page of them written once.
pub(crate) fn large(ops: usize) {
    let mut random = Random::new(2);
    let mut table: Vec<Option<Block>> = (0..16).map(|_| None).collect();
    for _ in 0..ops {
        let place = random.below(table.len());
        let len = (5 << 20) + random.below(20 << 20);
        table[place] = None;
        let block = Block::new(len);
        block.touch(0, len);
        table[place] = Some(block);
    }
}

/// A vector that is growing.
struct Vector {
    block: Block,
    len: usize,
    end: usize,
}

impl Vector {
    /// Most end at 16 KiB or less, one of 16 at up to 4 MiB, one of 256 at up to 32 MiB.
    fn new(random: &mut Random) -> Self {
        let most = match random.next() & 255 {
            0 => 32 << 20,
            1..16 => 4 << 20,
            _ => 16 << 10,
        };
        let len = 16;
        let block = Block::new(len);
        block.fill(0, len);
        Vector { block, len, end: len + random.below(most) }
    }

    /// Half as long again, and the new part is written; false when it is as long as it will be.
    fn grow(self) -> Option<Vector> {
        if self.len >= self.end {
            return None;
        }
        let len = self.len + (self.len / 2).max(LEAST);
        let block = self.block.resized(len);
        block.fill(self.len, len);
        Some(Vector { block, len, end: self.end })
    }
}

/// Vectors that grow by turns, each to its own length, and begin anew. An operation is a realloc.
pub(crate) fn growth(ops: usize) {
    let mut random = Random::new(3);
    let mut vectors: Vec<Option<Vector>> =
        (0..32).map(|_| Some(Vector::new(&mut random))).collect();
    for _ in 0..ops {
        let place = random.below(vectors.len());
        let grown = vectors[place].take().and_then(Vector::grow);
        vectors[place] = Some(grown.unwrap_or_else(|| Vector::new(&mut random)));
    }
}

/// Blocks of zeroes up to 1 MiB, 256 of them alive.
pub(crate) fn zeroed(ops: usize) {
    let mut random = Random::new(4);
    let mut len = || {
        let most = match random.next() & 127 {
            0 => 1 << 20,
            1..8 => 128 << 10,
            8..32 => 16 << 10,
            _ => 1 << 10,
        };
        (16 + random.below(most - 16), random.below(256))
    };
    let mut table: Vec<Option<Block>> = (0..256).map(|_| None).collect();
    for _ in 0..ops {
        let (len, place) = len();
        table[place] = None;
        table[place] = Some(Block::zeroed(len));
    }
}
