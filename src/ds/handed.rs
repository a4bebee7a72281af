//! Floor 0, pure. A stack of indices that any number of threads push to, and that one takes whole.
//!
//! Because nothing is ever popped alone, a head that left and came back does no harm (ABA): the
//! stack needs no count. The links lie with whatever the indices name.
//! 1. An index is on one such stack at most, and its link is not written while it is there.
//! 2. What happened before an index was pushed happened before it is taken.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, Ordering};

/// A stack of indices below 2^32 - 1. Zero is an empty one.
#[derive(Debug, Default)]
pub(crate) struct Handed(AtomicU32);

impl Handed {
    /// Puts `index`, whose link is `link`, on top.
    pub(crate) fn push(&self, index: u32, link: &AtomicU32) {
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            link.store(head, Ordering::Relaxed);
            let (done, failed) = (Ordering::Release, Ordering::Relaxed);
            match self.0.compare_exchange_weak(head, index + 1, done, failed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// True if there was nothing a moment ago.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes all, the youngest first. The link of an index is read before it is answered, so that
    /// it may be pushed again at once.
    pub(crate) fn take<'l>(
        &self,
        link_of: impl Fn(u32) -> &'l AtomicU32,
    ) -> impl Iterator<Item = u32> {
        let mut next = self.0.swap(0, Ordering::Acquire);
        core::iter::from_fn(move || {
            let index = next.checked_sub(1)?;
            next = link_of(index).load(Ordering::Relaxed);
            Some(index)
        })
    }

    /// Forgets all, for whoever has them by another way.
    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;

    #[test]
    fn all_are_taken_the_youngest_first_and_may_come_again() {
        let links = [const { AtomicU32::new(0) }; 3];
        let handed = Handed::default();
        assert!(handed.is_empty());
        (0..3).for_each(|index| handed.push(index, &links[index as usize]));
        assert!(!handed.is_empty());
        let mut seen = Vec::new();
        for index in handed.take(|index| &links[index as usize]) {
            seen.push(index);
            handed.push(index, &links[index as usize]);
        }
        assert_eq!(seen, [2, 1, 0]);
        assert_eq!(handed.take(|index| &links[index as usize]).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(handed.is_empty());
    }
}
