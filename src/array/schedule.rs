//! Floor 4, pure. How far an array commits when it has to grow.
//!
//! ```text
//!   0      64K   128K    256K   ..    2M        4M        6M   ..
//!   |------|-----|-------|------------|=========|=========|====   (= : can be one huge page)
//! ```
//! Below one block the committed part doubles, in steps; a part of a block never becomes a huge
//! page. From there on it grows by whole blocks, by an eighth at a time but never by more than
//! [`AHEAD_MAX`]: commits become rare, and what is promised ahead of the elements stays small.
//! Committed is not touched: memory is taken page by page, or block by block, as elements come.
#![forbid(unsafe_code)]

/// Bytes of the first commit, and the unit below one block.
pub(crate) const STEP: usize = 64 << 10;

/// Bytes of a block: a huge page of most processors.
pub(crate) const BLOCK: usize = 2 << 20;

/// Bytes that a commit is ahead of what is needed, at most.
pub(crate) const AHEAD_MAX: usize = 64 << 20;

/// The committed length, in bytes, that an array goes on to from `committed` so that `needed` bytes
/// can be used; at most `max`, which is at least `needed`.
pub(crate) const fn next(committed: usize, needed: usize, max: usize) -> usize {
    let (ahead, unit) = if needed <= BLOCK {
        (if committed < BLOCK / 2 { committed } else { BLOCK - committed }, STEP)
    } else {
        (if committed / 8 < AHEAD_MAX { committed / 8 } else { AHEAD_MAX }, BLOCK)
    };
    let wished = committed.saturating_add(ahead);
    let wished = if wished < needed { needed } else { wished };
    match wished.checked_next_multiple_of(unit) {
        Some(end) if end < max => end,
        _ => max,
    }
}

/// Bytes before the first block, of an array that can become longer than one.
pub(crate) const HEAD: usize = 512 << 10;

/// As [`next`], for an array that begins `lead` bytes behind the start of a block, where nothing
/// else is. What lies before the next block is committed in steps, and blocks follow:
///
/// ```text
///   0          lead  64K 128K  2M        4M        6M   ..
///   |...........|----|----|----|=========|=========|====
/// ```
/// So the part of the array that cannot be huge pages is as short as `BLOCK - lead`.
pub(crate) const fn next_behind(lead: usize, committed: usize, needed: usize, max: usize) -> usize {
    let head = BLOCK - lead;
    if lead == 0 {
        next(committed, needed, max)
    } else if needed <= head {
        next(committed, needed, if head < max { head } else { max })
    } else {
        next(committed + lead, needed.saturating_add(lead), max.saturating_add(lead)) - lead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_up_to_a_block_and_blocks_follow() {
        let max = 1 << 40;
        let mut ends = Vec::new();
        let mut committed = 0;
        while committed < 4 * BLOCK {
            committed = next(committed, committed + 1, max);
            ends.push(committed / STEP);
        }
        assert_eq!(ends, [1, 2, 4, 8, 16, 32, 64, 96, 128]);
    }

    #[test]
    fn a_commit_covers_what_is_needed_and_stays_inside() {
        for needed in [1, STEP, STEP + 1, BLOCK, BLOCK + 1, 5 * BLOCK, 1 << 36] {
            for committed in [0, STEP, BLOCK, 1 << 33] {
                let end = next(committed, needed.max(committed + 1), 1 << 37);
                assert!(end > committed && end >= needed && end.is_multiple_of(STEP));
                assert!(end <= needed.max(committed + 1) + AHEAD_MAX + BLOCK);
            }
        }
        assert_eq!(next(STEP, STEP + 1, STEP + 4096), STEP + 4096);
        assert_eq!(next(0, usize::MAX, usize::MAX), usize::MAX);
    }

    #[test]
    fn behind_a_lead_the_blocks_are_where_the_others_are() {
        let (lead, max) = (BLOCK - HEAD, 1 << 40);
        let mut ends = Vec::new();
        let mut committed = 0;
        while committed < 4 * BLOCK {
            committed = next_behind(lead, committed, committed + 1, max);
            ends.push(committed / STEP);
        }
        assert_eq!(ends, [1, 2, 4, 8, 40, 72, 104, 136]);
        for needed in [1, STEP + 1, HEAD, HEAD + 1, 5 * BLOCK, 1 << 36] {
            let end = next_behind(lead, 0, needed, max);
            assert!(end >= needed && end <= needed + AHEAD_MAX + BLOCK);
            assert!(end <= HEAD || (end + lead).is_multiple_of(BLOCK));
            assert_eq!(next_behind(0, 0, needed, max), next(0, needed, max));
            assert_eq!(next_behind(lead, 0, needed, needed), needed);
        }
    }
}
