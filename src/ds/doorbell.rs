//! Floor 0, pure. One sleeper and whoever wakes it: a word that says whether somebody sleeps.
//!
//! ```text
//!   sleeper                          waker
//!   1. says that it is asleep        1. does what the sleeper waits for
//!   2. looks again                   2. looks whether somebody is asleep
//!   3. sleeps while the word says so 3. rings
//! ```
//! Between the first two steps of each is a full fence, so that one of the two sees the other: no
//! wake-up is lost.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, Ordering, fence};

/// The word while its owner sleeps, or is about to.
pub(crate) const ASLEEP: u32 = 1;
const AWAKE: u32 = 0;

/// The sleeper's first step. It must look again before it sleeps.
pub(crate) fn fall_asleep(word: &AtomicU32) {
    word.store(ASLEEP, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// The sleeper is awake again, whoever woke it.
pub(crate) fn wake_up(word: &AtomicU32) {
    word.store(AWAKE, Ordering::Relaxed);
}

/// The waker's second step: true if it has to ring. Of many wakers one is told so.
pub(crate) fn must_ring(word: &AtomicU32) -> bool {
    fence(Ordering::SeqCst);
    word.load(Ordering::Relaxed) == ASLEEP && word.swap(AWAKE, Ordering::Relaxed) == ASLEEP
}
