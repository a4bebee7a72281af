//! Lines of text, in the order of their bytes.
//!
//! The order is that of `sort` in the C locale: byte by byte as `memcmp` does, and a line before
//! those that it begins. A last line without an end is a line, and gets one.
#![forbid(unsafe_code)]

use crate::external::{Cut, Entry, Form};
use memchr::memchr_iter;
use std::cmp::Ordering;

/// Bytes of a rank.
const RANK_LEN: usize = size_of::<u64>();

/// Lines, or any other elements that one byte ends.
///
/// ```
/// use granule_sort::external::{Form, Job, sort_file};
/// use granule_sort::lines::Lines;
/// # let path = std::env::temp_dir().join(format!("granule-lines-{}", std::process::id()));
/// std::fs::write(&path, "pear\napple\n\npear\nfig")?;
/// sort_file(&Lines::new().unique(true), &Job::new(&path))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "\napple\nfig\npear\n");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    separator: u8,
    descending: bool,
    unique: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { separator: b'\n', descending: false, unique: false }
    }
}

impl Lines {
    /// Lines that end with a line feed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another byte that ends lines, as 0 does what `find -print0` says.
    #[must_use]
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// The last first, or not.
    #[must_use]
    pub fn descending(mut self, descending: bool) -> Self {
        self.descending = descending;
        self
    }

    /// Of equal lines only one is kept, or all.
    #[must_use]
    pub fn unique(mut self, unique: bool) -> Self {
        self.unique = unique;
        self
    }

    fn turned(&self, rank: u64) -> u64 {
        if self.descending { !rank } else { rank }
    }
}

impl Form for Lines {
    fn cut(&self) -> Cut {
        Cut::Separator(self.separator)
    }

    #[inline]
    fn rank(&self, line: &[u8]) -> u64 {
        self.turned(rank_of(line))
    }

    fn rank_decides(&self) -> bool {
        false
    }

    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        let order = left.cmp(right);
        if self.descending { order.reverse() } else { order }
    }

    fn is_unique(&self) -> bool {
        self.unique
    }

    fn entries(&self, bytes: &[u8], entries: &mut [Entry], first: u32) {
        let mut start = 0;
        for (entry, end) in entries.iter_mut().zip(memchr_iter(self.separator, bytes)) {
            let len = end - start;
            let rank = self.turned(rank_within(bytes, start, len));
            *entry = Entry { rank, at: first + start as u32, len: len as u32 };
            start = end + 1;
        }
    }

    #[inline]
    fn element<'a>(&self, bytes: &'a [u8], entry: &Entry) -> &'a [u8] {
        &bytes[entry.at as usize..][..entry.len as usize + 1]
    }

    fn rerank(&self, bytes: &[u8], entries: &mut [Entry], level: usize) -> bool {
        let skipped = level * RANK_LEN;
        for entry in &mut *entries {
            let len = (entry.len as usize).saturating_sub(skipped);
            let start = entry.at as usize + (entry.len as usize - len);
            entry.rank = self.turned(rank_within(bytes, start, len));
        }
        true
    }
}

/// The first eight bytes as a number; a shorter line is filled up with zeros. A line that differs
/// from another in its zeros only has the same rank: then the comparison decides.
#[inline]
fn rank_of(line: &[u8]) -> u64 {
    rank_within(line, 0, line.len())
}

/// The rank of the line that lies at `start`, read with what lies behind it where it can be.
#[inline]
fn rank_within(bytes: &[u8], start: usize, len: usize) -> u64 {
    let Some(word) = bytes[start..].first_chunk() else {
        let line = &bytes[start..start + len.min(RANK_LEN)];
        let rank = line.iter().fold(0, |rank, &byte| rank << 8 | u64::from(byte));
        return rank.checked_shl(8 * (RANK_LEN - line.len()) as u32).unwrap_or(0);
    };
    let rank = u64::from_be_bytes(*word);
    match len {
        0 => 0,
        1..RANK_LEN => rank & (u64::MAX << (8 * (RANK_LEN - len))),
        _ => rank,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_order_as_lines_do(
            left in prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', 255]), 0..20),
            right in prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', 255]), 0..20),
            behind in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let rank = |line: &[u8]| {
                let text = [line, &behind[..]].concat();
                let rank = rank_within(&text, 0, line.len());
                assert_eq!(rank, rank_of(line));
                rank
            };
            let (ranks, order) = (rank(&left).cmp(&rank(&right)), left.cmp(&right));
            prop_assert!(ranks.is_eq() || ranks == order);
            let down = Lines::new().descending(true);
            let ranks = down.rank(&left).cmp(&down.rank(&right));
            prop_assert!(ranks.is_eq() || ranks == order.reverse());
            prop_assert_eq!(down.compare(&left, &right), order.reverse());
        }
    }

    #[test]
    fn entries_are_the_lines() {
        let text = b"one\n\nthree is long\nend\n";
        let lines = Lines::new();
        let mut entries = [Entry { rank: 0, at: 0, len: 0 }; 4];
        lines.entries(text, &mut entries, 0);
        let found = entries.each_ref().map(|entry| lines.element(text, entry));
        assert_eq!(found, [&b"one\n"[..], b"\n", b"three is long\n", b"end\n"]);
        assert!(lines.rerank(text, &mut entries, 1));
        assert_eq!(entries.map(|entry| entry.rank), [0, 0, rank_of(b" long"), 0]);
    }
}
