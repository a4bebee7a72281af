//! Floor 2, uses floors 0 and 1. The search for the lowest or the highest free addresses.
//!
//! The system's own choice follows its own rules (Linux: downwards from below the stack; Windows:
//! upwards). Who wants a certain end of the address space asks the list of what is taken, from that
//! end on:
//!
//! ```text
//!  address_min                                                                   address_max
//!   | free | taken | free | taken |    free     | room of the stack | stack | free |
//!   ^ bottom-up begins here                                                        ^ top-down
//! ```
//!
//! Each step asks for the lowest taken range that meets the candidate, and moves the candidate
//! just past it; no gap is left out, because whatever lies between overlaps that range. The room
//! that the main thread's stack may still grow into counts as taken.

use crate::addr::{align_down, align_up};
use crate::error::{ErrorKind, Op};
use crate::sys::{self, Errno, Limits, Mapping};
use core::ops::Range;

/// From which end of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The lowest free addresses.
    BottomUp,
    /// The highest ones.
    TopDown,
}

/// How often somebody else may be faster before the search gives up.
const LOST_MAX: usize = 64;

/// How often the search takes steps of equal length before it doubles them.
const LOST_PER_STEP: usize = 4;

/// What the search ends with when it does not find: the system's number, or no place at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    NoPlace,
    Refused(Errno),
}

/// A range of addresses that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) direction: Direction,
    pub(super) len: usize,
    /// A power of two, at least the granularity.
    pub(super) align: usize,
    pub(super) limits: Limits,
}

impl Wanted {
    /// Takes the first free place in the order of the direction. `take` takes exactly the addresses
    /// that it is given. Asks the system for one mapping per step.
    pub(super) fn search<T>(self, take: impl Fn(usize) -> Result<T, Errno>) -> Result<T, NotFound> {
        let room = sys::stack_room();
        let taken = |addr: usize| -> Result<Option<Range<usize>>, Errno> {
            let mapping = sys::mapping_at_or_above(addr)?;
            let mapping = mapping.map(|Mapping { start, end, .. }| start..end);
            Ok(lower(mapping, room.clone().filter(|room| addr < room.end)))
        };
        let mut from = self.first();
        let mut lost = 0;
        loop {
            let place = self.free_from(from, &taken).map_err(NotFound::Refused)?;
            let place = place.ok_or(NotFound::NoPlace)?;
            match take(place) {
                Ok(done) => return Ok(done),
                Err(errno) if lost < LOST_MAX && is_lost(errno) => {
                    // Once more there, if the list knows by now; else the next place.
                    lost += 1;
                    let again = self.free_from(Some(place), &taken).map_err(NotFound::Refused)?;
                    let is_listed = again != Some(place);
                    from = if is_listed { again } else { self.next(place, lost) };
                }
                Err(errno) => return Err(NotFound::Refused(errno)),
            }
        }
    }

    fn first(self) -> Option<usize> {
        let Limits { address_min, address_max, .. } = self.limits;
        match self.direction {
            Direction::BottomUp => align_up(address_min, self.align),
            Direction::TopDown => {
                Some(align_down((address_max + 1).checked_sub(self.len)?, self.align))
            }
        }
    }

    /// The next place behind one that cannot be had although it looks free. Nobody tells how far
    /// what is in the way reaches (under Wine: gigabytes of the system below it), so the steps
    /// grow with the places that were `lost`.
    fn next(self, place: usize, lost: usize) -> Option<usize> {
        let step = self.align.checked_mul(1 << (lost / LOST_PER_STEP))?;
        match self.direction {
            Direction::BottomUp => place.checked_add(step),
            Direction::TopDown => place.checked_sub(step),
        }
    }

    /// The first free place in the order of the direction, beginning with the candidate. `taken`
    /// tells the lowest taken range that ends above an address.
    fn free_from(
        self,
        mut candidate: Option<usize>,
        taken: &impl Fn(usize) -> Result<Option<Range<usize>>, Errno>,
    ) -> Result<Option<usize>, Errno> {
        let Limits { address_min, address_max, .. } = self.limits;
        while let Some(place) = candidate {
            let fits = place >= address_min
                && place.checked_add(self.len).is_some_and(|end| end - 1 <= address_max);
            if !fits {
                return Ok(None);
            }
            let Some(range) = taken(place)?.filter(|range| range.start < place + self.len) else {
                return Ok(Some(place));
            };
            candidate = match self.direction {
                Direction::BottomUp => align_up(range.end, self.align),
                Direction::TopDown => {
                    range.start.checked_sub(self.len).map(|addr| align_down(addr, self.align))
                }
            };
        }
        Ok(None)
    }
}

/// Somebody was faster, or the system keeps the place for itself.
fn is_lost(errno: Errno) -> bool {
    matches!(sys::explain(Op::Reserve, errno), ErrorKind::AddressTaken | ErrorKind::Denied)
}

fn lower(one: Option<Range<usize>>, other: Option<Range<usize>>) -> Option<Range<usize>> {
    match (one, other) {
        (Some(one), Some(other)) if other.start < one.start => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::CommitPolicy;
    use proptest::prelude::*;
    use std::vec::Vec;

    const LIMITS: Limits = Limits { page_len: 1, granularity: 4, address_min: 4, address_max: 255 };

    /// The slow way: tries every place in order.
    fn by_hand(wanted: Wanted, taken: &[bool]) -> Option<usize> {
        let fits = |&place: &usize| {
            place % wanted.align == 0
                && place + wanted.len <= 256
                && !taken[place..place + wanted.len].contains(&true)
        };
        match wanted.direction {
            Direction::BottomUp => (4..256).find(fits),
            Direction::TopDown => (4..256).rev().find(fits),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_gap_is_left_out(
            ranges in proptest::collection::vec((0usize..256, 1usize..40), 0..12),
            len in 1usize..100,
            shift in 2u32..7,
            top_down in any::<bool>(),
        ) {
            let mut bytes = [false; 256];
            for (start, len) in ranges {
                bytes[start..(start + len).min(256)].fill(true);
            }
            let direction = if top_down { Direction::TopDown } else { Direction::BottomUp };
            let wanted = Wanted { direction, len, align: 1 << shift, limits: LIMITS };
            let taken = |addr: usize| {
                let start = (addr..256).find(|&byte| bytes[byte]);
                Ok(start.map(|start| {
                    let end = (start..256).find(|&byte| !bytes[byte]).unwrap_or(256);
                    let start = (0..=start).rev().take_while(|&byte| bytes[byte]).last();
                    start.unwrap_or(addr)..end
                }))
            };
            let found = wanted.free_from(wanted.first(), &taken);
            prop_assert_eq!(found, Ok(by_hand(wanted, &bytes)));
        }
    }

    #[test]
    fn a_faster_one_is_passed_by_and_the_search_ends() {
        let limits = sys::limits();
        let page = limits.granularity;
        // SAFETY: (1) both are multiples of the page.
        let base = unsafe { sys::reserve(0, page, page, CommitPolicy::Strict) }.expect("addresses");
        // SAFETY: (1) as above.
        let twice = unsafe { sys::reserve_at(base.addr().get(), page, CommitPolicy::Strict) };
        let taken = twice.expect_err("taken a moment ago");
        // SAFETY: (1) reserved above, and known to nobody else.
        unsafe { sys::release(base, page) }.expect("given back");
        for direction in [Direction::BottomUp, Direction::TopDown] {
            let wanted = Wanted { direction, len: page, align: page, limits };
            let tried = std::cell::RefCell::new(Vec::new());
            let refuse = |count: usize| {
                let tried = &tried;
                move |addr: usize| {
                    tried.borrow_mut().push(addr);
                    if tried.borrow().len() <= count { Err(taken) } else { Ok(addr) }
                }
            };
            let found = wanted.search(refuse(3)).expect("the fourth try");
            let order = tried.take();
            assert_eq!((order.len(), order[3]), (4, found));
            let rises = order.is_sorted_by(|a, b| a < b);
            let falls = order.is_sorted_by(|a, b| a > b);
            assert_eq!(
                (rises, falls),
                match direction {
                    Direction::BottomUp => (true, false),
                    Direction::TopDown => (false, true),
                }
            );
            assert!(matches!(wanted.search(refuse(usize::MAX)), Err(NotFound::Refused(_))));
            assert_eq!(tried.take().len(), LOST_MAX + 1);
        }
    }
}
