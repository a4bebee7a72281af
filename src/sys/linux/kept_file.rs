//! Floor 1. A file that stays open for as long as the process lives, and is opened at first use.
//!
//! What such a file answers is about the process that opened it, also when the child of a fork
//! asks, who has got a copy of its number. So the number is kept together with the generation.

use super::super::{Errno, inject};
use super::generation::generation;
use super::process::close;
use super::raw::syscall;
use core::sync::atomic::{AtomicU64, Ordering};

/// Our numbers begin here where the limit allows it: programs count on the low ones.
const NUMBER_MIN: usize = 256;

/// The number, plus one, and the generation; or 0.
pub(super) struct KeptFile {
    kept: AtomicU64,
    open: fn() -> Result<usize, Errno>,
}

impl KeptFile {
    /// `open` opens it anew; it is closed by exec.
    pub(super) const fn new(open: fn() -> Result<usize, Errno>) -> Self {
        KeptFile { kept: AtomicU64::new(0), open }
    }

    /// The number of the open file. Calls: none but the first time in a process.
    pub(super) fn number(&self) -> Result<usize, Errno> {
        let kept = self.kept.load(Ordering::Acquire);
        if kept != 0 && kept >> 32 == u64::from(generation()) {
            return Ok((kept & u64::from(u32::MAX)) as usize - 1);
        }
        self.renew(kept)
    }

    /// Opens it again: the program has closed the number under us, or uses it for another file.
    pub(super) fn reopen(&self) -> Result<usize, Errno> {
        self.renew(self.kept.load(Ordering::Acquire))
    }

    /// A file of an older generation stays open: its number may long be the program's.
    fn renew(&self, old: u64) -> Result<usize, Errno> {
        let file = moved_up((self.open)()?);
        let fresh = u64::from(generation()) << 32 | (file as u64 + 1);
        match self.kept.compare_exchange(old, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                inject::keep_file(file);
                Ok(file)
            }
            Err(faster) => {
                close(file);
                Ok((faster & u64::from(u32::MAX)) as usize - 1)
            }
        }
    }
}

/// The same file under a higher number, if there is one.
fn moved_up(file: usize) -> usize {
    let args = [file, libc::F_DUPFD_CLOEXEC as usize, NUMBER_MIN, 0, 0, 0];
    // SAFETY: a file that was opened a moment ago, and that nobody else knows.
    match unsafe { syscall(libc::SYS_fcntl, args) } {
        Ok(higher) => {
            close(file);
            higher
        }
        Err(_) => file,
    }
}
