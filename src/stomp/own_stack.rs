//! Floor 4. A stack of our own for the report.
//!
//! A handler may find itself on an alternate stack of 8 KiB, half of which the kernel's frame
//! takes. Reports want more, so they run here: one at a time, because each ends the process or
//! finds that it has nothing to say.

use crate::sys;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

const LEN: usize = 128 * 1024;

#[repr(C, align(16))]
struct Memory(UnsafeCell<[u8; LEN]>);

// SAFETY: only the thread that holds OWNER uses the bytes.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; LEN]));

/// The thread that is on the stack; 0 for none.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Runs `work` on the stack and returns its answer. Waits while another thread is on it. `None` if
/// the calling thread is: then its report itself has faulted.
pub(crate) fn run<T>(work: impl FnOnce() -> T) -> Option<T> {
    let me = sys::thread_id();
    while let Err(owner) = OWNER.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
        if owner == me {
            return None;
        }
        if !sys::is_thread(owner) {
            // It stayed behind in the parent of a fork.
            let _ = OWNER.compare_exchange(owner, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        sys::yield_now();
    }
    let top = MEMORY.0.get().cast::<u8>().wrapping_add(LEN);
    // SAFETY: (1) this thread holds OWNER, the end of the array is a multiple of 16, and nothing
    // here unwinds: a panic of ours ends the process.
    let answer = unsafe { sys::run_on_stack(top, work) };
    OWNER.store(0, Ordering::Release);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_on_the_stack_and_answers() {
        let range = MEMORY.0.get().addr()..MEMORY.0.get().addr() + LEN;
        let on_it = run(|| {
            let local = 0u8;
            (range.contains(&(&raw const local).addr()), run(|| ()).is_none())
        });
        assert_eq!(on_it, Some((true, true)));
        let threads = (0..4).map(|n| std::thread::spawn(move || run(|| n)));
        let answers: Vec<_> = threads.map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(answers, [Some(0), Some(1), Some(2), Some(3)]);
    }
}
