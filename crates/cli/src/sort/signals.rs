//! Signals that ask to end: the work hears of them, and ends with the file in one piece.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Those that a terminal, a shell or the system sends to have a program end.
const ASKING: [i32; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

static STOP: AtomicBool = AtomicBool::new(false);
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// From now on these signals are noted; those that are ignored stay ignored, as under `nohup`.
pub(super) fn listen() {
    for signal in ASKING {
        let handler = note as extern "C" fn(i32);
        // SAFETY: `note` makes atomic stores only, which a handler may.
        let before = unsafe { libc::signal(signal, handler as libc::sighandler_t) };
        if before == libc::SIG_IGN {
            // SAFETY: SIG_IGN runs no code of ours.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
}

extern "C" fn note(signal: i32) {
    SIGNAL.store(signal, Ordering::Relaxed);
    STOP.store(true, Ordering::Relaxed);
}

/// The signal that has come, if one has.
pub(super) fn received() -> Option<i32> {
    Some(SIGNAL.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

/// True when one has come.
pub(super) fn stop() -> &'static AtomicBool {
    &STOP
}
