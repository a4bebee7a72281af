//! Floor 1. The handler of the fault signals: our hooks first, everything else exactly as the
//! program wants it.
//!
//! The kernel's action for SIGSEGV and SIGBUS is our handler. The actions that the program believes
//! to have set are kept ([`layers`]), and a fault that no hook calls its own goes there. Our kernel
//! action carries the flags of the program's, so that its handler runs on the stack that it asked
//! for, and is given the mask that it asked for. No other signal comes in between before that.
//! Only the fault signals themselves are never blocked: a report walks damaged stacks, and a
//! handler may touch a guard. Which of them the program believes to have blocked is kept apart
//! ([`mask`]), and its handlers see that.

mod layers;
mod mask;
mod stack;

use super::super::faults::Hooks;
use super::super::{Answer, Errno, Fault, FaultHook};
use super::blocked::{blocked_word, set_blocked_word};
use super::fault::{
    FAULT_SIGNALS, Handler, SET_MASK, SignalAction, die_by, interrupted_mask, is_pending, maskable,
    resume_probe, send_back, signal_action, signal_bit, signal_mask,
};
use super::unwind::Registers;
use core::ffi::c_void;
use core::marker::PhantomData;
use layers::{Layers, Note, Place};
use mask::FAULTS;
pub use mask::{
    follow_masks, forget_handler_mask, program_blocked, program_mask, set_program_blocked,
};
pub(crate) use stack::{on_roomy_stack, run_on_stack};

/// The interrupted thread, as the kernel has told the handler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    place: *mut c_void,
    handler: PhantomData<&'a mut c_void>,
}

impl Context<'_> {
    /// # Safety
    /// 1. `place` is the context that the kernel gave to a handler which runs for as long as this
    ///    lives.
    const unsafe fn new(place: *mut c_void) -> Self {
        Context { place, handler: PhantomData }
    }

    /// The registers of the interrupted thread.
    pub(crate) fn registers(&self) -> Registers {
        // SAFETY: (1) of `new`.
        unsafe { Registers::from_ucontext(self.place) }
    }
}

static HOOKS: Hooks = Hooks::new();

static LAYERS: [Layers; FAULT_SIGNALS.len()] = [const { Layers::new() }; FAULT_SIGNALS.len()];

fn layers_of(signal: i32) -> Option<&'static Layers> {
    FAULT_SIGNALS.iter().position(|&fault| fault == signal).map(|index| &LAYERS[index])
}

/// Has `hook` asked about every fault from now on, and puts our handler in front of whatever is
/// there, unless it is there already. Calls: rt_sigaction, two for each signal where it is not; the
/// first time mmap and mprotect for a stack.
///
/// # Errors
/// ENOMEM: too many handlers have taken turns in front of ours.
pub(crate) fn watch_faults(hook: FaultHook) -> Result<(), Errno> {
    HOOKS.remember(hook);
    stack::prepare();
    FAULT_SIGNALS.into_iter().zip(&LAYERS).try_for_each(|(signal, layers)| front(signal, layers))
}

fn front(signal: i32, layers: &Layers) -> Result<(), Errno> {
    // SAFETY: reads only.
    let before = unsafe { signal_action(signal, None) }?;
    if is_ours(&before) {
        return Ok(());
    }
    layers.push(&before)?;
    // SAFETY: `on_fault` is async-signal-safe: no allocation, no lock, errno kept.
    let found = unsafe { signal_action(signal, Some(&our_action(&before))) }?;
    // Somebody may have been faster.
    if is_ours(&found) || found == before { Ok(()) } else { layers.push(&found) }
}

fn is_ours(action: &SignalAction) -> bool {
    let own: Handler = on_fault;
    action.handler == own as usize
}

/// Our kernel action under the flags of the program's. With no handler of the program's: on the
/// alternate stack if there is one. Everything is blocked but the fault signals.
fn our_action(wanted: &SignalAction) -> SignalAction {
    let own: Handler = on_fault;
    let inherited = if wanted.has_handler() {
        wanted.flags & !SignalAction::RESET_HANDLER
    } else {
        SignalAction::ON_STACK
    };
    let flags = inherited | SignalAction::WITH_INFO | SignalAction::NO_DEFER;
    SignalAction::new(own as usize, flags, maskable(!FAULTS))
}

/// What the program's `sigaction` does where this library stands in front of it: reads, and with
/// `new` sets, the action of a signal. For a fault signal that is the action we keep; the others go
/// to the kernel, with the fault signals taken out of their masks, so that a crime inside a handler
/// is still seen. Returns the old action. [`watch_faults`] has been called.
///
/// # Safety
/// 1. `new.handler` is 0, 1 or a function that may run as a handler of `signal` at any moment.
pub(crate) unsafe fn program_action(
    signal: i32,
    new: Option<&SignalAction>,
) -> Result<SignalAction, Errno> {
    let Some((layers, (top, old))) =
        layers_of(signal).and_then(|layers| Some((layers, layers.top()?)))
    else {
        // SAFETY: (1).
        return unsafe { other_action(signal, new) };
    };
    if let Some(new) = new {
        let new = new.with(new.handler, new.flags, maskable(new.mask));
        layers.replace(top, &new);
        reinstall(signal, &new);
    }
    Ok(old)
}

/// An action of a signal that is no fault.
///
/// # Safety
/// 1. As for [`program_action`].
unsafe fn other_action(signal: i32, new: Option<&SignalAction>) -> Result<SignalAction, Errno> {
    let open = new.map(|new| new.with(new.handler, new.flags, new.mask & !FAULTS));
    // SAFETY: (1).
    let old = unsafe { signal_action(signal, open.as_ref()) }?;
    let mask = old.mask | mask::taken_out(signal, &old);
    if let Some(new) = new {
        mask::strip(signal, new.handler, new.mask);
    }
    Ok(old.with(old.handler, old.flags, mask))
}

/// Takes over the flags of the program's new action, unless somebody stands in front of us.
fn reinstall(signal: i32, wanted: &SignalAction) {
    // SAFETY: reads only.
    let Ok(current) = (unsafe { signal_action(signal, None) }) else { return };
    if is_ours(&current) {
        if wanted.is_ignored() && is_pending(signal) {
            // The kernel throws away what waits when a signal becomes ignored.
            // SAFETY: runs no code.
            let _ = unsafe { signal_action(signal, Some(wanted)) };
        }
        // SAFETY: as in `front`. It worked there, with other flags; the kernel checks no flag.
        let _ = unsafe { signal_action(signal, Some(&our_action(wanted))) };
    }
}

/// # Safety
/// 1. Called by the kernel as a signal handler, or by a handler that had found it as the action
///    before its own, with what the kernel gave to that.
unsafe extern "C" fn on_fault(signal: i32, info: *mut c_void, context: *mut c_void) {
    let Some(layers) = layers_of(signal) else { return };
    // SAFETY: (1); probes are resumed below, and `our_action` asks for SA_NODEFER.
    let fault = unsafe { Fault::read(info, context) };
    // SAFETY: (1).
    if let Some(height) = unsafe { Note::find(context, layers) } {
        // The hooks have been asked.
        // SAFETY: (1).
        return unsafe { forward(signal, layers, height, &fault, info, context) };
    }
    if fault.real {
        // SAFETY: (1).
        if unsafe { resume_probe(context) } {
            return;
        }
        // SAFETY: (1): it lives as long as this handler runs.
        match ask(&fault, &unsafe { Context::new(context) }) {
            Answer::Resume => return,
            // Back to the guilty instruction, which faults again, and dies as it would have.
            Answer::Die => return die_at_return(signal),
            Answer::NotMine => {}
        }
    }
    // SAFETY: (1).
    unsafe { forward(signal, layers, usize::MAX, &fault, info, context) };
}

/// Asks the hooks; `errno` is as it was.
fn ask(fault: &Fault, context: &Context<'_>) -> Answer {
    // SAFETY: takes nothing and returns the place of this thread's own number.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the place is valid as long as the thread lives.
    let before = unsafe { errno.read() };
    let answer = HOOKS.ask(fault, context);
    // SAFETY: as above.
    unsafe { errno.write(before) };
    answer
}

/// Lets the instruction that faulted kill the process when the handler returns to it.
fn die_at_return(signal: i32) {
    // SAFETY: the default action runs no code.
    if unsafe { signal_action(signal, Some(&SignalAction::DEFAULT)) }.is_err() {
        die_by(signal);
    }
}

/// Gives a fault that is not ours to the program, as the kernel would have: to the highest layer
/// below the height `limit`.
///
/// # Safety
/// 1. As for `on_fault`.
unsafe fn forward(
    signal: i32,
    layers: &'static Layers,
    limit: usize,
    fault: &Fault,
    info: *mut c_void,
    context: *mut c_void,
) {
    let (place, action) = layers.below(limit).unwrap_or((Place::default(), SignalAction::DEFAULT));
    let is_blocked = blocked_word() & signal_bit(signal) != 0;
    match (fault.real, is_blocked) {
        // The kernel calls no handler for a blocked fault, and does not let one be ignored.
        (true, true) => die_at_return(signal),
        (true, false) if !action.has_handler() => die_at_return(signal),
        // SAFETY: (1).
        (false, true) => unsafe { send_back(signal, info, context) },
        (false, false) if action.is_ignored() => {}
        (false, false) if !action.has_handler() => die_by(signal),
        (_, false) => {
            if action.flags & SignalAction::RESET_HANDLER != 0 {
                layers.reset(place);
            }
            // SAFETY: (1), and the program gave this action for this signal.
            let call = || unsafe { call(signal, &action, info, context) };
            // SAFETY: (1).
            unsafe { Note::new(layers, place.height).noted(context, call) }
        }
    }
}

/// Calls the program's handler with the mask that the kernel would have given it. The fault signals
/// are blocked only as far as it sees, where masks are followed, and shown in the context: what
/// stands there when it returns is the mask that goes on, as with the kernel.
///
/// # Safety
/// 1. As for `on_fault`.
/// 2. `action` has a handler, and it is one for `signal`.
unsafe fn call(signal: i32, action: &SignalAction, info: *mut c_void, context: *mut c_void) {
    // SAFETY: (2): sigaction takes the address of a function as a handler.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(action.handler) };
    let own = if action.flags & SignalAction::NO_DEFER == 0 { signal_bit(signal) } else { 0 };
    let added = action.mask | own;
    // SAFETY: (1).
    let mask = unsafe { interrupted_mask(context) };
    // SAFETY: (1): the mask is a part of the context, which this handler has for itself.
    let interrupted = unsafe { mask.read_unaligned() };
    if !mask::is_followed() {
        set_mask(interrupted | added);
        // SAFETY: the arguments are the kernel's; a handler of one argument ignores the others.
        return unsafe { handler(signal, info, context) };
    }
    let before = interrupted | blocked_word();
    // SAFETY: as above.
    unsafe { mask.write_unaligned(before) };
    set_blocked_word((before | added) & FAULTS);
    set_mask((interrupted | added) & !FAULTS);
    // SAFETY: as for the other call.
    unsafe { handler(signal, info, context) };
    // SAFETY: as above; the handler may have changed it.
    let after = unsafe { mask.read_unaligned() };
    set_blocked_word(after & FAULTS);
    // SAFETY: as above. A signal that waits comes again, and is sent back if it still has to wait.
    unsafe { mask.write_unaligned(after & !FAULTS) };
}

fn set_mask(mask: u64) {
    // The set and the way are good, and nothing else can be wrong with the call.
    let _ = signal_mask(SET_MASK, Some(mask));
}
