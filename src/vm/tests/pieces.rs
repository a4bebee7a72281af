//! Reservations cut and joined at random, with verbs between: the pages never notice.

use super::{Twins, byte_ranges, verbs};
use crate::error::ErrorKind;
use crate::sys::model::Verb;
use crate::sys::{self, GuardKind};
use crate::vm::{self, CommitPolicy, Reservation};
use core::ops::Range;
use proptest::prelude::*;
use std::vec::Vec;

/// Granules in the reservation under test.
const GRANULES: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    /// A verb on a part of one piece.
    Verb(usize, Verb, Range<usize>),
    /// Cut a piece behind so many granules.
    Split(usize, usize),
    /// Join a piece with the next one.
    Join(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = byte_ranges(sys::limits().page_len);
    let step = prop_oneof![
        4 => (0..GRANULES, verbs(), bytes).prop_map(|(piece, verb, range)| {
            Step::Verb(piece, verb, range)
        }),
        2 => (0..GRANULES, 0..GRANULES).prop_map(|(piece, at)| Step::Split(piece, at)),
        1 => (0..GRANULES).prop_map(Step::Join),
    ];
    prop::collection::vec(step, 1..40)
}

/// The pieces of what was one reservation, each with its model, in order.
struct Pieces {
    all: Vec<Twins>,
    base: usize,
    granularity: usize,
}

impl Pieces {
    fn new(kind: GuardKind) -> Self {
        let granularity = sys::limits().granularity;
        let builder = Reservation::builder().len(GRANULES * granularity).guard_kind(kind);
        let whole = builder.policy(CommitPolicy::Strict).reserve().expect("a small reservation");
        Pieces { base: whole.base(), all: std::vec![Twins::of(whole)], granularity }
    }

    fn apply(&mut self, step: Step) {
        let count = self.all.len();
        match step {
            Step::Verb(piece, verb, range) => {
                let twins = &mut self.all[piece % count];
                let len = twins.real.len();
                let start = range.start % len;
                twins.apply(verb, start..(start + range.len()).min(len));
            }
            Step::Split(piece, at) => self.split(piece % count, at),
            Step::Join(piece) => self.join(piece % count),
        }
    }

    fn split(&mut self, piece: usize, at: usize) {
        let offset = at * self.granularity;
        let Twins { real, mut model, .. } = self.all.remove(piece);
        let is_inside = (1..real.len()).contains(&offset);
        match real.split(offset) {
            Ok((lower, upper)) => {
                assert!(is_inside);
                let behind = model.split_off(offset / sys::limits().page_len);
                self.all.insert(piece, Twins { model: behind, ..Twins::of(upper) });
                self.all.insert(piece, Twins { model, ..Twins::of(lower) });
            }
            Err((real, error)) => {
                assert_eq!((error.kind(), is_inside), (ErrorKind::OutOfRange, false), "{error}");
                self.all.insert(piece, Twins { model, ..Twins::of(real) });
            }
        }
    }

    /// The last piece and the first one are no neighbours in this order.
    fn join(&mut self, piece: usize) {
        let other = (piece + 1) % self.all.len();
        if other == piece {
            return;
        }
        let second = self.all.remove(other);
        let first = self.all.remove(if other < piece { piece - 1 } else { piece });
        match first.real.join(second.real) {
            Ok(real) => {
                assert!(piece < other);
                let mut model = first.model;
                model.append(second.model);
                self.all.insert(piece, Twins { model, ..Twins::of(real) });
            }
            Err((real, upper, error)) => {
                assert_eq!((error.kind(), other), (ErrorKind::OutOfRange, 0), "{error}");
                self.all.insert(0, Twins { model: second.model, ..Twins::of(upper) });
                self.all.push(Twins { model: first.model, ..Twins::of(real) });
            }
        }
    }

    /// Every page is as its model says, and names the piece that it is in.
    fn compare(&self) {
        let mut end = self.base;
        for twins in &self.all {
            assert_eq!(twins.real.base(), end, "the pieces lie side by side");
            end += twins.real.len();
            twins.compare();
            for offset in (0..twins.real.len()).step_by(twins.page_len) {
                let region = vm::query(twins.real.base() + offset).expect("our page");
                assert_eq!(Ok(region), twins.real.query(offset));
                assert_eq!(region.allocation_base, twins.real.base());
            }
        }
        assert_eq!(end, self.base + GRANULES * self.granularity);
    }

    /// Releases them in an order that is not theirs; the others keep their pages.
    fn release(mut self, from: usize) {
        while !self.all.is_empty() {
            let twins = self.all.remove(from % self.all.len());
            twins.real.release().expect("it is ours");
            self.all.iter().for_each(Twins::compare);
        }
    }
}

fn compare_pieces(kind: GuardKind) {
    if kind == GuardKind::Marker && !sys::guards().markers {
        std::println!("skipped: this kernel has no guard markers");
        return;
    }
    let config = ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() };
    proptest!(config, |(steps in steps(), from in 0..GRANULES)| {
        let mut pieces = Pieces::new(kind);
        for step in steps {
            pieces.apply(step);
        }
        pieces.compare();
        pieces.release(from);
    });
}

#[test]
fn pieces_with_markers_follow_the_model() {
    compare_pieces(GuardKind::Marker);
}

#[test]
fn pieces_with_split_guards_follow_the_model() {
    compare_pieces(GuardKind::Split);
}

#[test]
fn pieces_that_cannot_be_come_back_whole() {
    let granularity = sys::limits().granularity;
    let whole = Reservation::reserve(2 * granularity).expect("a small reservation");
    let (whole, error) = whole.split(granularity - 1).expect_err("not a granule");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Misaligned, 0));
    assert_eq!(error.addr(), whole.base() + granularity - 1);
    let (whole, error) = whole.split(2 * granularity).expect_err("nothing behind it");
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    let (first, second) = whole.split(granularity).expect("two granules");
    let (second, first, error) = second.join(first).expect_err("the wrong way round");
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    if let Err(error) = first.advise(vm::Advice::NoDump) {
        std::println!("skipped: pieces with different advice, {error}");
        return;
    }
    let (first, second, error) = first.join(second).expect_err("one has advice");
    assert_eq!(error.kind(), ErrorKind::BadState);
    assert_eq!((first.len(), second.len()), (granularity, granularity));
}
