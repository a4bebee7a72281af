//! Floor 4. Many elements at once: from iterators, from slices, copies of one.

use super::StableVec;
use crate::error::Error;

impl<T> StableVec<T> {
    /// The twin of [`extend`](Extend::extend) that does not panic for want of room. After an error
    /// the array has the elements that it had; those that the iterator gave are dropped.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_extend(&mut self, elements: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let len = self.len;
        self.fill_from(elements.into_iter()).inspect_err(|_| self.truncate(len))
    }

    /// Appends clones of all elements of a slice.
    ///
    /// # Panics
    /// If the maximum is reached, or there is no memory: before anything is cloned.
    pub fn extend_from_slice(&mut self, elements: &[T])
    where
        T: Clone,
    {
        self.make_room_or_panic(elements.len());
        // SAFETY: (1) there is room.
        unsafe { self.clone_elements(elements) };
    }

    /// The twin of [`extend_from_slice`](Self::extend_from_slice) that does not panic for want of
    /// room.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_extend_from_slice(&mut self, elements: &[T]) -> Result<(), Error>
    where
        T: Clone,
    {
        self.make_room(elements.len())?;
        // SAFETY: (1) there is room.
        unsafe { self.clone_elements(elements) };
        Ok(())
    }

    /// Makes it `len` elements: drops the last ones, or appends clones of `value`.
    ///
    /// # Panics
    /// If `len` is more than the maximum, or there is no memory.
    pub fn resize(&mut self, len: usize, value: T)
    where
        T: Clone,
    {
        if let Err(error) = self.try_resize(len, value) {
            self.fail(error);
        }
    }

    /// The twin of [`resize`](Self::resize) that does not panic for want of room.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_resize(&mut self, len: usize, value: T) -> Result<(), Error>
    where
        T: Clone,
    {
        let Some(more) = len.checked_sub(self.len).filter(|&more| more > 0) else {
            self.truncate(len);
            return Ok(());
        };
        self.make_room(more)?;
        self.fill_room(&mut core::iter::repeat_n(value, more));
        Ok(())
    }

    /// Makes it `len` elements: drops the last ones, or appends what `make` makes.
    ///
    /// # Panics
    /// If `len` is more than the maximum, or there is no memory.
    pub fn resize_with(&mut self, len: usize, make: impl FnMut() -> T) {
        if let Err(error) = self.try_resize_with(len, make) {
            self.fail(error);
        }
    }

    /// The twin of [`resize_with`](Self::resize_with) that does not panic for want of room.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_resize_with(&mut self, len: usize, make: impl FnMut() -> T) -> Result<(), Error> {
        let Some(more) = len.checked_sub(self.len).filter(|&more| more > 0) else {
            self.truncate(len);
            return Ok(());
        };
        self.make_room(more)?;
        self.fill_room(&mut core::iter::repeat_with(make).take(more));
        Ok(())
    }

    /// Appends clones of a slice. Plain numbers become one copy of memory.
    ///
    /// # Safety
    /// 1. There is room for them.
    #[inline]
    unsafe fn clone_elements(&mut self, elements: &[T])
    where
        T: Clone,
    {
        let start = self.start;
        let now = self.len;
        let mut count = Count { len: &mut self.len, now };
        for element in elements {
            // SAFETY: by (1) the place lies inside what is committed.
            let place = unsafe { start.add(count.now) };
            // SAFETY: committed for writing, aligned, and no element is there.
            unsafe { place.write(element.clone()) };
            count.now += 1;
        }
    }

    /// Appends everything that the iterator gives. After an error a part of it is there.
    fn fill_from(&mut self, mut elements: impl Iterator<Item = T>) -> Result<(), Error> {
        loop {
            self.make_room(elements.size_hint().0)?;
            self.fill_room(&mut elements);
            if self.len < self.capacity {
                return Ok(());
            }
            // The room is used up, which says nothing of the iterator.
            let Some(element) = elements.next() else { return Ok(()) };
            self.make_room(elements.size_hint().0.saturating_add(1))?;
            // SAFETY: (1) there is room for one at least.
            unsafe { self.push_unchecked(element) };
        }
    }

    /// Appends what the iterator gives, until it ends or the room does.
    #[inline]
    fn fill_room(&mut self, elements: &mut impl Iterator<Item = T>) {
        let start = self.start;
        let room = self.capacity - self.len;
        let now = self.len;
        let mut count = Count { len: &mut self.len, now };
        elements.take(room).for_each(|element| {
            // SAFETY: at most `room` elements come, so the place lies inside what is committed.
            let place = unsafe { start.add(count.now) };
            // SAFETY: committed for writing, aligned, and no element is there.
            unsafe { place.write(element) };
            count.now += 1;
        });
    }
}

/// Counts what was written, even if the iterator, or a clone, panics.
struct Count<'a> {
    len: &'a mut usize,
    now: usize,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        *self.len = self.now;
    }
}

impl<T> Extend<T> for StableVec<T> {
    /// # Panics
    /// If the maximum is reached, or there is no memory. What the iterator gave before stays.
    #[inline]
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        if let Err(error) = self.fill_from(elements.into_iter()) {
            self.fail(error);
        }
    }
}

impl<'a, T: Copy + 'a> Extend<&'a T> for StableVec<T> {
    #[inline]
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, elements: I) {
        self.extend(elements.into_iter().copied());
    }
}

impl<T> FromIterator<T> for StableVec<T> {
    #[inline]
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut array = StableVec::new();
        array.extend(elements);
        array
    }
}
