//! Floor 5, pure. What a heap with a maximum has left.
//!
//! It counts bytes of blocks, not of the memory behind them, so that what fits does not depend on
//! size classes.
#![forbid(unsafe_code)]

use super::tail::ALIGN;
use core::cell::Cell;

/// Blocks of this size and above are not for heaps with a maximum.
pub(super) const FIXED_SIZE_END: usize = 0x7_fff8;

/// What Windows keeps of each block, beside it.
const HEADER: usize = 16;
/// What a heap keeps of itself.
const OWN: usize = 4096;

/// Bytes left; without a maximum there is no end.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
    is_fixed: bool,
}

impl Budget {
    /// For a maximum in bytes; 0: none.
    pub(super) fn new(maximum: usize) -> Self {
        let pages = maximum.div_ceil(OWN).saturating_mul(OWN);
        Budget { left: Cell::new(pages.saturating_sub(OWN)), is_fixed: maximum != 0 }
    }

    /// Takes the bytes of a block, if there are as many.
    pub(super) fn take(&self, size: usize) -> bool {
        self.change(None, size)
    }

    /// The size of the largest block that a heap with room for `size` bytes may give out.
    pub(super) fn most(&self, size: usize) -> usize {
        match self.is_fixed {
            true => size.min(FIXED_SIZE_END - 1).min(self.left.get().saturating_sub(HEADER)),
            false => size,
        }
    }

    /// Gives those of a block back.
    pub(super) fn give(&self, size: usize) {
        self.left.set(self.left.get().saturating_add(if self.is_fixed { cost(size) } else { 0 }));
    }

    /// Gives those of a block back and takes others for it, if there are as many.
    pub(super) fn change(&self, old: Option<usize>, new: usize) -> bool {
        if !self.is_fixed {
            return true;
        }
        let with_old = self.left.get().saturating_add(old.map_or(0, cost));
        match with_old.checked_sub(cost(new)) {
            Some(left) if new < FIXED_SIZE_END => {
                self.left.set(left);
                true
            }
            _ => false,
        }
    }
}

const fn cost(size: usize) -> usize {
    size.saturating_add(HEADER + ALIGN - 1) & !(ALIGN - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_has_room_for_so_many() {
        let budget = Budget::new(1 << 20);
        let count = (0..).take_while(|_| budget.take(4000)).count();
        assert_eq!(count, 260);
        let left = budget.most(4000);
        assert!(left < 4000 && budget.take(left) && budget.most(4000) == 0);
        budget.give(left);
        budget.give(4000);
        assert!(!budget.take(4400) && budget.take(4000) && !budget.take(4000));
        assert!(budget.change(Some(4000), 3000) && !budget.take(1400) && budget.take(1200));
        let empty = Budget::new(1 << 20);
        assert!(!empty.take(FIXED_SIZE_END) && empty.take(FIXED_SIZE_END - 1));
        assert!(!empty.take(usize::MAX));
    }

    #[test]
    fn without_a_maximum_there_is_no_end() {
        let budget = Budget::new(0);
        assert!((0..10).all(|_| budget.take(usize::MAX)));
        budget.give(usize::MAX);
        assert!(budget.change(Some(1), usize::MAX));
        assert_eq!(budget.most(usize::MAX), usize::MAX);
        assert!(!Budget::new(1).take(0), "a page is for the heap itself");
    }
}
