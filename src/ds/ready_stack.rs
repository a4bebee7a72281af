//! Floor 0, pure. A last-in first-out stack of indices, for any number of threads.
//!
//! Treiber's stack (1986). The links lie with whatever the indices name, so the stack itself is one
//! word, and zero is an empty one:
//!
//! ```text
//!   head: | count | index + 1 | --> link of the index: | next index + 1 | --> ... --> | 0 |
//! ```
//! 1. Every change counts, so that a head that left and came back is noticed (ABA).
//! 2. An index is on one stack at most, and its link is not written while it is there.
//! 3. Neither call waits: it repeats only what another thread's success made void.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, AtomicU64, Ordering};

/// Where the stack may keep 32 bits while an index is on it.
pub(crate) trait Link {
    /// Keeps them.
    fn put(&self, next: u32);
    /// What was kept last; anything, if the index has left the stack.
    fn next(&self) -> u32;
}

impl Link for AtomicU32 {
    fn put(&self, next: u32) {
        self.store(next, Ordering::Relaxed);
    }

    fn next(&self) -> u32 {
        self.load(Ordering::Relaxed)
    }
}

impl Link for AtomicU64 {
    fn put(&self, next: u32) {
        self.store(u64::from(next), Ordering::Relaxed);
    }

    fn next(&self) -> u32 {
        self.load(Ordering::Relaxed) as u32
    }
}

/// A stack of indices below 2^32 - 1.
#[derive(Debug, Default)]
pub(crate) struct ReadyStack {
    /// The count in the upper half, index + 1 (or 0) in the lower.
    head: AtomicU64,
}

impl ReadyStack {
    /// An empty stack.
    #[cfg(not(all(test, granule_loom)))]
    pub(crate) const fn new() -> Self {
        ReadyStack { head: AtomicU64::new(0) }
    }

    /// Puts `index`, whose link is `link`, on top.
    pub(crate) fn push(&self, index: u32, link: &impl Link) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            link.put(head as u32);
            let new = next_count(head) | (u64::from(index) + 1);
            match self.head.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the top off. `link_of` may be asked for an index that just left the stack.
    pub(crate) fn pop<'l, L: Link + 'l>(&self, link_of: impl Fn(u32) -> &'l L) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            let next = link_of(index).next();
            let new = next_count(head) | u64::from(next);
            match self.head.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }
}

fn next_count(head: u64) -> u64 {
    (head >> 32).wrapping_add(1) << 32
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

    const INDICES: u32 = 8;

    fn links() -> Vec<AtomicU32> {
        (0..INDICES).map(|_| AtomicU32::new(0)).collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_stack(moves in prop::collection::vec(any::<bool>(), 0..200)) {
            let (stack, links) = (ReadyStack::default(), links());
            let mut absent: Vec<u32> = (0..INDICES).collect();
            let mut model = Vec::new();
            for push in moves {
                if push {
                    let Some(index) = absent.pop() else { continue };
                    stack.push(index, &links[index as usize]);
                    model.push(index);
                } else {
                    let index = stack.pop(|index| &links[index as usize]);
                    prop_assert_eq!(index, model.pop());
                    absent.extend(index);
                }
            }
        }
    }

    #[test]
    fn the_count_wraps_and_leaves_the_index_alone() {
        let (stack, links) = (ReadyStack { head: AtomicU64::new(u64::MAX << 32) }, links());
        stack.push(3, &links[3]);
        assert_eq!(stack.head.load(Ordering::Relaxed), 4);
        assert_eq!(stack.pop(|index| &links[index as usize]), Some(3));
    }

    #[test]
    fn threads_never_hold_one_index_twice() {
        let (stack, links) = (ReadyStack::default(), links());
        let held: Vec<_> = (0..INDICES).map(|_| AtomicBool::new(false)).collect();
        (0..INDICES).for_each(|index| stack.push(index, &links[index as usize]));
        let pop_and_push = || {
            for _ in 0..20_000 {
                let Some(index) = stack.pop(|index| &links[index as usize]) else { continue };
                assert!(!held[index as usize].swap(true, Ordering::Relaxed));
                held[index as usize].store(false, Ordering::Relaxed);
                stack.push(index, &links[index as usize]);
            }
        };
        std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(pop_and_push))));
        let left = core::iter::from_fn(|| stack.pop(|index| &links[index as usize])).count();
        assert_eq!(left, INDICES as usize);
    }
}
