//! Floor 4, pure. The verdict: from an address and the blocks near it to what happened.
//!
//! Nothing here touches memory: the same function runs in the fault handler and in tests (the idea
//! is GWP-ASan's crash handler).
#![forbid(unsafe_code)]

use super::record::{Kind, Side};
use super::slot::Snapshot;

/// What happened, and how far from which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) kind: Kind,
    pub(crate) side: Side,
    pub(crate) distance: usize,
}

/// Where `addr` lies, seen from a block.
pub(crate) fn place(addr: usize, block: &Snapshot) -> (Side, usize) {
    let range = block.block();
    if addr >= range.end {
        (Side::After, addr - range.end)
    } else if addr < range.start {
        (Side::Before, range.start - addr)
    } else {
        (Side::Inside, addr - range.start)
    }
}

/// The verdict on a faulting access at `addr`, seen from one block. `None` if the block is live and
/// `addr` is inside it: such a fault is not of our making.
pub(crate) fn access(addr: usize, block: &Snapshot) -> Option<Verdict> {
    let (side, distance) = place(addr, block);
    let kind = match (block.live, side) {
        (true, Side::Inside) => return None,
        (true, Side::After) => Kind::Overflow,
        (true, Side::Before) => Kind::Underflow,
        (false, _) => Kind::UseAfterFree,
    };
    Some(Verdict { kind, side, distance })
}

/// Which of two blocks a faulting address belongs to: the one it is inside of, else the nearer one,
/// and at equal distance the live one.
pub(crate) fn nearer(addr: usize, one: Snapshot, other: Snapshot) -> Snapshot {
    let rank = |block: &Snapshot| match place(addr, block) {
        (Side::Inside, _) => (0, !block.live),
        // The byte behind the end has distance 0, the byte before the start 1: count both from 1.
        (Side::After, distance) => (distance + 1, !block.live),
        (Side::Before, distance) => (distance, !block.live),
    };
    if rank(&other) < rank(&one) { other } else { one }
}

/// The verdict on a `free` of `addr`, seen from the block of the slot it lies in. `None` if all is
/// well.
pub(crate) fn free(addr: usize, block: &Snapshot) -> Option<Verdict> {
    let (side, distance) = place(addr, block);
    let kind = match (addr == block.start, block.live) {
        (true, true) => return None,
        (true, false) => Kind::DoubleFree,
        (false, _) => Kind::InvalidFree,
    };
    // A block of size 0 has no inside; its start is still its start.
    let side = if addr == block.start { Side::Inside } else { side };
    Some(Verdict { kind, side, distance })
}

#[cfg(test)]
mod tests {
    use super::super::slot::Moment;
    use super::*;

    const NOBODY: Moment = Moment { tid: 0, stack: 0 };

    fn block(live: bool, start: usize, size: usize) -> Snapshot {
        Snapshot { live, start, size, allocated: NOBODY, freed: NOBODY }
    }

    fn verdict(kind: Kind, side: Side, distance: usize) -> Option<Verdict> {
        Some(Verdict { kind, side, distance })
    }

    #[test]
    fn accesses() {
        let (live, freed) = (block(true, 1000, 48), block(false, 1000, 48));
        assert_eq!(access(1048, &live), verdict(Kind::Overflow, Side::After, 0));
        assert_eq!(access(1051, &live), verdict(Kind::Overflow, Side::After, 3));
        assert_eq!(access(999, &live), verdict(Kind::Underflow, Side::Before, 1));
        assert_eq!(access(1000, &live), None);
        assert_eq!(access(1024, &freed), verdict(Kind::UseAfterFree, Side::Inside, 24));
        assert_eq!(access(1048, &freed), verdict(Kind::UseAfterFree, Side::After, 0));
        assert_eq!(access(992, &freed), verdict(Kind::UseAfterFree, Side::Before, 8));
        assert_eq!(access(1000, &block(true, 1000, 0)), verdict(Kind::Overflow, Side::After, 0));
    }

    #[test]
    fn the_nearer_block_is_meant() {
        let (left, right) = (block(true, 1000, 96), block(true, 2000, 96));
        assert_eq!(nearer(1100, left, right), left);
        assert_eq!(nearer(1999, left, right), right);
        assert_eq!(nearer(2010, left, right), right);
        // Right between the two: 450 bytes behind 1096 are 1545, 455 before 2000.
        assert_eq!(nearer(1545, left, right), left);
        let gone = block(false, 1000, 96);
        assert_eq!(nearer(1000 + 96 + 451, gone, right), gone);
        assert_eq!(nearer(2000 - 452, gone, right), right, "equal distance: the live one");
    }

    #[test]
    fn frees() {
        let (live, freed) = (block(true, 1000, 48), block(false, 1000, 48));
        assert_eq!(free(1000, &live), None);
        assert_eq!(free(1000, &freed), verdict(Kind::DoubleFree, Side::Inside, 0));
        assert_eq!(free(1008, &live), verdict(Kind::InvalidFree, Side::Inside, 8));
        assert_eq!(free(1008, &freed), verdict(Kind::InvalidFree, Side::Inside, 8));
        assert_eq!(free(984, &live), verdict(Kind::InvalidFree, Side::Before, 16));
        assert_eq!(free(1000, &block(true, 1000, 0)), None);
        assert_eq!(free(1000, &block(false, 1000, 0)), verdict(Kind::DoubleFree, Side::Inside, 0));
    }
}
