//! Floor 4, uses floors 0 to 3. The traits of a shared array that a vector has, too.

use super::SharedVec;
use core::fmt;
use core::iter::FusedIterator;
use core::ops::{Index, Range};
use core::ptr;

impl<T> Default for SharedVec<T> {
    /// As [`new`](SharedVec::new).
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedVec<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self).finish()
    }
}

impl<T> AsRef<[T]> for SharedVec<T> {
    fn as_ref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T> Index<usize> for SharedVec<T> {
    type Output = T;

    #[track_caller]
    fn index(&self, index: usize) -> &T {
        match self.get(index) {
            Some(element) => element,
            None => refuse(index, self.len()),
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse(index: usize, len: usize) -> ! {
    panic!("element {index} of a SharedVec of {len}; ask for one below `len`, or by `get`")
}

impl<T> Extend<T> for SharedVec<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        (&*self).extend(values);
    }
}

/// Other threads may append between the values.
impl<T> Extend<T> for &SharedVec<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        for value in values {
            self.push(value);
        }
    }
}

impl<T> FromIterator<T> for SharedVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let vec = SharedVec::new();
        (&vec).extend(values);
        vec
    }
}

impl<'v, T> IntoIterator for &'v SharedVec<T> {
    type Item = &'v T;
    type IntoIter = core::slice::Iter<'v, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'v, T> IntoIterator for &'v mut SharedVec<T> {
    type Item = &'v mut T;
    type IntoIter = core::slice::IterMut<'v, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T> IntoIterator for SharedVec<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(mut self) -> IntoIter<T> {
        let len = self.len();
        self.drop_unseen(len);
        // The iterator has the elements, and the vector just the memory.
        self.prefix.close();
        IntoIter { memory: self, left: 0..len }
    }
}

/// The elements of a [`SharedVec`], one after the other, by value. Those that were not asked for
/// are dropped with it.
///
/// ```
/// use granule::array::SharedVec;
/// let vec: SharedVec<String> = ["a", "b", "c"].map(String::from).into_iter().collect();
/// let mut values = vec.into_iter();
/// assert_eq!((values.next().as_deref(), values.next_back().as_deref()), (Some("a"), Some("c")));
/// assert_eq!(values.as_slice(), ["b"]);
/// ```
pub struct IntoIter<T> {
    /// A vector that has no element, as it thinks.
    memory: SharedVec<T>,
    left: Range<usize>,
}

impl<T> IntoIter<T> {
    /// The elements that are left.
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: what is left lies inside.
        let first = unsafe { self.memory.elements.add(self.left.start) };
        // SAFETY: they are written and have not been read out.
        unsafe { core::slice::from_raw_parts(first.as_ptr(), self.left.len()) }
    }

    /// # Safety
    /// 1. `index` was left until now and is not any more.
    unsafe fn read(&self, index: usize) -> T {
        // SAFETY: it lies inside.
        let element = unsafe { self.memory.elements.add(index) };
        // SAFETY: (1): it is written, and read once.
        unsafe { element.read() }
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let index = self.left.next()?;
        // SAFETY: (1) it has just left the range.
        Some(unsafe { self.read(index) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl<T> DoubleEndedIterator for IntoIter<T> {
    fn next_back(&mut self) -> Option<T> {
        let index = self.left.next_back()?;
        // SAFETY: (1) it has just left the range.
        Some(unsafe { self.read(index) })
    }
}

impl<T> ExactSizeIterator for IntoIter<T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<T: fmt::Debug> fmt::Debug for IntoIter<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("IntoIter").field(&self.as_slice()).finish()
    }
}

impl<T> Drop for IntoIter<T> {
    fn drop(&mut self) {
        // SAFETY: what is left lies inside.
        let first = unsafe { self.memory.elements.add(self.left.start) };
        // Not by way of a shared reference, which would not allow it.
        let left = ptr::slice_from_raw_parts_mut(first.as_ptr(), self.left.len());
        // SAFETY: the elements are this value's own, and nobody has references to them.
        unsafe { ptr::drop_in_place(left) };
    }
}
