//! Many sorted runs become one.

use super::cursor::{Cursor, RunFile};
use super::error::Error;
use super::form::Form;
use super::sink::Sink;
use super::tree::Tree;
use std::cmp::Ordering;
use std::ops::Range;

/// Merges the runs in `ranges` into `sink`; of equal elements the one of the earlier run comes
/// first. Returns how many elements there were.
pub(super) fn merge<F: Form>(
    form: &F,
    source: RunFile<'_>,
    ranges: &[Range<u64>],
    buffer_len: usize,
    sink: &mut Sink<'_>,
) -> Result<u64, Error> {
    let mut heads = Vec::with_capacity(ranges.len());
    for range in ranges {
        let cursor = Cursor::new(source, range.clone(), buffer_len);
        let mut head = Head { cursor, is_over: false, rank: 0 };
        head.advance(form)?;
        heads.push(head);
    }
    if heads.is_empty() {
        return Ok(0);
    }
    let mut tree = Tree::new(heads.len(), |a, b| comes_first(form, &heads, a, b));
    let mut count = 0;
    let mut kept: Option<Vec<u8>> = None;
    loop {
        let head = &mut heads[tree.winner()];
        if head.is_over {
            return Ok(count);
        }
        let element = head.cursor.element();
        if !form.is_unique() || is_new(&mut kept, element) {
            sink.push(element)?;
            count += 1;
        }
        head.advance(form)?;
        tree.replay(|a, b| comes_first(form, &heads, a, b));
    }
}

/// Whether an element differs from the last that was kept, which it then becomes.
fn is_new(kept: &mut Option<Vec<u8>>, element: &[u8]) -> bool {
    if kept.as_deref() == Some(element) {
        return false;
    }
    let kept = kept.get_or_insert_default();
    kept.clear();
    kept.extend_from_slice(element);
    true
}

/// The next element of a run, and its rank.
struct Head<'a> {
    cursor: Cursor<'a>,
    is_over: bool,
    rank: u64,
}

impl Head<'_> {
    #[inline]
    fn advance<F: Form>(&mut self, form: &F) -> Result<(), Error> {
        self.is_over = !self.cursor.advance(form)?;
        if !self.is_over {
            self.rank = form.rank(form.cut().body(self.cursor.element()));
        }
        Ok(())
    }
}

/// Whether run `a` has the element that comes before that of run `b`. A run that is over has none.
#[inline]
fn comes_first<F: Form>(form: &F, heads: &[Head<'_>], a: usize, b: usize) -> bool {
    let (left, right) = (&heads[a], &heads[b]);
    if left.is_over || right.is_over {
        return right.is_over && !left.is_over;
    }
    let order = left.rank.cmp(&right.rank).then_with(|| {
        if form.rank_decides() {
            return Ordering::Equal;
        }
        let cut = form.cut();
        form.compare(cut.body(left.cursor.element()), cut.body(right.cursor.element()))
    });
    order.then(a.cmp(&b)).is_lt()
}
