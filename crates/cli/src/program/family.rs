//! A program and what it leaves running: orphans become our children.
#![forbid(unsafe_code)]

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

/// Signals that end the wait for what the program has left running.
pub(crate) const ENDS_THE_WATCH: [Signal; 2] = [Signal::INT, Signal::TERM];

/// The program and its orphans.
pub(crate) struct Family {
    /// The program.
    pub(crate) main: Pid,
    /// How it ended.
    pub(crate) status: Option<ExitStatus>,
}

impl Family {
    /// Makes this process the one that orphans come to.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn adopt() -> io::Result<()> {
        Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
    }

    /// The family of a child.
    pub(crate) fn of(child: &Child) -> Self {
        Family { main: Pid::from_child(child), status: None }
    }

    /// Waits for all that have ended; true when nobody is left.
    pub(crate) fn reap(&mut self) -> io::Result<bool> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.main => {
                    self.status = Some(ExitStatus::from_raw(status.as_raw()));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Ok(false),
                Err(Errno::CHILD) if self.status.is_some() => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
