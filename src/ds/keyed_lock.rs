//! Floor 0, pure. The word of a lock between processes: who holds it, and whether somebody waits.
//!
//! A holder is known by its key, so that others can find out whether it still lives. The word of a
//! holder that does not can be taken over; of several who try one succeeds.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU32, Ordering};

const FREE: u32 = 0;
/// Set beside the key: whoever lets go must ring.
const AWAITED: u32 = 1 << 31;

/// Keys are 1 up to this.
pub(crate) const KEY_MAX: u32 = AWAITED - 1;

/// What a try has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Try {
    /// The lock is ours.
    Taken,
    /// Somebody holds it; the word that says who.
    Held(u32),
}

/// The key of whoever holds the lock; 0 for nobody.
pub(crate) const fn key_of(word: u32) -> u32 {
    word & !AWAITED
}

/// Takes the lock if it is free. One who has waited leaves the mark for others who still do.
pub(crate) fn try_take(word: &AtomicU32, key: u32, has_waited: bool) -> Try {
    // Looks first: a try that fails takes the word's line of the cache away from the holder.
    let found = word.load(Ordering::Relaxed);
    if found != FREE {
        return Try::Held(found);
    }
    let wanted = if has_waited { key | AWAITED } else { key };
    match word.compare_exchange(FREE, wanted, Ordering::Acquire, Ordering::Relaxed) {
        Ok(_) => Try::Taken,
        Err(found) => Try::Held(found),
    }
}

/// Marks that somebody waits for what was `found`; the word to sleep on, or `None` if it has
/// changed meanwhile.
pub(crate) fn mark_awaited(word: &AtomicU32, found: u32) -> Option<u32> {
    let marked = found | AWAITED;
    if found == marked {
        return Some(marked);
    }
    let told = word.compare_exchange(found, marked, Ordering::Relaxed, Ordering::Relaxed);
    told.is_ok().then_some(marked)
}

/// Takes the lock from a holder that is known to be dead: `found` is the word with its key. What it
/// has written is seen.
pub(crate) fn take_over(word: &AtomicU32, found: u32, key: u32) -> bool {
    word.compare_exchange(found, key | AWAITED, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

/// Lets go: true if somebody waits and has to be rung for.
pub(crate) fn let_go(word: &AtomicU32) -> bool {
    word.swap(FREE, Ordering::Release) & AWAITED != 0
}
