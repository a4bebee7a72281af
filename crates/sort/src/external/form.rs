//! What follows one another in a file: numbers, records or lines.

use super::blocks::merge_two;
use super::entry::{ENTRY_LEN, Entry, Ties};
use crate::memory::sort_with_room;
use crate::shape::Shape;
use memchr::{memchr, memchr_iter, memrchr};
use std::cmp::Ordering;

/// Where one element ends and the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Every element has so many bytes.
    Width(usize),
    /// This byte ends an element and is no part of it; the last one may lack it.
    Separator(u8),
}

impl Cut {
    /// Bytes of the first element with its separator; `None` if not all of it is there.
    #[inline]
    pub(crate) fn first_len(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Cut::Width(width) => (bytes.len() >= width).then_some(width),
            Cut::Separator(separator) => memchr(separator, bytes).map(|at| at + 1),
        }
    }

    /// Bytes of all whole elements.
    pub(crate) fn whole_len(self, bytes: &[u8]) -> usize {
        match self {
            Cut::Width(width) => bytes.len() - bytes.len() % width,
            Cut::Separator(separator) => memrchr(separator, bytes).map_or(0, |at| at + 1),
        }
    }

    /// How many whole elements there are.
    pub(crate) fn count(self, bytes: &[u8]) -> usize {
        match self {
            Cut::Width(width) => bytes.len() / width,
            Cut::Separator(separator) => memchr_iter(separator, bytes).count(),
        }
    }

    /// An element without its separator.
    #[inline]
    pub(crate) fn body(self, element: &[u8]) -> &[u8] {
        match self {
            Cut::Width(_) => element,
            Cut::Separator(_) => &element[..element.len() - 1],
        }
    }

    /// Bytes behind an element.
    pub(crate) fn separator_len(self) -> usize {
        usize::from(matches!(self, Cut::Separator(_)))
    }
}

/// Elements of a file, and their order.
pub trait Form: Sync {
    /// Where they end.
    fn cut(&self) -> Cut;

    /// A number that orders as the elements do, as far as it goes.
    fn rank(&self, element: &[u8]) -> u64;

    /// Equal ranks are equal elements.
    fn rank_decides(&self) -> bool;

    /// Which of two elements comes first.
    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering;

    /// Of equal elements only one is kept.
    fn is_unique(&self) -> bool {
        false
    }

    /// Bytes of memory that an element takes beside its own while it is sorted; 0: it is sorted
    /// where it is, by [`sort_bytes`](Self::sort_bytes).
    fn entry_len(&self) -> usize {
        ENTRY_LEN
    }

    /// Sorts whole elements without entries, with about `memory` bytes besides on each thread.
    fn sort_bytes(&self, bytes: &mut [u8], threads: usize, memory: usize) {
        let _ = (bytes, threads, memory);
        unreachable!("a form whose entries have a length is sorted by them");
    }

    /// Merges two sorted lists of whole elements into one of as many bytes, without entries.
    fn merge_two(&self, left: &[u8], right: &[u8], out: &mut [u8]) {
        let _ = (left, right, out);
        unreachable!("a form whose entries have a length is merged by ranks");
    }

    /// The elements of `bytes` with their ranks, in order of place.
    fn entries(&self, bytes: &[u8], entries: &mut [Entry], first: u32);

    /// The element of an entry, with its separator.
    fn element<'a>(&self, bytes: &'a [u8], entry: &Entry) -> &'a [u8];

    /// As `Ties::rerank` wants it.
    fn rerank(&self, bytes: &[u8], entries: &mut [Entry], level: usize) -> bool {
        let _ = (bytes, entries, level);
        false
    }
}

/// Elements of one width: numbers and records. Equal ones stay in their order.
///
/// ```
/// use granule_sort::external::{Fixed, Job, sort_file};
/// use granule_sort::order::Records;
/// # let path = std::env::temp_dir().join(format!("granule-fixed-{}", std::process::id()));
/// std::fs::write(&path, "b2a2b1a1")?;
/// sort_file(&Fixed::new(Records::new(2, ["0..1".parse()?])?), &Job::new(&path))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "a2a1b2b1");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fixed<S> {
    shape: S,
    is_plain: bool,
}

impl<S: Shape> Fixed<S> {
    /// Elements of this shape.
    pub fn new(shape: S) -> Self {
        Fixed { shape, is_plain: false }
    }

    /// Elements of which those that are equal are so in every byte, as numbers are: nobody can
    /// tell whether they stay in their order.
    pub fn plain(shape: S) -> Self {
        Fixed { shape, is_plain: true }
    }
}

impl<S: Shape> Form for Fixed<S> {
    fn cut(&self) -> Cut {
        Cut::Width(self.shape.width())
    }

    #[inline]
    fn rank(&self, element: &[u8]) -> u64 {
        self.shape.rank(element)
    }

    fn rank_decides(&self) -> bool {
        self.shape.rank_decides()
    }

    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        self.shape.compare(left, right)
    }

    fn entry_len(&self) -> usize {
        if self.is_plain { 0 } else { ENTRY_LEN }
    }

    fn sort_bytes(&self, bytes: &mut [u8], threads: usize, memory: usize) {
        // A fifth of it is not room.
        sort_with_room(bytes, &self.shape, threads, memory / 5 * 4);
    }

    fn merge_two(&self, left: &[u8], right: &[u8], out: &mut [u8]) {
        let rank = |element: &[u8]| self.shape.rank(element);
        macro_rules! of_width {
            ($width:literal) => {{
                let ((left, _), (right, _)) = (left.as_chunks(), right.as_chunks());
                merge_two::<$width>(left, right, out.as_chunks_mut().0, rank)
            }};
        }
        match self.shape.width() {
            1 => of_width!(1),
            2 => of_width!(2),
            4 => of_width!(4),
            8 => of_width!(8),
            16 => of_width!(16),
            _ => unreachable!("only elements of these widths are merged without entries"),
        }
    }

    fn entries(&self, bytes: &[u8], entries: &mut [Entry], first: u32) {
        let elements = bytes.chunks_exact(self.shape.width());
        for ((entry, element), at) in entries.iter_mut().zip(elements).zip(first..) {
            *entry = Entry { rank: self.shape.rank(element), at, len: 0 };
        }
    }

    #[inline]
    fn element<'a>(&self, bytes: &'a [u8], entry: &Entry) -> &'a [u8] {
        let width = self.shape.width();
        &bytes[entry.at as usize * width..][..width]
    }
}

/// The entries of a buffer, and what they are entries of.
pub(crate) struct InBuffer<'a, F> {
    pub(crate) form: &'a F,
    pub(crate) bytes: &'a [u8],
}

impl<F: Form> Ties for InBuffer<'_, F> {
    fn rank_decides(&self) -> bool {
        // Of equal elements the one that was first stays first.
        false
    }

    fn compare(&self, left: &Entry, right: &Entry) -> Ordering {
        if self.form.rank_decides() {
            return left.at.cmp(&right.at);
        }
        let cut = self.form.cut();
        let body = |entry| cut.body(self.form.element(self.bytes, entry));
        self.form.compare(body(left), body(right)).then(left.at.cmp(&right.at))
    }

    fn rerank(&self, entries: &mut [Entry], level: usize) -> bool {
        self.form.rerank(self.bytes, entries, level)
    }
}
