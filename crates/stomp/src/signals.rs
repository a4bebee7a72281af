//! sigaction(2) and its older relatives, for the signals of a fault: our handler stays in front, and
//! the program is told, and gets, what it asked for. Other signals go straight to the C library.

use crate::next::call_next;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use granule::stomp::{SignalAction, program_action};

type SigHandler = usize;

fn to_kernel(action: &libc::sigaction) -> SignalAction {
    // SAFETY: a set of at least 64 bits; the kernel's first 64 signals are its first bytes.
    let mask = unsafe { (&raw const action.sa_mask).cast::<u64>().read() };
    SignalAction::new(action.sa_sigaction, action.sa_flags as u32 as usize, mask)
}

fn from_kernel(action: &SignalAction) -> libc::sigaction {
    // SAFETY: all fields are numbers and optional functions, for which zero is a value.
    let mut out: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    out.sa_sigaction = action.handler;
    out.sa_flags = action.program_flags() as c_int;
    // SAFETY: as in `to_kernel`.
    unsafe { (&raw mut out.sa_mask).cast::<u64>().write(action.mask) };
    out
}

/// # Safety
/// 1. `new` and `old` are null or point to a `struct sigaction`.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: (1).
    let wanted = unsafe { new.as_ref() }.map(to_kernel);
    let Some(before) = program_action(signal, wanted.as_ref()) else {
        return call_next!(
            sigaction as fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int,
            (signal, new, old),
            -1
        );
    };
    // SAFETY: (1).
    if let Some(old) = unsafe { old.as_mut() } {
        *old = from_kernel(&before);
    }
    0
}

/// Sets a handler for a fault signal with the given flags; `None` for other signals.
fn set(signal: c_int, handler: SigHandler, flags: c_int) -> Option<SigHandler> {
    let action = SignalAction::new(handler, flags as usize, 0);
    program_action(signal, Some(&action)).map(|before| before.handler)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn signal(signal: c_int, handler: SigHandler) -> SigHandler {
    set(signal, handler, libc::SA_RESTART).unwrap_or_else(|| {
        call_next!(signal as fn(c_int, SigHandler) -> SigHandler, (signal, handler), libc::SIG_ERR)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bsd_signal(signal: c_int, handler: SigHandler) -> SigHandler {
    set(signal, handler, libc::SA_RESTART).unwrap_or_else(|| {
        call_next!(
            bsd_signal as fn(c_int, SigHandler) -> SigHandler,
            (signal, handler),
            libc::SIG_ERR
        )
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sysv_signal(signal: c_int, handler: SigHandler) -> SigHandler {
    set(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER).unwrap_or_else(|| {
        call_next!(
            sysv_signal as fn(c_int, SigHandler) -> SigHandler,
            (signal, handler),
            libc::SIG_ERR
        )
    })
}

/// glibc's name of `signal` under `-D_XOPEN_SOURCE`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sysv_signal(signal: c_int, handler: SigHandler) -> SigHandler {
    set(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER).unwrap_or_else(|| {
        call_next!(
            __sysv_signal as fn(c_int, SigHandler) -> SigHandler,
            (signal, handler),
            libc::SIG_ERR
        )
    })
}
