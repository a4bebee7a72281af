//! Floor 3, uses floors 0 to 2. Which range has which handler: a second page table of the process.
//!
//! A page's value is the number of the [`Record`] that watches it. Records lie in a pool and are
//! never unmapped, so a handler that has read a number may look at the record; that it is still the
//! page's is made sure by [`InUse`]: enter, then look at the table again.

use super::{Fault, Outcome};
use crate::addr::Pages;
use crate::ds::in_use::InUse;
use crate::ds::page_table::{OWNERS, PageTable, Value};
use crate::ds::ready_stack::Link;
use crate::error::{Error, ErrorKind, Op};
use crate::sys;
use crate::vm::nodes::{self, Nodes, Pool, Pooled, Root};
use core::ffi::c_void;
use core::ops::Range;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

static TABLE: PageTable<Root> = PageTable::new(Root::new());

/// Number 0 is nobody's.
static RECORDS: Pool<Record, OWNERS> = Pool::new();

/// Of the states that the table could hold, watching needs one.
const WATCHED: u8 = 1;

/// A handler without its type.
pub(crate) type Call = unsafe fn(*const c_void, &Fault) -> Outcome;

/// Whom to call, and with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    call: Call,
    handler: *const c_void,
}

impl Target {
    /// # Safety
    /// 1. `call` may be called with `handler`, from any thread, while the watch is on.
    pub(crate) const unsafe fn new(call: Call, handler: *const c_void) -> Self {
        Target { call, handler }
    }

    pub(super) fn call(&self, fault: &Fault) -> Outcome {
        // SAFETY: (1) of `new`; the caller has found the watch on, and keeps it so (`with_target`).
        unsafe { (self.call)(self.handler, fault) }
    }
}

/// One watch. The fields are written before the table names it, and not while it does.
#[derive(Debug)]
#[repr(align(32))]
struct Record {
    users: InUse,
    link: AtomicU32,
    call: AtomicPtr<c_void>,
    handler: AtomicPtr<c_void>,
}

// SAFETY: (1) atomics, for which zero is a value; (2) 32 bytes.
unsafe impl Pooled for Record {
    fn link(&self) -> &impl Link {
        &self.link
    }
}

impl Record {
    fn set(&self, target: Target) {
        self.call.store(target.call as *mut c_void, Ordering::Release);
        self.handler.store(target.handler.cast_mut(), Ordering::Release);
    }

    fn target(&self) -> Option<Target> {
        let call = self.call.load(Ordering::Acquire);
        // SAFETY: `set` stores functions of this type; before that it is null.
        let call = unsafe { core::mem::transmute::<*mut c_void, Option<Call>>(call) };
        Some(Target { call: call?, handler: self.handler.load(Ordering::Acquire) })
    }
}

/// Runs `body` with the target of the watch that `addr` lies in; `None` if there is no watch. While
/// it runs the watch does not end.
pub(super) fn with_target<T>(addr: usize, body: impl FnOnce(Target) -> T) -> Option<T> {
    let page = nodes::page()?.index_of(addr);
    if page >= nodes::PAGES {
        return None;
    }
    let generation = sys::generation();
    loop {
        let number = TABLE.get(page).owner;
        let record = RECORDS.get(number).filter(|_| number != 0)?;
        // Else it has ended meanwhile, and another may have begun.
        if record.users.enter(generation, || TABLE.get(page).owner == number) {
            let answer = record.target().map(body);
            record.users.leave(generation);
            return answer;
        }
    }
}

/// A watch in the table. Dropping it ends the watch, and waits for handlers that run.
pub(super) struct Entry {
    number: u32,
    record: &'static Record,
    pages: Pages,
}

impl Entry {
    /// Writes the watch into the table. `refused` makes the errors.
    pub(super) fn make(
        range: Range<usize>,
        target: Target,
        refused: impl Fn(ErrorKind) -> Error,
    ) -> Result<Self, Error> {
        let page = nodes::page().ok_or(refused(ErrorKind::Unsupported))?;
        let limit = page.offset_of(nodes::PAGES);
        let pages = Pages::covering(range.clone(), page, limit);
        let pages = pages.ok_or(refused(ErrorKind::OutOfRange))?;
        let covered = page.offset_of(pages.first())..page.offset_of(pages.end());
        if covered != range {
            return Err(refused(ErrorKind::Misaligned));
        }
        let numbers = pages.first()..pages.end();
        if TABLE.run(numbers.clone()) != (Value::NOBODYS, pages.count()) {
            return Err(refused(ErrorKind::AddressTaken));
        }
        let no_memory =
            |refusal: nodes::Refusal| refusal.error(Op::Watch, covered.start, covered.len());
        TABLE.prepare(numbers.clone(), &Nodes).map_err(no_memory)?;
        let (number, record) = take().map_err(no_memory)?;
        record.set(target);
        TABLE.set(numbers, Value { owner: number, state: WATCHED });
        Ok(Entry { number, record, pages })
    }

    pub(super) fn range(&self) -> Range<usize> {
        let page = nodes::page().expect("there was one when the watch was made");
        page.offset_of(self.pages.first())..page.offset_of(self.pages.end())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        TABLE.set(self.pages.first()..self.pages.end(), Value::NOBODYS);
        let generation = sys::generation();
        while !self.record.users.is_left(generation) {
            sys::yield_now();
        }
        RECORDS.give_back(self.number);
    }
}

fn take() -> Result<(u32, &'static Record), nodes::Refusal> {
    match RECORDS.take()? {
        // The very first one: 0 has to mean nobody, so it is never used.
        (0, _) => RECORDS.take(),
        taken => Ok(taken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_size_that_pools_want() {
        assert_eq!((size_of::<Record>(), align_of::<Record>()), (32, 32));
    }
}
