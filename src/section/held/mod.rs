//! Floor 4, uses floors 0 to 3. Files that are held: nobody changes them, or nobody else has them.
//! The system keeps the others away, so that slices of them are safe.

mod exclusive;
mod frozen;
mod keeper;
mod lease;
mod leased_file;
mod own_copy;
#[cfg(test)]
mod tests;

pub use crate::sys::Proof;
pub use exclusive::Exclusive;
pub use frozen::{FreezePolicy, Frozen};
pub use leased_file::Lease;

use crate::error::{Call, Error, ErrorKind, Op};
use crate::sys::Errno;

/// The error of a file that somebody else has, if that is why it could not be opened.
fn in_use(error: &std::io::Error) -> Option<Error> {
    let errno = Errno(error.raw_os_error()?, Call::None);
    Some(errno.of(Op::Hold, 0, 0)).filter(|error| error.kind() == ErrorKind::InUse)
}
