//! Floor 4, uses floors 0 to 3. Waiting for another process: a little by looking again, then
//! asleep, and never for one that has died.

use super::SharedMemory;
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, Errno};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

/// Looks before somebody sleeps: as long as falling asleep and being woken take, some 20 us.
const LOOKS: usize = 1000;
/// The first sleep, in nanoseconds; each is twice as long as the one before.
const SLEEP_MIN: u64 = 1_000_000;
/// The longest: how long a death can go unnoticed.
const SLEEP_MAX: u64 = 64_000_000;

/// Something that is waited for.
pub(super) trait Wait {
    type Got;

    /// Takes it if it is there.
    fn attempt(&mut self) -> Result<Option<Self::Got>, Error>;

    /// Says that somebody is about to sleep. What happens from now on rings.
    fn announce(&mut self);

    /// Sleeps until it rings, or so many nanoseconds are over, or for no reason.
    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Error>;

    /// Takes back what `announce` said.
    fn retract(&mut self);

    /// True if nobody is left who could make it come.
    fn is_hopeless(&mut self) -> Result<bool, Error>;

    fn error(&self, kind: ErrorKind) -> Error;
}

/// Waits for it, and for no longer than `limit`.
pub(super) fn wait<W: Wait>(what: &mut W, limit: Option<Duration>) -> Result<W::Got, Error> {
    if let Some(got) = what.attempt()? {
        return Ok(got);
    }
    if limit == Some(Duration::ZERO) {
        return Err(what.error(ErrorKind::TimedOut));
    }
    for _ in 0..LOOKS {
        core::hint::spin_loop();
        if let Some(got) = what.attempt()? {
            return Ok(got);
        }
    }
    let mut now = sys::monotonic_ns();
    let limit = limit.map_or(u64::MAX, |limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
    let end = now.saturating_add(limit);
    let mut sleep = SLEEP_MIN;
    let mut ask_at = (now + sleep).min(end);
    while now < end {
        what.announce();
        let woken = match what.attempt() {
            Ok(None) => what.sleep(ask_at - now).and_then(|()| what.attempt()),
            told => told,
        };
        what.retract();
        if let Some(got) = woken? {
            return Ok(got);
        }
        now = sys::monotonic_ns();
        // To be woken in vain is no reason to ask more often.
        if now < ask_at {
            continue;
        }
        if what.is_hopeless()? {
            // Whatever it did before it died has been done by now.
            return what.attempt()?.ok_or(what.error(ErrorKind::PeerGone));
        }
        sleep = (2 * sleep).min(SLEEP_MAX);
        ask_at = (now + sleep).min(end);
    }
    what.attempt()?.ok_or(what.error(ErrorKind::TimedOut))
}

/// What is slept at: a word, and what the system needs beside it.
#[derive(Debug)]
pub(super) struct Bell(usize);

impl Bell {
    /// The bell of that number in some memory.
    pub(super) fn open(memory: &SharedMemory, number: u64) -> Result<Self, Error> {
        let opened = sys::open_bell(&memory.name, number);
        opened.map(Bell).map_err(|errno| memory.error_of(errno, Op::Share))
    }

    /// Sleeps while `word` has this value.
    pub(super) fn wait(&self, word: &AtomicU32, value: u32, limit: u64) -> Result<(), Errno> {
        // SAFETY: (1) open, and always used with one word.
        unsafe { sys::wait_bell(self.0, word, value, limit) }
    }

    /// Wakes as many.
    pub(super) fn ring(&self, word: &AtomicU32, count: u32) {
        // SAFETY: (1) as above.
        unsafe { sys::ring_bell(self.0, word, count) }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // SAFETY: (1) open, and not used again.
        unsafe { sys::close_bell(self.0) }
    }
}

impl SharedMemory {
    /// Sleeps at a bell while its word, which lies at `offset`, has a value.
    pub(super) fn sleep(
        &self,
        bell: &Bell,
        (word, value): (&AtomicU32, u32),
        nanoseconds: u64,
        offset: usize,
    ) -> Result<(), Error> {
        bell.wait(word, value, nanoseconds).or_else(|errno| {
            // The kernel does not say that the page is gone; a touch finds it out.
            word.load(Ordering::Relaxed);
            self.check_len(Op::Wait)?;
            Err(errno.of(Op::Wait, offset, size_of::<u32>()))
        })
    }
}
