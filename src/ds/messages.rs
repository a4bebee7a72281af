//! Floor 0, pure. A ring of messages in memory that two processes share: one writer, one reader.
//!
//! ```text
//!   word 0             consumed              filled           words.len()
//!   |      spare       | head | payload | head | payload |   spare    |
//! ```
//! 1. A message is a head, which has its length in bytes, and its payload in whole words, in one
//!    piece. Where the rest of the ring is too short for it, a head that says [`SKIP`] stands there
//!    and the message at the beginning.
//! 2. Positions count words and never turn back; the number of words is a power of two. `filled` is
//!    moved by the writer only, `consumed` by the reader only; each by a release store that the
//!    other one acquires. Each keeps its own position to itself as well, and trusts that one.
//! 3. Nothing that the other one has written is believed: a position that no sound peer could have,
//!    or a head that leaves what is filled, is [`Corrupt`]. All words are atomic, so that a peer
//!    who writes at the wrong time garbles a message and nothing else.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU64, Ordering};

/// Bytes of a word.
const WORD: usize = 8;
/// The head of what is skipped.
const SKIP: u64 = u64::MAX;

/// The other one has written what must not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// The shared memory of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes<'a> {
    pub(crate) filled: &'a AtomicU64,
    pub(crate) consumed: &'a AtomicU64,
    /// A power of two of them, 4 at least.
    pub(crate) words: &'a [AtomicU64],
}

impl Lanes<'_> {
    /// Bytes of the longest message. Half of the ring, because the other half may be skipped.
    pub(crate) const fn longest(&self) -> usize {
        (self.words.len() / 2 - 1) * WORD
    }

    const fn index(&self, position: u64) -> usize {
        position as usize & (self.words.len() - 1)
    }

    /// Words from one position to a later one; more than the ring has can only be a lie.
    fn distance(&self, from: u64, to: u64) -> Result<usize, Corrupt> {
        let distance = to.wrapping_sub(from);
        if distance > self.words.len() as u64 { Err(Corrupt) } else { Ok(distance as usize) }
    }

    /// Copies bytes into the payload at word `at`, from its byte `offset` on.
    pub(crate) fn copy_in(&self, at: usize, offset: usize, bytes: &[u8]) {
        let (mut word, within) = (at + offset / WORD, offset % WORD);
        let (head, rest) = bytes.split_at(bytes.len().min((WORD - within) % WORD));
        if !head.is_empty() {
            self.mix(word, within, head);
            word += 1;
        }
        let mut whole = rest.chunks_exact(WORD);
        for (place, bytes) in self.words[word..].iter().zip(&mut whole) {
            place.store(u64::from_ne_bytes(array_of(bytes)), Ordering::Relaxed);
        }
        if !whole.remainder().is_empty() {
            self.mix(word + rest.len() / WORD, 0, whole.remainder());
        }
    }

    /// Writes some bytes of a word.
    fn mix(&self, word: usize, within: usize, bytes: &[u8]) {
        let mut mixed = self.words[word].load(Ordering::Relaxed).to_ne_bytes();
        mixed[within..within + bytes.len()].copy_from_slice(bytes);
        self.words[word].store(u64::from_ne_bytes(mixed), Ordering::Relaxed);
    }

    /// Copies bytes out of the payload at word `at`, from its byte `offset` on.
    pub(crate) fn copy_out(&self, at: usize, offset: usize, bytes: &mut [u8]) {
        let (mut word, within) = (at + offset / WORD, offset % WORD);
        let head_len = bytes.len().min((WORD - within) % WORD);
        let (head, rest) = bytes.split_at_mut(head_len);
        let bytes_of = |word: usize| self.words[word].load(Ordering::Relaxed).to_ne_bytes();
        if head_len > 0 {
            head.copy_from_slice(&bytes_of(word)[within..within + head_len]);
            word += 1;
        }
        let tail = word + rest.len() / WORD;
        let mut whole = rest.chunks_exact_mut(WORD);
        for (place, bytes) in self.words[word..].iter().zip(&mut whole) {
            bytes.copy_from_slice(&place.load(Ordering::Relaxed).to_ne_bytes());
        }
        let rest = whole.into_remainder();
        if !rest.is_empty() {
            rest.copy_from_slice(&bytes_of(tail)[..rest.len()]);
        }
    }
}

fn array_of(bytes: &[u8]) -> [u8; WORD] {
    let mut array = [0; WORD];
    array.copy_from_slice(bytes);
    array
}

/// Room for a message, or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first word of the payload.
    pub(crate) at: usize,
    /// Bytes of the payload.
    pub(crate) len: usize,
    /// The position of its head.
    head: u64,
}

/// Words that a message of `len` bytes takes, with its head.
const fn words_for(len: usize) -> usize {
    1 + len.div_ceil(WORD)
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Writer {
    filled: u64,
    /// As it was seen last.
    consumed: u64,
}

impl Writer {
    /// Of a ring that nobody has written to.
    pub(crate) const fn new() -> Self {
        Writer { filled: 0, consumed: 0 }
    }

    /// Room for a message of `len` bytes, at most [`Lanes::longest`]; `None` if the reader has to
    /// read first.
    pub(crate) fn room(&mut self, lanes: &Lanes<'_>, len: usize) -> Result<Option<Place>, Corrupt> {
        let need = words_for(len);
        let to_end = lanes.words.len() - lanes.index(self.filled);
        let skipped = if need > to_end { to_end } else { 0 };
        let spare = |consumed: u64| Ok(lanes.words.len() - lanes.distance(consumed, self.filled)?);
        if spare(self.consumed)? < skipped + need {
            let consumed = lanes.consumed.load(Ordering::Acquire);
            lanes.distance(self.consumed, consumed)?;
            let spare = spare(consumed)?;
            self.consumed = consumed;
            if spare < skipped + need {
                return Ok(None);
            }
        }
        let head = self.filled + skipped as u64;
        Ok(Some(Place { at: lanes.index(head) + 1, len, head }))
    }

    /// Hands the first `len` bytes of the place to the reader.
    pub(crate) fn commit(&mut self, lanes: &Lanes<'_>, place: Place, len: usize) {
        if place.head != self.filled {
            lanes.words[lanes.index(self.filled)].store(SKIP, Ordering::Relaxed);
        }
        lanes.words[lanes.index(place.head)].store(len as u64, Ordering::Relaxed);
        self.filled = place.head + words_for(len) as u64;
        lanes.filled.store(self.filled, Ordering::Release);
    }
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Reader {
    consumed: u64,
    /// As it was seen last.
    filled: u64,
}

impl Reader {
    /// Of a ring that nobody has read from.
    pub(crate) const fn new() -> Self {
        Reader { consumed: 0, filled: 0 }
    }

    /// The next message; `None` if there is none.
    pub(crate) fn next(&mut self, lanes: &Lanes<'_>) -> Result<Option<Place>, Corrupt> {
        if self.consumed == self.filled {
            let filled = lanes.filled.load(Ordering::Acquire);
            lanes.distance(self.consumed, filled)?;
            self.filled = filled;
        }
        let mut position = self.consumed;
        let there = lanes.distance(position, self.filled)?;
        if there == 0 {
            return Ok(None);
        }
        let mut head = lanes.words[lanes.index(position)].load(Ordering::Relaxed);
        if head == SKIP {
            let to_end = lanes.words.len() - lanes.index(position);
            if to_end >= there {
                return Err(Corrupt);
            }
            position += to_end as u64;
            head = lanes.words[0].load(Ordering::Relaxed);
        }
        let at = lanes.index(position);
        let there = lanes.distance(position, self.filled)?.min(lanes.words.len() - at);
        if head > lanes.longest() as u64 || words_for(head as usize) > there {
            return Err(Corrupt);
        }
        Ok(Some(Place { at: at + 1, len: head as usize, head: position }))
    }

    /// Hands the message's place back to the writer.
    pub(crate) fn release(&mut self, lanes: &Lanes<'_>, place: Place) {
        self.consumed = place.head + words_for(place.len) as u64;
        lanes.consumed.store(self.consumed, Ordering::Release);
    }
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    struct Ring {
        filled: AtomicU64,
        consumed: AtomicU64,
        words: Vec<AtomicU64>,
    }

    impl Ring {
        fn new(words: usize) -> Self {
            let words = (0..words).map(|_| AtomicU64::new(0)).collect();
            Ring { filled: AtomicU64::new(0), consumed: AtomicU64::new(0), words }
        }

        fn lanes(&self) -> Lanes<'_> {
            Lanes { filled: &self.filled, consumed: &self.consumed, words: &self.words }
        }
    }

    proptest! {
        /// A step sends a message of that length, in two parts and shortened, or receives one.
        #[test]
        fn what_is_sent_is_received(
            bits in 2u32..7,
            steps in prop::collection::vec((0usize..300, any::<u8>(), any::<bool>()), 0..200),
        ) {
            let ring = Ring::new(1 << bits);
            let lanes = ring.lanes();
            let (mut writer, mut reader) = (Writer::new(), Reader::new());
            let mut expected: VecDeque<Vec<u8>> = VecDeque::new();
            for (len, byte, is_send) in steps {
                let len = len % (lanes.longest() + 1);
                let room = if is_send { writer.room(&lanes, len).expect("honest") } else { None };
                if let Some(place) = room {
                    let bytes: Vec<u8> = (0..len).map(|at| byte.wrapping_add(at as u8)).collect();
                    let (cut, kept) = (len / 3, len - len / 4);
                    lanes.copy_in(place.at, 0, &bytes[..cut]);
                    lanes.copy_in(place.at, cut, &bytes[cut..]);
                    writer.commit(&lanes, place, kept);
                    expected.push_back(bytes[..kept].to_vec());
                } else {
                    let place = reader.next(&lanes).expect("honest");
                    prop_assert_eq!(place.is_some(), !expected.is_empty());
                    if let (Some(place), Some(sent)) = (place, expected.pop_front()) {
                        let mut bytes = std::vec![0; place.len];
                        let cut = place.len / 2;
                        let (first, second) = bytes.split_at_mut(cut);
                        lanes.copy_out(place.at, cut, second);
                        lanes.copy_out(place.at, 0, first);
                        prop_assert_eq!(bytes, sent);
                        reader.release(&lanes, place);
                    }
                }
            }
        }

        /// Any words at all: a message that lies inside, or none, or an error.
        #[test]
        fn no_lie_leads_outside(
            words in prop::collection::vec(prop_oneof![0u64..80, any::<u64>()], 16),
            positions in prop::collection::vec(prop_oneof![0u64..40, any::<u64>()], 1..20),
        ) {
            let ring = Ring::new(16);
            let lanes = ring.lanes();
            let (mut writer, mut reader) = (Writer::new(), Reader::new());
            for position in positions {
                for (place, &word) in ring.words.iter().zip(&words) {
                    place.store(word, Ordering::Relaxed);
                }
                ring.filled.store(position, Ordering::Relaxed);
                ring.consumed.store(position, Ordering::Relaxed);
                if let Ok(Some(place)) = reader.next(&lanes) {
                    prop_assert!(place.at + place.len.div_ceil(WORD) <= 16);
                    reader.release(&lanes, place);
                }
                if let Ok(Some(place)) = writer.room(&lanes, 24) {
                    prop_assert!(place.at + 3 <= 16);
                    writer.commit(&lanes, place, 24);
                }
            }
        }
    }
}
