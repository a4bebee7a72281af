//! Floor 2, uses floors 0 and 1. The table that knows the state of every page of one reservation.
//!
//! One byte per page, eight to a word, in a side range of its own: address space from the system,
//! memory only where a verb has been. The system's zero pages are the right beginning, because 0 is
//! the code of Reserved. All accesses are to whole words, so that a run of equal pages is filled
//! and searched eight pages at a time.
//!
//! Invariants:
//! 1. A word at or behind `used` is zero: all its pages are Reserved and were never anything else.
//! 2. The lanes of pages behind the reservation's end stay zero.

use crate::addr::{PageLen, Pages};
use crate::error::Op;
use crate::sys::{self, CommitPolicy, Errno, Protection};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Pages in a word.
const LANES: usize = 8;

/// The state of one page. Guarded pages remember the rights they get back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageState {
    Reserved,
    Committed(Protection),
    Guarded(Protection),
    /// A system call failed half way and taking it back failed too.
    Unknown,
}

impl PageState {
    /// The byte that stands for the state in the table. 0 must be Reserved.
    const fn code(self) -> u8 {
        match self {
            PageState::Reserved => 0,
            PageState::Committed(protection) => 1 + protection as u8,
            PageState::Guarded(protection) => 1 + PROTECTIONS.len() as u8 + protection as u8,
            PageState::Unknown => u8::MAX,
        }
    }

    fn from_code(code: u8) -> Self {
        let Some(index) = usize::from(code).checked_sub(1) else { return PageState::Reserved };
        match (PROTECTIONS.get(index), PROTECTIONS.get(index.wrapping_sub(PROTECTIONS.len()))) {
            (Some(&protection), _) => PageState::Committed(protection),
            (None, Some(&protection)) => PageState::Guarded(protection),
            (None, None) => PageState::Unknown,
        }
    }
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

/// A run of pages that are all in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) pages: Pages,
    pub(crate) state: PageState,
}

/// The table. Its methods may be called from any thread; pages outside the given run are kept.
#[derive(Debug)]
pub(crate) struct PageStates {
    words: NonNull<AtomicU64>,
    words_len: usize,
    table_len: usize,
    used: AtomicUsize,
}

// SAFETY: the table is owned by this value alone, and every access to it is atomic.
unsafe impl Send for PageStates {}
// SAFETY: as above.
unsafe impl Sync for PageStates {}

impl PageStates {
    /// A table of `count` pages, all Reserved. Its own memory is taken at first touch, whatever the
    /// policy of the reservation, and is not charged. An error names the step that failed.
    pub(crate) fn new(count: usize, page: PageLen) -> Result<Self, (Op, Errno)> {
        let words_len = count.div_ceil(LANES);
        // A table is at most an eighth of what it describes, so this cannot overflow.
        let table_len = (words_len * LANES).next_multiple_of(page.bytes());
        // SAFETY: (1) not zero, whole pages; the page is a power of two.
        let table = unsafe { sys::reserve(0, table_len, page.bytes(), CommitPolicy::Lazy) }
            .map_err(|errno| (Op::Reserve, errno))?;
        // SAFETY: (1) exactly the range reserved above.
        if let Err(errno) = unsafe { sys::commit(table, table_len, Protection::ReadWrite) } {
            // SAFETY: (1) the range reserved above, known to nobody. The first error is the one to
            // tell.
            let _ = unsafe { sys::release(table, table_len) };
            return Err((Op::Commit, errno));
        }
        Ok(PageStates { words: table.cast(), words_len, table_len, used: AtomicUsize::new(0) })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the range is committed, page-aligned and holds at least `words_len` words until
        // drop; the system's zero bytes are valid words, and all accesses are atomic.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr(), self.words_len) }
    }

    /// Every page of `pages` is in `state` from now on.
    pub(crate) fn set(&self, pages: Pages, state: PageState) {
        self.used.fetch_max(pages.end().div_ceil(LANES), Ordering::AcqRel);
        let filled = spread(state);
        let touched = pages.first() / LANES..pages.end().div_ceil(LANES);
        for (index, word) in touched.clone().zip(&self.words()[touched]) {
            let mask = lanes(pages, index);
            if mask == u64::MAX {
                word.store(filled, Ordering::Release);
            } else {
                // The neighbours in the word may belong to a verb on another thread.
                let mut old = word.load(Ordering::Relaxed);
                while let Err(now) = word.compare_exchange_weak(
                    old,
                    (old & !mask) | (filled & mask),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                ) {
                    old = now;
                }
            }
        }
    }

    /// The longest run of equal state that begins with the first page of `pages` and stays inside.
    /// Looks at eight pages at a time, and at none behind `used`.
    pub(crate) fn first_run(&self, pages: Pages) -> Run {
        let used = self.used.load(Ordering::Acquire);
        let words = &self.words()[..used];
        let word = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Acquire));
        let first = pages.first() / LANES;
        let state = PageState::from_code((word(first) >> (8 * (pages.first() % LANES))) as u8);
        let wanted = spread(state);
        let last = pages.end().div_ceil(LANES).min(used);
        let differing = (first..last).find_map(|index| {
            let differing = (word(index) ^ wanted) & lanes(pages, index);
            (differing != 0).then(|| index * LANES + differing.trailing_zeros() as usize / 8)
        });
        let end = match differing {
            Some(page) => page,
            None if state == PageState::Reserved => pages.end(),
            // Behind `used` everything is Reserved.
            None => pages.end().min(used * LANES),
        };
        let end = end.max(pages.first() + 1);
        let pages = Pages::new(pages.first(), end).expect("a run has at least its first page");
        Run { pages, state }
    }

    /// The runs of equal state of `pages`, in order.
    pub(crate) fn runs(&self, pages: Pages) -> Runs<'_> {
        Runs { states: self, rest: Some(pages) }
    }
}

impl Drop for PageStates {
    fn drop(&mut self) {
        let table = self.words.cast();
        // SAFETY: (1) the range made in `new`; `&mut self` means that nobody looks at it any more.
        if unsafe { sys::release(table, self.table_len) }.is_err() {
            // The addresses stay taken; there is nothing better to do in a drop.
            // SAFETY: (1) as above: its memory at least goes back.
            let _ = unsafe { sys::decommit(table, self.table_len, CommitPolicy::Lazy) };
        }
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

/// A word whose eight pages are all in `state`.
const fn spread(state: PageState) -> u64 {
    u64::from_ne_bytes([state.code(); LANES])
}

/// The lanes of word `index` that `pages` covers.
fn lanes(pages: Pages, index: usize) -> u64 {
    let start = index * LANES;
    let first = pages.first().saturating_sub(start).min(LANES);
    let behind = (start + LANES).saturating_sub(pages.end()).min(LANES);
    let from_first = u64::MAX.checked_shl(8 * first as u32).unwrap_or(0);
    let before_end = u64::MAX.checked_shr(8 * behind as u32).unwrap_or(0);
    from_first & before_end
}
