//! Floor 0, pure. Ways down: what one look has found on its way down, for a set that follows.
//!
//! Most ranges lie below entries that are mixed and stay so. Who has looked at such a range, and
//! sets it a moment later, needs not go down again: children stay where they are (1), so he only
//! has to see that the entries above have not changed. If they have, he starts at the root.
#![forbid(unsafe_code)]

use super::word::{Value, Word};
use super::{Above, Layer, Look, PageTable, Part, Prepare, part};
use core::ops::Range;

/// A step of a way: an entry that counted and was mixed, and the node below.
pub(super) struct Step<C: 'static, B> {
    pub(super) word: Word,
    pub(super) child: &'static C,
    /// The steps from there on.
    pub(super) below: B,
}

impl<C, B: Copy> Clone for Step<C, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, B: Copy> Copy for Step<C, B> {}

/// A way from the root of a table to the lowest node that has all pages of a range, but not in a
/// single entry, or exactly one.
#[allow(private_bounds, reason = "the levels are nobody's business")]
pub(crate) struct Way<R: Layer>(R::Steps);

#[expect(private_bounds, reason = "the levels are nobody's business")]
impl<R: Layer> PageTable<R> {
    /// The way for `pages`. `None` if an entry above does not count or is not mixed; then
    /// [`prepare`](Self::prepare) and [`set`](Self::set) help.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn way(&self, pages: Range<usize>) -> Option<Way<R>> {
        self.root.way(part(pages), Above::ROOT.word).map(Way)
    }

    /// As [`run`](Self::run), for the pages that `way` is for. `None` if the way has changed.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn run_along(&self, way: &Way<R>, pages: Range<usize>) -> Option<(Value, usize)> {
        let look = self.run_below(&way.0, part(pages), &mut |_| ())?;
        Some((look.bits.value(), look.len))
    }

    /// As [`prepare`](Self::prepare), for the pages that `way` is for.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn prepare_along<S, E>(
        &self,
        way: &Way<R>,
        pages: Range<usize>,
        source: &S,
    ) -> Result<(), E>
    where
        R: Prepare<S, E>,
    {
        self.root.prepare_along(part(pages), &way.0, source)
    }

    /// As [`set`](Self::set), for the pages that `way` is for. False if the way has changed: then
    /// nothing is done, or a part, and `set` has to do it all.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn set_along(&self, way: &Way<R>, pages: Range<usize>, value: Value) -> bool {
        let part = part(pages);
        self.root.stands(part, &way.0)
            && self.root.set_along(part, &way.0, value, Above::ROOT).is_ok()
    }

    /// The run at the end of a way. `None` if that has changed, so that what was seen may not
    /// count: (5).
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn run_below(
        &self,
        steps: &R::Steps,
        part: Part,
        visit: &mut impl FnMut(Value),
    ) -> Option<Look> {
        let look = self.root.run_along(part, steps, Above::ROOT.word, visit);
        if self.root.stands(part, steps) { Some(look) } else { None }
    }
}
