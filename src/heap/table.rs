//! Floor 4, uses floors 0 to 2. Records of the ground, of which there may be very many: addresses
//! for all, memory for those that were needed, committed in steps as they are.
//!
//! So a process that locks all its memory (mlockall) gets as much as it uses and a step, and a core
//! dump has no terabyte to look through.

use crate::ds::primitive::AtomicUsize;
use crate::ds::primitive::Ordering::{AcqRel, Acquire};
use crate::error::Error;
use crate::vm::{Advice, CommitPolicy, Protection, Reservation};
use core::ops::Range;
use core::ptr::NonNull;

/// How far something is committed from its beginning on. It only grows, by whole steps.
pub(super) struct Reach {
    end: AtomicUsize,
    step: usize,
    max: usize,
}

impl Reach {
    pub(super) const fn new(step: usize, max: usize) -> Self {
        Reach { end: AtomicUsize::new(0), step, max }
    }

    /// Everything below is committed.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.end.load(Acquire)
    }

    /// Makes it reach `wanted` at least, and says what is new. Several threads may do so at once:
    /// they commit the same, and each of them all that the others have not yet.
    ///
    /// # Errors
    /// Those of `commit`.
    #[inline]
    pub(super) fn to(
        &self,
        wanted: usize,
        commit: impl FnOnce(Range<usize>) -> Result<(), Error>,
    ) -> Result<Range<usize>, Error> {
        let reached = self.end();
        if wanted <= reached {
            return Ok(reached..reached);
        }
        let end = wanted.next_multiple_of(self.step).min(self.max);
        commit(reached..end)?;
        self.end.fetch_max(end, AcqRel);
        Ok(reached..end)
    }
}

/// Records that read zero at first. They stay for ever once they are a ground's.
pub(super) struct Table<T: 'static> {
    memory: Reservation,
    first: NonNull<T>,
    count: usize,
    reach: Reach,
}

impl<T> Table<T> {
    /// Addresses for `count` records, `step` of which are committed at a time.
    ///
    /// # Safety
    /// 1. Zero is a value of `T`, which may be shared between threads.
    /// 2. [`prepare`](Self::prepare) comes before [`get`](Self::get), for each record.
    /// 3. It is not dropped after a record was looked at.
    pub(super) unsafe fn new(count: usize, step: usize) -> Result<Self, Error> {
        let len = count * size_of::<T>();
        let builder = Reservation::builder().len(len).policy(CommitPolicy::Lazy).untracked();
        let memory = builder.reserve()?;
        // Of no use in a core dump; a system that refuses the advice writes it.
        let _ = memory.advise(Advice::NoDump);
        let first = NonNull::new(memory.as_ptr().cast()).expect("not at address 0");
        Ok(Table { memory, first, count, reach: Reach::new(step, count) })
    }

    /// Commits the records below `end`.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses.
    #[inline]
    pub(super) fn prepare(&self, end: usize) -> Result<(), Error> {
        let width = size_of::<T>();
        let commit = |more: Range<usize>| {
            let bytes = more.start * width..more.end * width;
            self.memory.commit(bytes, Protection::ReadWrite)
        };
        self.reach.to(end, commit).map(drop)
    }

    /// How many records there are room for.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many records are there.
    #[inline(always)]
    pub(super) fn prepared(&self) -> usize {
        self.reach.end()
    }

    /// A record, if it is there.
    #[inline(always)]
    pub(super) fn get_if_there(&self, number: usize) -> Option<&'static T> {
        if number >= self.prepared() {
            return None;
        }
        // SAFETY: below what is prepared, which is at most `count`.
        let record = unsafe { self.first.as_ptr().add(number) };
        // SAFETY: (1) to (3) of `new`: see `range`.
        Some(unsafe { &*record })
    }

    /// A record.
    #[inline]
    pub(super) fn get(&self, number: usize) -> &'static T {
        &self.range(number..number + 1)[0]
    }

    /// Some records.
    #[inline]
    pub(super) fn range(&self, range: Range<usize>) -> &'static [T] {
        assert!(range.start <= range.end && range.end <= self.count, "{range:?} of a table");
        // SAFETY: the range was checked.
        let first = unsafe { self.first.as_ptr().add(range.start) };
        // SAFETY: (1) to (3) of `new`: aligned to a page at first, readable, a value of `T`
        // whatever it holds, shared, and there for ever.
        unsafe { core::slice::from_raw_parts(first, range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Op};
    use std::cell::RefCell;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn it_grows_by_steps_to_its_end_and_a_refusal_changes_nothing() {
        let reach = Reach::new(8, 21);
        let told = RefCell::new(Vec::new());
        let commit = |more: Range<usize>| {
            told.borrow_mut().push(more);
            Ok(())
        };
        for wanted in [0, 1, 8, 9, 21] {
            reach.to(wanted, commit).expect("room");
            assert!(reach.end() >= wanted);
        }
        assert_eq!(told.take(), vec![0..8, 8..16, 16..21]);

        let reach = Reach::new(8, 21);
        let refuse = |_| Err(Error::new(Op::Commit, ErrorKind::NoMemory, 0, 0, 12));
        assert!(reach.to(1, refuse).is_err());
        assert_eq!((reach.end(), reach.to(0, refuse).expect("nothing to do")), (0, 0..0));
    }
}
