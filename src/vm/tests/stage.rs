//! The stage on which a scenario is played while its system calls fail.
//!
//! A scenario is a story from the first reservation to the last release. It is played once in peace
//! and then again and again: with its first counted call refused, its second, and so on until there
//! is none left to refuse; with two in a row; with all from the n-th on; and each for every number
//! that the refused call can give. Each time all of this is checked:
//!
//! - a verb that was refused a call says so, with its own name, the call's and its number; success
//!   is told only where the scenario lists the call as absorbed, and why;
//! - every page is still mapped, and in the state that `query` tells (or Unknown, if taking back
//!   was refused too);
//! - the reservation can be used afterwards: emptied, committed, written, read;
//! - in the end nothing is mapped or open that was not before, except what the system refused to
//!   take back.

use super::Twins;
use crate::error::{Call, Error, Op};
use crate::start;
use crate::sys::inject::{Ledger, Plan, Refused, Session, unseen};
use crate::sys::model::Verb;
use crate::sys::{self, truth};
use crate::vm::{self, Builder, Protection, Reservation};
use core::ops::Range;
use core::ptr::NonNull;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::vec::Vec;

/// Runs a test of this name in a process of its own, where no other test takes the addresses that
/// it gives up for a moment, or is refused for longer.
pub(crate) fn in_own_process(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "GRANULE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let mut again = start::again();
    let output = start::output(again.args(["--exact", name, "--test-threads=1"]).env(ALONE, "1"));
    let said = std::string::String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{name}: {said}");
}

/// A refusal that does not make the verb fail.
#[derive(Debug)]
pub(crate) struct Absorbed {
    /// `None`: a function that cannot fail.
    op: Option<Op>,
    call: Call,
    #[expect(dead_code, reason = "told with the rest where the entry is wrong")]
    why: &'static str,
    /// It happens on some systems only.
    is_rare: bool,
}

impl Absorbed {
    /// The verb succeeds although `call` was refused, because of `why`.
    pub(crate) const fn by(op: Op, call: Call, why: &'static str) -> Self {
        Absorbed { op: Some(op), call, why, is_rare: false }
    }

    /// The same, on systems that lack something or have it.
    pub(crate) const fn on_some_systems(self) -> Self {
        Absorbed { is_rare: true, ..self }
    }

    /// The same for a function that cannot fail.
    pub(crate) const fn by_answer(call: Call, why: &'static str) -> Self {
        Absorbed { op: None, call, why, is_rare: false }
    }
}

/// A story and what it may absorb.
#[derive(Clone, Copy)]
struct Scenario<'a> {
    absorbs: &'a [Absorbed],
    story: Story<'a>,
    /// The entries of `absorbs` that were met.
    met: &'a RefCell<BTreeSet<usize>>,
}

type Story<'a> = &'a dyn Fn(&mut Stage<'_>) -> Result<(), Error>;

/// What happens to the reservations when the story stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The system works again; they are used and released.
    Peace,
    /// They are dropped, with the calls still failing.
    UnderFire,
}

struct Played {
    /// Calls of the story that can be refused.
    counted: usize,
    /// One was.
    refused: bool,
}

/// Numbers that a call can give, at most.
const CHOICES: usize = 3;
/// How often a story is played again to meet a refusal.
const ROUNDS: usize = 10;
/// More calls than any story makes.
const CALLS_MAX: usize = 2000;

/// Plays a story in all the ways. Each entry of `absorbs` must have been met in the end.
pub(crate) fn play(absorbs: &[Absorbed], story: impl Fn(&mut Stage<'_>) -> Result<(), Error>) {
    let met = RefCell::default();
    let scenario = Scenario { absorbs, story: &story, met: &met };
    // Twice: what is made once in a process is there the second time.
    scenario.play_once(Plan::NOTHING, Ending::Peace);
    if scenario.play_once(Plan::NOTHING, Ending::Peace).counted == 0 {
        std::println!("skipped: this system refuses no call of the story");
        return;
    }
    for (count, ending) in [
        (1, Ending::Peace),
        (2, Ending::Peace),
        (usize::MAX, Ending::Peace),
        (usize::MAX, Ending::UnderFire),
    ] {
        scenario.play_all(count, ending);
    }
    // How many calls a verb makes can depend on what other threads do, so a call can be missed.
    let missing = || {
        let is_missing = |(index, absorbed): &(usize, &Absorbed)| {
            let is_here = !absorbed.is_rare && !sys::refusals(absorbed.call).is_empty();
            is_here && !met.borrow().contains(index)
        };
        absorbs.iter().enumerate().find(is_missing).map(|(_, absorbed)| absorbed)
    };
    for _ in 0..ROUNDS {
        if missing().is_some() {
            scenario.play_all(1, Ending::Peace);
        }
    }
    assert!(missing().is_none(), "{:?} never happened", missing());
}

impl Scenario<'_> {
    /// Refuses `count` calls from the first on, from the second on, and so on.
    fn play_all(self, count: usize, ending: Ending) {
        for choice in 0..CHOICES {
            let plan = |nth| Plan { nth, count, choice };
            let is_refused = |nth: &usize| self.play_once(plan(*nth), ending).refused;
            let calls = (1..CALLS_MAX).take_while(is_refused).count();
            assert!(calls > 0 && calls < CALLS_MAX - 1, "{calls} calls");
        }
    }

    /// Plays it under a plan.
    fn play_once(self, plan: Plan, ending: Ending) -> Played {
        let session = Session::open(plan);
        let scenario = self;
        let mut stage = Stage { session: &session, scenario, plan, judged: 0, twins: Vec::new() };
        let told = (self.story)(&mut stage);
        let counted = session.counted();
        assert!(plan != Plan::NOTHING || told.is_ok(), "{told:?} although nothing was refused");
        stage.compare_all();
        let context = std::format!("{plan:?}, {ending:?}, the story told {told:?}");
        match ending {
            Ending::Peace => {
                session.follow(Plan::NOTHING);
                stage.use_and_release();
            }
            Ending::UnderFire => {
                stage.twins.clear();
                session.follow(Plan::NOTHING);
            }
        }
        let refused = session.refused();
        check_ledger(session.ledger(), &refused, plan, &context);
        Played { counted, refused: !refused.is_empty() }
    }
}

/// Nothing is left but what the system refused to take back; and if it refused nothing else, that
/// holds no memory.
fn check_ledger(mut ledger: Ledger, refused: &[Refused], plan: Plan, context: &str) {
    let left = ledger.ranges();
    for refused in refused.iter().filter(|refused| releases(refused)) {
        let [addr, len] = refused.about;
        ledger.forget(addr, len);
    }
    assert_eq!(ledger, Ledger::default(), "left behind, or given back twice: {context}");
    let page_len = sys::limits().page_len;
    // Nothing but the call that was refused gives back the memory of a view.
    let view = refused.iter().any(|refused| refused.call == Call::UnmapViewOfFile);
    for range in left {
        for page in truth::pages_at(range.start, range.len() / page_len, page_len) {
            let page = page.expect("it could not be unmapped");
            let writable =
                matches!(page.rights, Some(Protection::ReadWrite | Protection::ExecuteReadWrite));
            let harmless = !writable && page.charged != Some(true);
            assert!(harmless || view || plan.count > 1, "{page:?} is left: {context}");
        }
        let start = NonNull::new(core::ptr::with_exposed_provenance_mut(range.start));
        let start = start.expect("not page 0");
        // SAFETY: (1) it was mapped by the story, which has forgotten it.
        let released = unsafe { sys::release(start, range.len()) };
        assert!(released.is_ok() || view, "{released:?}: {context}");
    }
}

/// True for a call that would have given addresses back. Windows gives back what was taken there,
/// and no length is told.
const fn releases(refused: &Refused) -> bool {
    match refused.call {
        Call::Munmap => true,
        Call::VirtualFree | Call::UnmapViewOfFile => refused.about[1] == 0,
        _ => false,
    }
}

/// What a story works with.
pub(crate) struct Stage<'a> {
    session: &'a Session,
    scenario: Scenario<'a>,
    plan: Plan,
    /// Refusals that were judged already.
    judged: usize,
    twins: Vec<Twins>,
}

impl Stage<'_> {
    /// Free -> Reserved; the new reservation is the last one.
    pub(super) fn reserve(&mut self, builder: Builder) -> Result<(), Error> {
        let real = builder.reserve();
        self.judge(Some(Op::Reserve), real.as_ref().err());
        self.twins.push(Twins::of(real?));
        self.compare_after_refusals();
        Ok(())
    }

    /// A verb that the model knows, on pages of a reservation.
    pub(super) fn apply(
        &mut self,
        index: usize,
        verb: Verb,
        pages: Range<usize>,
    ) -> Result<(), Error> {
        let twins = &mut self.twins[index];
        let bytes = pages.start * twins.page_len..pages.end * twins.page_len;
        let real = &twins.real;
        let (op, done) = match verb {
            Verb::Commit(protection) => (Op::Commit, real.commit(bytes, protection)),
            Verb::Decommit => (Op::Decommit, real.decommit(bytes)),
            Verb::Protect(protection) => (Op::Protect, real.protect(bytes, protection)),
            Verb::Discard => (Op::Discard, real.discard(bytes)),
            Verb::Guard => (Op::Guard, real.guard(bytes)),
            Verb::Unguard => (Op::Unguard, real.unguard(bytes)),
            Verb::Arm => (Op::Arm, real.arm(bytes)),
            Verb::Disarm => (Op::Disarm, real.disarm(bytes)),
            Verb::Trip => {
                for page in pages {
                    // SAFETY: (1) the stage has the reservation.
                    let told = unsafe { vm::trip(twins.real.base() + page * twins.page_len) };
                    // A trip that was refused its call leaves the page armed, and says nothing.
                    if told.is_some() {
                        twins.model.apply(verb, page..page + 1).expect("any state will do");
                    }
                }
                self.judge(None, None);
                return Ok(());
            }
            Verb::Write(byte) => {
                pages.clone().for_each(|page| twins.write(page, byte));
                twins.model.apply(verb, pages).expect("pages committed for writing");
                return Ok(());
            }
        };
        match done {
            Ok(()) => twins.model.apply(verb, pages).expect("the model does what the system did"),
            Err(_) if matches!(op, Op::Decommit | Op::Guard) => twins.model.lose_content(pages),
            Err(_) => {}
        }
        self.judge(Some(op), done.as_ref().err());
        done
    }

    /// Guards in one call; the ranges are counted in pages.
    pub(super) fn guard_all(&mut self, index: usize, all: &[Range<usize>]) -> Result<(), Error> {
        self.batch(index, (Op::Guard, Verb::Guard), Reservation::guard_all, all)
    }

    /// The same way back.
    pub(super) fn unguard_all(&mut self, index: usize, all: &[Range<usize>]) -> Result<(), Error> {
        self.batch(index, (Op::Unguard, Verb::Unguard), Reservation::unguard_all, all)
    }

    fn batch(
        &mut self,
        index: usize,
        (op, verb): (Op, Verb),
        work: impl FnOnce(&Reservation, &[Range<usize>]) -> Result<(), Error>,
        all: &[Range<usize>],
    ) -> Result<(), Error> {
        let twins = &mut self.twins[index];
        let page_len = twins.page_len;
        let bytes: Vec<_> =
            all.iter().map(|pages| pages.start * page_len..pages.end * page_len).collect();
        let done = work(&twins.real, &bytes);
        for pages in all {
            match done {
                Ok(()) => twins.model.apply(verb, pages.clone()).expect("as the system did"),
                Err(_) => twins.model.lose_content(pages.clone()),
            }
        }
        self.judge(Some(op), done.as_ref().err());
        done
    }

    /// Makes two reservations of one, at a page; the new one is the last.
    pub(super) fn split(&mut self, index: usize, page: usize) -> Result<(), Error> {
        let Twins { real, mut model, page_len, charge_is_told, may_be_unknown } =
            self.twins.remove(index);
        let twins = |real, model| Twins { real, model, page_len, charge_is_told, may_be_unknown };
        let error = match real.split(page * page_len) {
            Ok((lower, upper)) => {
                let behind = model.split_off(page);
                self.twins.insert(index, twins(lower, model));
                self.twins.push(twins(upper, behind));
                None
            }
            Err((whole, error)) => {
                self.twins.insert(index, twins(whole, model));
                Some(error)
            }
        };
        self.judge(Some(Op::Split), error.as_ref());
        error.map_or(Ok(()), Err)
    }

    /// Makes one reservation of the last two.
    pub(super) fn join_last(&mut self) -> Result<(), Error> {
        let upper = self.twins.pop().expect("two are there");
        let mut lower = self.twins.pop().expect("two are there");
        let error = match lower.real.join(upper.real) {
            Ok(real) => {
                lower.model.append(upper.model);
                self.twins.push(Twins { real, ..lower });
                None
            }
            Err((real, second, error)) => {
                self.twins.push(Twins { real, ..lower });
                self.twins.push(Twins { real: second, ..upper });
                Some(error)
            }
        };
        self.judge(Some(Op::Join), error.as_ref());
        error.map_or(Ok(()), Err)
    }

    /// A verb of something that the story owns itself; what is dropped later takes part, too.
    pub(crate) fn verb<T>(
        &mut self,
        op: Op,
        verb: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let told = verb();
        self.judge(Some(op), told.as_ref().err());
        told
    }

    /// A verb of a reservation that changes no state.
    pub(super) fn ask<T>(
        &mut self,
        op: Op,
        index: usize,
        verb: impl FnOnce(&Reservation) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let told = verb(&self.twins[index].real);
        self.judge(Some(op), told.as_ref().err());
        told
    }

    /// The first address of a reservation.
    pub(super) fn base(&self, index: usize) -> usize {
        self.twins[index].real.base()
    }

    /// A function that cannot fail.
    pub(crate) fn tell<T>(&mut self, function: impl FnOnce() -> T) -> T {
        let told = function();
        self.judge(None, None);
        told
    }

    /// A drop, which has nobody to tell: what it was refused only the ledger holds against it.
    pub(crate) fn leave(&mut self, drop: impl FnOnce()) {
        drop();
        self.judged = self.session.refused().len();
        self.compare_after_refusals();
    }

    /// Any state -> Free. The later reservations move up.
    pub(super) fn release(&mut self, index: usize) -> Result<(), Error> {
        let done = self.twins.remove(index).real.release();
        self.judge(Some(Op::Release), done.as_ref().err());
        done
    }

    /// Holds what was told against what was refused meanwhile.
    fn judge(&mut self, op: Option<Op>, error: Option<&Error>) {
        let refused = self.session.refused().split_off(self.judged);
        self.judged += refused.len();
        match error {
            Some(error) => {
                let named = |refused: &Refused| {
                    (refused.call.name(), refused.code) == (error.call(), error.code())
                };
                assert_eq!(Some(error.op()), op, "{error}");
                assert!(refused.iter().any(named), "{error}: but {refused:?} was refused");
            }
            None => refused.iter().for_each(|refused| self.absorb(op, *refused)),
        }
        if !refused.is_empty() {
            for twins in &mut self.twins {
                // A fallback, or a verb given up half way; `use_and_release` asks again.
                twins.charge_is_told = false;
                twins.may_be_unknown = self.plan.count > 1;
            }
        }
        self.compare_after_refusals();
    }

    fn absorb(&self, op: Option<Op>, refused: Refused) {
        let listed = self
            .scenario
            .absorbs
            .iter()
            .position(|absorbed| absorbed.op == op && absorbed.call == refused.call);
        let index = listed.unwrap_or_else(|| panic!("{op:?} tells success, {refused:?}"));
        self.scenario.met.borrow_mut().insert(index);
    }

    /// In peace every step is looked at, and under a plan those from the first refusal on.
    fn compare_after_refusals(&self) {
        if self.plan == Plan::NOTHING || self.judged > 0 {
            self.compare_all();
        }
    }

    fn compare_all(&self) {
        unseen(|| self.twins.iter().for_each(Twins::compare));
    }

    /// Whatever happened, what is left is as good as new.
    fn use_and_release(&mut self) {
        for mut twins in self.twins.drain(..) {
            let count = twins.model.pages().len();
            twins.may_be_unknown = false;
            twins.charge_is_told = Twins::charge_is_told(&twins.real);
            let writable = Verb::Commit(Protection::ReadWrite);
            for verb in [Verb::Decommit, writable, Verb::Write(0xa5), Verb::Decommit] {
                twins.apply(verb, 0..count * twins.page_len);
                unseen(|| twins.compare());
            }
            twins.real.release().expect("the system works again");
        }
    }
}
