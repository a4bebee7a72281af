//! Floor 2, uses floors 0 and 1. Where a reservation comes to lie.

use super::place;
use super::search::{Direction, NotFound, Wanted};
use crate::error::Op;
use crate::sys::{self, CommitPolicy, Errno, Limits};
use core::cell::Cell;
use core::ptr::NonNull;

/// Where the range is to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Anywhere,
    /// In the granule that has this address.
    Hint(usize),
    Exact(usize),
    First(Direction),
}

/// A request that has passed the checks: where, how long, and a multiple of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fitted {
    pub(super) place: Place,
    pub(super) len: usize,
    pub(super) align: usize,
    pub(super) policy: CommitPolicy,
    pub(super) node: Option<u16>,
    pub(super) is_tracked: bool,
    pub(super) limits: Limits,
}

impl Fitted {
    /// Takes the addresses; with `pool`, the length of a huge page, from the pool of those.
    pub(super) fn take(self, pool: Option<usize>) -> Result<NonNull<u8>, NotFound> {
        let searched = |direction| self.search(direction, |addr| self.take_at(addr, pool));
        match (self.place, pool) {
            (Place::First(direction), _) => searched(direction),
            // The system chooses addresses of the pool's pages by their own alignment only.
            (Place::Anywhere, Some(huge_len)) if self.align > huge_len => {
                searched(Direction::TopDown)
            }
            (Place::Anywhere, None) if self.node.is_none() => {
                self.take_anywhere().map_err(NotFound::Refused)
            }
            (Place::Anywhere, _) => self.take_at(0, pool).map_err(NotFound::Refused),
            (Place::Exact(addr) | Place::Hint(addr), _) => {
                self.take_at(addr, pool).map_err(NotFound::Refused)
            }
        }
    }

    /// Takes the addresses with a write watch; `step` becomes the one that failed.
    pub(super) fn take_watched(self, step: &Cell<Op>) -> Result<NonNull<u8>, NotFound> {
        let Fitted { len, align, policy, .. } = self;
        let take = |addr| {
            // SAFETY: (1) as in `take_at`.
            let done = unsafe { sys::reserve_watched(addr, len, align, policy) };
            done.map_err(|(failed, errno)| {
                step.set(failed);
                errno
            })
        };
        match self.place {
            Place::First(direction) => self.search(direction, take),
            Place::Anywhere => take(0).map_err(NotFound::Refused),
            Place::Exact(addr) | Place::Hint(addr) => take(addr).map_err(NotFound::Refused),
        }
    }

    fn search<T>(
        self,
        direction: Direction,
        take: impl Fn(usize) -> Result<T, Errno>,
    ) -> Result<T, NotFound> {
        let Fitted { len, align, limits, .. } = self;
        Wanted { direction, len, align, limits }.search(take)
    }

    /// Where the next one is best, or where the system likes.
    fn take_anywhere(self) -> Result<NonNull<u8>, Errno> {
        let Fitted { len, align, policy, is_tracked, limits, .. } = self;
        // SAFETY: (1) as in `take_at`.
        let reserve = |hint| unsafe { sys::reserve(hint, len, align, policy) };
        if !is_tracked {
            // What is not in the table gains nothing from a good place.
            return reserve(0);
        }
        let hint = || place::hint(len, align, limits.address_min);
        let first = hint();
        let base = reserve(first)?;
        place::taken(base.addr().get(), first);
        if place::is_good(base.addr().get(), len) {
            return Ok(base);
        }
        // Somebody was there. Below what the system has chosen there is room as a rule.
        let second = hint();
        let made = if second == 0 { None } else { reserve(second).ok() };
        let kept = made.map_or(base, |made| better_of(base, made, second, len));
        place::taken(kept.addr().get(), second);
        Ok(kept)
    }

    /// Exactly at `addr`; with a pool or a node, if that is 0, anywhere.
    fn take_at(self, addr: usize, pool: Option<usize>) -> Result<NonNull<u8>, Errno> {
        let Fitted { len, align, policy, node, .. } = self;
        match (pool, node) {
            // SAFETY: (1) `fitted` made length and address multiples of the huge page.
            (Some(huge_len), _) => unsafe { sys::reserve_huge(addr, len, huge_len, node) },
            // SAFETY: (1) `fitted` made the length whole pages, not 0; the alignment a power of two
            // of at least the granularity; and the address its multiple.
            (None, Some(node)) => unsafe { sys::reserve_near(addr, len, align, policy, node) },
            // SAFETY: (1) as above.
            (None, None) => unsafe { sys::reserve_at(addr, len, policy) },
        }
    }
}

/// Gives one of two ranges of `len` bytes back, which nobody knows: the one not at `wanted`.
fn better_of(base: NonNull<u8>, made: NonNull<u8>, wanted: usize, len: usize) -> NonNull<u8> {
    let is_better = made.addr().get() == wanted;
    let (kept, other) = if is_better { (made, base) } else { (base, made) };
    // SAFETY: (1) the caller has just reserved it.
    if unsafe { sys::release(other, len) }.is_ok() {
        return kept;
    }
    // What the system does not take back is used, then.
    // SAFETY: (1) as above. Should this be refused, too, addresses stay taken.
    let _ = unsafe { sys::release(kept, len) };
    other
}
