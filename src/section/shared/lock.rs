//! Floor 4, uses floors 0 to 3. A lock between processes, which outlives whoever holds it.

use super::SharedMemory;
use super::cell::{CELL_LEN, Cell, Kind};
use super::seat::{LOCKS, Seat};
use super::wait::{Bell, Wait, wait};
use crate::ds::keyed_lock::{self, KEY_MAX, Try};
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// Locks lie in the first 4 GiB: their numbers of seats end there.
const CELLS_MAX: u64 = 1 << 26;

/// A lock in shared memory, for threads of any processes that have it: one of them holds it.
///
/// Each `Lock` has a key and a seat of its own. If its process dies while it holds the lock, the
/// next one gets it and is told so ([`Held::Abandoned`]), as with `WAIT_ABANDONED` of Windows and
/// `EOWNERDEAD` of robust mutexes; within 64 ms, if somebody waits already.
///
/// It takes 64 bytes at an offset that is a multiple of 64, below 4 GiB. Where the memory reads
/// zero it is a lock that nobody holds. It guards what the processes have agreed on and not a value
/// of Rust: a peer that writes over it makes two of them believe that they hold it.
///
/// ```
/// use granule::section::shared::{Held, SharedMemory};
/// # let name = format!("granule-doc-lock-{}", std::process::id());
/// let Ok(memory) = SharedMemory::create(&name, 128) else { return Ok(()) };
/// let counter = memory.section().racy::<u64>(64..128)?;
/// let lock = memory.lock(0)?;
/// let guard = match lock.lock(None)? {
///     Held::Intact(guard) => guard,
///     Held::Abandoned(guard) => guard, // here one would look whether the counter is right
/// };
/// counter.store(0, counter.load(0)? + 1)?;
/// drop(guard);
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("CreateMutex", "WAIT_ABANDONED", "PTHREAD_MUTEX_ROBUST", "EOWNERDEAD", "futex"))]
pub struct Lock<'a> {
    memory: &'a SharedMemory,
    cell: &'a Cell,
    bell: Bell,
    offset: usize,
    key: u32,
    /// Says that the holder of the key lives.
    _seat: Seat,
}

/// A lock that was taken.
#[derive(Debug)]
#[must_use]
pub enum Held<'a> {
    /// As it should be: whoever had it before has let go of it.
    Intact(LockGuard<'a>),
    /// Whoever had it before has died with it. What it guards may be changed by half; this holder
    /// has to make it right.
    Abandoned(LockGuard<'a>),
}

impl<'a> Held<'a> {
    /// The guard, in either case.
    pub fn into_guard(self) -> LockGuard<'a> {
        let (Held::Intact(guard) | Held::Abandoned(guard)) = self;
        guard
    }

    /// True if whoever had it before has died with it.
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        matches!(self, Held::Abandoned(_))
    }
}

/// Holds a [`Lock`]; dropping it lets go.
#[must_use]
pub struct LockGuard<'a>(&'a Lock<'a>);

/// The number of the seat of a key.
const fn seat_number(offset: usize, key: u32) -> u64 {
    ((offset / CELL_LEN) as u64 * LOCKS) + LOCKS + key as u64
}

const _: () = assert!((CELLS_MAX + 1) * LOCKS <= sys::CLAIMS);

impl SharedMemory {
    /// The lock at an offset.
    ///
    /// Linux: those of [`take_seat`](Self::take_seat). Windows: also `CreateSemaphore`.
    ///
    /// # Errors
    /// - `Misaligned`: the offset is not a multiple of 64.
    /// - `OutOfRange`: the lock would leave the memory, or its first 4 GiB.
    /// - `Corrupt`: an event or something else lies there.
    /// - `Truncated`: another process has made the memory shorter.
    /// - `Denied`, `NoMemory`: too many files are open, or there is no memory for a handle.
    pub fn lock(&self, offset: usize) -> Result<Lock<'_>, Error> {
        /// Keys that are taken in a row only if 2^31 were given out, or somebody plays with them.
        const TRIES: usize = 1000;
        if (offset / CELL_LEN) as u64 >= CELLS_MAX {
            return Err(self.error(Op::Share, ErrorKind::OutOfRange, offset));
        }
        let cell = Cell::at(self, offset, Kind::Lock)?;
        let bell = Bell::open(self, (offset / CELL_LEN) as u64)?;
        for _ in 0..TRIES {
            let key = cell.count.fetch_add(1, Ordering::Relaxed) & KEY_MAX;
            if key == 0 {
                continue;
            }
            if let Some(seat) = Seat::take(self, seat_number(offset, key))? {
                return Ok(Lock { memory: self, cell, bell, offset, key, _seat: seat });
            }
        }
        Err(self.error(Op::Share, ErrorKind::Corrupt, offset))
    }
}

impl Lock<'_> {
    /// Takes the lock; waits for it as long as `limit` says, with `None` for ever. A thread that
    /// has it already waits for itself.
    ///
    /// Linux: none if it is free; else clock_gettime, futex, fcntl(F_OFD_GETLK). Windows:
    /// `GetTickCount64`, `WaitForSingleObject`, `OpenFileMapping`.
    ///
    /// # Errors
    /// - `TimedOut`: somebody who lives has had it for so long.
    /// - `Truncated`: another process has made the memory shorter.
    /// - `NoMemory`, `Denied`, `Other`: the system does not say whether the holder lives.
    pub fn lock(&self, limit: Option<Duration>) -> Result<Held<'_>, Error> {
        wait(&mut Waiter { lock: self, found: 0, marked: None, dead: None }, limit)
    }

    /// Takes the lock if nobody who lives has it.
    ///
    /// Where somebody has it: fcntl(F_OFD_GETLK); on Windows `OpenFileMapping`.
    ///
    /// # Errors
    /// As for [`lock`](Self::lock), but for `TimedOut`.
    pub fn try_lock(&self) -> Result<Option<Held<'_>>, Error> {
        let mut waiter = Waiter { lock: self, found: 0, marked: None, dead: None };
        if let Some(held) = waiter.attempt()? {
            return Ok(Some(held));
        }
        waiter.is_hopeless()?;
        waiter.attempt()
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        let Lock { cell, bell, .. } = self.0;
        if keyed_lock::let_go(&cell.word) {
            bell.ring(&cell.word, 1);
        }
    }
}

impl fmt::Debug for Lock<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Lock(at offset {}, key {})", self.offset, self.key)
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LockGuard({:?})", self.0)
    }
}

struct Waiter<'a> {
    lock: &'a Lock<'a>,
    /// The word as it was found last.
    found: u32,
    /// What to sleep on: there is something once this one has waited.
    marked: Option<u32>,
    /// The word of a holder that is dead.
    dead: Option<u32>,
}

impl<'a> Wait for Waiter<'a> {
    type Got = Held<'a>;

    fn attempt(&mut self) -> Result<Option<Held<'a>>, Error> {
        let Lock { cell, key, .. } = self.lock;
        if let Some(word) = self.dead.take()
            && keyed_lock::take_over(&cell.word, word, *key)
        {
            return Ok(Some(Held::Abandoned(LockGuard(self.lock))));
        }
        match keyed_lock::try_take(&cell.word, *key, self.marked.is_some()) {
            Try::Taken => Ok(Some(Held::Intact(LockGuard(self.lock)))),
            Try::Held(word) => {
                self.found = word;
                Ok(None)
            }
        }
    }

    fn announce(&mut self) {
        // Marked or changed meanwhile: a sleep on a word that has changed is none.
        let marked = keyed_lock::mark_awaited(&self.lock.cell.word, self.found);
        self.marked = Some(marked.unwrap_or(self.found));
    }

    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Error> {
        let Lock { memory, cell, bell, offset, .. } = self.lock;
        let word = self.marked.unwrap_or(self.found);
        memory.sleep(bell, (&cell.word, word), nanoseconds, *offset)
    }

    fn retract(&mut self) {}

    /// There is always hope; but a holder that is dead is noted.
    fn is_hopeless(&mut self) -> Result<bool, Error> {
        let Lock { memory, offset, .. } = self.lock;
        memory.check_len(Op::Wait)?;
        let key = keyed_lock::key_of(self.found);
        let lives = Seat::is_taken(memory, seat_number(*offset, key));
        if key != 0 && !lives.map_err(|error| error.as_part_of(Op::Wait))? {
            self.dead = Some(self.found);
        }
        Ok(false)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(Op::Wait, kind, self.lock.offset, CELL_LEN, 0)
    }
}
