//! Floor 0, pure. Many entries at a time: to compare them, to write them.
#![forbid(unsafe_code)]

use super::super::primitive::{AtomicU64, Ordering};
use super::word::{Bits, Word, has_meaning};

/// Entries that are looked at between two decisions.
const BLOCK: usize = 8;

/// How many of the first entries, which stand under `above`, say `bits` for all their pages.
#[inline(never)]
pub(super) fn agreeing<E>(
    entries: &[E],
    load: impl Fn(&E) -> Word,
    bits: Bits,
    above: Word,
) -> usize {
    let wanted = Word::counting(bits, above);
    let says = |entry: &E| load(entry).says(bits, above);
    // Loops, because chains of iterators take much of a handler's stack where nothing is inlined.
    let agree = |entries: &[E]| {
        let mut differing = 0;
        for entry in entries {
            differing |= load(entry).differing(wanted);
        }
        if !has_meaning(differing) {
            return true;
        }
        // Where it is the parent's value, too, entries that do not count agree as well.
        let mut all = above.bits() == bits;
        for entry in entries {
            all &= says(entry);
        }
        all
    };
    let (blocks, rest) = entries.as_chunks::<BLOCK>();
    let mut count = 0;
    for block in blocks {
        if !agree(block) {
            break;
        }
        count += BLOCK;
    }
    if count + rest.len() == entries.len() && agree(rest) {
        return entries.len();
    }
    while count < entries.len() && says(&entries[count]) {
        count += 1;
    }
    count
}

/// Writes entries, whatever is there.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn fill(places: &[AtomicU64], word: Word) {
    match places {
        [place] => put(place, word),
        _ => fill_many(places, word),
    }
}

#[inline(never)]
fn fill_many(places: &[AtomicU64], word: Word) {
    let (blocks, rest) = places.as_chunks::<BLOCK>();
    for block in blocks {
        for place in block {
            put(place, word);
        }
    }
    for place in rest {
        put(place, word);
    }
}

#[cfg(not(all(test, granule_loom)))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn put(place: &AtomicU64, word: Word) {
    place.store(word.0, Ordering::Release);
}

/// Loom lets a reader that comes after both see the old one of a store and of a compare-and-swap
/// that came before it. No processor does that, nor does the language; a swap it orders rightly.
#[cfg(all(test, granule_loom))]
fn put(place: &AtomicU64, word: Word) {
    let _ = place.swap(word.0, Ordering::Release);
}
