//! Watches against a model: which page is whose, asked by touching it. What nobody watches goes to
//! a handler that this program had before its first watch.

mod vm_support;

use granule::ErrorKind;
use granule::fault::{Fault, Outcome, Watch};
use granule::vm::{self, Protection, Reservation};
use proptest::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use vm_support::system;

/// Pages: entries of more than one node of the table, which has 512 in each.
const COUNT: usize = 1200;
/// Handlers that take turns.
const HANDLERS: usize = 5;

/// The row of pages. Between two touches nobody may touch any of them.
static ROW: OnceLock<Reservation> = OnceLock::new();
/// What was touched, and whose handler was called: 0 is nobody's.
static ADDR: AtomicUsize = AtomicUsize::new(0);
static WHOSE: AtomicUsize = AtomicUsize::new(NOT_CALLED);
const NOBODYS: usize = 0;
const NOT_CALLED: usize = usize::MAX;

/// What each handler does, and last of all the program's own.
fn answer(addr: usize, whose: usize) -> bool {
    let Some(row) = ROW.get().filter(|row| (row.base()..row.base() + row.len()).contains(&addr))
    else {
        return false;
    };
    ADDR.store(addr, SeqCst);
    if WHOSE.swap(whose, SeqCst) != NOT_CALLED {
        return false;
    }
    let offset = addr - row.base();
    row.protect(offset..offset + 1, Protection::ReadWrite).is_ok()
}

type Call = fn(&Fault) -> Outcome;

fn handler<const WHOSE: usize>(fault: &Fault) -> Outcome {
    if answer(fault.addr(), WHOSE) { Outcome::Resume } else { Outcome::NotMine }
}

static CALLS: [Call; HANDLERS] =
    [handler::<1>, handler::<2>, handler::<3>, handler::<4>, handler::<5>];

fn row() -> &'static Reservation {
    ROW.get_or_init(|| {
        system::on_faults(|addr| answer(addr, NOBODYS));
        let len = COUNT * vm::info().page_len;
        let row = Reservation::reserve(len).expect("addresses");
        row.commit(0..len, Protection::NoAccess).expect("some pages");
        row
    })
}

#[derive(Clone, Debug)]
enum Step {
    Watch { pages: Range<usize>, whose: usize },
    End { which: usize },
    Touch { page: usize },
}

/// Short runs and long ones, and some that are exactly one node of the table.
fn runs() -> impl Strategy<Value = Range<usize>> {
    let len = prop_oneof![6 => 0usize..8, 2 => 0usize..COUNT, 1 => Just(512)];
    (0..COUNT, len).prop_map(|(first, len)| first..(first + len).min(COUNT))
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (runs(), 1..=HANDLERS).prop_map(|(pages, whose)| Step::Watch { pages, whose }),
        2 => (0..20usize).prop_map(|which| Step::End { which }),
        6 => (0..COUNT).prop_map(|page| Step::Touch { page }),
    ]
}

struct Twins {
    real: Vec<Watch>,
    /// Whose each page is, and by which watch, in the order of `real`.
    model: Vec<(usize, Range<usize>)>,
}

fn bytes(pages: &Range<usize>) -> Range<usize> {
    let (base, page_len) = (row().base(), vm::info().page_len);
    base + pages.start * page_len..base + pages.end * page_len
}

impl Twins {
    fn whose(&self, page: usize) -> usize {
        let found = self.model.iter().find(|(_, pages)| pages.contains(&page));
        found.map_or(NOBODYS, |&(whose, _)| whose)
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Watch { pages, whose } => self.watch(pages, whose),
            Step::End { which } => {
                if which < self.real.len() {
                    self.real.swap_remove(which);
                    let (_, pages) = self.model.swap_remove(which);
                    self.touch_ends(&pages);
                }
            }
            Step::Touch { page } => self.touch(page),
        }
        let told = self.real.iter().map(Watch::range);
        assert!(told.eq(self.model.iter().map(|(_, pages)| bytes(pages))));
    }

    fn watch(&mut self, pages: Range<usize>, whose: usize) {
        // SAFETY: (1) the handlers call a verb of pages; (2) they say Resume if that has given the
        // right to touch; (3) this is the only thread that watches the row.
        let made = unsafe { Watch::new(bytes(&pages), &CALLS[whose - 1]) };
        let overlaps =
            |(_, other): &(usize, Range<usize>)| other.start < pages.end && pages.start < other.end;
        let expected = if pages.is_empty() {
            Some(ErrorKind::OutOfRange)
        } else {
            self.model.iter().any(overlaps).then_some(ErrorKind::AddressTaken)
        };
        assert_eq!(made.as_ref().err().map(granule::Error::kind), expected, "{pages:?}");
        if let Ok(watch) = made {
            self.real.push(watch);
            self.model.push((whose, pages.clone()));
        }
        if !pages.is_empty() {
            self.touch_ends(&pages);
        }
    }

    /// The pages in and around the ends of a range.
    fn touch_ends(&self, pages: &Range<usize>) {
        let ends = [pages.start.wrapping_sub(1), pages.start, pages.end - 1, pages.end];
        ends.into_iter().filter(|&page| page < COUNT).for_each(|page| self.touch(page));
    }

    fn touch(&self, page: usize) {
        let row = row();
        let offset = page * vm::info().page_len;
        WHOSE.store(NOT_CALLED, SeqCst);
        // SAFETY: the page lies in the row.
        let place = unsafe { row.as_ptr().add(offset) };
        // SAFETY: a handler gives the right to write.
        unsafe { place.write_volatile(1) };
        let answered = (ADDR.load(SeqCst), WHOSE.load(SeqCst));
        assert_eq!(answered, (row.base() + offset, self.whose(page)), "page {page}");
        row.protect(offset..offset + 1, Protection::NoAccess).expect("a committed page");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_page_is_answered_for_by_whoever_watches_it(
        steps in prop::collection::vec(steps(), 1..40),
    ) {
        system::give_handlers_room();
        row();
        let mut twins = Twins { real: Vec::new(), model: Vec::new() };
        steps.into_iter().for_each(|step| twins.apply(step));
    }
}
