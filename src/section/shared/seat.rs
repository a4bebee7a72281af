//! Floor 4, uses floors 0 to 3. Seats: who lives.

use super::SharedMemory;
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use core::fmt;

/// Above the numbers of seats that programs choose are those of the locks.
pub(super) const LOCKS: u64 = 1 << 32;

/// A place at a table: at most one has it, until it is dropped or its process ends, however it
/// ends.
///
/// The others can ask whether it is taken ([`SharedMemory::is_seated`]), and wait for something for
/// as long as it is ([`Event::wait_while_seated`](super::Event::wait_while_seated)).
///
/// ```
/// use granule::section::shared::SharedMemory;
/// # let name = format!("granule-doc-seat-{}", std::process::id());
/// const SERVER: u32 = 0;
/// let Ok(memory) = SharedMemory::create(&name, 1) else { return Ok(()) };
/// let seat = memory.take_seat(SERVER)?;
/// assert!(memory.is_seated(SERVER)?);
/// assert!(memory.take_seat(SERVER).is_err());
/// drop(seat); // or the process is killed
/// assert!(!memory.is_seated(SERVER)?);
/// # Ok::<(), granule::Error>(())
/// ```
pub struct Seat {
    seat: usize,
    number: u64,
}

impl Seat {
    /// Takes a seat of any number; `None` if somebody has it.
    pub(super) fn take(memory: &SharedMemory, number: u64) -> Result<Option<Self>, Error> {
        // SAFETY: (1) open; (2) a seat of a program, or of a lock at an offset that was checked.
        let taken = unsafe { sys::claim(&memory.name, memory.named, number) };
        let taken = taken.map_err(|errno| memory.error_of(errno, Op::Share))?;
        Ok(taken.map(|seat| Seat { seat, number }))
    }

    /// True while somebody has it.
    pub(super) fn is_taken(memory: &SharedMemory, number: u64) -> Result<bool, Error> {
        // SAFETY: as for `take`.
        unsafe { sys::is_claimed(&memory.name, memory.named, number) }
            .map_err(|errno| memory.error_of(errno, Op::Share))
    }
}

impl SharedMemory {
    /// Takes the seat of a number that the program gives a meaning to.
    ///
    /// Linux: openat, fcntl(F_OFD_SETLK); it keeps a file open. Windows: `CreateFileMapping`.
    ///
    /// # Errors
    /// - `AlreadyExists`: somebody has it.
    /// - `Denied`, `NoMemory`: too many files are open, or there is no memory for one.
    pub fn take_seat(&self, number: u32) -> Result<Seat, Error> {
        let taken = Seat::take(self, u64::from(number))?;
        taken.ok_or(self.error(Op::Share, ErrorKind::AlreadyExists, 0))
    }

    /// True while a process has that seat, this one included.
    ///
    /// Linux: fcntl(F_OFD_GETLK). Windows: `OpenFileMapping`.
    ///
    /// # Errors
    /// - `NoMemory`, `Denied`, `Other`: the system does not say.
    pub fn is_seated(&self, number: u32) -> Result<bool, Error> {
        Seat::is_taken(self, u64::from(number))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // SAFETY: (1) taken, and not used again.
        unsafe { sys::release_claim(self.seat) }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Seat({})", self.number)
    }
}
