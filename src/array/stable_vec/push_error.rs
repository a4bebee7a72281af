//! Floor 4, pure. A value that found no room.
#![forbid(unsafe_code)]

use crate::error::Error;
use core::fmt;

/// Why an element could not be added, and the element: the error of
/// [`try_push`](super::StableVec::try_push) and [`try_insert`](super::StableVec::try_insert).
///
/// ```
/// use granule::array::StableVec;
/// fn fill(array: &mut StableVec<u8>) -> Result<(), granule::Error> {
///     array.try_push(1)?; // the value is lost, the reason stays
///     Ok(())
/// }
/// assert!(fill(&mut StableVec::with_max(0)).is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PushError<T> {
    /// The element, as it was given.
    pub value: T,
    /// What was tried, and why it failed.
    pub error: Error,
}

impl<T> From<PushError<T>> for Error {
    fn from(refused: PushError<T>) -> Self {
        refused.error
    }
}

/// The element need not be one that can be shown.
impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PushError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(out)
    }
}

impl<T> core::error::Error for PushError<T> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}
