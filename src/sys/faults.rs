//! Floor 1. Faults: what the door says about one, and what is answered.
//!
//! Every platform offers [`watch_faults`](super::watch_faults): from then on its hooks are asked
//! about each access violation of the process, on the thread that made it, before anybody else is.
//! It is not asked about signals that were sent.

use super::Context;
use core::ptr::{self, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

/// What a handler was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The address touched.
    pub(crate) addr: usize,
    /// True for a write, false for a read, `None` when the processor does not say.
    pub(crate) write: Option<bool>,
    /// True where the processor wanted an instruction, as far as it says.
    pub(crate) fetch: bool,
    /// True when the processor raised it; false for `kill` and the like.
    pub(crate) real: bool,
    /// Why; `None` where the system does not say.
    pub(crate) cause: Option<Cause>,
}

/// Why a touch has failed.
///
/// See [`Fault::cause`](crate::fault::Fault::cause) for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The page does not give the right: it is reserved, protected, guarded, or nobody's. A verb of
    /// pages can give it.
    Right,
    /// The right is there, and the page is not: it lies behind the end of its file, cannot be read
    /// from the disk, finds no place there, or its memory is broken. Giving rights does not help.
    Page,
    /// Neither: a protection key, a memory tag, an alignment.
    Other,
}

/// What a hook says about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It belongs to whoever was there before, as if we were not there.
    NotMine,
    /// The touch is to be repeated.
    Resume,
    /// The touch is to kill the process, whatever the program has planned for it.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "the stomp finder's"))]
    Die,
}

/// Who is asked. It may run inside whatever the thread was doing, on a stack of a few KiB: it
/// allocates nothing, takes no lock and does not unwind. `errno` is kept for it.
pub(crate) type FaultHook = fn(&Fault, &Context<'_>) -> Answer;

/// Room for the hooks of two floors.
const HOOKS_MOST: usize = 2;

/// The hooks of a platform's handler.
pub(super) struct Hooks([AtomicPtr<()>; HOOKS_MOST]);

impl Hooks {
    pub(super) const fn new() -> Self {
        Hooks([const { AtomicPtr::new(null_mut()) }; HOOKS_MOST])
    }

    /// Adds the hook, if it is not there. There are no more hooks than places.
    pub(super) fn remember(&self, hook: FaultHook) {
        let hook = hook as *mut ();
        for place in &self.0 {
            let none = null_mut();
            match place.compare_exchange(none, hook, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(known) if ptr::eq(known, hook) => return,
                Err(_) => {}
            }
        }
        debug_assert!(false, "a third hook");
    }

    /// Asks one after the other, until it is somebody's.
    pub(super) fn ask(&self, fault: &Fault, context: &Context<'_>) -> Answer {
        let answers = self.0.iter().filter_map(|place| {
            let hook = place.load(Ordering::Acquire);
            // SAFETY: `remember` stores functions of this type, or it is null.
            let hook = unsafe { core::mem::transmute::<*mut (), Option<FaultHook>>(hook) };
            hook.map(|hook| hook(fault, context))
        });
        { answers }.find(|&answer| answer != Answer::NotMine).unwrap_or(Answer::NotMine)
    }
}
