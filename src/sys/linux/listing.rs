//! Floor 1. The descriptor of /proc/self/maps, opened once and kept.
//!
//! A program does not expect a descriptor that it has not opened. So it is closed by `exec`, it has
//! a high number, and whatever the program does to it is survived: if it was closed, or is another
//! file now, the kernel does not understand the question, and the file is opened anew. After a
//! `fork` it would tell the parent's mappings, so the generation is compared each time: the number
//! of a process may be that of an ancestor, too.

use super::super::{Errno, inject};
use super::generation::generation;
use super::process::{close, open_read};
use super::raw::syscall;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Far above what programs use, and low enough that the kernel's table does not grow by much.
const LOWEST_NUMBER: usize = 1000;

/// The generation in the upper half, the descriptor + 1 in the lower; 0: none.
static KEPT: AtomicU64 = AtomicU64::new(0);

/// The kernel does not know the question: it is older than 6.11.
static IS_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// Asks `question` of the descriptor. `None` if the file cannot be opened or the kernel does not
/// understand questions.
pub(super) fn with_file<T>(
    mut question: impl FnMut(usize) -> Result<T, Errno>,
) -> Option<Result<T, Errno>> {
    if IS_UNKNOWN.load(Ordering::Relaxed) {
        return None;
    }
    let generation = u64::from(generation());
    let kept = KEPT.load(Ordering::Acquire);
    if kept != 0 && kept >> 32 == generation {
        let answer = question((kept as u32 - 1) as usize);
        if !is_lost(&answer) {
            return Some(answer);
        }
    }
    // Not closed: the number may be the program's by now, or the parent's that shares our table.
    let file = open_high()?;
    let answer = question(file);
    if is_lost(&answer) {
        IS_UNKNOWN.store(true, Ordering::Relaxed);
        close(file);
        return None;
    }
    let new = generation << 32 | (file as u64 + 1);
    if KEPT.compare_exchange(kept, new, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // Another thread was faster.
        close(file);
    } else {
        inject::keep_file(file);
    }
    Some(answer)
}

/// True when the descriptor is not what it was.
fn is_lost<T>(answer: &Result<T, Errno>) -> bool {
    const LOST: [i32; 5] = [libc::EBADF, libc::ENOTTY, libc::ENOSYS, libc::EINVAL, libc::ESRCH];
    answer.as_ref().is_err_and(|errno| LOST.contains(&errno.0))
}

fn open_high() -> Option<usize> {
    let file = open_read(c"/proc/self/maps").ok()?;
    let args = [file, libc::F_DUPFD_CLOEXEC as usize, LOWEST_NUMBER, 0, 0, 0];
    // SAFETY: makes a second descriptor of a file of ours.
    match unsafe { syscall(libc::SYS_fcntl, args) } {
        Ok(high) => {
            close(file);
            Some(high)
        }
        // The limit of descriptors is lower.
        Err(_) => Some(file),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mapping_at_or_above;
    use super::*;

    fn is_right() -> bool {
        let local = 0u8;
        let addr = (&raw const local).addr();
        let found = mapping_at_or_above(addr).expect("the list is readable");
        found.is_some_and(|mapping| (mapping.start..mapping.end).contains(&addr))
    }

    #[test]
    fn a_closed_or_replaced_descriptor_is_survived() {
        assert!(is_right());
        let kept = KEPT.load(Ordering::Relaxed);
        if kept == 0 {
            assert!(IS_UNKNOWN.load(Ordering::Relaxed));
            std::println!("skipped: this kernel answers no questions about mappings");
            return;
        }
        let number = (kept as u32 - 1) as usize;
        let null = open_read(c"/dev/null").expect("it is there");
        // SAFETY: the descriptor is ours; no other test looks at its number.
        let replaced =
            unsafe { syscall(libc::SYS_dup3, [null, number, libc::O_CLOEXEC as usize, 0, 0, 0]) };
        assert_eq!(replaced, Ok(number));
        assert!(is_right() && is_right());
        close(number);
        close(null);
        assert!(is_right());
    }
}
