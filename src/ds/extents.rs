//! Floor 0, pure. A list of ranges that grows at its end into room that the caller has.
#![forbid(unsafe_code)]

use core::ops::Range;

/// Ranges in rising order. Neighbours become one.
#[derive(Debug)]
pub(crate) struct Extents<'a> {
    ranges: &'a mut [Range<usize>],
    count: usize,
    origin: usize,
}

impl<'a> Extents<'a> {
    /// An empty list in `ranges`. What is added is counted from `origin`.
    pub(crate) fn new(ranges: &'a mut [Range<usize>], origin: usize) -> Self {
        Extents { ranges, count: 0, origin }
    }

    /// How many ranges there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.ranges.len() - self.count
    }

    /// Adds a range that lies behind all that are there. False, and nothing is added, if it is no
    /// neighbour and there is no room.
    pub(crate) fn push(&mut self, range: Range<usize>) -> bool {
        let range = range.start - self.origin..range.end - self.origin;
        let last = self.count.checked_sub(1).map(|last| &mut self.ranges[last]);
        if let Some(last) = last.filter(|last| last.end == range.start) {
            last.end = range.end;
            return true;
        }
        let Some(next) = self.ranges.get_mut(self.count) else { return false };
        *next = range;
        self.count += 1;
        true
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_even_without_room() {
        let mut ranges = [0..0, 0..0];
        let mut list = Extents::new(&mut ranges, 100);
        assert_eq!((list.count(), list.room()), (0, 2));
        assert!(list.push(100..110) && list.push(110..120) && list.push(130..131));
        assert_eq!((list.count(), list.room()), (2, 0));
        assert!(!list.push(140..150));
        assert!(list.push(131..140) && !list.push(141..150));
        assert_eq!(ranges, [0..20, 30..40]);
        assert!(!Extents::new(&mut [], 0).push(0..1));
    }
}
