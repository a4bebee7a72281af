//! Floor 4, pure. How far a file is extended when it has to grow.
//!
//! ```text
//!   64K  128K  256K  512K  1M ..  64M   128M   192M   256M ..
//!   |----|-----|-----|-----|--....-|-----|------|------|    the file while it is open
//! ```
//! It doubles until that is a whole step, and goes on step by step: a small file takes little, and
//! a large one is extended rarely. The step counts: on ext4 steps of 1 MiB make appends several
//! times as slow as steps of 64 MiB, because the pages of the cache are smaller.
#![forbid(unsafe_code)]

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
}
