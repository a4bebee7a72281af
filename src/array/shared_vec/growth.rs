//! Floor 4, uses floors 0 to 3. The memory of a shared array, and how it grows.
//!
//! ```text
//!   | elements: committed ====>          | ring of notes | late notes: committed =>      |
//!   0                                    ring_start      late_start
//! ```
//! One thread at a time grows it, ahead of need if all goes well: when half of the room that was
//! granted last is used. The others go on while there is room, and wait only if there is none.

use super::turn::{Taken, Turn};
use crate::addr::align_down;
use crate::array::schedule;
use crate::ds::prefix::{INDEX_MAX, Notes, Prefix, Ticket};
use crate::error::{Error, ErrorKind, Op};
use crate::vm::{HugeWish, Protection, Reservation};
use core::alloc::Layout;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// Bytes of the ring in a long array: how many appends there can be from an incomplete one on until
/// notes have to be late ones.
const RING_SHIFT_MAX: u32 = 20;

/// How often a full ring is looked at, with a pause each time, before notes become late ones, which
/// is for good. With more threads than processors, the one that holds it up may only have to be
/// given one again.
const PATIENCE: usize = 512;

/// Turns of each of those pauses, after the processor was given away: where nobody else wants it
/// all of them together are some milliseconds.
const TURNS: usize = 1000;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The maximum is reached.
    Full,
    /// The system refused memory.
    System(Error),
    /// The calling signal handler has interrupted the growth.
    Interrupted,
}

/// What came of an attempt to grow.
#[derive(Debug, PartialEq, Eq)]
enum Grown {
    /// There is room.
    Room,
    /// Another thread is at it.
    Theirs,
    /// The ring is full.
    Held,
}

/// How far indices can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// Below this one the ring has room for their notes.
    Ring(usize),
    /// All the way: notes are late ones, or are from the limit on.
    Late,
}

/// Addresses, how much of them is committed, and whose turn it is to commit more.
#[derive(Debug)]
pub(super) struct Memory {
    reservation: Reservation,
    element: Layout,
    max: usize,
    ring_start: usize,
    ring_len: usize,
    late_start: usize,
    /// Bytes of elements that are committed. Not 0: the ring is, too.
    committed: AtomicUsize,
    /// Bytes of late notes that are.
    late_committed: AtomicUsize,
    /// With less room than this it is time to grow.
    low: AtomicUsize,
    pub(super) turn: Turn,
}

/// The logarithm of the ring's length in an array of at most `max` elements.
pub(super) const fn ring_shift(max: usize) -> u32 {
    let wanted = max.saturating_sub(1).checked_ilog2();
    match wanted {
        Some(log) if log + 1 < RING_SHIFT_MAX => log + 1,
        Some(_) => RING_SHIFT_MAX,
        None => 0,
    }
}

/// Bytes rounded up to a length that every system commits as it is.
const fn in_steps(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(schedule::STEP)
}

impl Memory {
    /// Addresses for `max` elements, neither of which is nothing.
    pub(super) fn new(element: Layout, max: usize) -> Result<Self, Error> {
        let (len, ring_start, late_start) = Self::lengths(element, max).ok_or(Error::new(
            Op::Reserve,
            ErrorKind::OutOfRange,
            0,
            element.size().saturating_mul(max),
            0,
        ))?;
        let mut builder = Reservation::builder().len(len).align(element.align());
        if ring_start >= schedule::BLOCK {
            builder = builder.huge_pages(HugeWish::Advised);
        }
        Ok(Memory {
            reservation: builder.reserve()?,
            element,
            max,
            ring_start,
            ring_len: 1 << ring_shift(max),
            late_start,
            committed: AtomicUsize::new(0),
            late_committed: AtomicUsize::new(0),
            low: AtomicUsize::new(0),
            turn: Turn::default(),
        })
    }

    /// Bytes of all, and where the ring and the late notes begin; `None` if it is too much for an
    /// address, or too many for a ticket.
    fn lengths(element: Layout, max: usize) -> Option<(usize, usize, usize)> {
        if max as u64 > INDEX_MAX {
            return None;
        }
        let ring_start = in_steps(element.size().checked_mul(max)?)?;
        let late_start = ring_start.checked_add(in_steps(1 << ring_shift(max))?)?;
        let len = late_start.checked_add(in_steps(max.div_ceil(64) * 8)?)?;
        (len <= isize::MAX as usize).then_some((len, ring_start, late_start))
    }

    pub(super) const fn as_ptr(&self) -> *mut u8 {
        self.reservation.as_ptr()
    }

    /// Elements that there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.capacity_of(self.committed.load(Ordering::Acquire))
    }

    fn capacity_of(&self, committed: usize) -> usize {
        (committed / self.element.size()).min(self.max)
    }

    /// How far all elements are complete.
    #[inline]
    pub(super) fn advance(&self, prefix: &Prefix) -> usize {
        // The ring is committed together with the first elements.
        if self.committed.load(Ordering::Acquire) == 0 { 0 } else { prefix.advance(self) }
    }

    /// A ticket for who found no room: waits for who grows the array, or grows it.
    #[cold]
    pub(super) fn ticket(&self, prefix: &Prefix) -> Result<Ticket, Refusal> {
        let mut looks = 0;
        loop {
            if prefix.has_room()
                && let Some(ticket) = prefix.take()
            {
                return Ok(ticket);
            }
            match self.grow(prefix, looks >= PATIENCE)? {
                Grown::Room => {}
                Grown::Theirs => pause(),
                Grown::Held => {
                    looks += 1;
                    pause();
                    (0..TURNS).for_each(|_| core::hint::spin_loop());
                }
            }
        }
    }

    /// Keeps the array ahead: notes how far it is complete, and grows it if room gets low. Refused
    /// or not, there still is some room.
    pub(super) fn look_ahead(&self, prefix: &Prefix, room: usize) {
        prefix.advance(self);
        if room < self.low.load(Ordering::Relaxed) {
            self.grow_ahead(prefix);
        }
    }

    #[cold]
    fn grow_ahead(&self, prefix: &Prefix) {
        let Taken::Ours(_held) = self.turn.take() else { return };
        let limit = prefix.limit();
        let window = self.window(prefix);
        // A little more at a time would be a lot of work, and late notes can wait until they must.
        let is_enough = match window {
            Window::Ring(end) => end >= self.max || end - limit >= self.ring_len / 4,
            Window::Late => true,
        };
        if limit < self.max && is_enough && self.grow_to(prefix, window).is_err() {
            // Whoever needs the room is told.
            self.low.store(0, Ordering::Relaxed);
        }
    }

    /// Makes room, if it is the caller's turn.
    fn grow(&self, prefix: &Prefix, is_out_of_patience: bool) -> Result<Grown, Refusal> {
        let _held = match self.turn.take() {
            Taken::Ours(held) => held,
            Taken::Theirs => return Ok(Grown::Theirs),
            Taken::Interrupted => return Err(Refusal::Interrupted),
        };
        if prefix.has_room() {
            return Ok(Grown::Room);
        }
        let limit = prefix.limit();
        if limit >= self.max {
            return Err(Refusal::Full);
        }
        let mut window = self.window(prefix);
        if window == Window::Ring(limit) {
            if !is_out_of_patience {
                return Ok(Grown::Held);
            }
            window = Window::Late;
        }
        self.grow_to(prefix, window).map_err(Refusal::System)?;
        Ok(Grown::Room)
    }

    fn window(&self, prefix: &Prefix) -> Window {
        if prefix.is_late() {
            return Window::Late;
        }
        let end = self.advance(prefix).saturating_add(self.ring_len);
        Window::Ring(end.min(self.max))
    }

    /// Grants indices behind the limit and commits what they need. For who has the turn, and knows
    /// that the limit is below the maximum and the end of the window.
    fn grow_to(&self, prefix: &Prefix, window: Window) -> Result<(), Error> {
        let limit = prefix.limit();
        let mut committed = self.committed.load(Ordering::Relaxed);
        if committed == 0 {
            self.commit(self.ring_start..self.ring_start + self.ring_len)?;
        }
        if self.capacity_of(committed) <= limit {
            let needed = (limit + 1) * self.element.size();
            let next = schedule::next(committed, needed, self.ring_start);
            self.commit(committed..next)?;
            committed = next;
            self.committed.store(committed, Ordering::Release);
        }
        let capacity = self.capacity_of(committed);
        let end = match window {
            Window::Ring(end) => end.min(capacity),
            Window::Late => {
                let end = self.commit_late(limit, capacity)?;
                prefix.set_late(end);
                end
            }
        };
        self.low.store((end - limit) / 2, Ordering::Relaxed);
        prefix.grant(end);
        Ok(())
    }

    /// Commits late notes for indices from `limit` on, up to `end` or less; tells how far.
    fn commit_late(&self, limit: usize, end: usize) -> Result<usize, Error> {
        // Whole steps, so that no page is committed twice.
        let (first, needed) = (align_down(limit / 64 * 8, schedule::STEP), (limit / 64 + 1) * 8);
        let mut committed = self.late_committed.load(Ordering::Relaxed).max(first);
        if committed < needed {
            let next = (committed + schedule::STEP).min(self.late_len());
            self.commit(self.late_start + committed..self.late_start + next)?;
            committed = next;
            self.late_committed.store(committed, Ordering::Relaxed);
        }
        Ok((committed * 8).min(end))
    }

    fn late_len(&self) -> usize {
        self.reservation.len() - self.late_start
    }

    /// Commits what was not committed before.
    fn commit(&self, range: Range<usize>) -> Result<(), Error> {
        match self.reservation.commit(range.clone(), Protection::ReadWrite) {
            // A commit before failed, and then could not be taken back.
            Err(error) if error.kind() == ErrorKind::BadState => {
                let emptied = self.reservation.decommit(range.clone());
                emptied.map_err(|error| error.as_part_of(Op::Commit))?;
                self.reservation.commit(range, Protection::ReadWrite)
            }
            done => done,
        }
    }
}

impl Notes for Memory {
    #[inline]
    fn ring(&self) -> &[AtomicU8] {
        // SAFETY: the reservation has room for the ring there.
        let start = unsafe { self.as_ptr().add(self.ring_start) };
        // SAFETY: the ring is committed before anything is granted, and nobody asks before that; it
        // stays so as long as the reservation; its bytes are used as atomics only.
        unsafe { core::slice::from_raw_parts(start.cast(), self.ring_len) }
    }

    fn late(&self, word: usize) -> &AtomicU64 {
        debug_assert!(word * 8 < self.late_len());
        // SAFETY: a word of a limit given to `set_late`, which the reservation has room for.
        let word = unsafe { self.as_ptr().add(self.late_start + word * 8) };
        // SAFETY: it is aligned, was committed before `set_late`, stays so as long as the
        // reservation, and is used as an atomic only.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }
}

/// Gives the processor to another thread, where the library may ask for that.
fn pause() {
    #[cfg(feature = "std")]
    std::thread::yield_now();
    #[cfg(not(feature = "std"))]
    core::hint::spin_loop();
}
