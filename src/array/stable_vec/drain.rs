//! Floor 4. The iterator that takes elements out of the middle.

use super::StableVec;
use core::iter::FusedIterator;
use core::ops::Range;
use core::{fmt, ptr, slice};

/// Takes the elements of a range out of an array: see [`StableVec::drain`].
///
/// ```text
///   | before | drained | not yet | drained | behind |
///   0     array.len  front     back      behind    end
/// ```
///
/// ```
/// use granule::array::StableVec;
/// let mut array = StableVec::from([1, 2, 3, 4]);
/// assert_eq!(array.drain(1..3).collect::<Vec<_>>(), [2, 3]);
/// assert_eq!(array, [1, 4]);
/// ```
pub struct Drain<'a, T> {
    /// Counts the elements before the range only, while this lives.
    array: &'a mut StableVec<T>,
    front: usize,
    back: usize,
    behind: usize,
    end: usize,
}

impl<'a, T> Drain<'a, T> {
    /// `range` lies within the elements of `array`, of which there are `end`.
    pub(super) fn new(array: &'a mut StableVec<T>, range: Range<usize>, end: usize) -> Self {
        array.len = range.start;
        Drain { array, front: range.start, back: range.end, behind: range.end, end }
    }

    /// What was not taken yet.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: (1) at most the length that the array had.
        let first = unsafe { self.array.place(self.front) };
        // SAFETY: elements that are there, and belong to this value, which is borrowed.
        unsafe { slice::from_raw_parts(first.as_ptr(), self.back - self.front) }
    }
}

impl<T> Iterator for Drain<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.front == self.back {
            return None;
        }
        // SAFETY: (1) below the length that the array had.
        let place = unsafe { self.array.place(self.front) };
        self.front += 1;
        // SAFETY: an element that is there, and will not be looked at again.
        Some(unsafe { place.read() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.back - self.front;
        (count, Some(count))
    }
}

impl<T> DoubleEndedIterator for Drain<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        if self.front == self.back {
            return None;
        }
        self.back -= 1;
        // SAFETY: (1) below the length that the array had.
        let place = unsafe { self.array.place(self.back) };
        // SAFETY: an element that is there, and will not be looked at again.
        Some(unsafe { place.read() })
    }
}

impl<T> ExactSizeIterator for Drain<'_, T> {}
impl<T> FusedIterator for Drain<'_, T> {}

impl<T> Drop for Drain<'_, T> {
    fn drop(&mut self) {
        /// Closes the gap, even if the drop of an element panics.
        struct Gap<'a, T> {
            array: &'a mut StableVec<T>,
            behind: usize,
            end: usize,
        }

        impl<T> Drop for Gap<'_, T> {
            fn drop(&mut self) {
                let (start, rest) = (self.array.len, self.end - self.behind);
                if start != self.behind {
                    // SAFETY: (1) at most the length that the array had.
                    let from = unsafe { self.array.place(self.behind) };
                    // SAFETY: (1) as above.
                    let to = unsafe { self.array.place(start) };
                    // SAFETY: the elements behind the range, down to its beginning.
                    unsafe { from.copy_to(to, rest) };
                }
                self.array.leave(start + rest);
            }
        }

        let Drain { front, back, behind, end, .. } = *self;
        let gap = Gap { array: self.array, behind, end };
        // SAFETY: (1) at most the length that the array had.
        let first = unsafe { gap.array.place(front) };
        let rest = ptr::slice_from_raw_parts_mut(first.as_ptr(), back - front);
        // SAFETY: elements that are there, and will not be looked at again.
        unsafe { ptr::drop_in_place(rest) };
    }
}

impl<T: fmt::Debug> fmt::Debug for Drain<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Drain").field(&self.as_slice()).finish()
    }
}
