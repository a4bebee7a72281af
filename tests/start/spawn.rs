//! Starts a process, also where Wine loses some.

use std::io::Error;
use std::process::{Child, Command};

/// How often Wine may lose one in a row.
const LOST_MAX: usize = 3;

/// Starts it. Wine loses one process of some eight thousand before its first instruction, for a
/// reason of its own (`xtask/src/platforms/windows.rs`): such a one is started again.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let mut started = command.spawn();
    for _ in 0..LOST_MAX {
        match &started {
            Err(error) if is_lost(error) => started = command.spawn(),
            _ => break,
        }
    }
    started.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn is_lost(error: &Error) -> bool {
    const ERROR_INTERNAL_ERROR: i32 = 1359;
    cfg!(windows) && error.raw_os_error() == Some(ERROR_INTERNAL_ERROR)
}
