//! Where a test can have the sort die: at every store that recovery relies on, before and behind
//! it, and in the middle of every copy. Nothing outside tests.

#[cfg(test)]
pub(crate) use hook::{Crash, after};
pub(crate) use hook::{point, torn};

#[cfg(not(test))]
mod hook {
    #[inline(always)]
    pub(crate) fn point() {}

    #[inline(always)]
    pub(crate) fn torn(_: &[u8], _: &mut [u8]) {}
}

#[cfg(test)]
mod hook {
    use std::cell::Cell;

    thread_local! {
        /// Points that are still passed; beyond `u64::MAX` nobody comes.
        static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    }

    /// What the sort dies of.
    pub(crate) struct Crash;

    /// Dies at the `count`-th point from here, on this thread.
    pub(crate) fn after(count: u64) {
        LEFT.set(count);
    }

    fn passes() -> bool {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(1));
        left > 0
    }

    pub(crate) fn point() {
        if !passes() {
            LEFT.set(u64::MAX);
            std::panic::resume_unwind(Box::new(Crash));
        }
    }

    /// Dies when half of the bytes are copied.
    pub(crate) fn torn(from: &[u8], to: &mut [u8]) {
        if LEFT.get() == 0 {
            let half = from.len() / 2;
            to[..half].copy_from_slice(&from[..half]);
        }
        point();
    }
}
