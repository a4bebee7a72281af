//! Floor 0, pure. Who is inside: a count of users that a remover waits for, and places that threads
//! take for a while.
//!
//! Both are one word, whose upper half is the generation of the process (`sys::generation`). In
//! the child of a fork the threads that were inside do not exist, so what an older generation has
//! left in the word counts for nothing.
//!
//! # How a remover knows that nobody is inside any more
//! 1. A user enters (the count goes up), and *then* looks whether the thing is still there; if
//!    it is not, he leaves.
//! 2. A remover takes the thing away, and *then* waits until the count is 0.
//!
//! Between the two steps of each stands a fence of the strongest order, so at least one of them
//! sees the other: a user who has entered and found the thing there is waited for.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU64, Ordering, fence};

/// How many are inside.
#[derive(Debug)]
pub(crate) struct InUse(AtomicU64);

const COUNT: u64 = u32::MAX as u64;

/// What a word holds for this generation.
const fn current(word: u64, generation: u32) -> u64 {
    if word >> 32 == generation as u64 { word & COUNT } else { 0 }
}

const fn word(generation: u32, low: u64) -> u64 {
    (generation as u64) << 32 | low
}

/// Changes the lower half of a word, or leaves it alone if `change` says `None`. Returns what it
/// was.
fn update(
    place: &AtomicU64,
    generation: u32,
    change: impl Fn(u64) -> Option<u64>,
) -> Result<u64, u64> {
    let mut old = place.load(Ordering::Relaxed);
    loop {
        let low = current(old, generation);
        let Some(new) = change(low) else { return Err(low) };
        let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        match place.compare_exchange(old, word(generation, new), done, failed) {
            Ok(_) => return Ok(low),
            Err(now) => old = now,
        }
    }
}

impl InUse {
    /// Goes in, if `is_there` still says so after that. Who got a true has to
    /// [`leave`](Self::leave).
    pub(crate) fn enter(&self, generation: u32, is_there: impl FnOnce() -> bool) -> bool {
        let counted = update(&self.0, generation, |count| Some(count + 1));
        debug_assert!(counted.is_ok_and(|count| count < COUNT), "2^32 threads");
        fence(Ordering::SeqCst);
        let is_in = is_there();
        if !is_in {
            self.leave(generation);
        }
        is_in
    }

    /// Goes out.
    pub(crate) fn leave(&self, generation: u32) {
        // 0: whoever went in did so in the parent of this copy.
        let _ = update(&self.0, generation, |count| count.checked_sub(1));
    }

    /// To be called by the remover after the thing was taken away: true when nobody is inside who
    /// has found it.
    pub(crate) fn is_left(&self, generation: u32) -> bool {
        fence(Ordering::SeqCst);
        current(self.0.load(Ordering::Acquire), generation) == 0
    }
}

/// `N` places, at most 32, that can be taken one by one.
#[derive(Debug)]
pub(crate) struct Places<const N: usize>(AtomicU64);

impl<const N: usize> Places<N> {
    /// All are free.
    #[allow(dead_code, reason = "stacks for handlers are not needed on every system")]
    #[cfg(not(all(test, granule_loom)))]
    pub(crate) const fn new() -> Self {
        const { assert!(N <= 32) };
        Places(AtomicU64::new(0))
    }

    /// Loom's atomics cannot be made in constants.
    #[cfg(all(test, granule_loom))]
    pub(crate) fn new() -> Self {
        Places(AtomicU64::new(0))
    }

    /// A place that nobody has; `None` if all are taken.
    #[allow(dead_code, reason = "stacks for handlers are not needed on every system")]
    pub(crate) fn take(&self, generation: u32) -> Option<usize> {
        let lowest = |taken: u64| (!taken).trailing_zeros() as usize;
        let take = |taken| (lowest(taken) < N).then(|| taken | 1 << lowest(taken));
        update(&self.0, generation, take).ok().map(lowest)
    }

    /// Takes this very place; false if somebody has it.
    pub(crate) fn take_this(&self, place: usize, generation: u32) -> bool {
        let take = |taken: u64| (taken & 1 << place == 0).then_some(taken | 1 << place);
        update(&self.0, generation, take).is_ok()
    }

    /// The place is free again.
    pub(crate) fn give_back(&self, place: usize, generation: u32) {
        let _ = update(&self.0, generation, |taken| Some(taken & !(1 << place)));
    }
}

impl InUse {
    /// Nobody is inside.
    #[cfg(not(all(test, granule_loom)))]
    #[cfg(test)]
    pub(crate) const fn new() -> Self {
        InUse(AtomicU64::new(0))
    }

    /// Loom's atomics cannot be made in constants.
    #[cfg(all(test, granule_loom))]
    pub(crate) fn new() -> Self {
        InUse(AtomicU64::new(0))
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_is_inside_is_counted_in_each_copy_of_the_process() {
        let users = InUse::new();
        assert!(users.enter(1, || true) && users.enter(1, || true));
        assert!(!users.enter(1, || false));
        users.leave(1);
        assert!(!users.is_left(1));
        assert!(users.is_left(2), "the others are not in this copy");
        assert!(users.enter(2, || true));
        users.leave(1);
        users.leave(2);
        users.leave(2);
        assert!(users.is_left(2));
    }

    #[test]
    fn every_place_is_taken_once() {
        let places = Places::<3>::new();
        assert_eq!([(); 4].map(|()| places.take(7)), [Some(0), Some(1), Some(2), None]);
        places.give_back(1, 7);
        assert_eq!((places.take(7), places.take(7)), (Some(1), None));
        assert!(!places.take_this(1, 7) && places.take_this(1, 8) && !places.take_this(1, 8));
        assert_eq!(places.take(8), Some(0), "all are free in a copy");
        let all = Places::<32>::new();
        assert_eq!((0..33).map_while(|_| all.take(1)).last(), Some(31));
    }
}
