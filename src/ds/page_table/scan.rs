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
    let agree = |entries: &[E]| {
        let differing = entries.iter().fold(0, |all, entry| all | load(entry).differing(wanted));
        // Where it is the parent's value, too, entries that do not count agree as well.
        !has_meaning(differing) || above.bits() == bits && entries.iter().all(says)
    };
    let (blocks, rest) = entries.as_chunks::<BLOCK>();
    let whole = BLOCK * blocks.iter().take_while(|block| agree(*block)).count();
    if whole + rest.len() == entries.len() && agree(rest) {
        return entries.len();
    }
    let rest = &entries[whole..];
    whole + rest.iter().position(|entry| !says(entry)).unwrap_or(rest.len())
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
        block.iter().for_each(|place| put(place, word));
    }
    rest.iter().for_each(|place| put(place, word));
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
