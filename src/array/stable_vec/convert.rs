//! Floor 4. Arrays out of other things, and bytes that are written into one.

use super::StableVec;
use crate::error::Error;
use core::mem::ManuallyDrop;

impl<T: Clone> StableVec<T> {
    /// The twin of `clone` that does not panic for want of room.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_clone(&self) -> Result<Self, Error> {
        let wishes = self.store.wishes();
        let mut array = StableVec::with_wishes(self.max, wishes.policy, wishes.guard);
        array.try_extend_from_slice(self)?;
        Ok(array)
    }
}

/// An array with the same maximum and wishes, at other addresses.
impl<T: Clone> Clone for StableVec<T> {
    fn clone(&self) -> Self {
        match self.try_clone() {
            Ok(array) => array,
            Err(error) => self.fail(error),
        }
    }
}

impl<T: Clone> From<&[T]> for StableVec<T> {
    fn from(elements: &[T]) -> Self {
        let mut array = StableVec::new();
        array.extend_from_slice(elements);
        array
    }
}

impl<T: Clone> From<&mut [T]> for StableVec<T> {
    fn from(elements: &mut [T]) -> Self {
        Self::from(&*elements)
    }
}

impl<T: Clone, const N: usize> From<&[T; N]> for StableVec<T> {
    fn from(elements: &[T; N]) -> Self {
        Self::from(&elements[..])
    }
}

impl<T, const N: usize> From<[T; N]> for StableVec<T> {
    fn from(elements: [T; N]) -> Self {
        let mut array = StableVec::new();
        array.make_room_or_panic(N);
        let elements = ManuallyDrop::new(elements);
        // SAFETY: (1) there is room, and the elements are not dropped where they were.
        unsafe { array.take_elements(&*elements) };
        array
    }
}

/// Moves the elements over. The memory of the `Vec` does not come along.
#[cfg(feature = "std")]
impl<T> From<std::vec::Vec<T>> for StableVec<T> {
    fn from(mut elements: std::vec::Vec<T>) -> Self {
        let mut array = StableVec::new();
        array.make_room_or_panic(elements.len());
        // SAFETY: (1) there is room, and `elements` forgets them below.
        unsafe { array.take_elements(&elements) };
        // SAFETY: no elements are always initialised.
        unsafe { elements.set_len(0) };
        array
    }
}

/// Writes behind the last byte. All of it or, where there is no room, nothing, with an error of
/// kind `OutOfMemory`.
#[cfg(feature = "std")]
impl std::io::Write for StableVec<u8> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.make_room(bytes.len())?;
        // SAFETY: (1) there is room, and bytes are `Copy`.
        unsafe { self.take_elements(bytes) };
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes).map(drop)
    }

    #[inline]
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
