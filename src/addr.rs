//! Floor 0, pure. Lengths and ranges counted in whole pages.
//!
//! Callers speak in bytes, the system in pages. The step from one to the other happens here, once,
//! with every overflow checked, so that no other file rounds by hand.
#![forbid(unsafe_code)]

use core::ops::Range;

/// The largest multiple of `align` that is not above `value`. `align` is a power of two.
pub(crate) const fn align_down(value: usize, align: usize) -> usize {
    debug_assert!(align.is_power_of_two());
    value & !(align - 1)
}

/// The smallest multiple of `align` that is not below `value`; `None` if it does not fit an
/// address.
/// `align` is a power of two.
pub(crate) const fn align_up(value: usize, align: usize) -> Option<usize> {
    match value.checked_add(align - 1) {
        Some(sum) => Some(align_down(sum, align)),
        None => None,
    }
}

/// The length of a page: a power of two, kept as its exponent so that a division is a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageLen {
    shift: u32,
}

impl PageLen {
    /// A page of `bytes` bytes; `None` unless that is a power of two.
    pub(crate) const fn new(bytes: usize) -> Option<Self> {
        if bytes.is_power_of_two() { Some(PageLen { shift: bytes.trailing_zeros() }) } else { None }
    }

    /// Bytes in a page.
    pub(crate) const fn bytes(self) -> usize {
        1 << self.shift
    }

    /// The number of the page that byte `offset` lies in.
    pub(crate) const fn index_of(self, offset: usize) -> usize {
        offset >> self.shift
    }

    /// The first byte of page `index`.
    pub(crate) const fn offset_of(self, index: usize) -> usize {
        index << self.shift
    }

    /// `len` rounded up to whole pages; `None` if that does not fit an address.
    pub(crate) const fn round_up(self, len: usize) -> Option<usize> {
        align_up(len, self.bytes())
    }
}

/// A run of pages, counted from the start of a reservation; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    first: usize,
    end: usize,
}

impl Pages {
    /// The pages `first..end`; `None` if that is empty.
    pub(crate) const fn new(first: usize, end: usize) -> Option<Self> {
        if first < end { Some(Pages { first, end }) } else { None }
    }

    /// The smallest run of whole pages that covers `bytes`; `None` if `bytes` is empty, inverted or
    /// ends behind `limit` (whole pages, in bytes).
    pub(crate) fn covering(bytes: Range<usize>, page: PageLen, limit: usize) -> Option<Self> {
        if bytes.start >= bytes.end || bytes.end > limit {
            return None;
        }
        let last = page.index_of(bytes.end - 1);
        Some(Pages { first: page.index_of(bytes.start), end: last + 1 })
    }

    /// The first page.
    pub(crate) const fn first(self) -> usize {
        self.first
    }

    /// The page behind the last one.
    pub(crate) const fn end(self) -> usize {
        self.end
    }

    /// How many pages.
    pub(crate) const fn count(self) -> usize {
        self.end - self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageLen = PageLen { shift: 12 };

    #[test]
    fn alignment_keeps_multiples_and_moves_the_rest() {
        assert_eq!(
            (align_down(0x5678_1234, 0x1_0000), align_down(8192, 4096)),
            (0x5678_0000, 8192)
        );
        assert_eq!(
            (align_up(1, 4096), align_up(4096, 4096), align_up(0, 4096)),
            (Some(4096), Some(4096), Some(0))
        );
        assert_eq!(align_up(usize::MAX, 4096), None);
        assert_eq!(align_up(usize::MAX - 4095, 4096), Some(usize::MAX - 4095));
    }

    #[test]
    fn a_page_is_a_power_of_two() {
        assert_eq!(PageLen::new(4096), Some(PAGE));
        assert_eq!((PageLen::new(0), PageLen::new(4095)), (None, None));
        assert_eq!((PAGE.round_up(1), PAGE.round_up(usize::MAX)), (Some(4096), None));
    }

    #[test]
    fn bytes_are_covered_by_the_smallest_run_of_pages() {
        let cover = |start, end| Pages::covering(start..end, PAGE, 5 * 4096);
        assert_eq!(cover(0, 1), Pages::new(0, 1));
        assert_eq!(cover(4095, 4097), Pages::new(0, 2));
        assert_eq!(cover(4096, 8192), Pages::new(1, 2));
        assert_eq!(cover(20479, 20480), Pages::new(4, 5));
        assert_eq!((cover(7, 7), cover(20479, 20481), cover(20480, 20481)), (None, None, None));
        assert_eq!(Pages::covering(Range { start: 9, end: 3 }, PAGE, 4096), None);
        assert_eq!(Pages::covering(0..usize::MAX, PAGE, 4096), None);
    }
}
