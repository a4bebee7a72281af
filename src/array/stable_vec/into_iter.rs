//! Floor 4. The iterator that takes an array apart.

use super::StableVec;
use core::iter::FusedIterator;
use core::{fmt, ptr, slice};

/// Takes all elements out of an array, which is gone: see [`StableVec::into_iter`]. The memory goes
/// back when the iterator is dropped.
///
/// ```
/// use granule::array::StableVec;
/// let words = StableVec::from([String::from("a"), String::from("b")]);
/// let mut words = words.into_iter();
/// assert_eq!(words.next_back().as_deref(), Some("b"));
/// assert_eq!(words.as_slice(), ["a"]);
/// ```
pub struct IntoIter<T> {
    /// Has the memory, and counts no elements.
    array: StableVec<T>,
    front: usize,
    back: usize,
}

impl<T> IntoIter<T> {
    /// What was not taken yet.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: (1) at most the length that the array had.
        let first = unsafe { self.array.place(self.front) };
        // SAFETY: elements that are there, and belong to this value, which is borrowed.
        unsafe { slice::from_raw_parts(first.as_ptr(), self.back - self.front) }
    }
}

impl<T> Iterator for IntoIter<T> {
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

impl<T> DoubleEndedIterator for IntoIter<T> {
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

impl<T> ExactSizeIterator for IntoIter<T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<T> Drop for IntoIter<T> {
    fn drop(&mut self) {
        // SAFETY: (1) at most the length that the array had.
        let first = unsafe { self.array.place(self.front) };
        let rest = ptr::slice_from_raw_parts_mut(first.as_ptr(), self.back - self.front);
        // SAFETY: elements that are there, and will not be looked at again. The memory goes after
        // them, even if a drop panics.
        unsafe { ptr::drop_in_place(rest) };
    }
}

impl<T: fmt::Debug> fmt::Debug for IntoIter<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("IntoIter").field(&self.as_slice()).finish()
    }
}

impl<T> IntoIterator for StableVec<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    /// Takes all elements out.
    fn into_iter(mut self) -> IntoIter<T> {
        let back = core::mem::take(&mut self.len);
        IntoIter { array: self, front: 0, back }
    }
}

impl<'a, T> IntoIterator for &'a StableVec<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut StableVec<T> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.iter_mut()
    }
}
