//! Floor 4. The fault handler: ours first, everything else exactly as the program wants it.
//!
//! The kernel's action for SIGSEGV and SIGBUS is our handler. The action that the program believes to
//! have set is kept here, and a fault that is none of our business goes there. Our kernel action
//! carries the flags and the mask of the program's, so that its handler runs on the stack and with the
//! signals blocked that it asked for.

use super::record::Access;
use super::{finder, own_stack, report};
use crate::sys::{self, FAULT_SIGNALS, Fault, Handler, Registers, SignalAction};
use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the program asked for, for one signal.
struct Wanted {
    handler: AtomicUsize,
    flags: AtomicUsize,
    mask: AtomicU64,
}

impl Wanted {
    const fn new() -> Self {
        Wanted { handler: AtomicUsize::new(0), flags: AtomicUsize::new(0), mask: AtomicU64::new(0) }
    }

    fn get(&self) -> SignalAction {
        let handler = self.handler.load(Ordering::Acquire);
        let (flags, mask) = (self.flags.load(Ordering::Relaxed), self.mask.load(Ordering::Relaxed));
        SignalAction::DEFAULT.with(handler, flags, mask)
    }

    /// The handler last, so that it never runs under an older one's flags for longer than a fault
    /// that races with the change itself.
    fn set(&self, action: &SignalAction) {
        self.flags.store(action.flags, Ordering::Relaxed);
        self.mask.store(action.mask, Ordering::Relaxed);
        self.handler.store(action.handler, Ordering::Release);
    }
}

static WANTED: [Wanted; FAULT_SIGNALS.len()] = [const { Wanted::new() }; FAULT_SIGNALS.len()];

fn wanted(signal: i32) -> Option<&'static Wanted> {
    FAULT_SIGNALS.iter().position(|&fault| fault == signal).map(|index| &WANTED[index])
}

/// Our kernel action under the flags of the program's. Without a handler of the program's: on the
/// alternate stack if there is one.
fn our_action(wanted: &SignalAction) -> SignalAction {
    let own: Handler = on_fault;
    let inherited = if wanted.has_handler() {
        wanted.flags & !SignalAction::RESET_HANDLER
    } else {
        SignalAction::ON_STACK
    };
    SignalAction::new(own as usize, inherited | SignalAction::WITH_INFO, wanted.mask)
}

/// Puts our handler in front of whatever is there, unless it is there already.
pub(crate) fn install() {
    let own: Handler = on_fault;
    for (signal, wanted) in FAULT_SIGNALS.into_iter().zip(&WANTED) {
        // SAFETY: reads only.
        let Ok(before) = (unsafe { sys::signal_action(signal, None) }) else { continue };
        if before.handler == own as usize {
            continue;
        }
        wanted.set(&before);
        // SAFETY: `on_fault` is async-signal-safe: no allocation, no lock, errno kept.
        let installed = unsafe { sys::signal_action(signal, Some(&our_action(&before))) };
        debug_assert!(installed.is_ok(), "the kernel refuses a handler for signal {signal}");
    }
}

/// What the program's `sigaction` does: reads, and with `new` sets, the action of a signal. For a
/// fault signal that is the action we keep; the others go to the kernel, with the fault signals taken
/// out of their masks, so that a crime inside a handler is still seen. Returns the old action; `Err`
/// holds the errno.
///
/// # Safety
/// 1. `new.handler` is 0, 1 or a function that may run as a handler of `signal` at any moment.
pub unsafe fn program_action(signal: i32, new: Option<&SignalAction>) -> Result<SignalAction, i32> {
    let Some(wanted) = wanted(signal) else {
        let open = new.map(|new| new.with(new.handler, new.flags, without_faults(new.mask)));
        // SAFETY: (1).
        return unsafe { sys::signal_action(signal, open.as_ref()) }.map_err(|errno| errno.0);
    };
    // Ours must be in place first: it takes what it finds there for the program's.
    super::start();
    let old = wanted.get();
    if let Some(new) = new {
        wanted.set(new);
        reinstall(signal, new);
    }
    Ok(old)
}

/// What the program's `pthread_sigmask` does, except that the fault signals are never blocked: a
/// blocked fault would kill the process without a word. Returns the old mask; `Err` holds the errno.
pub fn program_mask(how: i32, set: Option<u64>) -> Result<u64, i32> {
    sys::signal_mask(how, set.map(without_faults)).map_err(|errno| errno.0)
}

fn without_faults(mask: u64) -> u64 {
    FAULT_SIGNALS.iter().fold(mask, |mask, &signal| mask & !sys::signal_bit(signal))
}

/// Takes over the flags of the program's new action, unless somebody stands in front of us.
fn reinstall(signal: i32, wanted: &SignalAction) {
    // SAFETY: reads only.
    let Ok(current) = (unsafe { sys::signal_action(signal, None) }) else { return };
    let own: Handler = on_fault;
    if current.handler == own as usize {
        // SAFETY: as in `install`. It worked there, with other flags; the kernel checks no flag.
        let _ = unsafe { sys::signal_action(signal, Some(&our_action(wanted))) };
    }
}

/// # Safety
/// 1. Called by the kernel as a signal handler.
unsafe extern "C" fn on_fault(signal: i32, info: *mut c_void, context: *mut c_void) {
    // SAFETY: (1).
    let fault = unsafe { Fault::read(info, context) };
    if fault.real {
        // SAFETY: (1).
        if unsafe { sys::resume_probe(context) } {
            return;
        }
        // SAFETY: (1).
        if unsafe { is_ours(&fault, context) } {
            // Back to the guilty instruction, which faults again, and dies as it would have.
            die_at_return(signal);
            return;
        }
    }
    // SAFETY: (1).
    unsafe { forward(signal, &fault, info, context) };
}

/// Reports a touch of a guard; false if the address is not one.
///
/// # Safety
/// 1. `context` is the one that the kernel gave to the handler.
unsafe fn is_ours(fault: &Fault, context: *const c_void) -> bool {
    let Some(finder) = finder() else { return false };
    let Some(offset) = finder.offset(fault.addr) else { return false };
    let access = fault.write.map(|write| if write { Access::Write } else { Access::Read });
    let reported = own_stack::run(|| {
        // SAFETY: (1).
        let from = unsafe { Registers::from_ucontext(context) };
        report::access(finder, offset, access, &from)
    });
    // A report that faults is a report that fails: the process dies of the fault either way.
    reported.unwrap_or(true)
}

/// Lets the instruction that faulted kill the process when the handler returns to it.
fn die_at_return(signal: i32) {
    // SAFETY: the default action runs no code.
    if unsafe { sys::signal_action(signal, Some(&SignalAction::DEFAULT)) }.is_err() {
        sys::die_by(signal);
    }
}

/// Gives a fault that is not ours to the program, as the kernel would have.
///
/// # Safety
/// 1. As for `on_fault`.
unsafe fn forward(signal: i32, fault: &Fault, info: *mut c_void, context: *mut c_void) {
    let Some(wanted) = wanted(signal) else { return };
    let action = wanted.get();
    if action.has_handler() {
        if action.flags & SignalAction::RESET_HANDLER != 0 {
            wanted.set(&SignalAction::DEFAULT);
        }
        // SAFETY: the program gave this address to sigaction as a handler of this signal.
        let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(action.handler) };
        // SAFETY: the arguments are the kernel's; a handler of one argument ignores the others.
        unsafe { handler(signal, info, context) };
    } else if fault.real {
        // The kernel does not let a processor's fault be ignored either.
        die_at_return(signal);
    } else if action.handler == SignalAction::DEFAULT.handler {
        sys::die_by(signal);
    }
}
