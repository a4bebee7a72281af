//! Floor 4, pure. How far a file is extended when it has to grow.
//!
//! ```text
//!   64K  128K  256K  512K  1M ..  64M   128M   192M   256M ..
//!   |----|-----|-----|-----|--....-|-----|------|------|    the file while it is open
//! ```
//! It doubles until that is a whole step, and goes on step by step: a small file takes little, and
//! a large one is extended rarely. The step counts: on ext4 steps of 1 MiB make appends several
//! times as slow as steps of 64 MiB, because the pages of the cache are smaller.
//!
//! Of the room the next 256 KiB are brought into memory before they are needed ([`ahead`]).
#![forbid(unsafe_code)]

use core::ops::Range;

/// What ends are multiples of: the granularity of Windows, and a multiple of every page.
pub(super) const UNIT: usize = 64 << 10;

/// Bytes of a step, unless told otherwise.
pub(super) const STEP: usize = 64 << 20;

/// The end that covers `len` bytes; `None` beyond all addresses.
pub(super) const fn covering(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(UNIT)
}

/// The end to go on to from `end`, so that `needed` bytes are covered, but not beyond `max`, which
/// is at least `needed`. `step` is not 0.
pub(super) const fn next(end: usize, needed: usize, step: usize, max: usize) -> usize {
    let ahead = if end < step { end } else { step };
    let wish = end.saturating_add(ahead);
    let wish = if wish < needed { needed } else { wish };
    match covering(wish) {
        Some(next) if next < max => next,
        _ => max,
    }
}

/// Bytes that are brought in together: what a processor's own cache has room for. The cache of
/// files keeps them as one piece, if it can, and a flush of one byte writes a whole piece.
pub(super) const AHEAD: usize = 256 << 10;

/// Where the content stands when an append looks ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Bytes of content.
    pub(super) len: usize,
    /// Bytes that it will have.
    pub(super) needed: usize,
    /// Of these so many were not flushed.
    pub(super) unflushed: usize,
    /// What is before this was brought in.
    pub(super) ready: usize,
    /// Bytes that the file has room for.
    pub(super) room: usize,
}

/// The bytes to bring in: whole units behind the content, up to the next multiple of [`AHEAD`].
/// None (an empty range) as long as the content was flushed a short time ago, so that a program
/// that flushes each append does not write a large piece each time; and none for an append that
/// reaches beyond them, which would be written twice.
pub(super) const fn ahead(place: Place) -> Range<usize> {
    let Place { len, needed, unflushed, ready, room } = place;
    let Some(behind) = len.checked_next_multiple_of(UNIT) else { return 0..0 };
    let from = if behind < ready { ready } else { behind };
    let last = room - room % UNIT;
    let Some(to) = (from + 1).checked_next_multiple_of(AHEAD) else { return 0..0 };
    let to = if to < last { to } else { last };
    if unflushed < AHEAD || needed > to || from >= to {
        return 0..0;
    }
    from..to
}

/// All whole units behind the content.
pub(super) const fn all(place: Place) -> Range<usize> {
    let Some(behind) = place.len.checked_next_multiple_of(UNIT) else { return 0..0 };
    let from = if behind < place.ready { place.ready } else { behind };
    let last = place.room - place.room % UNIT;
    if from < last { from..last } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn it_doubles_up_to_a_step_and_steps_follow() {
        let (mut end, mut ends) = (UNIT, Vec::new());
        while end < 4 * (1 << 20) {
            end = next(end, end + 1, 1 << 20, 1 << 40);
            ends.push(end / UNIT);
        }
        assert_eq!(ends, [2, 4, 8, 16, 32, 48, 64]);
    }

    #[test]
    fn what_is_needed_is_covered_and_nothing_beyond_the_end() {
        for needed in [UNIT + 1, 5 * UNIT, STEP + 1, 1 << 36] {
            let end = next(UNIT, needed, STEP, 1 << 37);
            assert!(end >= needed && end <= needed + STEP && end.is_multiple_of(UNIT));
            assert_eq!(next(UNIT, needed, STEP, needed), needed);
        }
        assert_eq!(next(STEP, usize::MAX, STEP, usize::MAX), usize::MAX);
        assert_eq!(covering(usize::MAX), None);
    }

    #[test]
    fn appends_are_led_by_blocks() {
        let start = Place { len: 0, needed: 0, unflushed: 0, ready: 0, room: STEP - 4096 };
        let mut ready = 0;
        let mut blocks = Vec::new();
        for len in (0..4 * AHEAD).step_by(1000) {
            let needed = len + 1000;
            if needed > ready {
                let block = ahead(Place { len, needed, unflushed: needed, ready, ..start });
                ready = ready.max(block.end);
                blocks.extend((!block.is_empty()).then_some(block));
            }
        }
        let first = AHEAD..2 * AHEAD;
        assert_eq!(
            blocks,
            [first, 2 * AHEAD..3 * AHEAD, 3 * AHEAD..4 * AHEAD, 4 * AHEAD..5 * AHEAD]
        );
    }

    #[test]
    fn what_is_flushed_or_large_or_at_the_end_is_not_led() {
        let len = 8 * AHEAD - 10;
        let place =
            Place { len, needed: len + 20, unflushed: AHEAD, ready: len + 10, room: 1 << 30 };
        assert_eq!(ahead(place), 8 * AHEAD..9 * AHEAD);
        assert!(ahead(Place { unflushed: AHEAD - 1, ..place }).is_empty());
        assert!(ahead(Place { needed: len + AHEAD + 20, ..place }).is_empty());
        assert_eq!(
            ahead(Place { room: 8 * AHEAD + UNIT + 5, ..place }),
            8 * AHEAD..8 * AHEAD + UNIT
        );
        assert!(ahead(Place { room: 8 * AHEAD + 5, ..place }).is_empty());
        let last =
            Place { len: usize::MAX, needed: usize::MAX, ready: 0, room: usize::MAX, ..place };
        assert!(ahead(last).is_empty());
    }
}
