//! Floor 2, uses floors 0 and 1. Where the next reservation is to be.
//!
//! The system aligns to its pages only, so an aligned base costs more calls: reserve too much, cut
//! off both ends. A good hint saves them. Reservations follow each other downwards from where the
//! system put the first one, so the random layout of the address space is kept. Long ones are
//! aligned to what an entry of the page table covers, so that few entries name them.

use crate::addr::align_down;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What one entry of the upper levels of the page table covers, where pages have 4 KiB.
const LONG: usize = 1 << 30;
const VERY_LONG: usize = 512 << 30;

/// The lowest reservation that a hint was followed for; 0: no reservation yet.
static LOWEST: AtomicUsize = AtomicUsize::new(0);

/// Below it is of no account where a reservation lies.
const SHORT: usize = 2 << 20;

/// What the base of a reservation of `len` bytes is best a multiple of.
const fn step(len: usize) -> usize {
    match len {
        ..LONG => 1 << len.ilog2(),
        LONG..VERY_LONG => LONG,
        _ => VERY_LONG,
    }
}

/// False if another place for `len` bytes is worth two more calls.
pub(super) const fn is_good(base: usize, len: usize) -> bool {
    len < SHORT || base.is_multiple_of(step(len))
}

/// An address to try for `len` bytes aligned to `align`; 0 when there is none to recommend.
pub(super) fn hint(len: usize, align: usize, address_min: usize) -> usize {
    let step = align.max(step(len));
    let lowest = LOWEST.load(Ordering::Relaxed);
    let hint = align_down(lowest.saturating_sub(len), step);
    if hint < address_min {
        return 0;
    }
    // Another thread that comes now goes below. If it came first, it gets the same hint, and the
    // system gives one of the two another address.
    let order = Ordering::Relaxed;
    let _ = LOWEST.compare_exchange(lowest, hint, order, order);
    hint
}

/// The system gave `base`, after `hint` was tried.
pub(super) fn taken(base: usize, hint: usize) {
    if base != hint {
        LOWEST.store(base, Ordering::Relaxed);
    }
}

/// `base..base + len` is free again: the next one may have it.
pub(super) fn released(base: usize, len: usize) {
    let order = Ordering::Relaxed;
    // Unless it is the lowest it is a hole, which is left to the system.
    let _ = LOWEST.compare_exchange(base, base + len, order, order);
}
