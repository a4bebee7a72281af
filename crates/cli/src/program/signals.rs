//! The calls around signals that no safe wrapper offers.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal};
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Signals that would end the supervisor, and the one that tells of a child's end.
const TAKEN_OVER: [i32; 5] =
    [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGCHLD];
/// Signals to hand on to the program: a request to the supervisor to end means the program. The
/// terminal sends SIGINT and SIGQUIT to the program as well: it decides, the supervisor waits.
const FORWARDED: [Signal; 2] = [Signal::TERM, Signal::HUP];

/// The signals of the supervisor while a program runs.
pub(crate) struct Signals {
    queue: File,
    /// What the program inherits, as if the supervisor were not there.
    mask_before: libc::sigset_t,
    child_handler_before: libc::sighandler_t,
}

impl Signals {
    /// Takes the signals over; from now on none of them ends the supervisor.
    ///
    /// # Errors
    /// The system's, if there is no descriptor left.
    pub(crate) fn take_over() -> io::Result<Signals> {
        // Where the end of children is ignored, the kernel forgets how they ended.
        // SAFETY: SIG_DFL runs no code of ours.
        let child_handler_before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        let set = set_of(&TAKEN_OVER);
        let mask_before = change_mask(libc::SIG_BLOCK, &set);
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: an initialised set; -1 asks for a new descriptor.
        let descriptor = unsafe { libc::signalfd(-1, &raw const set, flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was made above and nobody else knows it.
        let queue = unsafe { File::from_raw_fd(descriptor) };
        Ok(Signals { queue, mask_before, child_handler_before })
    }

    /// Lets `command` start with the signals as they were: what is ignored or blocked is
    /// inherited.
    pub(crate) fn restore_in(&self, command: &mut Command) {
        let (mask, handler) = (self.mask_before, self.child_handler_before);
        let restore = move || {
            // SAFETY: the handler is SIG_DFL or SIG_IGN: nothing else outlives an exec.
            unsafe { libc::signal(libc::SIGCHLD, handler) };
            change_mask(libc::SIG_SETMASK, &mask);
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes system calls only.
        unsafe { command.pre_exec(restore) };
    }

    /// Waits until one has come.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn wait(&self) -> io::Result<()> {
        match poll(&mut [readable(self)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next signal that has come.
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

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is ours to write.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for &signal in signals {
        // SAFETY: the set was initialised above; a bad number is only refused.
        unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    }
    // SAFETY: sigemptyset has initialised it.
    unsafe { set.assume_init() }
}

/// Changes the mask of the only thread, and says what it was.
fn change_mask(how: i32, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = set_of(&[]);
    // SAFETY: two initialised sets of ours.
    unsafe { libc::sigprocmask(how, set, &raw mut before) };
    before
}

/// Lets `command` start with the mask that this process has.
pub(crate) fn keep_mask(command: &mut Command) {
    let mask = change_mask(libc::SIG_BLOCK, &set_of(&[]));
    let restore = move || {
        change_mask(libc::SIG_SETMASK, &mask);
        Ok(())
    };
    // SAFETY: before the exec the closure makes one system call.
    unsafe { command.pre_exec(restore) };
}

/// Ends this process by `signal`, without a core dump: the interesting core is the program's.
/// Returns only if the signal does not kill.
pub(crate) fn die_by(signal: i32) {
    // Without this a core dump handler would be started for the supervisor. A refusal costs a file.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    change_mask(libc::SIG_UNBLOCK, &set_of(&[signal]));
    // SAFETY: asks the kernel to deliver a signal to this thread; takes no pointer.
    unsafe { libc::raise(signal) };
}

/// A poll entry for something to read.
pub(crate) fn readable<'a>(descriptor: &'a impl AsFd) -> PollFd<'a> {
    PollFd::new(descriptor, PollFlags::IN)
}

/// Hands `signal` on, if it is one for the program, to a child that was not waited for yet, so
/// that its number is still its own.
pub(crate) fn forward(child: Pid, signal: Signal) {
    if FORWARDED.contains(&signal) {
        // A child that is already dead takes no signal.
        let _ = rustix::process::kill_process(child, signal);
    }
}
