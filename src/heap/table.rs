//! Floor 4, uses floors 0 to 2. Records of the ground, of which there may be very many: addresses
//! for all, memory for those that were needed, committed in steps as they are.
//!
//! They lie in one reservation, because each one costs the start of a program some calls. Of two
//! neighbours one may go downwards from where the other begins: what most programs touch of both
//! has one page of the system's own tables then, and not two.
//!
//! So a process that locks all its memory (mlockall) gets what it uses, a step, and the 4 MiB of
//! the ground's bits; and a core dump has no terabyte to look through.

use crate::ds::primitive::AtomicUsize;
use crate::ds::primitive::Ordering::{AcqRel, Acquire};
use crate::error::Error;
use crate::vm::{Advice, CommitPolicy, GuardKind, Protection, Reservation};
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

    /// Makes it reach `wanted` at least. Several threads may do so at once: they commit the same,
    /// and each of them all that the others have not yet.
    ///
    /// # Errors
    /// Those of `commit`.
    #[inline]
    pub(super) fn to(
        &self,
        wanted: usize,
        commit: impl FnOnce(Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let reached = self.end();
        if wanted <= reached {
            return Ok(());
        }
        let end = wanted.next_multiple_of(self.step).min(self.max);
        commit(reached..end)?;
        self.end.fetch_max(end, AcqRel);
        Ok(())
    }
}

/// Addresses for tables, which are cut from them one behind the other.
pub(super) struct Books {
    memory: Reservation,
    used: usize,
}

impl Books {
    /// Addresses for tables of `len` bytes, all together.
    ///
    /// # Errors
    /// `NoAddressSpace`, `NoMemory`: there are none.
    pub(super) fn reserve(len: usize) -> Result<Self, Error> {
        let builder = Reservation::builder().len(len).policy(CommitPolicy::Lazy).untracked();
        // There are no guards in it: so nobody has to find out how the system makes them.
        let memory = builder.guard_kind(GuardKind::Split).reserve()?;
        // Of no use in a core dump; a system that refuses the advice writes it.
        let _ = memory.advise(Advice::NoDump);
        Ok(Books { memory, used: 0 })
    }

    /// Bytes that a table of `count` records takes.
    pub(super) const fn len_of<T>(count: usize) -> usize {
        (count * size_of::<T>()).next_multiple_of(LEN_STEP)
    }

    /// A table of `count` records, `step` of which are committed at a time. If it is `DOWN` the
    /// first record is the last in memory.
    ///
    /// # Safety
    /// 1. Zero is a value of `T`, which may be shared between threads.
    /// 2. [`Table::prepare`] comes before [`Table::get`], for each record.
    /// 3. The books are not dropped after a record was looked at.
    pub(super) unsafe fn table<T, const DOWN: bool>(
        &mut self,
        count: usize,
        step: usize,
    ) -> Table<T, DOWN> {
        let before = self.used;
        self.used += Self::len_of::<T>(count);
        assert!(self.used <= self.memory.len(), "as many bytes as were reserved");
        let start = if DOWN { self.used } else { before };
        let first = NonNull::new(self.memory.as_ptr().wrapping_add(start).cast());
        let first = first.expect("not at address 0");
        Table { start, first, count, reach: Reach::new(step, count) }
    }
}

/// A part of books: tables begin at multiples of it, as pages do.
const LEN_STEP: usize = 64 << 10;

/// Records that read zero at first. They stay for ever once they are a ground's.
pub(super) struct Table<T: 'static, const DOWN: bool = false> {
    /// Where it begins in the books, or ends if it goes down.
    start: usize,
    /// The same place.
    first: NonNull<T>,
    count: usize,
    reach: Reach,
}

impl<T, const DOWN: bool> Table<T, DOWN> {
    /// Commits the records below `end`, in the books that the table was cut from.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses.
    #[inline]
    pub(super) fn prepare(&self, books: &Books, end: usize) -> Result<(), Error> {
        let width = size_of::<T>();
        let commit = |more: Range<usize>| {
            let (from, to) = (more.start * width, more.end * width);
            let bytes = match DOWN {
                true => self.start - to..self.start - from,
                false => self.start + from..self.start + to,
            };
            books.memory.commit(bytes, Protection::ReadWrite)
        };
        self.reach.to(end, commit)
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
        Some(self.record(number))
    }

    /// A record.
    #[inline]
    pub(super) fn get(&self, number: usize) -> &'static T {
        assert!(number < self.count, "record {number} of a table of {}", self.count);
        self.record(number)
    }

    #[inline(always)]
    fn record(&self, number: usize) -> &'static T {
        let first = self.first.as_ptr();
        let record = match DOWN {
            // SAFETY: the number was compared with `count`, or with what is prepared, which is not
            // more; the table ends at `first`.
            true => unsafe { first.sub(number + 1) },
            // SAFETY: the same; the table begins at `first`.
            false => unsafe { first.add(number) },
        };
        // SAFETY: (1) to (3) of `Books::table`: aligned to a page at first, readable, a value of
        // `T` whatever it holds, shared, and there for ever.
        unsafe { &*record }
    }
}

impl<T> Table<T> {
    /// Some records.
    #[inline]
    pub(super) fn range(&self, range: Range<usize>) -> &'static [T] {
        assert!(range.start <= range.end && range.end <= self.count, "{range:?} of a table");
        // SAFETY: the range was checked.
        let first = unsafe { self.first.as_ptr().add(range.start) };
        // SAFETY: as for `record`.
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
        reach.to(0, refuse).expect("nothing to do");
        assert_eq!(reach.end(), 0);
    }
}
