//! What one element of a file is, and which of two comes first.

use core::cmp::Ordering;

/// Elements of one width, and their order.
///
/// Sorting looks at the rank first, which is a number and quick to move about, and at the elements
/// only where two ranks are equal.
pub trait Shape: Sync {
    /// Bytes of one element; at least 1.
    fn width(&self) -> usize;

    /// A number that orders as the elements do, as far as it goes: of two elements with different
    /// ranks, the one with the lower rank comes first. `element` has [`width`](Self::width) bytes.
    fn rank(&self, element: &[u8]) -> u64;

    /// Elements of equal rank are in no order: [`compare`](Self::compare) has nothing to add.
    fn rank_decides(&self) -> bool;

    /// Which of two elements comes first. Consistent with the rank, and a total order.
    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        self.rank(left).cmp(&self.rank(right))
    }
}
