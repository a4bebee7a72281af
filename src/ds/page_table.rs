//! Floor 0. The page table in software: what every page of the address space is.
//!
//! The shape is the processor's: a page's number is cut into indices of nine bits, each node has an
//! entry for each index, and an entry that is not *mixed* speaks for everything below it.
//!
//! ```text
//!   root           node           node           leaf
//!   | .. | e | --> | .. | e | --> | .. | e | --> | .. | e | .. |
//!   512 GiB each   1 GiB each     2 MiB each     a page each       (pages of 4 KiB)
//! ```
//! An entry is one word: a value, the *mixed* bit, its *generation*, and the *tag*, which is the
//! generation of its parent that it was written under. An entry whose tag is not the parent's
//! generation does not count: its pages are what the parent says. So a whole subtree is set by one
//! write: a new generation silences all that was written below.
//!
//! Invariants:
//! 1. A node stays where it was put for ever. An entry becomes mixed only after its child is there.
//! 2. Under one generation an entry turns mixed at most once and never back. Its value changes only
//!    when all its pages are set.
//! 3. Under a generation of an entry that was never mixed no entry below has its tag. So making it
//!    mixed changes no page's value.
//! 4. A set writes values only for pages of its own range. At entries that are partly in the range
//!    it does nothing but make them mixed, or, where they do not count, revive them with the value
//!    that their parent gives their pages anyway. Both are a compare-and-swap that fails if another
//!    thread was there, and a revival makes sure that the entry does not count *after* it has read
//!    it. So of sets on disjoint pages none is lost.
//! 5. A reader looks at an entry again after what is below it, and starts over at that entry if it
//!    has changed. So for each page it tells a value that the page had at that moment: no sum of an
//!    old parent and a new child.
//! 6. Sets that race for the *same* page leave it with the value of one of them; the others are
//!    either overwritten or silenced, and never come back:
//! 7. Generations return after 2^14 - 1 steps, so entries with old tags are swept away before. Each
//!    step sweeps one entry of the child, round robin: an old tag meets its sweeper many times.
//! 8. A set may use a way that was found earlier (`way`): the nodes because of (1), the entries
//!    above if all of them, loaded again from the top to the bottom, are what they were. Then it
//!    has seen what a set sees that goes down now, so it changes nothing about (4), (6) and (7). A
//!    reader that uses one looks at its entries again, too: (5).
//!
//! Nobody waits for anybody. A thread that stops anywhere, for ever or in the parent of a `fork`,
//! leaves a table in which its pages have their old or their new value.

use super::primitive::{AtomicPtr, AtomicU64, Ordering};
use core::ops::Range;

mod scan;
#[cfg(all(test, not(granule_loom)))]
mod tests;
mod way;
mod word;

use scan::{agreeing, fill};
use way::Step;
pub(crate) use way::Way;
use word::{Bits, Word, next_generation};
pub(crate) use word::{OWNERS, Value};

/// Where nodes come from. All entries of a new node are zero.
pub(crate) trait Source<N: 'static> {
    /// Why there is none.
    type Error;
    /// A node that nobody knows, and its number.
    fn take(&self) -> Result<(u32, &'static N), Self::Error>;
    /// Takes a node back that was not used.
    fn give_back(&self, number: u32);
}

/// A node of the lowest level: an entry for each of `N` pages. Their generations stay 0.
#[derive(Debug)]
pub(crate) struct Leaf<const N: usize> {
    words: [AtomicU64; N],
}

/// A node of a higher level, with `N` entries and their children.
#[derive(Debug)]
pub(crate) struct Inner<C: 'static, const N: usize> {
    slots: [Slot<C>; N],
}

#[derive(Debug)]
struct Slot<C> {
    word: AtomicU64,
    child: AtomicPtr<C>,
}

/// The entry above a node, as a set or a scan has read it.
#[derive(Clone, Copy)]
struct Above<'a> {
    word: Word,
    /// Where it stands; the root has no entry above.
    place: Option<&'a AtomicU64>,
}

impl Above<'_> {
    const ROOT: Above<'static> = Above { word: Word(0), place: None };

    /// True when nobody has changed it.
    fn stands(self) -> bool {
        self.place.is_none_or(|place| place.load(Ordering::Acquire) == self.word.0)
    }
}

/// The entry above was changed on the way: look at it again.
struct Moved;

/// A run of pages that one look has found.
struct Look {
    bits: Bits,
    /// How many pages, at least one; there may be more.
    len: usize,
    /// There are no more: the next page differs.
    has_ended: bool,
}

/// Pages: how many from which number on. Each level takes its own bits of the number.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    count: usize,
}

impl Part {
    /// Pages from the first one to the next multiple of `pages`.
    #[cfg_attr(not(debug_assertions), inline(always))]
    const fn head(self, pages: usize) -> usize {
        pages - self.start % pages
    }
}

/// A level of the table.
trait Layer: 'static {
    /// Entries of a node.
    const WIDTH: usize;
    /// Pages of a node.
    const PAGES: usize;
    /// What is remembered of a way down from a node of this level.
    type Steps: Copy;
    fn word(&self, index: usize) -> &AtomicU64;
    fn set(&self, part: Part, value: Value, above: Above<'_>) -> Result<(), Moved>;
    /// What one look at the node tells of the pages. If the first one is not `wanted` the others
    /// are not looked at. `visit` runs while the first page has its value.
    fn look(&self, part: Part, above: Word, wanted: Bits, visit: &mut impl FnMut(Value)) -> Look;
    /// The longest run that the node tells of.
    #[inline(never)]
    fn run(&self, part: Part, above: Word, visit: &mut impl FnMut(Value)) -> Look {
        let first = self.look(part, above, Bits::ANY, visit);
        self.run_on(part, above, first)
    }

    /// The same, behind the first look.
    #[inline(never)]
    fn run_on(&self, part: Part, above: Word, first: Look) -> Look {
        let mut all = first;
        while !all.has_ended && all.len < part.count {
            let rest = Part { start: part.start + all.len, count: part.count - all.len };
            let next = self.look(rest, above, all.bits, &mut |_| ());
            if next.bits != all.bits {
                break;
            }
            all.len += next.len;
            all.has_ended = next.has_ended;
        }
        all
    }

    /// The way from a node to the lowest one that has all the pages and more than one entry for
    /// them. `None` unless every entry on it counts and is mixed.
    fn way(&self, part: Part, above: Word) -> Option<Self::Steps>;
    /// True if no entry on a way has changed. They are loaded from the top to the bottom.
    fn stands(&self, part: Part, steps: &Self::Steps) -> bool;
    /// The longest run that the node at the end of a way tells of.
    fn run_along(
        &self,
        part: Part,
        steps: &Self::Steps,
        above: Word,
        visit: &mut impl FnMut(Value),
    ) -> Look;
    /// As `set`, at the end of a way.
    fn set_along(
        &self,
        part: Part,
        steps: &Self::Steps,
        value: Value,
        above: Above<'_>,
    ) -> Result<(), Moved>;
}

/// A level whose missing nodes `S` provides.
trait Prepare<S, E>: Layer {
    fn prepare(&self, part: Part, source: &S) -> Result<(), E>;
    /// The same, at the end of a way.
    fn prepare_along(&self, part: Part, steps: &Self::Steps, source: &S) -> Result<(), E>;
}

impl<const N: usize> Leaf<N> {
    /// For tests; real nodes are zero bytes.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Leaf { words: core::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// For whoever keeps the node while it is not in the table; it has to be 0 there again.
    pub(crate) fn first_word(&self) -> &AtomicU64 {
        &self.words[0]
    }
}

impl<const N: usize> Layer for Leaf<N> {
    const WIDTH: usize = N;
    const PAGES: usize = N;
    type Steps = ();

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.words[index]
    }

    /// Plain stores: the pages are this set's alone, or it races (6).
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn set(&self, part: Part, value: Value, above: Above<'_>) -> Result<(), Moved> {
        let word = Word::plain(value, above.word.generation(), 0);
        fill(&self.words[part.start % N..][..part.count], word);
        Ok(())
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn look(&self, part: Part, above: Word, wanted: Bits, visit: &mut impl FnMut(Value)) -> Look {
        let words = &self.words[part.start % N..];
        let bits = loop {
            let word = load(&words[0]);
            let (bits, _) = word.under(above);
            visit(bits.value());
            if load(&words[0]) == word {
                break bits;
            }
        };
        if !bits.is(wanted) {
            return Look { bits, len: 1, has_ended: true };
        }
        let words = &words[..part.count.min(words.len())];
        // Short runs end here.
        let goes_on = words.get(1).is_some_and(|next| load(next).says(bits, above));
        let len = if goes_on { agreeing(words, load, bits, above).max(1) } else { 1 };
        Look { bits, len, has_ended: len < words.len() }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn way(&self, _: Part, _: Word) -> Option<()> {
        Some(())
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn stands(&self, _: Part, _: &()) -> bool {
        true
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn run_along(&self, part: Part, _: &(), above: Word, visit: &mut impl FnMut(Value)) -> Look {
        self.look(part, above, Bits::ANY, visit)
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn set_along(&self, part: Part, _: &(), value: Value, above: Above<'_>) -> Result<(), Moved> {
        self.set(part, value, above)
    }
}

#[cfg_attr(not(debug_assertions), inline(always))]
fn load(place: &AtomicU64) -> Word {
    Word(place.load(Ordering::Acquire))
}

impl<S, E, const N: usize> Prepare<S, E> for Leaf<N> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn prepare(&self, _: Part, _: &S) -> Result<(), E> {
        Ok(())
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn prepare_along(&self, _: Part, (): &(), _: &S) -> Result<(), E> {
        Ok(())
    }
}

impl<C> Slot<C> {
    #[cfg(not(all(test, granule_loom)))]
    const fn new() -> Self {
        Slot { word: AtomicU64::new(0), child: AtomicPtr::new(core::ptr::null_mut()) }
    }

    #[cfg(all(test, granule_loom))]
    fn new() -> Self {
        Slot { word: AtomicU64::new(0), child: AtomicPtr::new(core::ptr::null_mut()) }
    }

    fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Moves the entry from `old` to `new`, or tells what it has become.
    fn swap(&self, old: Word, new: Word) -> Result<(), Word> {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.word.compare_exchange(old.0, new.0, done, failed).map(drop).map_err(Word)
    }

    fn child(&self) -> Option<&'static C> {
        let child = self.child.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or `make_child` made it from a reference that lives for
        // ever.
        unsafe { child.as_ref() }
    }

    /// The child; one from `source` if there is none yet.
    fn make_child<S: Source<C>>(&self, source: &S) -> Result<&'static C, S::Error> {
        if let Some(child) = self.child() {
            return Ok(child);
        }
        let (number, made) = source.take()?;
        let (none, new) = (core::ptr::null_mut(), core::ptr::from_ref(made).cast_mut());
        let swapped = self.child.compare_exchange(none, new, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            source.give_back(number);
        }
        Ok(self.child().unwrap_or(made))
    }
}

impl<C: Layer> Slot<C> {
    /// Sets all pages of the entry.
    fn cover(&self, value: Value, above: Above<'_>) {
        let mut now = self.load();
        loop {
            let generation = now.generation();
            let generation = if now.is_mixed() { next_generation(generation) } else { generation };
            let new = Word::plain(value, above.word.generation(), generation);
            match self.swap(now, new) {
                Ok(()) if now.is_mixed() => return self.sweep(new.generation()),
                Ok(()) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Makes the entry count and have entries below, at the value that it has.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn enter(&self, above: Above<'_>) -> Result<Word, Moved> {
        let now = self.load();
        if now.is_mixed_under(above.word) { Ok(now) } else { self.make_mixed(now, above) }
    }

    #[cold]
    fn make_mixed(&self, mut now: Word, above: Above<'_>) -> Result<Word, Moved> {
        loop {
            let counts = now.tag() == above.word.generation();
            if counts && now.is_mixed() {
                return Ok(now);
            }
            let new = if counts {
                now.mixed()
            } else if above.stands() {
                let generation = next_generation(now.generation());
                Word::plain(above.word.bits().value(), above.word.generation(), generation).mixed()
            } else {
                return Err(Moved);
            };
            match self.swap(now, new) {
                Ok(()) => {
                    if !counts {
                        self.sweep(new.generation());
                    }
                    return Ok(new);
                }
                Err(other) => now = other,
            }
        }
    }

    /// Sets pages of the child, until that was done below an entry that counts.
    fn set_below(&self, part: Part, value: Value, above: Above<'_>) -> Result<(), Moved> {
        loop {
            let word = self.enter(above)?;
            let child = self.child().expect("the nodes were prepared");
            if child.set(part, value, Above { word, place: Some(&self.word) }).is_ok() {
                return Ok(());
            }
        }
    }

    /// Takes the tag from one entry below that has an old one: see (7).
    fn sweep(&self, generation: u64) {
        let Some(child) = self.child() else { return };
        let place = child.word(generation as usize % C::WIDTH);
        let old = Word(place.load(Ordering::Acquire));
        let is_old = old.tag() != 0 && old.tag() != generation;
        // If our generation still holds, the entry did not count when it was read.
        if is_old && self.load().generation() == generation {
            let new = old.without_tag().0;
            // Whoever was faster has written a tag that is not old.
            let _ = place.compare_exchange(old.0, new, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

#[expect(private_bounds, reason = "the levels are nobody's business")]
impl<C: Layer, const N: usize> Inner<C, N> {
    #[cfg(not(all(test, granule_loom)))]
    pub(crate) const fn new() -> Self {
        Inner { slots: [const { Slot::new() }; N] }
    }

    /// Loom's atomics cannot be made in constants.
    #[cfg(all(test, granule_loom))]
    pub(crate) fn new() -> Self {
        Inner { slots: core::array::from_fn(|_| Slot::new()) }
    }

    /// As [`Leaf::first_word`].
    pub(crate) fn first_word(&self) -> &AtomicU64 {
        &self.slots[0].word
    }

    /// The entry that has the first of the pages.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn slot(&self, part: Part) -> &Slot<C> {
        &self.slots[part.start / C::PAGES % N]
    }

    /// What a look tells of entries of which the first says `bits` for all its pages.
    fn look_over(&self, part: Part, above: Word, bits: Bits) -> Look {
        let (count, rest) = (part.count, part.head(C::PAGES));
        if count <= rest {
            return Look { bits, len: count, has_ended: false };
        }
        let slots = &self.slots[part.start / C::PAGES % N..];
        let more = &slots[1..slots.len().min(1 + (count - rest).div_ceil(C::PAGES))];
        // The one that differs may be mixed, and begin with the same value.
        let equal = agreeing(more, Slot::load, bits, above);
        Look { bits, len: count.min(rest + equal * C::PAGES), has_ended: false }
    }

    /// The work of `set` for pages that are not all in one entry.
    fn set_many(&self, part: Part, value: Value, above: Above<'_>) -> Result<(), Moved> {
        let Part { mut start, count } = part;
        let end = start + count;
        while start < end {
            let rest = Part { start, count: end - start };
            let here = Part { start, count: rest.count.min(rest.head(C::PAGES)) };
            if here.count == C::PAGES {
                self.slot(here).cover(value, above);
            } else {
                self.slot(here).set_below(here, value, above)?;
            }
            start += here.count;
        }
        Ok(())
    }
}

impl<C: Layer, const N: usize> Layer for Inner<C, N> {
    const WIDTH: usize = N;
    const PAGES: usize = N * C::PAGES;
    /// `None` at the end of the way.
    type Steps = Option<Step<C, C::Steps>>;

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.slots[index].word
    }

    #[inline(never)]
    fn set(&self, part: Part, value: Value, above: Above<'_>) -> Result<(), Moved> {
        if part.count < part.head(C::PAGES) {
            self.slot(part).set_below(part, value, above)
        } else {
            self.set_many(part, value, above)
        }
    }

    #[inline(never)]
    fn look(&self, part: Part, above: Word, wanted: Bits, visit: &mut impl FnMut(Value)) -> Look {
        let slot = self.slot(part);
        loop {
            let word = slot.load();
            let (bits, is_mixed) = word.under(above);
            let child = if is_mixed { slot.child() } else { None };
            let look = match child {
                Some(child) => child.look(part, word, wanted, visit),
                None => {
                    visit(bits.value());
                    let is_wanted = bits.is(wanted);
                    let part = Part { count: if is_wanted { part.count } else { 1 }, ..part };
                    self.look_over(part, above, bits)
                }
            };
            // Else the entry has changed, and what was seen below may not count: (5).
            if slot.load() == word {
                return look;
            }
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn way(&self, part: Part, above: Word) -> Option<Self::Steps> {
        if part.count >= C::PAGES || part.count > part.head(C::PAGES) {
            return Some(None);
        }
        let slot = self.slot(part);
        let word = slot.load();
        if !word.is_mixed_under(above) {
            return None;
        }
        let child = slot.child()?;
        Some(Some(Step { word, child, below: child.way(part, word)? }))
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn stands(&self, part: Part, steps: &Self::Steps) -> bool {
        let Some(Step { word, child, below }) = steps else { return true };
        self.slot(part).load() == *word && child.stands(part, below)
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn run_along(
        &self,
        part: Part,
        steps: &Self::Steps,
        above: Word,
        visit: &mut impl FnMut(Value),
    ) -> Look {
        match steps {
            Some(step) => step.child.run_along(part, &step.below, step.word, visit),
            None => self.run(part, above, visit),
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn set_along(
        &self,
        part: Part,
        steps: &Self::Steps,
        value: Value,
        above: Above<'_>,
    ) -> Result<(), Moved> {
        let Some(Step { word, child, below }) = steps else { return self.set(part, value, above) };
        let above = Above { word: *word, place: Some(&self.slot(part).word) };
        child.set_along(part, below, value, above)
    }
}

impl<S, E, C, const N: usize> Prepare<S, E> for Inner<C, N>
where
    S: Source<C, Error = E>,
    C: Prepare<S, E>,
{
    /// Only the first and the last entry of a range can be partly in it.
    #[inline(never)]
    fn prepare(&self, part: Part, source: &S) -> Result<(), E> {
        let Part { start, count } = part;
        let head = part.head(C::PAGES);
        if count < head {
            return prepare_below(self.slot(part), part, source);
        }
        if head != C::PAGES {
            prepare_below(self.slot(part), Part { start, count: head }, source)?;
        }
        match (start + count) % C::PAGES {
            0 => Ok(()),
            tail => {
                let part = Part { start: start + count - tail, count: tail };
                prepare_below(self.slot(part), part, source)
            }
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn prepare_along(&self, part: Part, steps: &Self::Steps, source: &S) -> Result<(), E> {
        match steps {
            Some(step) => step.child.prepare_along(part, &step.below, source),
            None => self.prepare(part, source),
        }
    }
}

fn prepare_below<S, E, C>(slot: &Slot<C>, part: Part, source: &S) -> Result<(), E>
where
    S: Source<C, Error = E>,
    C: Prepare<S, E>,
{
    match slot.make_child(source) {
        Ok(child) => child.prepare(part, source),
        Err(error) => Err(error),
    }
}

/// The table whose root is an `R`. The methods may be called from any thread and at any moment.
#[derive(Debug)]
pub(crate) struct PageTable<R> {
    root: R,
}

#[expect(private_bounds, reason = "the levels are nobody's business")]
impl<R: Layer> PageTable<R> {
    /// Pages that the table has room for.
    pub(crate) const PAGES: usize = R::PAGES;

    /// A table in which every page is nobody's; `root` is new.
    pub(crate) const fn new(root: R) -> Self {
        PageTable { root }
    }

    /// Gets the nodes that setting `pages`, or any run of equal pages in it, can need. They stay.
    pub(crate) fn prepare<S, E>(&self, pages: Range<usize>, source: &S) -> Result<(), E>
    where
        R: Prepare<S, E>,
    {
        self.root.prepare(part(pages), source)
    }

    /// Every page of `pages`, which was prepared, has `value` from now on.
    pub(crate) fn set(&self, pages: Range<usize>, value: Value) {
        let done = self.root.set(part(pages), value, Above::ROOT);
        debug_assert!(done.is_ok(), "nothing above the root can move");
    }

    /// The value of page `page`.
    pub(crate) fn get(&self, page: usize) -> Value {
        let part = Part { start: page, count: 1 };
        self.root.look(part, Above::ROOT.word, Bits::ANY, &mut |_| ()).bits.value()
    }

    /// The value of the first page of `pages`, which is not empty, and how many pages from there
    /// on, up to the end of `pages`, have the same.
    pub(crate) fn run(&self, pages: Range<usize>) -> (Value, usize) {
        self.run_with(pages, |_| ())
    }

    /// The same, and `visit` was called with that value while the first page had it all the time.
    /// It may have been called before with other values, or for nothing.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn run_with(
        &self,
        pages: Range<usize>,
        mut visit: impl FnMut(Value),
    ) -> (Value, usize) {
        let part = part(pages);
        // Most runs end in the leaf where they begin.
        let seen = match self.root.way(Part { count: 1, ..part }, Above::ROOT.word) {
            Some(way) => self.run_below(&way, part, &mut visit),
            None => None,
        };
        let Look { bits, len, .. } = match seen {
            Some(look) if look.has_ended || look.len == part.count => look,
            Some(look) => self.root.run_on(part, Above::ROOT.word, look),
            None => self.root.run(part, Above::ROOT.word, &mut visit),
        };
        (bits.value(), len)
    }
}

#[cfg_attr(not(debug_assertions), inline(always))]
fn part(pages: Range<usize>) -> Part {
    Part { start: pages.start, count: pages.len() }
}
