//! Floor 4. The fault handler: ours first, everything else exactly as the program wants it.
//!
//! The kernel's action for SIGSEGV and SIGBUS is our handler. The action that the program believes
//! to have set is kept here, and a fault that is none of our business goes there. Our kernel action
//! carries the flags and the mask of the program's, so that its handler runs on the stack and with
//! the signals blocked that it asked for. Only the fault signals themselves are never blocked: a
//! report walks damaged stacks, and the program's handler may touch a guard. Which of them the
//! program believes to have blocked is kept apart (`mask`), and its handlers see that.

use super::mask::{self, FAULTS};
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

/// Our kernel action under the flags and the mask of the program's, without the fault signals. With
/// no handler of the program's: on the alternate stack if there is one.
fn our_action(wanted: &SignalAction) -> SignalAction {
    let own: Handler = on_fault;
    let inherited = if wanted.has_handler() {
        wanted.flags & !SignalAction::RESET_HANDLER
    } else {
        SignalAction::ON_STACK
    };
    let flags = inherited | SignalAction::WITH_INFO | SignalAction::NO_DEFER;
    SignalAction::new(own as usize, flags, wanted.mask & !FAULTS)
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
/// fault signal that is the action we keep; the others go to the kernel, with the fault signals
/// taken out of their masks, so that a crime inside a handler is still seen. Returns the old
/// action; `Err` holds the errno.
///
/// # Safety
/// 1. `new.handler` is 0, 1 or a function that may run as a handler of `signal` at any moment.
pub unsafe fn program_action(signal: i32, new: Option<&SignalAction>) -> Result<SignalAction, i32> {
    let Some(wanted) = wanted(signal) else {
        // SAFETY: (1).
        return unsafe { other_action(signal, new) };
    };
    // Ours must be in place first: it takes what it finds there for the program's.
    super::start();
    let old = wanted.get();
    if let Some(new) = new {
        let new = new.with(new.handler, new.flags, sys::maskable(new.mask));
        wanted.set(&new);
        reinstall(signal, &new);
    }
    Ok(old)
}

/// An action of a signal that is no fault.
///
/// # Safety
/// 1. As for [`program_action`].
unsafe fn other_action(signal: i32, new: Option<&SignalAction>) -> Result<SignalAction, i32> {
    let open = new.map(|new| new.with(new.handler, new.flags, new.mask & !FAULTS));
    // SAFETY: (1).
    let old = unsafe { sys::signal_action(signal, open.as_ref()) }.map_err(|errno| errno.0)?;
    let mask = old.mask | mask::taken_out(signal, &old);
    if let Some(new) = new {
        mask::strip(signal, new.handler, new.mask);
    }
    Ok(old.with(old.handler, old.flags, mask))
}

/// Takes over the flags of the program's new action, unless somebody stands in front of us.
fn reinstall(signal: i32, wanted: &SignalAction) {
    // SAFETY: reads only.
    let Ok(current) = (unsafe { sys::signal_action(signal, None) }) else { return };
    let own: Handler = on_fault;
    if current.handler == own as usize {
        if wanted.is_ignored() && sys::is_pending(signal) {
            // The kernel throws away what waits when a signal becomes ignored.
            // SAFETY: runs no code.
            let _ = unsafe { sys::signal_action(signal, Some(wanted)) };
        }
        // SAFETY: as in `install`. It worked there, with other flags; the kernel checks no flag.
        let _ = unsafe { sys::signal_action(signal, Some(&our_action(wanted))) };
    }
}

/// # Safety
/// 1. Called by the kernel as a signal handler.
unsafe extern "C" fn on_fault(signal: i32, info: *mut c_void, context: *mut c_void) {
    // SAFETY: (1); probes are resumed below, and `install` asks for SA_NODEFER.
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
    let is_blocked = sys::blocked_word() & sys::signal_bit(signal) != 0;
    match (fault.real, is_blocked) {
        // The kernel calls no handler for a blocked fault, and does not let one be ignored.
        (true, true) => die_at_return(signal),
        (true, false) if !action.has_handler() => die_at_return(signal),
        // SAFETY: (1).
        (false, true) => unsafe { sys::send_back(signal, info, context) },
        (false, false) if action.is_ignored() => {}
        (false, false) if !action.has_handler() => sys::die_by(signal),
        (_, false) => {
            if action.flags & SignalAction::RESET_HANDLER != 0 {
                wanted.handler.store(SignalAction::DEFAULT.handler, Ordering::Release);
            }
            // SAFETY: (1), and the program gave this action for this signal.
            unsafe { call(signal, &action, info, context) }
        }
    }
}

/// Calls the program's handler with the fault signals blocked, as far as it sees, that the kernel
/// would have blocked, and shows them in the context: what stands there when it returns is the mask
/// that goes on, as with the kernel.
///
/// # Safety
/// 1. As for `on_fault`.
/// 2. `action` has a handler, and it is one for `signal`.
unsafe fn call(signal: i32, action: &SignalAction, info: *mut c_void, context: *mut c_void) {
    // SAFETY: (2): sigaction takes the address of a function as a handler.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(action.handler) };
    let own = if action.flags & SignalAction::NO_DEFER == 0 { sys::signal_bit(signal) } else { 0 };
    let added = (action.mask | own) & FAULTS;
    if !mask::is_followed() {
        sys::block(added);
        // SAFETY: the arguments are the kernel's; a handler of one argument ignores the others.
        return unsafe { handler(signal, info, context) };
    }
    // SAFETY: (1).
    let mask = unsafe { sys::interrupted_mask(context) };
    // SAFETY: (1): the mask is a part of the context, which this handler has for itself.
    let before = unsafe { mask.read_unaligned() } | sys::blocked_word();
    // SAFETY: as above.
    unsafe { mask.write_unaligned(before) };
    sys::set_blocked_word(before & FAULTS | added);
    // SAFETY: as for the other call.
    unsafe { handler(signal, info, context) };
    // SAFETY: as above; the handler may have changed it.
    let after = unsafe { mask.read_unaligned() };
    sys::set_blocked_word(after & FAULTS);
    // SAFETY: as above. A signal that waits comes again, and is sent back if it still has to wait.
    unsafe { mask.write_unaligned(after & !FAULTS) };
}
