//! Floor 4, pure. What to do about the pages of a piece of a file, by what a touch of the first one
//! has brought.
//!
//! What decides is how many pages a fault brings, and that is not the file system's: it keeps a
//! file in pieces of a page to some hundred, as they were written or read. (Processor time of the
//! first touches of 256 MiB, Linux 6.18, milliseconds; a loaded machine.)
//!
//! | file, pieces of its cache | stores | loads, then stores | all populated | by the rule |
//! |---|---|---|---|---|
//! | ext4, 4 KiB | 179 | 166 | 141 to 161 | 143 to 162 |
//! | ext4, 64 KiB | 25 | 136 | 28 | 22 |
//! | ext4, 1 MiB | 12 | 457 | 22 | 17 |
//! | ext4, 2 MiB | 13 | 13 | 12 | 12 |
//! | tmpfs, 4 KiB | 134 | 31 | 88 | 34 to 37 |
#![forbid(unsafe_code)]

/// Bytes that are looked at together: no touch brings more.
pub(super) const PIECE: usize = 2 << 20;

/// Of fewer bytes all pages are brought in without a look.
pub(in crate::section) const LOOK_MIN: usize = 256 << 10;

/// Where a touch brings so many bytes, touches are cheaper than one call for all the pages, which
/// goes through them one by one.
pub(in crate::section) const RUN_MIN: usize = 64 << 10;

/// What a touch of the first page of a piece has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Bytes from the beginning on that are mapped now.
    pub(super) run: usize,
    /// Some were before.
    pub(super) was_mapped: bool,
    /// It was a fault.
    pub(super) has_faulted: bool,
}

/// What is to be done for the rest of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is there.
    Nothing,
    /// A touch each so many bytes.
    Each(usize),
    /// All pages, in one call.
    All,
}

/// The rule, for a piece of `len` bytes.
pub(super) const fn step(len: usize, found: Found) -> Step {
    let Found { run, was_mapped, has_faulted } = found;
    if was_mapped {
        // What was mapped by a load needs a fault of each page for the store.
        return if run >= len && !has_faulted { Step::Nothing } else { Step::All };
    }
    if run >= len {
        Step::Nothing
    } else if run >= RUN_MIN {
        Step::Each(run)
    } else {
        Step::All
    }
}

/// Whether to begin: what is longer than half of the memory would drive itself out again.
pub(super) const fn is_worth(len: usize, memory_len: usize) -> bool {
    len <= memory_len / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Found = Found { run: 0, was_mapped: false, has_faulted: true };
    const PAGE: usize = 4096;

    #[test]
    fn pieces_of_the_cache_are_touched_once_and_pages_are_populated() {
        let step_for = |run| step(PIECE, Found { run, ..FRESH });
        assert_eq!([0, PAGE, 8 * PAGE, RUN_MIN - PAGE].map(step_for), [Step::All; 4]);
        assert_eq!(step_for(RUN_MIN), Step::Each(RUN_MIN));
        assert_eq!(step_for(PIECE / 2), Step::Each(PIECE / 2));
        assert_eq!(step_for(PIECE), Step::Nothing);
        assert_eq!(step(PAGE, Found { run: PAGE, ..FRESH }), Step::Nothing, "the last piece");
    }

    #[test]
    fn what_was_only_read_is_populated() {
        let read = Found { run: PIECE, was_mapped: true, has_faulted: true };
        assert_eq!(step(PIECE, read), Step::All);
        assert_eq!(step(PIECE, Found { has_faulted: false, ..read }), Step::Nothing);
        let partly = Found { run: PIECE / 2, has_faulted: false, ..read };
        assert_eq!(step(PIECE, partly), Step::All);
    }

    #[test]
    fn nothing_drives_itself_out() {
        assert!(is_worth(1 << 30, 2 << 30) && !is_worth((1 << 30) + 1, 2 << 30));
        assert!(!is_worth(1, 0));
    }
}
