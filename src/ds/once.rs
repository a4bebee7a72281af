//! Floor 0. A value made once, by whoever comes first; the others wait for it.
//!
//! They wait in a loop, with no system call, which is good enough for what is made by the first
//! `malloc` of a process: that is before there are threads, so nobody waits, and no fork can copy a
//! process whose value is half made, which would take a second thread. What a program with threads
//! makes later, as the ground of the heaps, is lost in a child that is forked in that very moment:
//! it would wait for ever.

use super::primitive::{AtomicU8, Ordering, spin_loop};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

const EMPTY: u8 = 0;
const BEING_MADE: u8 = 1;
const MADE: u8 = 2;

/// A value that is made at first use and lives for ever. Constant-initialised, allocates nothing.
pub(crate) struct Once<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written once, before it is published with release order, and then only
// shared.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    #[cfg(not(all(test, granule_loom)))]
    pub(crate) const fn new() -> Self {
        Once { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Loom's atomics cannot be made in constants.
    #[cfg(all(test, granule_loom))]
    pub(crate) fn new() -> Self {
        Once { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// The value, if it has been made.
    pub(crate) fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != MADE {
            return None;
        }
        // SAFETY: the cell is not written any more after MADE.
        let value = unsafe { &*self.value.get() };
        // SAFETY: MADE is stored only after the value was written.
        Some(unsafe { value.assume_init_ref() })
    }

    /// The value, without a question.
    ///
    /// # Safety
    /// 1. It was made, which happened before.
    #[inline]
    pub(crate) unsafe fn get_made(&self) -> &T {
        // SAFETY: the cell is not written any more after MADE.
        let value = unsafe { &*self.value.get() };
        // SAFETY: (1).
        unsafe { value.assume_init_ref() }
    }

    /// The value; makes it if nobody has. If that fails the next one tries again.
    pub(crate) fn get_or_try_make<E>(&self, make: impl Fn() -> Result<T, E>) -> Result<&T, E> {
        loop {
            if let Some(value) = self.get() {
                return Ok(value);
            }
            let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
            if self.state.compare_exchange(EMPTY, BEING_MADE, order, failed).is_err() {
                spin_loop();
                continue;
            }
            let value = make().inspect_err(|_| self.state.store(EMPTY, Ordering::Release))?;
            // SAFETY: only the thread that moved the state to BEING_MADE is here, and nobody reads
            // the cell before MADE.
            let cell = unsafe { &mut *self.value.get() };
            cell.write(value);
            self.state.store(MADE, Ordering::Release);
        }
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn many_threads_one_value() {
        static MADE_COUNT: AtomicUsize = AtomicUsize::new(0);
        static ONCE: Once<usize> = Once::new();
        assert_eq!(ONCE.get(), None);
        let make = || Ok::<_, u8>(MADE_COUNT.fetch_add(1, Ordering::Relaxed) + 41);
        let value = move || *ONCE.get_or_try_make(make).expect("it can be made");
        let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(value)).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), 41);
        }
        static FAILED: Once<usize> = Once::new();
        assert_eq!(FAILED.get_or_try_make(|| Err(7)), Err(7));
        assert_eq!(FAILED.get_or_try_make(|| Ok::<_, u8>(8)), Ok(&8));
        assert_eq!((ONCE.get(), MADE_COUNT.load(Ordering::Relaxed)), (Some(&41), 1));
    }
}
