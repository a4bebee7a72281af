//! sigaction(2), sigprocmask(2) and their relatives: the program is told, and gets, what it asked
//! for, while our handler stays in front for the signals of a fault, and those are never blocked.
//! In a program with its own malloc nothing is guarded, and all goes to the C library.
//!
//! All but the old `signal` forms of other signals are bare system calls: they may be called in a
//! signal handler, where looking up the C library's function could wait for the loader's lock.

use crate::start::is_passive;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use granule::stomp::{SignalAction, forget_handler_mask, program_action, program_mask};
use granule_preload::{call_next, set_errno};

/// A handler's address, `SIG_DFL` or `SIG_IGN`.
type Address = usize;

/// Signals that the C library keeps for itself (thread cancellation, setuid in all threads).
const C_LIBRARY: [c_int; 2] = [32, 33];

/// The kernel's 64 signals of a C set.
///
/// # Safety
/// 1. `set` points to a signal set.
unsafe fn bits(set: *const libc::sigset_t) -> u64 {
    // SAFETY: (1): a set has at least 64 bits, the kernel's first.
    unsafe { set.cast::<u64>().read_unaligned() }
}

fn to_kernel(action: &libc::sigaction) -> SignalAction {
    // SAFETY: (1) a field of the action.
    let mask = unsafe { bits(&raw const action.sa_mask) };
    SignalAction::new(action.sa_sigaction, action.sa_flags as u32 as usize, mask)
}

fn from_kernel(action: &SignalAction) -> libc::sigaction {
    // SAFETY: all fields are numbers and optional functions, for which zero is a value.
    let mut out: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    out.sa_sigaction = action.handler;
    out.sa_flags = action.flags as c_int;
    // SAFETY: the set has at least 64 bits.
    unsafe { (&raw mut out.sa_mask).cast::<u64>().write_unaligned(action.mask) };
    out
}

/// # Safety
/// 1. `new` and `old` are null or point to a `struct sigaction`.
/// 2. The new handler may run as one.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    if is_passive() {
        return call_next!(
            sigaction as fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int,
            (signal, new, old),
            -1
        );
    }
    if C_LIBRARY.contains(&signal) {
        set_errno(libc::EINVAL);
        return -1;
    }
    // SAFETY: (1).
    let wanted = unsafe { new.as_ref() }.map(to_kernel);
    // SAFETY: (2).
    match unsafe { program_action(signal, wanted.as_ref()) } {
        Ok(before) => {
            // SAFETY: (1).
            if let Some(old) = unsafe { old.as_mut() } {
                *old = from_kernel(&before);
            }
            0
        }
        Err(errno) => {
            set_errno(errno);
            -1
        }
    }
}

/// Sets a handler for a fault signal with the given flags; `None` for other signals.
fn set_fault(signal: c_int, handler: Address, flags: c_int) -> Option<Address> {
    if is_passive() || signal != libc::SIGSEGV && signal != libc::SIGBUS {
        return None;
    }
    let action = SignalAction::new(handler, flags as usize, 0);
    // SAFETY: the program gave the address as a handler.
    let before = unsafe { program_action(signal, Some(&action)) };
    Some(before.map_or(libc::SIG_ERR, |before| before.handler))
}

/// What `signal` means: the handler stays, system calls go on.
const BSD: c_int = libc::SA_RESTART;
/// What it means in System V: once, and it may interrupt itself.
const SYSTEM_V: c_int = libc::SA_RESETHAND | libc::SA_NODEFER;

macro_rules! old_form {
    ($name:ident, $flags:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(signal: c_int, handler: Address) -> Address {
            set_fault(signal, handler, $flags).unwrap_or_else(|| {
                forget_handler_mask(signal);
                call_next!($name as fn(c_int, Address) -> Address, (signal, handler), libc::SIG_ERR)
            })
        }
    };
}

old_form!(signal, BSD);
old_form!(bsd_signal, BSD);
old_form!(ssignal, BSD);
old_form!(sysv_signal, SYSTEM_V);
old_form!(__sysv_signal, SYSTEM_V);

/// Has the old forms look up the C library's functions: a look-up clears what `dlerror` would say,
/// and may not happen in a signal handler. There is no signal 0, so nothing else happens.
pub(crate) fn prepare() {
    for form in [signal, bsd_signal, ssignal, sysv_signal, __sysv_signal] {
        // SAFETY: any number may be given for a signal.
        let refused = unsafe { form(0, libc::SIG_DFL) };
        debug_assert_eq!(refused, libc::SIG_ERR, "signal 0 exists");
    }
}

/// # Safety
/// 1. `set` and `old` are null or point to a signal set.
unsafe fn mask(how: c_int, set: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int {
    let wanted = (!set.is_null()).then(|| {
        // SAFETY: (1).
        let set = unsafe { bits(set) };
        C_LIBRARY.iter().fold(set, |set, signal| set & !(1 << (signal - 1)))
    });
    match program_mask(how, wanted) {
        Ok(before) => {
            if !old.is_null() {
                // As glibc: the kernel's signals are the first 64 bits, the rest is left alone.
                // SAFETY: (1).
                unsafe { old.cast::<u64>().write_unaligned(before) };
            }
            0
        }
        Err(errno) => errno,
    }
}

/// # Safety
/// 1. As for [`mask`].
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    if is_passive() {
        return call_next!(
            pthread_sigmask as fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int,
            (how, set, old),
            libc::ENOSYS
        );
    }
    // SAFETY: (1).
    unsafe { mask(how, set, old) }
}

/// # Safety
/// 1. As for [`mask`].
#[unsafe(no_mangle)]
unsafe extern "C" fn sigprocmask(
    how: c_int,
    set: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: (1).
    let errno = unsafe { pthread_sigmask(how, set, old) };
    if errno != 0 {
        set_errno(errno);
        return -1;
    }
    0
}
