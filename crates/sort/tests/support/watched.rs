//! Something that happens in the middle of a sort.

use granule_sort::shape::Shape;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers; when the n-th one is looked at something happens.
pub(crate) struct Watched<F> {
    left: AtomicUsize,
    then: F,
}

impl<F: Fn() + Sync> Watched<F> {
    pub(crate) fn new(moment: usize, then: F) -> Self {
        Watched { left: AtomicUsize::new(moment), then }
    }
}

impl<F: Fn() + Sync> Shape for Watched<F> {
    fn width(&self) -> usize {
        8
    }

    fn rank(&self, element: &[u8]) -> u64 {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            (self.then)();
        }
        u64::from_ne_bytes(element.try_into().expect("eight bytes"))
    }

    fn rank_decides(&self) -> bool {
        true
    }
}
