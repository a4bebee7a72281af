//! Floor 2, uses floors 0 and 1. Items that live for ever: the nodes and records of the page table.
//!
//! Memory comes from the system in steps, each twice as long as the one before, and never goes
//! back. So an item may be looked at by anybody at any time, whatever became of it.
//!
//! ```text
//!   step 0: 64 KiB | item 0 | item 1 | ..        each step is committed in pieces of 64 KiB, as
//!   step 1: 128 KiB | .. | .. | .. | ..          its items are taken for the first time
//! ```
//! 1. An item is handed out to one taker at a time.
//! 2. No call waits: of two threads that make the same step one gives its memory back.

use crate::ds::ready_stack::{Link, ReadyStack};
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{self, CommitPolicy, Errno, Protection};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Bytes of the first step, and of the pieces that are committed.
const PIECE_LEN: usize = 64 * 1024;

/// The steps hold 2^24 pieces, a terabyte.
const STEPS: usize = 24;

/// What a pool can be made of.
///
/// # Safety
/// 1. Bytes that are all zero are a value of the type, and that of a new item.
/// 2. The size divides [`PIECE_LEN`], and the alignment is at most a page.
pub(crate) unsafe trait Pooled: Sync + 'static {
    /// Where a word may be kept while the item is not taken.
    fn link(&self) -> &impl Link;
}

/// Why there is no item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// The system refused this step.
    System(Op, Errno),
    /// Every number is in use.
    Full,
}

impl Refusal {
    /// The error of a verb on `len` bytes at `addr`. Slow: see [`sys::explain`].
    pub(crate) fn error(self, op: Op, addr: usize, len: usize) -> Error {
        match self {
            Refusal::System(step, errno) => errno.in_step(step, op, addr, len),
            Refusal::Full => Error::new(op, ErrorKind::NoMemory, addr, len, 0),
        }
    }
}

/// A pool. Its items have numbers below `LIMIT`.
#[derive(Debug)]
pub(crate) struct Pool<T: 'static, const LIMIT: u32> {
    steps: [AtomicPtr<T>; STEPS],
    /// Items taken at least once.
    used: AtomicU32,
    back: ReadyStack,
}

impl<T: Pooled, const LIMIT: u32> Pool<T, LIMIT> {
    const FIRST_STEP: usize = PIECE_LEN / size_of::<T>();

    pub(crate) const fn new() -> Self {
        const { assert!(PIECE_LEN.is_multiple_of(size_of::<T>())) };
        Pool {
            steps: [const { AtomicPtr::new(ptr::null_mut()) }; STEPS],
            used: AtomicU32::new(0),
            back: ReadyStack::new(),
        }
    }

    /// An item that nobody has, and its number. It is zero, or what it was when it came back, but
    /// for the link.
    pub(crate) fn take(&self) -> Result<(u32, &'static T), Refusal> {
        if let Some(number) = self.back.pop(|number| self.known(number).link()) {
            return Ok((number, self.known(number)));
        }
        let mut number = self.used.load(Ordering::Acquire);
        loop {
            let item = self.provide(number)?;
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            match self.used.compare_exchange(number, number + 1, done, failed) {
                Ok(_) => return Ok((number, item)),
                Err(now) => number = now,
            }
        }
    }

    /// Item `number` is not used any more.
    pub(crate) fn give_back(&self, number: u32) {
        self.back.push(number, self.known(number).link());
    }

    /// Item `number`, if it was ever taken.
    pub(crate) fn get(&self, number: u32) -> Option<&'static T> {
        if number >= self.used.load(Ordering::Acquire) {
            return None;
        }
        let (step, index) = Self::place(number);
        let first = NonNull::new(self.steps[step].load(Ordering::Acquire))?;
        // SAFETY: `place` stays inside the step.
        let item = unsafe { first.add(index) };
        // SAFETY: `provide` committed the item's memory before it was counted in `used`, for ever,
        // and zero is a value of it (Pooled, 1).
        Some(unsafe { item.as_ref() })
    }

    fn known(&self, number: u32) -> &'static T {
        self.get(number).expect("only numbers that were taken come back")
    }

    /// The step of an item and its place there.
    const fn place(number: u32) -> (usize, usize) {
        let lap = number as usize / Self::FIRST_STEP + 1;
        let step = lap.ilog2() as usize;
        (step, number as usize - Self::FIRST_STEP * ((1 << step) - 1))
    }

    /// Sees to it that item `number`, the first one never taken, has memory.
    fn provide(&self, number: u32) -> Result<&'static T, Refusal> {
        let (step, index) = Self::place(number);
        if number >= LIMIT || step >= STEPS {
            return Err(Refusal::Full);
        }
        let first = match NonNull::new(self.steps[step].load(Ordering::Acquire)) {
            Some(first) => first,
            None => self.make_step(step)?,
        };
        // SAFETY: `place` stays inside the step.
        let item = unsafe { first.add(index) };
        if (index * size_of::<T>()).is_multiple_of(PIECE_LEN) {
            // Another thread may have done it and use it already: committing again changes nothing.
            // SAFETY: (1) a piece of a range of ours.
            unsafe { sys::commit(item.cast(), PIECE_LEN, Protection::ReadWrite) }
                .map_err(|errno| Refusal::System(Op::Commit, errno))?;
        }
        // SAFETY: the piece was committed with its first item, for ever; zero is a value (1).
        Ok(unsafe { item.as_ref() })
    }

    fn make_step(&self, step: usize) -> Result<NonNull<T>, Refusal> {
        let len = PIECE_LEN << step;
        let align = sys::limits().page_len;
        // Lazy: books are not charged to whoever commits pages.
        // SAFETY: (1) whole pages, as pages are at most 64 KiB.
        let made = unsafe { sys::reserve(0, len, align, CommitPolicy::Lazy) }
            .map_err(|errno| Refusal::System(Op::Reserve, errno))?;
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        let new = made.as_ptr().cast();
        match self.steps[step].compare_exchange(ptr::null_mut(), new, done, failed) {
            Ok(_) => {
                sys::inject::keep_range(made.addr().get(), len);
                Ok(made.cast())
            }
            Err(others) => {
                // SAFETY: (1) reserved above and known to nobody. If it is refused, addresses stay
                // taken; there is nothing better to do.
                let _ = unsafe { sys::release(made, len) };
                NonNull::new(others).ok_or(Refusal::Full)
            }
        }
    }
}
