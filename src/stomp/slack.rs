//! Floor 4. Slack: the bytes of a block's pages that are not the block's.
//!
//! They are accessible, because access is given by the page. The ones nearest to the block are
//! filled with a pattern when it is allocated and checked when it is freed, reallocated, or at
//! exit.

use core::ops::Range;
use core::ptr::NonNull;

/// The pattern: no likely text, no small number, not zero.
const PATTERN: u8 = 0xc7;

/// Bytes on each side that are filled and checked: all there are, with pages of 4 KiB. The page
/// that holds them is touched anyway.
const NEAR: usize = 4096;

/// The slack of a block: its pages' bytes before and behind it, at most [`NEAR`] on each side.
fn sides(block: &Range<usize>, pages: &Range<usize>) -> [Range<usize>; 2] {
    if pages.is_empty() {
        return [0..0, 0..0];
    }
    let before = pages.start.max(block.start.saturating_sub(NEAR))..block.start;
    let behind = block.end..pages.end.min(block.end + NEAR);
    [before, behind]
}

/// Fills the slack of a block.
///
/// # Safety
/// 1. `base` plus any offset in `pages` is memory that the caller alone may write.
pub(crate) unsafe fn fill(base: NonNull<u8>, block: &Range<usize>, pages: &Range<usize>) {
    for side in sides(block, pages) {
        // SAFETY: (1): the side lies inside the pages.
        let start = unsafe { base.add(side.start) };
        // SAFETY: as above, for its length.
        unsafe { start.write_bytes(PATTERN, side.len()) };
    }
}

/// The first overwritten byte of slack, if any: of the damage nearest to the block, and behind it
/// rather than before it.
///
/// # Safety
/// 1. `base` plus any offset in `pages` is readable memory whose slack [`fill`] has filled.
pub(crate) unsafe fn damage(
    base: NonNull<u8>,
    block: &Range<usize>,
    pages: &Range<usize>,
) -> Option<usize> {
    let [before, behind] = sides(block, pages);
    // SAFETY: (1): the sides lie inside the pages.
    let read = |side: &Range<usize>| unsafe { bytes(base, side) };
    let damaged = |&byte: &u8| byte != PATTERN;
    if !is_intact(read(&behind)) {
        return read(&behind).iter().position(damaged).map(|position| behind.start + position);
    }
    if !is_intact(read(&before)) {
        let bytes = read(&before);
        let last = bytes.iter().rposition(damaged)?;
        let first = bytes[..last].iter().rposition(|byte| !damaged(byte)).map_or(0, |ok| ok + 1);
        return Some(before.start + first);
    }
    None
}

/// One comparison of whole words; the damaged byte is looked for only when there is one.
fn is_intact(bytes: &[u8]) -> bool {
    static INTACT: [u8; NEAR] = [PATTERN; NEAR];
    bytes == &INTACT[..bytes.len()]
}

/// The bytes of a range.
///
/// # Safety
/// 1. `base` plus any offset in `range` is readable memory that nobody writes meanwhile.
unsafe fn bytes<'a>(base: NonNull<u8>, range: &Range<usize>) -> &'a [u8] {
    // SAFETY: (1).
    let start = unsafe { base.add(range.start) };
    // SAFETY: (1).
    unsafe { core::slice::from_raw_parts(start.as_ptr(), range.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(block: Range<usize>, at: Option<usize>) -> Option<usize> {
        let mut page = vec![0u8; 4096];
        let base = NonNull::new(page.as_mut_ptr()).expect("a Vec's pointer");
        // SAFETY: the page is ours and 4096 bytes long.
        unsafe { fill(base, &block, &(0..4096)) };
        if let Some(at) = at {
            // SAFETY: inside the page.
            let place = unsafe { base.add(at) };
            // SAFETY: as above.
            unsafe { place.write(0) };
        }
        // SAFETY: as for `fill`.
        unsafe { damage(base, &block, &(0..4096)) }
    }

    #[test]
    fn damage_near_the_block_is_found() {
        for at in [0, 999, 1013, 1015, 4095] {
            assert_eq!(damaged(1000..1013, Some(at)), Some(at));
        }
        assert_eq!(damaged(4000..4093, Some(4095)), Some(4095));
    }

    #[test]
    fn damage_is_named_by_its_first_byte() {
        let mut page = [PATTERN; 4096];
        page[990..994].fill(0);
        page[1..3].fill(0);
        let base = NonNull::new(page.as_mut_ptr()).expect("an array's pointer");
        // SAFETY: the page is ours and 4096 bytes long.
        assert_eq!(unsafe { damage(base, &(1000..1010), &(0..4096)) }, Some(990));
        page[1012..1014].fill(0);
        let base = NonNull::new(page.as_mut_ptr()).expect("an array's pointer");
        // SAFETY: as above.
        assert_eq!(unsafe { damage(base, &(1000..1010), &(0..4096)) }, Some(1012));
    }

    #[test]
    fn a_block_that_stays_inside_is_clean() {
        assert_eq!(damaged(1000..1013, None), None);
        assert_eq!(damaged(1000..1013, Some(1000)), None);
        assert_eq!(damaged(1000..1013, Some(1012)), None);
        assert_eq!(damaged(0..4096, Some(77)), None);
    }
}
