//! Random verbs on the real system and on `sys::model`, compared page by page with three
//! witnesses: the table (`query`), the kernel's list of mappings, and reads through the kernel.

mod failures;
mod pieces;
pub(crate) mod stage;
mod tripwires;
mod wishes;

use super::{CommitPolicy, GuardKind, Protection, Reservation, State};
use crate::error::ErrorKind;
use crate::sys::model::{BadState, Content, Model, Simulated, Verb};
use crate::sys::{self, truth};
use core::ops::Range;
use proptest::prelude::*;
use std::sync::LazyLock;
use std::vec::Vec;

/// Pages in a reservation under test.
const COUNT: usize = 21;

fn protections() -> impl Strategy<Value = Protection> {
    prop_oneof![
        1 => Just(Protection::NoAccess),
        1 => Just(Protection::Read),
        4 => Just(Protection::ReadWrite),
        1 => Just(Protection::Execute),
        1 => Just(Protection::ExecuteRead),
        1 => Just(Protection::ExecuteReadWrite),
    ]
}

fn verbs() -> impl Strategy<Value = Verb> {
    prop_oneof![
        6 => protections().prop_map(Verb::Commit),
        2 => Just(Verb::Decommit),
        2 => protections().prop_map(Verb::Protect),
        2 => Just(Verb::Discard),
        3 => Just(Verb::Guard),
        3 => Just(Verb::Unguard),
        2 => Just(Verb::Arm),
        1 => Just(Verb::Disarm),
        1 => Just(Verb::Trip),
        4 => (1u8..).prop_map(Verb::Write),
    ]
}

/// Ranges of bytes, often not on a page border.
fn byte_ranges(page_len: usize) -> impl Strategy<Value = Range<usize>> {
    (0..COUNT * page_len, 1..7 * page_len)
        .prop_map(move |(start, len)| start..(start + len).min(COUNT * page_len))
}

/// A real reservation and its model.
struct Twins {
    real: Reservation,
    model: Model,
    page_len: usize,
    /// Cleared where the charge may differ from the model's: under `vm.overcommit_memory=2` the
    /// kernel charges what is lazy too, and after a refused call a fallback may have kept it.
    charge_is_told: bool,
    /// A call was refused and so was taking back: pages may be Unknown.
    may_be_unknown: bool,
}

impl Twins {
    fn new(kind: GuardKind, policy: CommitPolicy) -> Self {
        let page_len = sys::limits().page_len;
        let builder = Reservation::builder().len(COUNT * page_len).guard_kind(kind).policy(policy);
        Twins::of(builder.reserve().expect("a small reservation"))
    }

    /// A reservation that was just made, and its model.
    fn of(real: Reservation) -> Self {
        let page_len = sys::limits().page_len;
        let (kind, policy) = (real.guard_kind(), real.policy());
        let model = Model::reserve(real.len() / page_len, kind, policy.resolved());
        let charge_is_told = Self::charge_is_told(&real);
        Twins { real, model, page_len, charge_is_told, may_be_unknown: false }
    }

    fn charge_is_told(real: &Reservation) -> bool {
        // Asked once, and so never while calls are refused.
        static OVERCOMMIT: LazyLock<u8> = LazyLock::new(|| sys::info().overcommit);
        real.policy() == CommitPolicy::Strict || *OVERCOMMIT != 2
    }

    fn pages_of(&self, bytes: &Range<usize>) -> Range<usize> {
        bytes.start / self.page_len..bytes.end.div_ceil(self.page_len)
    }

    /// Does the verb on both and checks that both take or refuse it.
    fn apply(&mut self, verb: Verb, bytes: Range<usize>) {
        let pages = self.pages_of(&bytes);
        if let Verb::Write(byte) = verb {
            for index in pages.filter(|&index| self.model.is_writable(index)).collect::<Vec<_>>() {
                self.write(index, byte);
                self.model.apply(verb, index..index + 1).expect("a writable page");
            }
            return;
        }
        if matches!(verb, Verb::Trip) {
            pages.for_each(|index| self.trip(index));
            return;
        }
        let expected = self.model.apply(verb, pages);
        let real = &self.real;
        let done = match verb {
            Verb::Commit(protection) => real.commit(bytes, protection),
            Verb::Decommit => real.decommit(bytes),
            Verb::Protect(protection) => real.protect(bytes, protection),
            Verb::Discard => real.discard(bytes),
            Verb::Guard => real.guard(bytes),
            Verb::Unguard => real.unguard(bytes),
            Verb::Arm => real.arm(bytes),
            Verb::Disarm => real.disarm(bytes),
            Verb::Trip | Verb::Write(_) => unreachable!("handled above"),
        };
        let done = done.map_err(|error| {
            assert_eq!((error.kind(), error.code()), (ErrorKind::BadState, 0), "{verb:?}: {error}");
            BadState
        });
        assert_eq!(done, expected, "{verb:?}");
    }

    /// Tells of a fault in the middle of a page. That only armed ones trip is for both to say.
    fn trip(&mut self, index: usize) {
        let addr = self.real.base() + index * self.page_len + self.page_len / 2;
        // SAFETY: (1) this test has the reservation.
        let told = unsafe { super::trip(addr) };
        let told = told.map(|region| (region.base, region.len, region.state));
        let page = (self.real.base() + index * self.page_len, self.page_len);
        let was_armed = matches!(self.model.pages()[index].state, Simulated::Tripwire(_));
        assert_eq!(told == Some((page.0, page.1, State::Tripwire)), was_armed, "page {index}");
        self.model.apply(Verb::Trip, index..index + 1).expect("any state will do");
    }

    fn write(&self, index: usize, byte: u8) {
        let offset = index * self.page_len;
        // SAFETY: page `index` lies inside the reservation.
        let target = unsafe { self.real.as_ptr().add(offset) };
        // SAFETY: the page is committed for writing, says the model, and nobody else uses it.
        unsafe { target.write_bytes(byte, self.page_len) };
    }

    fn compare(&self) {
        let count = self.model.pages().len();
        let seen = truth::pages_at(self.real.base(), count, self.page_len);
        for (index, (page, seen)) in self.model.pages().iter().zip(seen).enumerate() {
            let region = self.real.query(index * self.page_len).expect("an offset inside");
            let seen = seen.expect("every page of a reservation is mapped");
            let said = (region.state, region.protection);
            if self.may_be_unknown && region.state == State::Unknown {
                continue;
            }
            let expected = match page.state {
                Simulated::Reserved => (State::Reserved, None),
                Simulated::Committed(protection) => (State::Committed, Some(protection)),
                Simulated::Guarded(protection) => (State::Guarded, Some(protection)),
                Simulated::Tripwire(protection) => (State::Tripwire, Some(protection)),
            };
            assert_eq!(said, expected, "the table, page {index}");
            if !self.may_be_unknown {
                assert_eq!(region.len, self.run_len(index), "the run at page {index}");
            }
            if let Some(rights) = seen.rights {
                assert_eq!(rights, self.model.rights(index), "the kernel's rights, page {index}");
            }
            let charged = self.model.is_charged(index).filter(|_| self.charge_is_told);
            if let (Some(wanted), Some(charged)) = (charged, seen.charged) {
                assert_eq!(charged, wanted, "the charge of page {index}");
            }
            self.compare_content(index, page.content);
        }
    }

    fn run_len(&self, index: usize) -> usize {
        let pages = &self.model.pages()[index..];
        let equal = pages.iter().take_while(|page| page.state == pages[0].state).count();
        equal * self.page_len
    }

    fn compare_content(&self, index: usize, content: Content) {
        let Some(readable) = self.model.is_readable(index) else { return };
        for offset in [0, self.page_len / 2, self.page_len - 1] {
            let read = truth::read_byte(self.real.base() + index * self.page_len + offset);
            match (read, content) {
                (None, _) => assert!(!readable, "page {index} must read"),
                (Some(_), _) if !readable => panic!("page {index} reads"),
                (Some(byte), Content::Exactly(wanted)) => assert_eq!(byte, wanted, "page {index}"),
                (Some(byte), Content::ZeroOr(old)) => {
                    assert!(byte == 0 || byte == old, "page {index} reads {byte}, was {old}");
                }
            }
        }
    }
}

fn compare_histories(kind: GuardKind, policy: CommitPolicy) {
    if kind == GuardKind::Marker && !sys::guards().markers {
        std::println!("skipped: this kernel has no guard markers");
        return;
    }
    let page_len = sys::limits().page_len;
    let steps = proptest::collection::vec((verbs(), byte_ranges(page_len)), 1..30);
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() };
    proptest!(config, |(steps in steps)| {
        let mut twins = Twins::new(kind, policy);
        for (verb, range) in steps {
            twins.apply(verb, range);
            twins.compare();
        }
    });
}

#[test]
fn markers_under_strict_follow_the_model() {
    compare_histories(GuardKind::Marker, CommitPolicy::Strict);
}

#[test]
fn markers_under_lazy_follow_the_model() {
    compare_histories(GuardKind::Marker, CommitPolicy::Lazy);
}

#[test]
fn split_guards_under_strict_follow_the_model() {
    compare_histories(GuardKind::Split, CommitPolicy::Strict);
}

#[test]
fn split_guards_under_lazy_follow_the_model() {
    compare_histories(GuardKind::Split, CommitPolicy::Lazy);
}
