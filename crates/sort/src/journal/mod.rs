//! What is not in the file is in the journal: a sort that is killed loses nothing.
//!
//! The journal is a file beside the sorted one, and both are mapped shared. A store to either is a
//! store to the system's cache of files, which outlives the process; no call is made and nothing is
//! flushed. So a kill is to the journal what a signal handler is to a program: it sees the stores
//! of each thread in the order of the program, up to some instruction. [`commit`] keeps the
//! compiler from changing that order. (A failing power is another matter: what the disk has by then
//! is in no order.)
//!
//! Each thread has an [`Area`] of its own and works on a range of the file that no other thread has
//! at that time, so each area can be looked at alone.
//!
//! # Invariants
//! At every instruction each element of the range is in exactly one place that counts: *live* in
//! the file, or *held* in the area's room. Which places count follows from the words of the area
//! alone, and these change by one store at a time.
//!
//! 1. **Idle.** The whole range is live, nothing is held. The words of another phase are set while
//!    the area is idle, and its phase after them; so a phase is never seen with half of its words.
//! 2. **Write back.** The room begins with a copy of every element of the range, in any order. It
//!    was completed while the area was idle, since the range is only read until then. All of the
//!    range is held, nothing in it is live: it may be scratch. Putting back copies the room.
//! 3. **Exchange, left.** The room has the left element of each pair and the places of both; these
//!    are held. The right elements are live, and are read only. Putting back writes the held ones
//!    to the left places: the exchange is undone.
//! 4. **Exchange, right.** The left places have the right elements, and are live: this phase was
//!    entered when all were copied. The held ones belong to the right places, which are not live.
//!    Putting back writes them there: the exchange is finished.
//! 5. **Distribution.** For each bucket there are: the beginning `first` of its range; its word,
//!    which is (`flushed`, `fill`); and `read`. Let `written = first + flushed * block`.
//!    - a. `first <= written <= read <= ` the next `first`.
//!    - b. Live are `first..written` (elements of the bucket) and `read..` the end (not read yet),
//!      but for the range of the bucket that is the hand, where the next `ahead` ones are not.
//!    - c. Held are the first `fill` elements of the bucket's block.
//!    - d. `ahead` is the sum of all `flushed * block + fill` (elements that were read) less the
//!      sum of all `read - first` (those that the words say so of). It is no word of its own.
//!
//!    So as many places are stale as elements are held: by d, the sum of `read + ahead - written`
//!    is the sum of `fill`. Putting back writes any held element to any stale place. The steps:
//!    - *An element is read*: it is copied behind the first `fill` ones of its block, where nothing
//!      counts, and from the hand. The store of `fill + 1` makes it held, and by d the hand is one
//!      further ahead: the place it came from is stale.
//!    - *The hand's place is kept*: the store `read += ahead` of the hand leaves all live places as
//!      they were, and makes `ahead` 0. Only then may `hand` change: it says nothing then.
//!    - *A block is written*: with `ahead` 0 and `written + block <= read` it is copied to
//!      `written..`, which is stale. The store of (`flushed + 1`, 0) makes that live, and the block
//!      empty.
//!    - *Elements that were not read move out of the way*, from `read` of one bucket to the stale
//!      places below `read` of another. They are copied; then the new values of both `read` are
//!      set, and `moving` after them: from that store on these values count, and the copies are
//!      live. Then both `read` are stored, and `moving` is cleared: no store of these changes what
//!      counts.
//!    - *The end*: all is read, so the stale places of a range are as many as its bucket holds. The
//!      blocks are copied there, which changes stale places only, and the area becomes idle.
//! 6. **Split.** One word says how many elements of the range were read, and how many of these are
//!    `low`. Live are the first `low` ones of the range, and all from `read` on. Held are the first
//!    `read - low` ones of the room. Putting back writes these to the places between, which are
//!    stale, and as many. An element that is read is copied behind the held ones, where nothing
//!    counts, and to the place behind the low ones, which is stale, or its own; then the word is
//!    stored, with `read` one further, and `low` or not.
//! 7. **Putting back** writes to places that are not live, from places that are held, and stores
//!    `idle` last. So it can be killed, too, and begun again.
//!
//! The header is written before any area is used, and its checksum last: a journal without one
//! holds nothing. The tests have the sort, and then recovery, die at each [`commit`], before it and
//! behind it, and in the middle of each copy.
//!
//! The journal is locked while the sort lives: a locked one is never taken for that of a dead sort.

mod area;
pub(crate) mod crash;
mod file;
mod put_back;

pub(crate) use area::{Area, Field, Geometry, Phase, commit, copy, split_word, value};
pub(crate) use file::{HEADER_LEN, Header, Journal, identity_of};
pub(crate) use put_back::Damaged;
#[cfg(test)]
pub(crate) use put_back::put_back;
