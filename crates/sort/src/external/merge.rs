//! Many sorted runs become one.

use super::blocks;
use super::cursor::{Cursor, RunFile};
use super::error::Error;
use super::form::Form;
use super::sink::Sink;
use super::tree::{EqualRanks, Player, Tree};
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
    if let Some(share) = blocks::share_of(form, ranges.len(), buffer_len) {
        return blocks::merge(form, source, ranges, (buffer_len, share), sink);
    }
    let cursor = |range: &Range<u64>| Cursor::new(source, range.clone(), buffer_len);
    let mut heads = Heads { form, cursors: ranges.iter().map(cursor).collect() };
    let players: Result<Vec<_>, _> = (0..ranges.len()).map(|number| heads.next(number)).collect();
    let mut tree = Tree::new(&players?, &heads);
    let mut count = 0;
    let mut kept: Option<Vec<u8>> = None;
    loop {
        let winner = tree.winner();
        if winner.is_over() {
            return Ok(count);
        }
        let element = heads.element(winner.number());
        if !form.is_unique() || is_new(&mut kept, element) {
            sink.push(element)?;
            count += 1;
        }
        tree.replay(heads.next(winner.number())?, &heads);
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

/// The runs, each at its next element.
struct Heads<'a, F> {
    form: &'a F,
    cursors: Vec<Cursor<'a>>,
}

impl<F: Form> Heads<'_, F> {
    /// The next element of a run, with its separator.
    #[inline]
    fn element(&self, number: usize) -> &[u8] {
        self.cursors[number].element(self.form.cut())
    }

    /// The same without.
    #[inline]
    fn body(&self, number: usize) -> &[u8] {
        self.form.cut().body(self.element(number))
    }

    /// Goes to the next element of a run.
    #[inline]
    fn next(&mut self, number: usize) -> Result<Player, Error> {
        match self.cursors[number].advance(self.form.cut())? {
            true => Ok(Player::new(number, self.form.rank(self.body(number)))),
            false => Ok(Player::over(number)),
        }
    }
}

impl<F: Form> EqualRanks for Heads<'_, F> {
    #[inline]
    fn are_equal(&self) -> bool {
        self.form.rank_decides()
    }

    #[inline(never)]
    fn compare(&self, left: usize, right: usize) -> Ordering {
        self.form.compare(self.body(left), self.body(right))
    }
}
