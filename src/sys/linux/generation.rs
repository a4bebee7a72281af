//! Floor 1. Which copy of the process this is: fork makes copies of what must not be copied.
//!
//! The kernel empties one page of ours in the child of every fork (`MADV_WIPEONFORK`, Linux 4.14),
//! so the question costs a load and no system call. A child that shares the memory of its parent
//! (vfork) is no copy, and the page is right about that, too.

use super::pages::{commit, refuses_unknown_advice, release, reserve};
use super::process::process_id;
use super::raw::syscall;
use crate::sys::{CommitPolicy, Protection, inject};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Stands for the page where there is none, for good: the number must not change while the process
/// lives, so a page that was refused once is never asked for again.
static NO_PAGE: AtomicU32 = AtomicU32::new(0);
/// The page that forgets; null until it is needed.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());
/// The last number given out, in this copy or in one that it descends from.
static LAST: AtomicU32 = AtomicU32::new(0);

/// A number that differs between a process and the copies that fork makes of it. Calls: none but
/// the first time (mmap, mprotect, madvise); where the kernel has no such pages getpid.
pub(crate) fn generation() -> u32 {
    let Some(page) = page() else { return process_id() };
    // SAFETY: the page is never released, starts with a word that zero is valid for, and is only
    // used through this atomic.
    let word = unsafe { page.as_ref() };
    match word.load(Ordering::Acquire) {
        0 => first(word),
        known => known,
    }
}

/// Gives this copy its number, unless another thread is faster.
fn first(word: &AtomicU32) -> u32 {
    let fresh = LAST.fetch_add(1, Ordering::AcqRel) + 1;
    match word.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        Err(known) => known,
    }
}

fn page() -> Option<NonNull<AtomicU32>> {
    let none = NonNull::from(&NO_PAGE);
    let known = NonNull::new(PAGE.load(Ordering::Acquire)).unwrap_or_else(|| {
        let made = make();
        let page = made.map_or(none, |(page, _)| page.cast());
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        match (PAGE.compare_exchange(null_mut(), page.as_ptr(), done, failed), made) {
            (Ok(_), Some((page, len))) => {
                inject::keep_range(page.addr().get(), len);
                page.cast()
            }
            (Ok(_), None) => none,
            (Err(known), made) => {
                if let Some((page, len)) = made {
                    // SAFETY: (1) made a moment ago by `make`, known to nobody. A refusal leaves an
                    // empty page.
                    let _ = unsafe { release(page, len) };
                }
                NonNull::new(known).unwrap_or(none)
            }
        }
    });
    (known != none).then_some(known)
}

fn make() -> Option<(NonNull<u8>, usize)> {
    let len = super::limits().page_len;
    // SAFETY: (1) one page.
    let page = unsafe { reserve(0, len, len, CommitPolicy::Lazy) }.ok()?;
    let args = [page.as_ptr().expose_provenance(), len, libc::MADV_WIPEONFORK as usize, 0, 0, 0];
    // SAFETY: (1) the page reserved above.
    let committed = unsafe { commit(page, len, Protection::ReadWrite) };
    if committed.is_ok() {
        // It reads zero already; but a page that is read before it is written costs two faults.
        // SAFETY: committed a moment ago, aligned, and known to nobody.
        unsafe { page.cast::<AtomicU32>().write(AtomicU32::new(0)) };
    }
    // SAFETY: as above; what the advice does at a fork is what the page is for.
    let wiped = committed.and_then(|()| unsafe { syscall(libc::SYS_madvise, args) });
    // SAFETY: (1) the same page, which is empty.
    if wiped.is_ok() && unsafe { refuses_unknown_advice(page, len) } {
        return Some((page, len));
    }
    // SAFETY: (1) the page reserved above, known to nobody.
    let _ = unsafe { release(page, len) };
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_process_has_another_number() {
        let ours = generation();
        assert_eq!(generation(), ours);
        assert_eq!(std::thread::spawn(generation).join().expect("no panic"), ours);
        // SAFETY: the child makes plain system calls and ends.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let mine = generation();
            super::super::exit_now(i32::from(mine == ours || mine != generation()));
        }
        let mut status = -1;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!((status, generation()), (0, ours));
    }
}
