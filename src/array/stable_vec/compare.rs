//! Floor 4, pure. Arrays compare, order and hash as the slices of their elements.
#![forbid(unsafe_code)]

use super::StableVec;
use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

/// Equality of slices, whoever holds them.
macro_rules! equal {
    ($([$($parameters:tt)*] $left:ty, $right:ty;)*) => {
        $(
            impl<T: PartialEq<U>, U, $($parameters)*> PartialEq<$right> for $left {
                fn eq(&self, other: &$right) -> bool {
                    self[..] == other[..]
                }
            }
        )*
    };
}

equal! {
    [] StableVec<T>, StableVec<U>;
    [] StableVec<T>, [U];
    [] StableVec<T>, &[U];
    [] StableVec<T>, &mut [U];
    [const N: usize] StableVec<T>, [U; N];
    [const N: usize] StableVec<T>, &[U; N];
    [] [T], StableVec<U>;
    [] &[T], StableVec<U>;
    [] &mut [T], StableVec<U>;
    [const N: usize] [T; N], StableVec<U>;
}

#[cfg(feature = "std")]
equal! {
    [] StableVec<T>, std::vec::Vec<U>;
    [] std::vec::Vec<T>, StableVec<U>;
}

impl<T: Eq> Eq for StableVec<T> {}

impl<T: PartialOrd> PartialOrd for StableVec<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.as_slice().partial_cmp(other.as_slice())
    }
}

impl<T: Ord> Ord for StableVec<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl<T: Hash> Hash for StableVec<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl<T> AsRef<[T]> for StableVec<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> AsMut<[T]> for StableVec<T> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T> Borrow<[T]> for StableVec<T> {
    fn borrow(&self) -> &[T] {
        self
    }
}

impl<T> BorrowMut<[T]> for StableVec<T> {
    fn borrow_mut(&mut self) -> &mut [T] {
        self
    }
}
