//! Floor 4, uses floors 0 to 3. Something that happens, and processes that wait for it.

use super::SharedMemory;
use super::cell::{CELL_LEN, Cell, Kind};
use super::wait::{Bell, Wait, wait};
use crate::error::{Error, ErrorKind, Op};
use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;

const UNSET: u32 = 0;
const SET: u32 = 1;

/// Who takes an event back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reset {
    /// The first one who sees it: it wakes one.
    Auto,
    /// [`Event::reset`] and nobody else: it wakes all, and those who come later.
    Manual,
}

/// An event of Windows' kind, in shared memory: it is set or not, and can be waited for.
///
/// It takes 64 bytes at an offset that is a multiple of 64. Where the memory reads zero it is an
/// event that is not set; nobody has to make it first. Whoever waits looks again for some 20 us, as
/// long as falling asleep takes, and sleeps then.
///
/// ```
/// use granule::section::shared::{Reset, SharedMemory};
/// use std::time::Duration;
/// # let name = format!("granule-doc-event-{}", std::process::id());
/// let Ok(memory) = SharedMemory::create(&name, 64) else { return Ok(()) };
/// let ready = memory.event(0, Reset::Auto)?;
/// ready.set(); // by any process that has the memory
/// ready.wait(None)?;
/// let again = ready.wait(Some(Duration::from_millis(1)));
/// assert_eq!(again.unwrap_err().kind(), granule::ErrorKind::TimedOut);
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("CreateEvent", "SetEvent", "WaitForSingleObject", "futex"))]
pub struct Event<'a> {
    memory: &'a SharedMemory,
    cell: &'a Cell,
    bell: Bell,
    offset: usize,
    reset: Reset,
}

impl SharedMemory {
    /// The event at an offset. All who use it have to agree on its kind.
    ///
    /// Linux: none. Windows: `CreateSemaphore`.
    ///
    /// # Errors
    /// - `Misaligned`: the offset is not a multiple of 64.
    /// - `OutOfRange`: the event would leave the memory.
    /// - `Corrupt`: an event of the other kind, a lock or something else lies there.
    /// - `Truncated`: another process has made the memory shorter.
    /// - `NoMemory`: there is none for a handle.
    pub fn event(&self, offset: usize, reset: Reset) -> Result<Event<'_>, Error> {
        let kind = match reset {
            Reset::Auto => Kind::AutoEvent,
            Reset::Manual => Kind::ManualEvent,
        };
        let cell = Cell::at(self, offset, kind)?;
        let bell = Bell::open(self, (offset / CELL_LEN) as u64)?;
        Ok(Event { memory: self, cell, bell, offset, reset })
    }
}

impl Event<'_> {
    /// Sets it. Whatever this process did before is seen by whoever finds it set.
    ///
    /// Where somebody sleeps: futex; on Windows `ReleaseSemaphore`.
    pub fn set(&self) {
        self.cell.word.swap(SET, Ordering::SeqCst);
        let waiting = self.cell.count.load(Ordering::SeqCst);
        if waiting > 0 {
            let count = if self.reset == Reset::Auto { 1 } else { waiting };
            self.bell.ring(&self.cell.word, count);
        }
    }

    /// Takes it back, if it is set.
    pub fn reset(&self) {
        self.cell.word.store(UNSET, Ordering::SeqCst);
    }

    /// True if it is set. It takes nothing back.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.cell.word.load(Ordering::Acquire) == SET
    }

    /// Waits until it is set; for as long as `limit` says, with `None` for ever. An event does not
    /// know who will set it: see [`wait_while_seated`](Self::wait_while_seated) for a peer that may
    /// die.
    ///
    /// Linux: clock_gettime, futex. Windows: `GetTickCount64`, `WaitForSingleObject`.
    ///
    /// # Errors
    /// - `TimedOut`: it was not set in that time. With `Some(Duration::ZERO)` this is one look.
    /// - `Truncated`: another process has made the memory shorter.
    pub fn wait(&self, limit: Option<Duration>) -> Result<(), Error> {
        wait(&mut Waiter { event: self, seat: None }, limit)
    }

    /// The same, for as long as somebody has a seat. The end of a process is noticed within 64 ms.
    ///
    /// Those of [`wait`](Self::wait) and of [`SharedMemory::is_seated`].
    ///
    /// # Errors
    /// - As for [`wait`](Self::wait).
    /// - `PeerGone`: nobody has the seat, and the event is not set.
    pub fn wait_while_seated(&self, seat: u32, limit: Option<Duration>) -> Result<(), Error> {
        wait(&mut Waiter { event: self, seat: Some(seat) }, limit)
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Event({:?} at offset {}, set: {})", self.reset, self.offset, self.is_set())
    }
}

struct Waiter<'a> {
    event: &'a Event<'a>,
    seat: Option<u32>,
}

impl Wait for Waiter<'_> {
    type Got = ();

    fn attempt(&mut self) -> Result<Option<()>, Error> {
        let word = &self.event.cell.word;
        let is_set = match self.event.reset {
            Reset::Manual => word.load(Ordering::SeqCst) == SET,
            Reset::Auto => {
                let told = word.compare_exchange(SET, UNSET, Ordering::SeqCst, Ordering::SeqCst);
                told.is_ok()
            }
        };
        Ok(is_set.then_some(()))
    }

    fn announce(&mut self) {
        self.event.cell.count.fetch_add(1, Ordering::SeqCst);
    }

    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Error> {
        let Event { memory, cell, bell, .. } = self.event;
        memory.sleep(bell, (&cell.word, UNSET), nanoseconds, self.event.offset)
    }

    fn retract(&mut self) {
        self.event.cell.count.fetch_sub(1, Ordering::SeqCst);
    }

    fn is_hopeless(&mut self) -> Result<bool, Error> {
        self.event.memory.check_len(Op::Wait)?;
        match self.seat {
            None => Ok(false),
            Some(seat) => match self.event.memory.is_seated(seat) {
                Ok(is_seated) => Ok(!is_seated),
                Err(error) => Err(error.as_part_of(Op::Wait)),
            },
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(Op::Wait, kind, self.event.offset, CELL_LEN, 0)
    }
}
