//! Write watch against a model: a set of pages that were written, and random verbs on both.

mod vm_support;

use granule::ErrorKind;
use granule::vm::{self, Protection, Reservation, State};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;
use vm_support::{byte_at, put, region_at};

/// Pages: more than one table of the system has entries for.
const COUNT: usize = 600;

#[derive(Clone, Copy, Debug)]
enum Verb {
    Commit(Protection),
    Decommit,
    Protect(Protection),
    Guard,
    Unguard,
    Write,
    Read,
    Ask,
    Take { room: usize },
    Forget,
}

fn verbs() -> impl Strategy<Value = Verb> {
    let protection = prop_oneof![
        1 => Just(Protection::NoAccess),
        2 => Just(Protection::Read),
        5 => Just(Protection::ReadWrite),
    ];
    prop_oneof![
        3 => protection.clone().prop_map(Verb::Commit),
        1 => Just(Verb::Decommit),
        2 => protection.prop_map(Verb::Protect),
        1 => Just(Verb::Guard),
        2 => Just(Verb::Unguard),
        6 => Just(Verb::Write),
        3 => Just(Verb::Read),
        2 => Just(Verb::Ask),
        4 => (1usize..20).prop_map(|room| Verb::Take { room }),
        1 => Just(Verb::Forget),
    ]
}

/// Short runs and long ones.
fn runs() -> impl Strategy<Value = Range<usize>> {
    let len = prop_oneof![4 => 1usize..6, 1 => 1usize..COUNT];
    (0..COUNT, len).prop_map(|(first, len)| first..(first + len).min(COUNT))
}

struct Twins {
    real: Reservation,
    written: BTreeSet<usize>,
    page: usize,
}

impl Twins {
    fn bytes(&self, pages: &Range<usize>) -> Range<usize> {
        pages.start * self.page..pages.end * self.page
    }

    fn apply(&mut self, verb: Verb, pages: Range<usize>) {
        let bytes = self.bytes(&pages);
        let done = match verb {
            Verb::Commit(protection) => self.real.commit(bytes, protection),
            Verb::Decommit => self.real.decommit(bytes),
            Verb::Protect(protection) => self.real.protect(bytes, protection),
            Verb::Guard => self.real.guard(bytes),
            Verb::Unguard => self.real.unguard(bytes),
            Verb::Forget => self.real.forget_written(bytes),
            Verb::Write | Verb::Read => {
                pages.for_each(|page| self.touch(page, matches!(verb, Verb::Write)));
                return;
            }
            Verb::Ask => return self.compare(pages, COUNT, false),
            Verb::Take { room } => return self.compare(pages, room, true),
        };
        match done {
            Ok(()) => {
                if matches!(verb, Verb::Decommit | Verb::Guard | Verb::Forget) {
                    self.written.retain(|page| !pages.contains(page));
                }
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::BadState, "{verb:?}: {error}"),
        }
    }

    /// Writes or reads a page, if its state lets one.
    fn touch(&mut self, page: usize, is_write: bool) {
        let (offset, region) = (page * self.page, region_at(&self.real, page * self.page));
        match (region.state, region.protection, is_write) {
            (State::Committed, Some(Protection::ReadWrite), true) => {
                put(&self.real, offset, 1);
                self.written.insert(page);
            }
            (State::Committed, Some(Protection::Read | Protection::ReadWrite), false) => {
                byte_at(&self.real, offset);
            }
            _ => {}
        }
    }

    /// Asks for the pages of a run in rooms of `room` ranges, to the end.
    fn compare(&mut self, pages: Range<usize>, room: usize, take: bool) {
        let mut ranges = vec![0..0; room];
        let mut rest = self.bytes(&pages);
        let mut told = Vec::new();
        loop {
            let ask = if take { Reservation::take_written } else { Reservation::written };
            let found = ask(&self.real, rest.clone(), &mut ranges).expect("a watched reservation");
            for range in &ranges[..found.count] {
                told.extend(range.start / self.page..range.end / self.page);
            }
            let Some(next) = found.next else { break };
            assert!(next > rest.start, "it goes on");
            rest.start = next;
        }
        let expected: Vec<usize> = self.written.range(pages.clone()).copied().collect();
        assert_eq!(told, expected, "written pages of {pages:?}");
        if take {
            self.written.retain(|page| !pages.contains(page));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_pages_told_are_the_pages_written(
        steps in prop::collection::vec((verbs(), runs()), 0..60),
    ) {
        let page = vm::info().page_len;
        match Reservation::builder().len(COUNT * page).write_watch().reserve() {
            Err(error) if error.kind() == ErrorKind::Unsupported => println!("skipped: {error}"),
            real => {
                let real = real.expect("a small reservation");
                let mut twins = Twins { real, written: BTreeSet::new(), page };
                for (verb, pages) in steps {
                    twins.apply(verb, pages);
                }
                twins.compare(0..COUNT, COUNT, true);
            }
        }
    }
}
