//! What `granule` ends with.
#![forbid(unsafe_code)]

use std::fmt;

/// The statuses of `granule`, numbered like those of `env`, `nice` and `timeout`: a program's own
/// status passes through, and the numbers from 125 on say that it did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// 0: done.
    Success,
    /// The guarded program's own status; nothing was found in it.
    Program(u8),
    /// The guarded program died by this signal; nothing was found. `granule` dies by the same.
    Signal(i32),
    /// 99, or what `--error-exitcode` says: at least one crime was found.
    Found(u8),
    /// 1: the file is not sorted.
    Unsorted,
    /// 128 and the number of the signal that `granule` stopped its work for.
    Stopped(i32),
    /// 125: granule cannot do what was asked; nothing is known about the program.
    Cannot,
    /// 126: the program exists but cannot be executed.
    NotExecutable,
    /// 127: there is no such program.
    NoProgram,
}

impl ExitCode {
    /// That of a program which ended so.
    pub(crate) fn of(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(status), _) => ExitCode::Program(status as u8),
            (None, signal) => ExitCode::Signal(signal.unwrap_or(libc::SIGKILL)),
        }
    }

    /// The number for the system; a death by a signal is told apart by the caller.
    pub(crate) fn number(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::Program(status) | ExitCode::Found(status) => status,
            ExitCode::Unsorted => 1,
            ExitCode::Signal(signal) | ExitCode::Stopped(signal) => {
                128u8.saturating_add(signal as u8)
            }
            ExitCode::Cannot => 125,
            ExitCode::NotExecutable => 126,
            ExitCode::NoProgram => 127,
        }
    }
}

/// Why granule itself failed: one sentence (or a few) and the status that goes with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The status to end with.
    pub(crate) code: ExitCode,
    /// What cannot be done, why, and what to do instead.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with status 125.
    pub(crate) fn cannot(message: impl Into<String>) -> Self {
        Failure { code: ExitCode::Cannot, message: message.into() }
    }

    /// A failure with status 126.
    pub(crate) fn not_executable(message: impl Into<String>) -> Self {
        Failure { code: ExitCode::NotExecutable, message: message.into() }
    }

    /// A failure with status 127.
    pub(crate) fn no_program(message: impl Into<String>) -> Self {
        Failure { code: ExitCode::NoProgram, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_follow_env_and_timeout() {
        assert_eq!(Failure::cannot("").code.number(), 125);
        assert_eq!(Failure::not_executable("").code.number(), 126);
        assert_eq!(Failure::no_program("").code.number(), 127);
        assert_eq!(ExitCode::Found(99).number(), 99);
        assert_eq!(ExitCode::Program(3).number(), 3);
        assert_eq!(ExitCode::Signal(11).number(), 139);
    }
}
