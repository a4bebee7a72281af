//! Floor 1. The handler of SIGSEGV and SIGBUS on macOS and FreeBSD, by the C library's sigaction.
//!
//! The action that was there before is kept, and has what no hook calls its own: with its mask, on
//! the alternate stack if there is one. Ours is put there once in a process. Whoever sets an action
//! later stands in front of it, and hands on to us if he hands on to what he has found.

use super::super::faults::Hooks;
use super::super::{Answer, Cause, Errno, Fault, FaultHook};
use super::call::checked;
use crate::error::Call;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::{MaybeUninit, zeroed};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};

/// The signals a touch can raise: which of them depends on the system and on what is there.
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// `si_code` of signals that were sent begins here, and what the processor has raised is above 0.
const SENT: c_int = 0x10000;

/// The signals that all systems have. Those that FreeBSD has above them stay out of masks.
const CLASSIC: core::ops::RangeInclusive<c_int> = 1..=31;

/// The interrupted thread. Nobody here asks for more than that there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a>(PhantomData<&'a mut c_void>);

type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

static HOOKS: Hooks = Hooks::new();
static BEFORE: [Before; SIGNALS.len()] = [const { Before::new() }; SIGNALS.len()];

/// The action that the program had for a signal when ours took its place.
struct Before {
    is_done: AtomicBool,
    handler: AtomicUsize,
    flags: AtomicI32,
    /// Bit n - 1: signal n.
    mask: AtomicU32,
}

impl Before {
    const fn new() -> Self {
        let (handler, flags) = (AtomicUsize::new(libc::SIG_DFL), AtomicI32::new(0));
        Before { is_done: AtomicBool::new(false), handler, flags, mask: AtomicU32::new(0) }
    }

    fn keep(&self, action: &libc::sigaction) {
        // SAFETY: reads the set of a structure that we hold.
        let is_in = |&signal: &c_int| unsafe { libc::sigismember(&action.sa_mask, signal) } == 1;
        let mask = CLASSIC.filter(is_in).fold(0, |mask, signal| mask | 1 << (signal - 1));
        self.mask.store(mask, Ordering::Relaxed);
        self.flags.store(action.sa_flags, Ordering::Relaxed);
        self.handler.store(action.sa_sigaction, Ordering::Release);
    }
}

/// Has `hook` asked about every fault from now on. Call: sigaction, two for each signal, once in a
/// process.
pub(crate) fn watch_faults(hook: FaultHook) -> Result<(), Errno> {
    HOOKS.remember(hook);
    SIGNALS.into_iter().zip(&BEFORE).try_for_each(|(signal, before)| front(signal, before))
}

/// Two threads that come at once keep the same action, or one of them finds ours.
fn front(signal: c_int, before: &Before) -> Result<(), Errno> {
    if before.is_done.load(Ordering::Acquire) {
        return Ok(());
    }
    let own: Handler = on_fault;
    let found = exchange(signal, None)?;
    if found.sa_sigaction != own as usize {
        before.keep(&found);
        // SAFETY: a structure of numbers may be zero; no signal is in a set of zeros.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = own as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        exchange(signal, Some(&action))?;
    }
    before.is_done.store(true, Ordering::Release);
    Ok(())
}

/// Reads, and with `new` sets, the action of a signal. Returns the old one.
fn exchange(signal: c_int, new: Option<&libc::sigaction>) -> Result<libc::sigaction, Errno> {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    checked(Call::Sigaction, [0, 0], || {
        let new = new.map_or(null(), core::ptr::from_ref);
        // SAFETY: both structures outlive the call. The new action is the default one, or ours,
        // which allocates nothing, takes no lock and keeps errno.
        let done = unsafe { libc::sigaction(signal, new, old.as_mut_ptr()) };
        (done == 0).then_some(())
    })?;
    // SAFETY: zeroed and filled; all its fields are numbers.
    Ok(unsafe { old.assume_init() })
}

/// Runs `work` for a handler, on the stack that the program has given the thread for signals.
pub(crate) fn on_roomy_stack<T>(_: &Context<'_>, work: impl FnOnce() -> T) -> T {
    work()
}

/// # Safety
/// 1. Called by the kernel as a signal handler, or by a handler that had found it as the action
///    before its own, with what the kernel gave to that.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: (1).
    let told = unsafe { &*info };
    // SAFETY: (1): where the signal was sent it is some number, which nobody uses.
    let addr = unsafe { told.si_addr() }.addr();
    let real = told.si_code > 0 && told.si_code < SENT;
    // SIGBUS is for a lost page, and on some of these systems for a missing right, too.
    let cause = (signal == libc::SIGSEGV).then_some(Cause::Right);
    let fault = Fault { addr, write: None, fetch: false, real, cause };
    // No other signal comes in: its handler might touch what a hook is at, or jump away from it.
    let ask = || Some(without_signals(|| HOOKS.ask(&fault, &Context(PhantomData))));
    let answer = if fault.real { checked(Call::None, [0, 0], ask) } else { Ok(Answer::NotMine) };
    match answer {
        Ok(Answer::Resume) => {}
        // Back to the guilty instruction, which faults again.
        Ok(Answer::Die) => set_default(signal),
        // SAFETY: (1).
        Ok(Answer::NotMine) | Err(_) => unsafe { forward(signal, fault.real, info, context) },
    }
}

fn set_default(signal: c_int) {
    // SAFETY: a structure of numbers may be zero, which is the default action.
    let default: libc::sigaction = unsafe { zeroed() };
    // Signal and action are good, and nothing else can be wrong with the call.
    let _ = exchange(signal, Some(&default));
}

/// Gives a fault that is not ours to the program, as the kernel would have.
///
/// # Safety
/// 1. As for `on_fault`.
unsafe fn forward(signal: c_int, real: bool, info: *mut libc::siginfo_t, context: *mut c_void) {
    let index = SIGNALS.iter().position(|&known| known == signal).unwrap_or(0);
    let before = &BEFORE[index];
    let handler = before.handler.load(Ordering::Acquire);
    let (flags, mask) = (before.flags.load(Ordering::Relaxed), before.mask.load(Ordering::Relaxed));
    match handler {
        libc::SIG_IGN if !real => return,
        // A fault cannot be ignored.
        libc::SIG_DFL | libc::SIG_IGN => {
            set_default(signal);
            if !real {
                // SAFETY: sends this thread a signal that it does not block, and dies by it.
                let _ = unsafe { libc::raise(signal) };
            }
            return;
        }
        _ => {}
    }
    if flags & libc::SA_RESETHAND != 0 {
        before.handler.store(libc::SIG_DFL, Ordering::Release);
    }
    block(if flags & libc::SA_NODEFER == 0 { mask | 1 << (signal - 1) } else { mask });
    // SAFETY: sigaction takes the address of a function as a handler.
    let handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    // SAFETY: (1): the arguments are the kernel's; a handler of one argument ignores the others.
    unsafe { handler(signal, info, context) };
}

/// Blocks the signals of a mask in this thread, until the kernel puts back what it was before the
/// fault.
fn block(mask: u32) {
    // SAFETY: no signal is in a set of zeros.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    for signal in CLASSIC.filter(|signal| mask >> (signal - 1) & 1 != 0) {
        // SAFETY: a set that we hold, and a number that was in one.
        let _ = unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: the set outlives the call, and the old one is not asked for.
    let _ = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null_mut()) };
}

/// Lets another thread run. Call: sched_yield.
pub(crate) fn yield_now() {
    // SAFETY: takes no argument and touches nothing. It cannot fail.
    let _ = unsafe { libc::sched_yield() };
}

/// Writes to standard error, all of it or until the first error: there is no one left to tell.
pub(crate) fn write_error(mut text: &[u8]) {
    // What it answers is nothing to anybody; `errno` is kept.
    let _ = checked(Call::None, [0, 0], || {
        while !text.is_empty() {
            // SAFETY: the kernel reads bytes of a slice that we hold.
            let count = unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
            let count = usize::try_from(count).ok().filter(|&count| count > 0)?;
            text = &text[count.min(text.len())..];
        }
        Some(())
    });
}

/// Runs `work` while this thread takes no signal but the fault signals. Call: pthread_sigmask,
/// before and after.
pub(crate) fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: a set of zeros is one.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { zeroed() };
    // SAFETY: fills in a set that we hold.
    unsafe { libc::sigfillset(&raw mut all) };
    for signal in SIGNALS {
        // SAFETY: as above.
        unsafe { libc::sigdelset(&raw mut all, signal) };
    }
    // SAFETY: both sets outlive the call, which answers a number and leaves `errno` alone.
    let changed =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before) };
    let answer = work();
    if changed == 0 {
        // SAFETY: as above; what was just read can be set again.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut()) };
    }
    answer
}

/// Ends the process by SIGABRT. Call: abort.
pub(crate) fn abort() -> ! {
    // SAFETY: nothing runs after it.
    unsafe { libc::abort() }
}
