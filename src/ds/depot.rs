//! Floor 0, pure. The stack depot: keeps every distinct call stack once and names it by 32 bits.
//!
//! ```text
//!   word 0       8              8 + buckets                    cursor
//!   | cursor |...| newest ids ... | record | record | record ... | zeros (untouched) ... |
//!
//!   record: | tag:24 | len:8 | next id:32 |  frame 0  |  frame 1  | ...     id = its first word
//! ```
//! 1. Zeroed memory is an empty depot, and memory beyond the cursor is never touched: the storage
//!    may be a large range that the system fills on demand.
//! 2. Records never move and never change once an id names them.
//! 3. No call waits for another thread. Whoever stops halfway (a thread killed, the other threads
//!    of a forked parent) leaves at most an unnamed record behind.
#![forbid(unsafe_code)]

use super::primitive::{AtomicU64, Ordering};

/// Frames of a stack that are kept; deeper ones are cut.
pub(crate) const FRAMES_MAX: usize = 255;

/// First word of the buckets: the cursor has a cache line to itself.
const BUCKETS_START: usize = 8;
/// Buckets of a large depot (2 MiB of them).
const BUCKETS_MAX: usize = 1 << 18;
/// In a small one, one word in so many is a bucket.
const WORDS_PER_BUCKET: usize = 16;

/// A set of call stacks that only grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depot<'a> {
    words: &'a [AtomicU64],
    bucket_bits: u32,
}

/// The first word of a record.
#[derive(Clone, Copy)]
struct Header(u64);

impl Header {
    fn new(hash: u64, len: usize, next: u32) -> Self {
        Header(hash >> 40 << 40 | (len as u64) << 32 | u64::from(next))
    }

    fn next(self) -> u32 {
        self.0 as u32
    }

    fn len(self) -> usize {
        (self.0 >> 32) as usize & 0xff
    }

    /// True when tag and length are equal.
    fn resembles(self, other: Header) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

impl<'a> Depot<'a> {
    /// The depot in `storage`, which is all zeros or was used by a depot of the same length before.
    ///
    /// Under 64 words it is always full; words beyond 2^32 are not used.
    pub(crate) fn new(storage: &'a [AtomicU64]) -> Self {
        let words = &storage[..storage.len().min(u32::MAX as usize)];
        let buckets = (words.len() / WORDS_PER_BUCKET).clamp(1, BUCKETS_MAX);
        Depot { words, bucket_bits: buckets.ilog2() }
    }

    /// The id of the stack `frames`; kept from now on. 0 for no frames, or when the depot is full.
    ///
    /// Equal stacks get the same id, except that two threads bringing the same new one at the same
    /// time may get two.
    pub(crate) fn insert(&self, frames: &[u64]) -> u32 {
        let frames = &frames[..frames.len().min(FRAMES_MAX)];
        if frames.is_empty() || self.words.len() < 64 {
            return 0;
        }
        let hash = hash(frames);
        let bucket = &self.words[BUCKETS_START + (hash & ((1 << self.bucket_bits) - 1)) as usize];
        let newest = bucket.load(Ordering::Acquire) as u32;
        let known = self.find(newest, 0, hash, frames);
        if known != 0 {
            return known;
        }
        self.add(bucket, newest, hash, frames)
    }

    /// Copies the frames of stack `id` to the start of `out` and returns how many there were room
    /// for; 0 for an id that names nothing.
    pub(crate) fn get(&self, id: u32, out: &mut [u64]) -> usize {
        let Some(header) = self.header(id) else { return 0 };
        let Some(frames) = self.frames(id, header.len()) else { return 0 };
        for (slot, frame) in out.iter_mut().zip(frames) {
            *slot = frame.load(Ordering::Relaxed);
        }
        frames.len().min(out.len())
    }

    fn records_start(&self) -> usize {
        BUCKETS_START + (1 << self.bucket_bits)
    }

    fn header(&self, id: u32) -> Option<Header> {
        if (id as usize) < self.records_start() {
            return None;
        }
        // Acquire: an id may have come here by a way that orders nothing.
        Some(Header(self.words.get(id as usize)?.load(Ordering::Acquire)))
    }

    fn frames(&self, id: u32, len: usize) -> Option<&'a [AtomicU64]> {
        let start = id as usize + 1;
        self.words.get(start..start + len)
    }

    /// Searches the chain from `newest` up to `stop`; 0 if the stack is not there.
    fn find(&self, newest: u32, stop: u32, hash: u64, frames: &[u64]) -> u32 {
        let wanted = Header::new(hash, frames.len(), 0);
        let mut id = newest;
        while id != stop {
            let Some(header) = self.header(id) else { return 0 };
            if header.resembles(wanted) && self.equal(id, frames) {
                return id;
            }
            id = header.next();
        }
        0
    }

    fn equal(&self, id: u32, frames: &[u64]) -> bool {
        self.frames(id, frames.len()).is_some_and(|kept| {
            kept.iter().zip(frames).all(|(kept, frame)| kept.load(Ordering::Relaxed) == *frame)
        })
    }

    /// Writes a record and puts it in front of the chain that starts with `newest`.
    fn add(&self, bucket: &AtomicU64, mut newest: u32, hash: u64, frames: &[u64]) -> u32 {
        let Some(id) = self.take_words(1 + frames.len()) else { return 0 };
        for (word, frame) in self.words[id as usize + 1..].iter().zip(frames) {
            word.store(*frame, Ordering::Relaxed);
        }
        loop {
            let header = Header::new(hash, frames.len(), newest);
            self.words[id as usize].store(header.0, Ordering::Release);
            let swapped = bucket.compare_exchange(
                u64::from(newest),
                u64::from(id),
                Ordering::Release,
                Ordering::Acquire,
            );
            let Err(current) = swapped else { return id };
            let known = self.find(current as u32, newest, hash, frames);
            if known != 0 {
                return known; // another thread was faster; our record stays unnamed
            }
            newest = current as u32;
        }
    }

    /// Claims `count` words; their first is an id.
    fn take_words(&self, count: usize) -> Option<u32> {
        let start = self.records_start();
        let cursor = &self.words[0]; // words used after the buckets
        let fits = |used: u64| start + used as usize + count <= self.words.len();
        if !fits(cursor.load(Ordering::Relaxed)) {
            return None;
        }
        let used = cursor.fetch_add(count as u64, Ordering::Relaxed);
        fits(used).then_some((start + used as usize) as u32)
    }
}

/// A hash in the manner of the Firefox one: rotate, xor, multiply. Two lanes, since a
/// multiplication waits for the one before; the last steps bring the high bits down to where the
/// bucket is chosen.
fn hash(frames: &[u64]) -> u64 {
    const SCALE: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 divided by the golden ratio, odd
    let mix = |hash: u64, frame: u64| (hash.rotate_left(5) ^ frame).wrapping_mul(SCALE);
    let (pairs, rest) = frames.as_chunks::<2>();
    let (one, two) = pairs
        .iter()
        .fold((0, SCALE), |(one, two), &[first, second]| (mix(one, first), mix(two, second)));
    let mixed = rest.iter().fold(mix(one, two), |hash, &frame| mix(hash, frame));
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(SCALE);
    mixed ^ mixed >> 29
}

#[cfg(all(test, not(granule_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn storage(words: usize) -> Vec<AtomicU64> {
        (0..words).map(|_| AtomicU64::new(0)).collect()
    }

    fn frames_of(depot: &Depot<'_>, id: u32) -> Vec<u64> {
        let mut out = [0; FRAMES_MAX];
        let len = depot.get(id, &mut out);
        out[..len].to_vec()
    }

    proptest! {
        #[test]
        fn equal_stacks_have_equal_ids(
            stacks in prop::collection::vec(prop::collection::vec(0u64..6, 0..5), 0..200),
        ) {
            let storage = storage(1 << 12);
            let depot = Depot::new(&storage);
            let mut ids = HashMap::new();
            for stack in &stacks {
                let id = depot.insert(stack);
                prop_assert_eq!(id == 0, stack.is_empty());
                prop_assert_eq!(*ids.entry(stack.clone()).or_insert(id), id);
            }
            for (stack, id) in ids {
                prop_assert_eq!(frames_of(&depot, id), stack);
            }
        }

        #[test]
        fn any_id_and_any_storage_are_survived(
            words in prop::collection::vec(any::<u64>(), 0..200),
            id in prop_oneof![any::<u32>(), 0u32..200],
        ) {
            let storage: Vec<_> = words.into_iter().map(AtomicU64::new).collect();
            let mut out = [0; 8];
            prop_assert!(Depot::new(&storage).get(id, &mut out) <= 8);
        }
    }

    #[test]
    fn a_full_depot_says_so_and_keeps_what_it_has() {
        let storage = storage(256);
        let depot = Depot::new(&storage);
        let ids: Vec<_> = (1..100).map(|frame| depot.insert(&[frame, 7, 7])).collect();
        let kept = ids.iter().take_while(|&&id| id != 0).count();
        assert!(kept > 40 && kept < 64, "{kept} stacks of 4 words in 256 words");
        assert!(ids[kept..].iter().all(|&id| id == 0));
        for (frame, &id) in (1..).zip(&ids[..kept]) {
            assert_eq!(frames_of(&depot, id), [frame, 7, 7]);
            assert_eq!(depot.insert(&[frame, 7, 7]), id);
        }
    }

    #[test]
    fn deep_stacks_are_cut_and_short_buffers_filled() {
        let storage = storage(1 << 12);
        let depot = Depot::new(&storage);
        let deep: Vec<u64> = (1..=300).collect();
        let id = depot.insert(&deep);
        assert_eq!(frames_of(&depot, id), deep[..FRAMES_MAX]);
        let mut short = [0; 2];
        assert_eq!(depot.get(id, &mut short), 2);
        assert_eq!(short, [1, 2]);
        assert_eq!(Depot::new(&[]).insert(&[1]), 0);
    }

    #[test]
    fn threads_agree() {
        let storage = storage(1 << 16);
        let depot = Depot::new(&storage);
        let insert_all = || (1..1000u64).map(|i| depot.insert(&[i, i * 3])).collect::<Vec<_>>();
        let (one, two) = std::thread::scope(|scope| {
            let one = scope.spawn(insert_all);
            let two = scope.spawn(insert_all);
            (one.join().expect("no panic"), two.join().expect("no panic"))
        });
        for (i, (one, two)) in (1..1000u64).zip(one.into_iter().zip(two)) {
            assert_eq!(frames_of(&depot, one), [i, i * 3]);
            assert_eq!(frames_of(&depot, two), [i, i * 3]);
        }
    }
}
