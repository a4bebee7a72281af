//! Floor 4, uses floors 0 to 3. What could not be appended, and why.

use super::growth::Refusal;
use crate::error::Error;
use core::fmt;

/// Why an element was not appended; see [`PushError::reason`].
///
/// ```
/// use granule::array::SharedVec;
/// use granule::array::shared_vec::PushReason;
/// let vec = SharedVec::with_max(1)?;
/// vec.push('a');
/// assert_eq!(vec.try_push('b').unwrap_err().reason(), PushReason::Full);
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushReason {
    /// There are as many elements as there may be, or other threads are appending the last ones.
    Full,
    /// The system refused the memory. The array is as it was, and a later append tries again.
    System(Error),
    /// There was no room, and the append was made by a signal handler that had interrupted the very
    /// thread that is making room. It can be made again when the handler has returned.
    Interrupted,
}

/// An element that was not appended, and why. [`into_value`](Self::into_value) has it back.
///
/// ```
/// use granule::array::SharedVec;
/// let names = SharedVec::with_max(1)?;
/// names.push("Ada".to_string());
/// let error = names.try_push("Grace".to_string()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "push to a SharedVec of 1 of at most 1 elements: \
///      it is full; make it with a larger `with_max`"
/// );
/// assert_eq!(error.into_value(), "Grace");
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PushError<T> {
    value: T,
    refused: Refused,
}

/// All but the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) len: usize,
    pub(super) max: usize,
    pub(super) why: Refusal,
}

impl<T> PushError<T> {
    pub(super) const fn new(value: T, refused: Refused) -> Self {
        PushError { value, refused }
    }

    /// The element.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Why it was not appended.
    pub const fn reason(&self) -> PushReason {
        match self.refused.why {
            Refusal::Full => PushReason::Full,
            Refusal::System(error) => PushReason::System(error),
            Refusal::Interrupted => PushReason::Interrupted,
        }
    }

    pub(super) const fn refused(&self) -> Refused {
        self.refused
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { len, max, why } = self;
        write!(out, "push to a SharedVec of {len} of at most {max} elements: ")?;
        match why {
            Refusal::Full => out.write_str("it is full; make it with a larger `with_max`"),
            Refusal::System(error) => error.fmt(out),
            Refusal::Interrupted => out.write_str(
                "the signal handler has interrupted its growth; push again when that has ended",
            ),
        }
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refused.fmt(out)
    }
}

/// Without the element, which need not have a text.
impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { len, max, .. } = self.refused;
        out.debug_struct("PushError")
            .field("len", &len)
            .field("max", &max)
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}

impl<T> core::error::Error for PushError<T> {}
