//! Floor 4. The verbs that move elements about: insert, remove, retain and their like.
//!
//! Whatever calls code of somebody else (a drop, a closure) first says that there are no elements,
//! or only those before the place of work. Should that code panic, what is in between is at worst
//! forgotten, and never dropped twice.

use super::{Drain, PushError, StableVec};
use crate::error::Error;
use core::ops::{Bound, RangeBounds};
use core::ptr::{self, NonNull};

impl<T> StableVec<T> {
    /// The place of element `index`.
    ///
    /// # Safety
    /// 1. `index` is at most the capacity.
    #[inline(always)]
    pub(super) unsafe fn place(&self, index: usize) -> NonNull<T> {
        // SAFETY: by (1) inside what is committed, or its end, which is one allocation.
        unsafe { self.start.add(index) }
    }

    /// Puts an element before the one at `index`; those behind move up by one place.
    ///
    /// # Panics
    /// If `index` is more than the length, the maximum is reached, or there is no memory.
    #[track_caller]
    pub fn insert(&mut self, index: usize, value: T) {
        if let Err(refused) = self.try_insert(index, value) {
            self.fail(refused.error);
        }
    }

    /// The twin of [`insert`](Self::insert) that returns what it has no room for.
    ///
    /// # Errors
    /// As of the [type](Self).
    ///
    /// # Panics
    /// If `index` is more than the length.
    #[track_caller]
    pub fn try_insert(&mut self, index: usize, value: T) -> Result<(), PushError<T>> {
        let len = self.len;
        assert!(index <= len, "insertion at {index}, but the array has {len} elements");
        if let Err(error) = self.make_room(1) {
            return Err(PushError { value, error });
        }
        // SAFETY: (1) at most `len`.
        let place = unsafe { self.place(index) };
        // SAFETY: (1) there is room for one more element.
        let next = unsafe { self.place(index + 1) };
        // SAFETY: `len - index` elements begin at `place`, and there is room for them one behind.
        unsafe { place.copy_to(next, len - index) };
        // SAFETY: a place for an element; the one that was there has moved.
        unsafe { place.write(value) };
        self.len = len + 1;
        Ok(())
    }

    /// Takes element `index`; those behind move down by one place.
    ///
    /// # Panics
    /// If there is no such element.
    #[track_caller]
    pub fn remove(&mut self, index: usize) -> T {
        let len = self.len;
        assert!(index < len, "removal of {index}, but the array has {len} elements");
        // SAFETY: (1) an element.
        let place = unsafe { self.place(index) };
        // SAFETY: the element is there; its place is written over, or no longer counted.
        let value = unsafe { place.read() };
        // SAFETY: (1) at most `len`.
        let next = unsafe { self.place(index + 1) };
        // SAFETY: the elements behind it, to the place before theirs.
        unsafe { next.copy_to(place, len - index - 1) };
        self.leave(len - 1);
        value
    }

    /// Takes element `index`; the last one takes its place.
    ///
    /// # Panics
    /// If there is no such element.
    #[track_caller]
    pub fn swap_remove(&mut self, index: usize) -> T {
        let len = self.len;
        assert!(index < len, "removal of {index}, but the array has {len} elements");
        self.as_mut_slice().swap(index, len - 1);
        self.pop().expect("there is at least one")
    }

    /// Elements have left, and were moved or dropped: there are `len` now.
    pub(super) fn leave(&mut self, len: usize) {
        self.len = len;
        if len < self.low {
            self.settle();
        }
    }

    /// Takes the elements of `range`, and drops those that the iterator is not asked for. When it
    /// is dropped, those behind move down. If it is forgotten, so are all elements from the range
    /// on.
    ///
    /// # Panics
    /// If the range is inverted, or leaves the array.
    #[track_caller]
    pub fn drain(&mut self, range: impl RangeBounds<usize>) -> Drain<'_, T> {
        let len = self.len;
        let start = match range.start_bound() {
            Bound::Unbounded => Some(0),
            Bound::Included(&start) => Some(start),
            Bound::Excluded(&before) => before.checked_add(1),
        };
        let end = match range.end_bound() {
            Bound::Unbounded => Some(len),
            Bound::Included(&last) => last.checked_add(1),
            Bound::Excluded(&end) => Some(end),
        };
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= len => {
                Drain::new(self, start..end, len)
            }
            _ => panic!("the range to drain is inverted, or leaves the array of {len} elements"),
        }
    }

    /// Keeps the elements for which `keep` is true, in their order, and drops the others.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.retain_mut(|element| keep(element));
    }

    /// As [`retain`](Self::retain); `keep` may change the elements.
    pub fn retain_mut(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut work = Compaction::new(self);
        while let Some(element) = work.next() {
            // SAFETY: an element that is there, and nobody else looks at the array.
            if keep(unsafe { &mut *element.as_ptr() }) {
                work.keep();
            } else {
                work.discard();
            }
        }
    }

    /// Drops every element that equals the one before it.
    pub fn dedup(&mut self)
    where
        T: PartialEq,
    {
        self.dedup_by(|element, before| element == before);
    }

    /// Drops every element whose key equals that of the one before it.
    pub fn dedup_by_key<K: PartialEq>(&mut self, mut key: impl FnMut(&mut T) -> K) {
        self.dedup_by(|element, before| key(element) == key(before));
    }

    /// Drops every element that is the `same` as the one before it that stayed: `same` is asked
    /// with the element first.
    pub fn dedup_by(&mut self, mut same: impl FnMut(&mut T, &mut T) -> bool) {
        let mut work = Compaction::new(self);
        while let Some(element) = work.next() {
            let is_same = match work.last_kept() {
                None => false,
                Some(before) => {
                    // SAFETY: an element that is there, and nobody else looks at the array.
                    let element = unsafe { &mut *element.as_ptr() };
                    // SAFETY: another one, which lies before it.
                    same(element, unsafe { &mut *before.as_ptr() })
                }
            };
            if is_same { work.discard() } else { work.keep() }
        }
    }

    /// Moves all elements of `other` behind those of this array.
    ///
    /// # Panics
    /// If the maximum is reached, or there is no memory.
    pub fn append(&mut self, other: &mut Self) {
        if let Err(error) = self.try_append(other) {
            self.fail(error);
        }
    }

    /// The twin of [`append`](Self::append) that does not panic; both arrays are as they were then.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_append(&mut self, other: &mut Self) -> Result<(), Error> {
        self.make_room(other.len)?;
        // SAFETY: (1) there is room, and `other` forgets the elements below.
        unsafe { self.take_elements(other.as_slice()) };
        other.leave(0);
        Ok(())
    }

    /// Copies elements byte by byte behind those of this array.
    ///
    /// # Safety
    /// 1. There is room for them, and they are not used any more where they are, or are `Copy`.
    pub(super) unsafe fn take_elements(&mut self, elements: &[T]) {
        // SAFETY: (1) at most the capacity.
        let place = unsafe { self.place(self.len) };
        // SAFETY: by (1) there is room. It is ours alone, so the elements lie elsewhere.
        unsafe { ptr::copy_nonoverlapping(elements.as_ptr(), place.as_ptr(), elements.len()) };
        self.len += elements.len();
    }
}

/// Goes through the elements and closes the gaps that the discarded ones leave. When it is dropped,
/// by a panic too, what it has not seen moves down, and everything is counted again.
///
/// ```text
///   | kept | gap | not seen |
///   0    kept   seen       len
/// ```
struct Compaction<'a, T> {
    array: &'a mut StableVec<T>,
    kept: usize,
    seen: usize,
    len: usize,
}

impl<'a, T> Compaction<'a, T> {
    fn new(array: &'a mut StableVec<T>) -> Self {
        let len = core::mem::take(&mut array.len);
        Compaction { array, kept: 0, seen: 0, len }
    }

    /// The first element that was not seen.
    fn next(&self) -> Option<NonNull<T>> {
        // SAFETY: (1) below `len`, which the array had.
        (self.seen < self.len).then(|| unsafe { self.array.place(self.seen) })
    }

    /// The last element that was kept.
    fn last_kept(&self) -> Option<NonNull<T>> {
        let last = self.kept.checked_sub(1)?;
        // SAFETY: (1) below `len`, which the array had.
        Some(unsafe { self.array.place(last) })
    }

    /// The next element stays.
    fn keep(&mut self) {
        if self.kept != self.seen {
            // SAFETY: (1) below `len`.
            let from = unsafe { self.array.place(self.seen) };
            // SAFETY: (1) below `len`.
            let to = unsafe { self.array.place(self.kept) };
            // SAFETY: one element to a place in the gap.
            unsafe { from.copy_to_nonoverlapping(to, 1) };
        }
        self.kept += 1;
        self.seen += 1;
    }

    /// The next element is dropped. It counts as seen before: its drop may panic.
    fn discard(&mut self) {
        // SAFETY: (1) below `len`.
        let element = unsafe { self.array.place(self.seen) };
        self.seen += 1;
        // SAFETY: an element that is there, and is in the gap from now on.
        unsafe { element.drop_in_place() };
    }
}

impl<T> Drop for Compaction<'_, T> {
    fn drop(&mut self) {
        let rest = self.len - self.seen;
        if self.kept != self.seen {
            // SAFETY: (1) at most `len`.
            let from = unsafe { self.array.place(self.seen) };
            // SAFETY: (1) at most `len`.
            let to = unsafe { self.array.place(self.kept) };
            // SAFETY: the elements that were not seen, down to the beginning of the gap.
            unsafe { from.copy_to(to, rest) };
        }
        self.array.leave(self.kept + rest);
    }
}
