//! Floor 2, uses floors 0 and 1. The page table of the process: the state of every page of ours.
//!
//! There is one table, found by address (`ds::page_table`), so a page's state is a few loads away
//! for whoever asks: a verb, another thread, a fault handler. A page's owner is the number of the
//! record of its reservation (`records`). Nodes are made as they are needed and stay.

use super::pool::{Pool, Pooled, Refusal};
use crate::addr::{PageLen, Pages};
use crate::ds::page_table::{self, Inner, Leaf, PageTable, Source, Value};
use crate::ds::ready_stack::Link;
use crate::sys::{self, Protection};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Entries of a node, as the processor has them.
const WIDTH: usize = 512;

pub(super) type Lowest = Leaf<WIDTH>;
pub(super) type Second = Inner<Lowest, WIDTH>;
pub(super) type Third = Inner<Second, WIDTH>;
pub(crate) type Root = Inner<Third, WIDTH>;

/// The way that leads to the pages of a call.
pub(crate) type Way = page_table::Way<Root>;

static TABLE: PageTable<Root> = PageTable::new(Root::new());

/// Pages that the table has room for: 256 TiB of 4 KiB pages, which is more than programs get.
pub(crate) const PAGES: usize = PageTable::<Root>::PAGES;

/// Far more nodes of a level than the table can have.
const NODES: u32 = 1 << 30;

static LOWEST: Pool<Lowest, NODES> = Pool::new();
static SECOND: Pool<Second, NODES> = Pool::new();
static THIRD: Pool<Third, NODES> = Pool::new();

// SAFETY: (1) atomics and null pointers, for which zero is a value; (2) 512 words.
unsafe impl Pooled for Lowest {
    fn link(&self) -> &impl Link {
        self.first_word()
    }
}

// SAFETY: (1) as above; (2) 512 times a word and a pointer.
unsafe impl Pooled for Second {
    fn link(&self) -> &impl Link {
        self.first_word()
    }
}

// SAFETY: as for `Second`.
unsafe impl Pooled for Third {
    fn link(&self) -> &impl Link {
        self.first_word()
    }
}

/// The pools, as the table wants them.
pub(crate) struct Nodes;

fn take<T: Pooled>(
    pool: &Pool<T, NODES>,
    first_word: fn(&T) -> &AtomicU64,
) -> Result<(u32, &'static T), Refusal> {
    let (number, node) = pool.take()?;
    // The pool may have kept its link there; an entry in the table has to begin as 0.
    first_word(node).store(0, Ordering::Relaxed);
    Ok((number, node))
}

impl Source<Lowest> for Nodes {
    type Error = Refusal;
    fn take(&self) -> Result<(u32, &'static Lowest), Refusal> {
        take(&LOWEST, Lowest::first_word)
    }
    fn give_back(&self, number: u32) {
        LOWEST.give_back(number);
    }
}

impl Source<Second> for Nodes {
    type Error = Refusal;
    fn take(&self) -> Result<(u32, &'static Second), Refusal> {
        take(&SECOND, Second::first_word)
    }
    fn give_back(&self, number: u32) {
        SECOND.give_back(number);
    }
}

impl Source<Third> for Nodes {
    type Error = Refusal;
    fn take(&self) -> Result<(u32, &'static Third), Refusal> {
        take(&THIRD, Third::first_word)
    }
    fn give_back(&self, number: u32) {
        THIRD.give_back(number);
    }
}

/// The page of this process. Asks the system once.
pub(crate) fn page() -> Option<PageLen> {
    static LEN: AtomicU32 = AtomicU32::new(0);
    match LEN.load(Ordering::Relaxed) {
        0 => {
            let len = sys::limits().page_len;
            LEN.store(len as u32, Ordering::Relaxed);
            PageLen::new(len)
        }
        len => PageLen::new(len as usize),
    }
}

/// What the table says about page number `page` of the address space.
pub(super) fn value_at(page: usize) -> Value {
    TABLE.get(page)
}

/// The value of the first of `pages` of the address space, and how many pages have it.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn run_at(pages: Range<usize>) -> (Value, usize) {
    TABLE.run_with(pages, |_| ())
}

/// The same, and `visit` has seen that value while the page had it.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn run_at_with(pages: Range<usize>, visit: impl FnMut(Value)) -> (Value, usize) {
    TABLE.run_with(pages, visit)
}

/// The state of one page. Those that fault remember the rights they get back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageState {
    Reserved,
    Committed(Protection),
    Guarded(Protection),
    /// The next touch faults and takes this state away.
    Tripwire(Protection),
    /// A system call failed half way and taking it back failed too.
    Unknown,
}

/// In the order of their discriminants.
const PROTECTIONS: [Protection; 6] = [
    Protection::NoAccess,
    Protection::Read,
    Protection::ReadWrite,
    Protection::Execute,
    Protection::ExecuteRead,
    Protection::ExecuteReadWrite,
];

impl PageState {
    const RESERVED: u8 = 1;
    const UNKNOWN: u8 = 2;
    const COMMITTED: u8 = 8;
    const GUARDED: u8 = 16;
    const TRIPWIRE: u8 = 24;
    /// All numbers are below.
    pub(super) const CODES: usize = 32;

    /// Committed, whatever a touch does.
    pub(super) fn is_promised(self) -> bool {
        matches!(self, PageState::Committed(_) | PageState::Tripwire(_) | PageState::Guarded(_))
    }

    /// The number that stands for the state in the table. 0 is left for pages that are not ours.
    const fn code(self) -> u8 {
        match self {
            PageState::Reserved => Self::RESERVED,
            PageState::Unknown => Self::UNKNOWN,
            PageState::Committed(protection) => Self::COMMITTED + protection as u8,
            PageState::Guarded(protection) => Self::GUARDED + protection as u8,
            PageState::Tripwire(protection) => Self::TRIPWIRE + protection as u8,
        }
    }

    /// The state that a number stands for; `None` for 0 and for numbers that no state has.
    pub(super) const fn from_code(code: u8) -> Option<Self> {
        let index = (code % 8) as usize;
        match code & !7 {
            0 if code == Self::RESERVED => Some(PageState::Reserved),
            0 if code == Self::UNKNOWN => Some(PageState::Unknown),
            _ if index >= PROTECTIONS.len() => None,
            Self::COMMITTED => Some(PageState::Committed(PROTECTIONS[index])),
            Self::GUARDED => Some(PageState::Guarded(PROTECTIONS[index])),
            Self::TRIPWIRE => Some(PageState::Tripwire(PROTECTIONS[index])),
            _ => None,
        }
    }
}

/// A run of pages that are all in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) pages: Pages,
    pub(crate) state: PageState,
}

/// The part of the table that one reservation has. Pages are counted from its first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageStates {
    owner: u32,
    first: usize,
}

impl PageStates {
    /// The part of the owner with record `owner` whose first page is number `first` of the address
    /// space. All its pages have to be below [`PAGES`].
    pub(super) const fn new(owner: u32, first: usize) -> Self {
        PageStates { owner, first }
    }

    /// Gets the memory that setting `pages` can need, and keeps it.
    pub(super) fn prepare(&self, pages: Pages) -> Result<(), Refusal> {
        TABLE.prepare(self.absolute(pages), &Nodes)
    }

    /// Every page of `pages`, which was prepared, is in `state` from now on.
    pub(crate) fn set(&self, pages: Pages, state: PageState) {
        TABLE.set(self.absolute(pages), Value { owner: self.owner, state: state.code() });
    }

    /// The pages, which were prepared, are nobody's from now on.
    pub(super) fn forget(&self, pages: Pages) {
        TABLE.set(self.absolute(pages), Value::NOBODYS);
    }

    /// The way for `pages`, if there is one already.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn way(&self, pages: Pages) -> Option<Way> {
        TABLE.way(self.absolute(pages))
    }

    /// As [`first_run`](Self::first_run), for the pages of the way. `None` if that has changed.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn first_run_along(&self, way: &Way, pages: Pages) -> Option<Run> {
        let (value, count) = TABLE.run_along(way, self.absolute(pages))?;
        Some(self.run_of(pages, value, count))
    }

    /// As [`prepare`](Self::prepare), for the pages of the way.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn prepare_along(&self, way: &Way, pages: Pages) -> Result<(), Refusal> {
        TABLE.prepare_along(way, self.absolute(pages), &Nodes)
    }

    /// As [`set`](Self::set), for the pages of the way. False if that has changed; then it is up to
    /// `set`.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn set_along(&self, way: &Way, pages: Pages, state: PageState) -> bool {
        let value = Value { owner: self.owner, state: state.code() };
        TABLE.set_along(way, self.absolute(pages), value)
    }

    /// The longest run of equal state that begins with the first page of `pages` and stays inside.
    pub(crate) fn first_run(&self, pages: Pages) -> Run {
        let (value, count) = TABLE.run(self.absolute(pages));
        self.run_of(pages, value, count)
    }

    /// The first `count` of `pages`, which have this value.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn run_of(&self, pages: Pages, value: Value, count: usize) -> Run {
        // Another owner can only be where the caller broke a rule: nothing is known then.
        let state = PageState::from_code(value.state).filter(|_| value.owner == self.owner);
        let pages = Pages::new(pages.first(), pages.first() + count).unwrap_or(pages);
        Run { pages, state: state.unwrap_or(PageState::Unknown) }
    }

    /// The runs of equal state of `pages`, in order.
    pub(crate) fn runs(&self, pages: Pages) -> Runs<'_> {
        Runs { states: self, rest: Some(pages) }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn absolute(&self, pages: Pages) -> Range<usize> {
        self.first + pages.first()..self.first + pages.end()
    }
}

/// Iterator over the runs of equal state.
pub(crate) struct Runs<'a> {
    states: &'a PageStates,
    rest: Option<Pages>,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let rest = self.rest?;
        let run = self.states.first_run(rest);
        self.rest = Pages::new(run.pages.end(), rest.end());
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_state_has_a_number_of_its_own() {
        let mut states = std::vec![PageState::Reserved, PageState::Unknown];
        for protection in PROTECTIONS {
            states.push(PageState::Committed(protection));
            states.push(PageState::Guarded(protection));
            states.push(PageState::Tripwire(protection));
        }
        for &state in &states {
            assert_eq!(PageState::from_code(state.code()), Some(state));
        }
        let known: Vec<_> = (0..=u8::MAX).filter_map(PageState::from_code).collect();
        assert_eq!(known.len(), states.len(), "no other number means anything");
        assert_eq!(PageState::from_code(0), None);
    }
}
