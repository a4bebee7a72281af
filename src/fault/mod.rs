//! Floor 3, uses floors 0 to 2. Faults: a range of addresses, and who answers when it is touched.
//!
//! ```text
//!   touch --> processor --> kernel --> our handler --> the table: whose page is it?
//!     ^                                                  |               |
//!     |                                                  v               v
//!     +------------------ Resume ------------------- Handler::fault   nobody's, or NotMine:
//!                                                                     to whoever was there before
//! ```
//! A [`Watch`] says who answers for a range. Its [`Handler`] runs on the thread that has touched a
//! page without the right to, in the middle of whatever that thread was doing: it commits the page,
//! say, and answers [`Outcome::Resume`], or has nothing to do with it.
//!
//! The idea is that of the notes' `__try` and `__except` (structured exception handling), which on
//! Windows are the vectored handlers of `AddVectoredExceptionHandler`, and elsewhere SIGSEGV and
//! SIGBUS with a table of ranges, as GNU libsigsegv has it.
//!
//! # What is guaranteed
//! 1. Which handler it is costs a walk of four steps through a table of the shape of the
//!    processor's, and no lock, however many ranges are watched.
//! 2. A fault outside every range, or one that is refused, goes to whoever was there before: a
//!    handler of the program, Rust's own message about the overflow of a stack, or the system's
//!    default. A handler that is installed later, in front of ours, and hands on to the one that it
//!    found, finds us. On Linux ours goes in front of it again when the next range is watched; on
//!    other systems it is installed once. On Windows handing on is to answer
//!    `EXCEPTION_CONTINUE_SEARCH`.
//!
//!    While ours is asked no other signal comes in, if the system calls it. Where a handler in
//!    front hands on to it, signals that it has not blocked come in: their handlers must not touch
//!    what is watched, nor jump away.
//! 3. After a watch has ended no handler of it runs, on any thread.
//! 4. The child of a `fork` has the watches of its parent.
//!
//! # What is a fault
//! A touch of a page without the right to: SIGSEGV or SIGBUS from the processor, and on Windows
//! `EXCEPTION_ACCESS_VIOLATION`, `EXCEPTION_GUARD_PAGE` (a [tripwire](crate::vm::trip)) and
//! `EXCEPTION_IN_PAGE_ERROR` (a page of a file that cannot be read). Signals that were sent,
//! exceptions that a program raises by itself, breakpoints and full stacks are none.
//!
//! # What no handler ever sees
//! The system's own accesses. A system call that is given a page which nobody may touch answers
//! `EFAULT` (on Windows error 998, `ERROR_NOACCESS`), or stops short, and calls no handler. Memory
//! that is handed to `read` or `ReadFile` has to be committed before.
//!
//! Nor, but on Windows, the faults of a thread that blocks SIGSEGV and SIGBUS, by `pthread_sigmask`
//! or because it is in a signal handler with such a mask (`sigfillset`), or in a handler of these
//! signals without SA_NODEFER: the system ends the process, and asks nobody.

mod registry;

use crate::error::{Error, Op};
pub use crate::sys::Cause;
use crate::sys::{self, Answer, Context, Errno};
pub use crate::vm::Access;
use core::ffi::c_void;
use core::fmt;
use core::ops::Range;
use registry::{Entry, Target};

/// A touch of a page without the right to.
///
/// See [`Handler`] for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    addr: usize,
    access: Option<Access>,
    is_fetch: bool,
    cause: Option<Cause>,
}

impl Fault {
    /// The first byte that could not be touched.
    #[must_use]
    pub const fn addr(&self) -> usize {
        self.addr
    }

    /// What the instruction wanted to do; `None` where the processor does not say.
    #[must_use]
    pub const fn access(&self) -> Option<Access> {
        self.access
    }

    /// True if an instruction was to be run there: a jump, mostly by mistake, which no right to
    /// read and write lets through. False where the processor does not say (macOS, FreeBSD).
    #[must_use]
    pub const fn is_fetch(&self) -> bool {
        self.is_fetch
    }

    /// Why: a handler that gives rights should answer [`Outcome::NotMine`] to anything else, which
    /// no right helps, or the touch faults for ever.
    ///
    /// | cause | Linux | Windows | macOS, FreeBSD |
    /// |---|---|---|---|
    /// | [`Right`](Cause::Right) | SEGV_MAPERR, SEGV_ACCERR | access violation, guard | SIGSEGV |
    /// | [`Page`](Cause::Page) | BUS_ADRERR, _OBJERR, _MCEERR_AR | in-page error | - |
    /// | [`Other`](Cause::Other) | any other `si_code` | - | - |
    /// | `None` | - | - | SIGBUS, which can be either |
    ///
    /// ```
    /// use granule::fault::{Cause, Fault, Outcome};
    /// use granule::vm::{self, Protection, Reservation};
    ///
    /// fn commits(memory: &Reservation, fault: &Fault) -> Outcome {
    ///     if fault.cause().is_some_and(|cause| cause != Cause::Right) {
    ///         return Outcome::NotMine; // broken memory: committing it again mends nothing
    ///     }
    ///     let offset = fault.addr() - memory.base();
    ///     match memory.commit(offset..offset + 1, Protection::ReadWrite) {
    ///         Ok(()) => Outcome::Resume,
    ///         Err(_) => Outcome::NotMine,
    ///     }
    /// }
    /// # let _ = commits;
    /// ```
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }
}

/// What a handler has done about a fault.
///
/// See [`Handler`] for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The page may be touched now: the instruction is repeated. If that was not true it faults
    /// again, and the handler is called again, for ever.
    Resume,
    /// Nothing: the fault goes to whoever was there before the first watch, as if there were none.
    NotMine,
}

/// Who answers for a range.
///
/// ```
/// use granule::fault::{Fault, Handler, Outcome, Watch};
/// use granule::vm::{Protection, Reservation};
/// use std::sync::OnceLock;
///
/// /// Commits what is touched.
/// struct OnDemand(OnceLock<Reservation>);
///
/// impl Handler for OnDemand {
///     fn fault(&self, fault: &Fault) -> Outcome {
///         let Some(memory) = self.0.get() else { return Outcome::NotMine };
///         let offset = fault.addr() - memory.base();
///         match memory.commit(offset..offset + 1, Protection::ReadWrite) {
///             Ok(()) => Outcome::Resume,
///             Err(_) => Outcome::NotMine,
///         }
///     }
/// }
///
/// static DEMAND: OnDemand = OnDemand(OnceLock::new());
///
/// let memory = Reservation::reserve(1 << 30)?;
/// let (base, first) = (memory.base(), memory.as_ptr());
/// let memory = DEMAND.0.get_or_init(|| memory);
/// // SAFETY: (1) the handler calls a verb of pages, which may be called in a signal handler;
/// // (2) it says Resume only when the page was committed; (3) nobody else watches the range.
/// let watch = unsafe { Watch::new(base..base + memory.len(), &DEMAND) }?;
/// // SAFETY: inside the reservation, where every page can be touched from now on.
/// unsafe { first.add(123_456_789).write(7) };
/// assert_eq!(memory.query(123_456_789)?.len, granule::vm::info().page_len);
/// drop(watch);
/// # Ok::<(), granule::Error>(())
/// ```
#[doc(alias("SIGSEGV", "sigaction", "AddVectoredExceptionHandler", "sigsegv_register"))]
pub trait Handler: Sync {
    /// Called on the thread that has touched a page of the range, as often as that happens, on many
    /// threads at a time: two that touch the same page are both here, and for the second one there
    /// may be nothing left to do but to say [`Outcome::Resume`].
    fn fault(&self, fault: &Fault) -> Outcome;
}

impl<F: Fn(&Fault) -> Outcome + Sync> Handler for F {
    fn fault(&self, fault: &Fault) -> Outcome {
        self(fault)
    }
}

/// A range whose faults a [`Handler`] answers for, until this is dropped.
///
/// The drop waits for handlers of the range that run on other threads. A handler must not drop its
/// own watch: it would wait for itself.
///
/// See [`Handler`] for a program.
pub struct Watch(Entry);

impl Watch {
    /// Faults in `range` go to `handler` from now on.
    ///
    /// Linux: sigaction, for SIGSEGV and SIGBUS, if our handler is not in front of all others.
    /// macOS and FreeBSD: sigaction, once in a process. Windows: AddVectoredExceptionHandler, once
    /// in a process. Now and then memory for the table.
    ///
    /// # Errors
    /// - `OutOfRange`: the range is empty, inverted or not in the addresses of the program.
    /// - `Misaligned`: it does not begin and end at multiples of the page.
    /// - `AddressTaken`: a page of it is watched already.
    /// - `NoMemory`: there is none for the table, or for the system's list of handlers, or too many
    ///   handlers have taken turns in front of ours.
    ///
    /// # Safety
    /// 1. The handler is async-signal-safe: it may run in the middle of `malloc`, with any lock
    ///    held. It takes no lock that code which touches the range could hold, does not allocate,
    ///    does not unwind, and returns. What it may call: the verbs of
    ///    [`Reservation`](crate::vm::Reservation) and [`query`](crate::vm::query), atomics, bare
    ///    system calls. It has at least 24 KiB of stack on Linux; on Windows what is left of the
    ///    thread's, elsewhere what is left of its stack for signals. `errno`, and the last error of
    ///    Windows, are kept for it.
    /// 2. It says [`Outcome::Resume`] only where the touch can be repeated.
    /// 3. Nobody watches pages of the range from another thread at the same moment.
    pub unsafe fn new<H: Handler>(range: Range<usize>, handler: &'static H) -> Result<Self, Error> {
        // SAFETY: (1) the handler lives for ever, and is what `call` takes it for.
        let target = unsafe { Target::new(call::<H>, core::ptr::from_ref(handler).cast()) };
        // SAFETY: (1) ours, and as above.
        unsafe { Self::erased(range, target) }
    }

    /// The same for a handler whose type only `target` knows.
    ///
    /// # Safety
    /// 1. As for [`new`](Self::new), and what `target` points to lives until the watch has ended.
    pub(crate) unsafe fn erased(range: Range<usize>, target: Target) -> Result<Self, Error> {
        let (addr, len) = (range.start, range.len());
        let refused = |kind| Error::new(Op::Watch, kind, addr, len, 0);
        let failed = |errno: Errno| errno.of(Op::Watch, addr, len);
        let entry = Entry::make(range, target, refused)?;
        sys::watch_faults(on_fault).map_err(failed)?;
        Ok(Watch(entry))
    }

    /// The addresses that are watched.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.0.range()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Watch({:#x?})", self.range())
    }
}

/// Gives a handler its type back.
///
/// # Safety
/// 1. `handler` points to an `H` that lives.
unsafe fn call<H: Handler>(handler: *const c_void, fault: &Fault) -> Outcome {
    // SAFETY: (1).
    unsafe { &*handler.cast::<H>() }.fault(fault)
}

/// What the door asks.
fn on_fault(fault: &sys::Fault, context: &Context<'_>) -> Answer {
    let access = fault.write.map(|write| if write { Access::Write } else { Access::Read });
    let (addr, is_fetch, cause) = (fault.addr, fault.fetch, fault.cause);
    let told = Fault { addr, access, is_fetch, cause };
    registry::with_target(fault.addr, |target| {
        match sys::on_roomy_stack(context, || target.call(&told)) {
            Outcome::Resume => Answer::Resume,
            Outcome::NotMine => Answer::NotMine,
        }
    })
    .unwrap_or(Answer::NotMine)
}
