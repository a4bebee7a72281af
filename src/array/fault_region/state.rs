//! Floor 4, uses floors 0 to 3. What a handler knows of a region, and how it commits.
//!
//! The state lies in a pool, so that it stays where it is however the region moves. It is written
//! before the watch begins, and taken away after it has ended.
//!
//! 1. A chunk is committed by one thread at a time: of two equal commits one could be refused, and
//!    take back what the other has got. Who finds a chunk taken goes back to his instruction, and
//!    faults again until it is done.
//! 2. Pages are counted before they are committed, so that the limit holds, and given back if the
//!    commit fails.
//! 3. A chunk that is committed already, by somebody who was faster, is a success.

use super::report::{Reason, Refusal, Words};
use super::{Decision, Engine, Touch};
use crate::ds::in_use::Places;
use crate::ds::ready_stack::Link;
use crate::error::{Error, ErrorKind, Op};
use crate::fault::{Cause, Fault, Handler, Outcome, Watch};
use crate::sys;
use crate::vm::nodes::{Pool, Pooled};
use crate::vm::{Access, Protection, Reservation, State};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Chunks that can be in the hands of threads at a time; others share their places.
const PLACES: usize = 32;

/// What the builder has settled.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) memory: Reservation,
    pub(super) engine: Engine,
    pub(super) page_len: usize,
    pub(super) chunk_len: usize,
    pub(super) pages_max: usize,
    pub(super) on_touch: Option<fn(&Touch) -> Decision>,
    pub(super) words: Words,
}

/// A region's state.
#[repr(align(512))]
pub(super) struct Shared {
    setup: UnsafeCell<MaybeUninit<Setup>>,
    committed: AtomicUsize,
    /// The chunks that are being committed: see (1).
    busy: Places<PLACES>,
    link: AtomicU32,
    number: AtomicU32,
}

// SAFETY: the cell is written while nobody else knows the state, and only read after that. What it
// holds may be used from any thread.
unsafe impl Sync for Shared {}

// SAFETY: (1) bytes without a meaning, and atomics; (2) 512 bytes, as the test below says.
unsafe impl Pooled for Shared {
    fn link(&self) -> &impl Link {
        &self.link
    }
}

static STATES: Pool<Shared, { 1 << 30 }> = Pool::new();

impl Shared {
    /// A state that holds `setup`.
    pub(super) fn take(setup: Setup) -> Result<&'static Self, Error> {
        let (addr, len) = (setup.memory.base(), setup.memory.len());
        let taken = STATES.take();
        let (number, shared) = taken.map_err(|refusal| refusal.error(Op::Reserve, addr, len))?;
        shared.committed.store(0, Ordering::Relaxed);
        shared.number.store(number, Ordering::Relaxed);
        let cell = shared.setup.get();
        // SAFETY: the pool has given the state to us alone.
        unsafe { (*cell).write(setup) };
        Ok(shared)
    }

    /// What the builder has settled.
    ///
    /// # Safety
    /// 1. The state was taken, and not yet given back.
    pub(super) unsafe fn setup(&self) -> &Setup {
        // SAFETY: (1): nobody writes the cell.
        let cell = unsafe { &*self.setup.get() };
        // SAFETY: (1): `take` has filled it.
        unsafe { cell.assume_init_ref() }
    }

    /// Ends the state. Nobody uses it any more.
    pub(super) fn give_back(&self) -> Setup {
        let cell = self.setup.get();
        // SAFETY: the owner's last call: nobody writes the cell; `take` has filled it, and it is
        // not read again.
        let cell = unsafe { &*cell };
        // SAFETY: as above.
        let setup = unsafe { cell.assume_init_read() };
        STATES.give_back(self.number.load(Ordering::Relaxed));
        setup
    }

    /// Answers for the region's faults from now on.
    ///
    /// # Safety
    /// 1. The state is given back only after the watch has ended.
    /// 2. As for [`Watch::new`].
    pub(super) unsafe fn watch(&'static self, range: Range<usize>) -> Result<Watch, Error> {
        // SAFETY: (2); (1) is what lets the handler look at the setup.
        unsafe { Watch::new(range, self) }
    }

    pub(super) fn committed(&self) -> usize {
        self.committed.load(Ordering::Acquire)
    }

    /// Takes the memory of whole pages back. The caller has the region for itself.
    pub(super) fn reset(&self, setup: &Setup, range: Range<usize>) -> Result<(), Error> {
        let memory = &setup.memory;
        let mut offset = range.start;
        while offset < range.end {
            let run = memory.query(offset)?;
            let end = range.end.min(offset + run.len);
            let part = offset..end;
            let pages = part.len() / setup.page_len;
            if run.state == State::Committed {
                let done = match setup.engine {
                    Engine::Demand => memory
                        .decommit(part.clone())
                        .and_then(|()| memory.commit(part.clone(), Protection::ReadWrite)),
                    Engine::Guard => memory.guard(part.clone()),
                    Engine::Mprotect => memory.decommit(part.clone()),
                };
                if setup.engine != Engine::Demand {
                    // After a refusal some may be gone, and are committed anew at a touch.
                    let left = if done.is_ok() { 0 } else { committed_in(memory, part) };
                    self.committed.fetch_sub(pages - left / setup.page_len, Ordering::AcqRel);
                }
                done.map_err(|error| error.as_part_of(Op::Decommit))?;
            }
            offset = end;
        }
        Ok(())
    }
}

impl Handler for Shared {
    fn fault(&self, fault: &Fault) -> Outcome {
        // Pages that can be read and written, which is all there is here, let no jump through; and
        // what is committed already, and cannot be touched, is not made better by a commit.
        let helps = fault.cause().is_none_or(|cause| cause == Cause::Right);
        if fault.is_fetch() || !helps {
            return Outcome::NotMine;
        }
        // SAFETY: (1) the watch is on, so the state is not given back.
        let setup = unsafe { self.setup() };
        let offset = fault.addr().wrapping_sub(setup.memory.base());
        match commit(self, setup, offset, fault.access()) {
            Step::Done(_) => Outcome::Resume,
            Step::Taken => {
                sys::yield_now();
                Outcome::Resume
            }
            Step::Refused(reason) => {
                refusal(setup, offset, fault.access(), reason).print();
                Outcome::NotMine
            }
        }
    }
}

/// How many bytes of whole pages are committed.
fn committed_in(memory: &Reservation, range: Range<usize>) -> usize {
    let (mut offset, mut len) = (range.start, 0);
    while let Some(run) = memory.query(offset).ok().filter(|_| offset < range.end) {
        let end = range.end.min(offset + run.len);
        len += if run.state == State::Committed { end - offset } else { 0 };
        offset = end;
    }
    len
}

/// Commits the pages of a range that a refused reset has taken: with Demand no touch does.
pub(super) fn commit_missing(memory: &Reservation, range: Range<usize>) -> Result<(), Error> {
    let mut offset = range.start;
    while offset < range.end {
        let run = memory.query(offset)?;
        let end = range.end.min(offset + run.len);
        if run.state != State::Committed {
            commit_run(memory, offset..end, run.state)?;
        }
        offset = end;
    }
    Ok(())
}

/// Commits pages that are in the same state, another one.
fn commit_run(memory: &Reservation, run: Range<usize>, state: State) -> Result<(), Error> {
    match state {
        State::Reserved => memory.commit(run, Protection::ReadWrite),
        State::Guarded => memory.unguard(run),
        // A reset has failed half way, and so has taking it back: they begin anew.
        _ => {
            let emptied = memory.decommit(run.clone());
            emptied.map_err(|error| error.as_part_of(Op::Commit))?;
            memory.commit(run, Protection::ReadWrite)
        }
    }
}

fn refusal(setup: &Setup, offset: usize, access: Option<Access>, reason: Reason) -> Refusal {
    Refusal {
        name: setup.memory.name(),
        words: setup.words,
        len: setup.memory.len(),
        offset,
        addr: setup.memory.base() + offset,
        page: offset / setup.page_len,
        access,
        reason,
    }
}

/// Sees to it that the page at `offset` is committed; returns how far the same is true from there
/// on.
pub(super) fn provide(
    shared: &Shared,
    setup: &Setup,
    offset: usize,
    access: Option<Access>,
) -> Result<usize, Error> {
    let addr = setup.memory.base() + offset;
    let refused = |kind| Err(Error::new(Op::Commit, kind, addr, setup.page_len, 0));
    loop {
        // No signal comes in while a chunk is ours: its handler might touch the region.
        match sys::without_signals(|| commit(shared, setup, offset, access)) {
            Step::Done(end) => return Ok(end),
            Step::Taken => sys::yield_now(),
            Step::Refused(Reason::System(error)) => return Err(error.as_part_of(Op::Commit)),
            Step::Refused(Reason::Limit(_) | Reason::Callback) => {
                return refused(ErrorKind::NoMemory);
            }
        }
    }
}

/// What became of a commit.
enum Step {
    /// The pages from the wanted one up to this offset are committed.
    Done(usize),
    /// Somebody else is at it.
    Taken,
    Refused(Reason),
}

/// Commits the chunk of the page at `offset`, or what may be committed of it.
fn commit(shared: &Shared, setup: &Setup, offset: usize, access: Option<Access>) -> Step {
    let generation = sys::generation();
    let place = offset / setup.chunk_len % PLACES;
    if !shared.busy.take_this(place, generation) {
        return Step::Taken;
    }
    let step = commit_alone(shared, setup, offset, access);
    shared.busy.give_back(place, generation);
    step
}

fn commit_alone(shared: &Shared, setup: &Setup, offset: usize, access: Option<Access>) -> Step {
    let page_start = offset - offset % setup.page_len;
    let (run, state) = match run_around(setup, page_start) {
        Ok(Around::Missing(run, state)) => (run, state),
        Ok(Around::Committed(end)) => return Step::Done(end),
        Err(error) => return Step::Refused(Reason::System(error)),
    };
    // What the limit leaves, from the wanted page on if it is not the whole run. No more is counted
    // than is used: another thread could have it.
    let (whole, behind) = (run.len() / setup.page_len, (run.end - page_start) / setup.page_len);
    let mut wanted = whole;
    let take = |committed: usize| {
        let left = setup.pages_max.saturating_sub(committed);
        wanted = if left < whole { left.min(behind) } else { whole };
        (wanted != 0).then_some(committed + wanted)
    };
    let counted = shared.committed.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
    let give_back = |pages| shared.committed.fetch_sub(pages, Ordering::AcqRel);
    let committed = counted.unwrap_or_else(|committed| committed);
    if let Some(decide) = setup.on_touch {
        let touch = Touch { offset, access, committed, wanted };
        if decide(&touch) == Decision::Refuse && counted.is_ok() {
            give_back(wanted);
            return Step::Refused(Reason::Callback);
        }
    }
    if counted.is_err() {
        return Step::Refused(Reason::Limit(committed));
    }
    let start = if wanted == whole { run.start } else { page_start };
    let end = start + wanted * setup.page_len;
    match commit_run(&setup.memory, start..end, state) {
        Ok(()) => Step::Done(end),
        Err(error) => {
            give_back(wanted);
            Step::Refused(Reason::System(error))
        }
    }
}

/// What lies around a page, in its chunk.
enum Around {
    /// The pages that have to be committed, and their state.
    Missing(Range<usize>, State),
    /// It is committed, and so is what follows up to this offset.
    Committed(usize),
}

/// The run of equal pages around the one that begins at `page_start`.
fn run_around(setup: &Setup, page_start: usize) -> Result<Around, Error> {
    let chunk_start = page_start - page_start % setup.chunk_len;
    let chunk_end = setup.memory.len().min(chunk_start.saturating_add(setup.chunk_len));
    let mut start = chunk_start;
    loop {
        let region = setup.memory.query(start)?;
        let end = chunk_end.min(start + region.len);
        if end <= page_start {
            start = end;
            continue;
        }
        return match region.state {
            State::Committed => Ok(Around::Committed(end)),
            state => Ok(Around::Missing(start..end, state)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_the_size_that_pools_want() {
        assert_eq!((size_of::<Shared>(), align_of::<Shared>()), (512, 512));
    }
}
