//! The calls around signals that no safe wrapper offers.

use rustix::event::{PollFd, PollFlags};
use rustix::process::{DumpableBehavior, Pid, Signal};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};

/// Signals to hand on to the program: a request to the supervisor to end means the program.
const FORWARDED: [i32; 2] = [libc::SIGTERM, libc::SIGHUP];
/// Signals that the terminal sends to the program as well: it decides, the supervisor waits.
const LEFT_TO_THE_PROGRAM: [i32; 2] = [libc::SIGINT, libc::SIGQUIT];

/// The signals of the supervisor while a program runs.
pub(crate) struct Signals {
    queue: File,
}

impl Signals {
    /// Takes the signals over. To be called after the program was started: ignored and blocked
    /// signals are inherited.
    ///
    /// # Errors
    /// The system's, if there is no descriptor left.
    pub(crate) fn take_over() -> io::Result<Signals> {
        for signal in LEFT_TO_THE_PROGRAM {
            // SAFETY: SIG_IGN runs no code of ours.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the set is ours to write.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for signal in FORWARDED {
            // SAFETY: the set was initialised above and the signal numbers are valid.
            unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
        }
        // SAFETY: an initialised set; the old mask is not asked for. The supervisor has one thread.
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: an initialised set; -1 asks for a new descriptor.
        let descriptor = unsafe { libc::signalfd(-1, set.as_ptr(), flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was made above and nobody else knows it.
        Ok(Signals { queue: unsafe { File::from_raw_fd(descriptor) } })
    }

    /// The next signal that waits to be handed on.
    pub(crate) fn next(&mut self) -> Option<Signal> {
        let mut facts = [0u8; size_of::<libc::signalfd_siginfo>()];
        let count = self.queue.read(&mut facts).ok()?;
        let number = facts[..count].first_chunk::<4>().map(|word| u32::from_ne_bytes(*word))?;
        Signal::from_named_raw(number as i32)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// Ends this process by `signal`, without a core dump: the interesting core is the program's.
/// Returns only if the signal does not kill, or if it is blocked.
pub(crate) fn die_by(signal: i32) {
    // Without this a core dump handler would be started for the supervisor. A refusal costs a file.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is ours to write.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised above; a bad number is only refused.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: an initialised set; the old mask is not asked for. One thread is left.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: asks the kernel to deliver a signal to this thread; takes no pointer.
    unsafe { libc::raise(signal) };
}

/// A poll entry for something to read.
pub(crate) fn readable<'a>(descriptor: &'a impl AsFd) -> PollFd<'a> {
    PollFd::new(descriptor, PollFlags::IN)
}

/// Hands `signal` on to a child that was not waited for yet, so that its number is still its own.
pub(crate) fn forward(child: Pid, signal: Signal) {
    // A child that is already dead takes no signal.
    let _ = rustix::process::kill_process(child, signal);
}
