//! Floor 1. Fails chosen system calls of the calling thread, and keeps a ledger of what its calls
//! took and gave back. For tests; in the product both are nothing.
//!
//! Every platform asks [`step`] before each call it makes. While a [`Session`] is open on a thread,
//! the calls that can fail are counted, and the [`Plan`] says which of them are refused: those are
//! not made, and answer a number that the system can really give for them (`refusals` of the
//! platform). A call without such numbers is made, named and not counted.
//!
//! The ledger is that of one thread, so it is exact although other tests run beside it. It holds
//! the ranges that were mapped and not unmapped, the files that were opened and not closed, and
//! whatever was given back without having been taken.

#[cfg(not(test))]
#[cfg_attr(not(target_os = "linux"), allow(unused_imports, reason = "no file is kept there"))]
pub(crate) use product::{keep_file, keep_range};
#[cfg(test)]
#[cfg_attr(not(target_os = "linux"), allow(unused_imports, reason = "no file is kept there"))]
pub(crate) use session::{Ledger, Plan, Refused, Session, keep_file, keep_range, unseen};
#[cfg(test)]
pub(super) use session::{closed, mapped, opened, step, unmapped};

/// True if the tests run under an emulator, which tells less of memory than a kernel.
#[cfg(test)]
pub(crate) fn is_emulated() -> bool {
    std::env::var_os("GRANULE_TEST_RUNNER").is_some_and(|runner| !runner.is_empty())
}

/// Asked before each call, with the two numbers that tell what it is about: address and length
/// where it has them.
#[cfg(not(test))]
#[inline(always)]
pub(super) const fn step(_: crate::error::Call, _: [usize; 2]) -> Result<(), super::Errno> {
    Ok(())
}

#[cfg(not(test))]
mod product {
    /// The process keeps this range for good, for all threads: it is nobody's leak.
    #[inline(always)]
    pub(crate) const fn keep_range(_: usize, _: usize) {}

    /// As above, for a file.
    #[inline(always)]
    #[allow(dead_code, reason = "not every system has a file to keep")]
    pub(crate) const fn keep_file(_: usize) {}
}

#[cfg(test)]
mod session {
    use super::super::{Errno, refusals};
    use crate::error::Call;
    use core::cell::RefCell;
    use core::marker::PhantomData;
    use core::ops::Range;
    use std::collections::{BTreeMap, BTreeSet};
    use std::vec::Vec;

    /// Which of the counted calls are refused: `count` of them, from the `nth` on, counted from 1.
    /// `choice` picks one of the numbers that a call can give, the first again behind the last.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Plan {
        pub(crate) nth: usize,
        pub(crate) count: usize,
        pub(crate) choice: usize,
    }

    impl Plan {
        pub(crate) const NOTHING: Plan = Plan { nth: 1, count: 0, choice: 0 };

        fn refuses(self, call: usize) -> bool {
            call >= self.nth && call - self.nth < self.count
        }
    }

    /// A call that was not made.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Refused {
        pub(crate) call: Call,
        pub(crate) code: i32,
        /// Address and length, where the call has them.
        pub(crate) about: [usize; 2],
    }

    /// What the calls of a session took, and have not given back.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Ledger {
        /// Start -> end, as they were taken.
        mapped: BTreeMap<usize, usize>,
        files: BTreeSet<usize>,
        /// Ranges given back that the session had not taken.
        pub(crate) foreign_ranges: Vec<Range<usize>>,
        /// Files closed that the session had not opened.
        pub(crate) foreign_files: Vec<usize>,
    }

    impl Ledger {
        /// The ranges that are mapped and were not before.
        pub(crate) fn ranges(&self) -> Vec<Range<usize>> {
            self.mapped.iter().map(|(&start, &end)| start..end).collect()
        }

        /// A range that is nobody's leak, whether it is in the ledger or not. Length 0: all that
        /// was taken there.
        pub(crate) fn forget(&mut self, addr: usize, len: usize) {
            let before = self.foreign_ranges.len();
            self.give(addr, len);
            self.foreign_ranges.truncate(before);
        }

        /// Mapping over what is mapped takes its place.
        fn take(&mut self, addr: usize, len: usize) {
            self.forget(addr, len);
            self.mapped.insert(addr, addr + len);
        }

        /// The end of a range of `len` bytes; of length 0: of the one that was taken there.
        fn end_of(&self, addr: usize, len: usize) -> usize {
            let taken = self.mapped.get(&addr).map_or(addr, |&end| end);
            if len == 0 { taken } else { addr + len }
        }

        fn give(&mut self, addr: usize, len: usize) {
            let range = addr..self.end_of(addr, len);
            let inside: Vec<_> = self
                .mapped
                .range(..range.end)
                .map(|(&start, &end)| start..end)
                .filter(|known| range.start < known.end)
                .collect();
            let mut next = range.start;
            for known in inside {
                if next < known.start {
                    self.foreign_ranges.push(next..known.start);
                }
                self.mapped.remove(&known.start);
                if known.start < range.start {
                    self.mapped.insert(known.start, range.start);
                }
                if range.end < known.end {
                    self.mapped.insert(range.end, known.end);
                }
                next = known.end.min(range.end);
            }
            if next < range.end || range.is_empty() {
                self.foreign_ranges.push(next..range.end);
            }
        }
    }

    #[derive(Debug)]
    struct State {
        plan: Plan,
        counted: usize,
        calls: Vec<Call>,
        refused: Vec<Refused>,
        ledger: Ledger,
    }

    std::thread_local! {
        static OPEN: RefCell<Option<State>> = const { RefCell::new(None) };
    }

    /// Nothing happens without a session, nor while the thread ends.
    fn with_open<T>(act: impl FnOnce(&mut State) -> T) -> Option<T> {
        OPEN.try_with(|open| open.try_borrow_mut().ok()?.as_mut().map(act)).ok().flatten()
    }

    /// An open session of the calling thread. It ends with the value.
    #[derive(Debug)]
    pub(crate) struct Session {
        /// The state is the thread's: the value must not leave it.
        _stays: PhantomData<*const ()>,
    }

    impl Session {
        pub(crate) fn open(plan: Plan) -> Self {
            let (calls, refused) = (Vec::new(), Vec::new());
            let ledger = Ledger::default();
            let state = State { plan, counted: 0, calls, refused, ledger };
            let before = OPEN.with(|open| open.replace(Some(state)));
            assert!(before.is_none(), "one session at a time");
            Session { _stays: PhantomData }
        }

        fn ask<T>(&self, question: impl FnOnce(&mut State) -> T) -> T {
            with_open(question).expect("the session is open")
        }

        /// Another plan from here on; the count goes on.
        pub(crate) fn follow(&self, plan: Plan) {
            self.ask(|state| state.plan = plan);
        }

        /// All calls of the session in order, refused or made.
        pub(crate) fn calls(&self) -> Vec<Call> {
            self.ask(|state| state.calls.clone())
        }

        /// How many of them can be refused.
        pub(crate) fn counted(&self) -> usize {
            self.ask(|state| state.counted)
        }

        /// The refused ones in order.
        pub(crate) fn refused(&self) -> Vec<Refused> {
            self.ask(|state| state.refused.clone())
        }

        pub(crate) fn ledger(&self) -> Ledger {
            self.ask(|state| state.ledger.clone())
        }
    }

    impl Drop for Session {
        fn drop(&mut self) {
            OPEN.with(|open| open.replace(None));
        }
    }

    /// What `look` asks the system is no part of the session.
    pub(crate) fn unseen<T>(look: impl FnOnce() -> T) -> T {
        let state = OPEN.with(|open| open.replace(None));
        let seen = look();
        OPEN.with(|open| open.replace(state));
        seen
    }

    /// See the twin of the product.
    pub(in crate::sys) fn step(call: Call, about: [usize; 2]) -> Result<(), Errno> {
        let decide = |state: &mut State| {
            state.calls.push(call);
            let codes = refusals(call);
            if codes.is_empty() {
                return Ok(());
            }
            state.counted += 1;
            if !state.plan.refuses(state.counted) {
                return Ok(());
            }
            let code = codes[state.plan.choice % codes.len()];
            state.refused.push(Refused { call, code, about });
            Err(Errno(code, call))
        };
        with_open(decide).unwrap_or(Ok(()))
    }

    /// `len` bytes at `addr` are mapped from now on.
    pub(in crate::sys) fn mapped(addr: usize, len: usize) {
        with_open(|state| state.ledger.take(addr, len));
    }

    /// They are not any more.
    pub(in crate::sys) fn unmapped(addr: usize, len: usize) {
        with_open(|state| state.ledger.give(addr, len));
    }

    /// The process keeps this range for good, for all threads: it is nobody's leak.
    pub(crate) fn keep_range(addr: usize, len: usize) {
        with_open(|state| state.ledger.forget(addr, len));
    }

    /// As above, for a file.
    #[allow(dead_code, reason = "not every system has a file to keep")]
    pub(crate) fn keep_file(file: usize) {
        with_open(|state| state.ledger.files.remove(&file));
    }

    pub(in crate::sys) fn opened(file: usize) {
        with_open(|state| state.ledger.files.insert(file));
    }

    pub(in crate::sys) fn closed(file: usize) {
        with_open(|state| {
            if !state.ledger.files.remove(&file) {
                state.ledger.foreign_files.push(file);
            }
        });
    }

    #[test]
    fn the_ledger_knows_what_is_left_and_what_was_never_taken() {
        let mut ledger = Ledger::default();
        ledger.take(10, 10);
        ledger.take(30, 10);
        ledger.take(20, 10);
        ledger.take(18, 4);
        assert_eq!(ledger.ranges(), [10..18, 18..22, 22..30, 30..40]);
        ledger.give(15, 20);
        assert_eq!(ledger.ranges(), [10..15, 35..40]);
        assert!(ledger.foreign_ranges.is_empty());
        ledger.give(5, 45);
        assert!(ledger.ranges().is_empty());
        assert_eq!(ledger.foreign_ranges, [5..10, 15..35, 40..50]);
        ledger.take(60, 10);
        ledger.give(60, 0);
        ledger.give(60, 0);
        assert_eq!((ledger.foreign_ranges.len(), &ledger.foreign_ranges[3]), (4, &(60..60)));
    }

    #[test]
    fn the_plan_is_followed_and_other_threads_are_left_alone() {
        let reserving = [Call::Mmap, Call::VirtualAlloc];
        let here = reserving.into_iter().find(|&call| !refusals(call).is_empty());
        let call = here.expect("a call that reserves");
        let codes = refusals(call);
        let ask = move || step(call, [0; 2]).map_err(|errno| errno.0);
        let session = Session::open(Plan { nth: 2, count: 1, choice: 0 });
        assert_eq!([ask(), ask(), ask()], [Ok(()), Err(codes[0]), Ok(())]);
        session.follow(Plan { nth: 4, count: usize::MAX, choice: codes.len() });
        assert_eq!([ask(), ask()], [Err(codes[0]); 2]);
        let elsewhere = std::thread::spawn(ask);
        assert_eq!(elsewhere.join().expect("no panic"), Ok(()));
        assert_eq!((session.calls().len(), session.refused().len()), (5, 3));
        drop(session);
        assert_eq!(ask(), Ok(()));
    }
}
