//! One thread's part of the journal: words of state, and room for elements.
//!
//! ```text
//!   head | a word for each bucket | its read position | its first element | room for elements
//! ```

use super::crash;
use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// What the elements of an area are for. The numbers are those of the journal's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Phase {
    /// For nothing: the data is complete.
    Idle = 0,
    /// The room begins with a copy of a range, which is being written.
    WriteBack = 1,
    /// A range is being distributed to buckets, of which each has a block in the room.
    Distribute = 2,
    /// The room has copies of the left elements of pairs, over which the right ones are written.
    ExchangeLeft = 3,
    /// They are being written over the right ones.
    ExchangeRight = 4,
    /// Of a range the low elements are being kept, and the high ones are in the room.
    Split = 5,
}

impl Phase {
    pub(super) const fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Phase::Idle,
            1 => Phase::WriteBack,
            2 => Phase::Distribute,
            3 => Phase::ExchangeLeft,
            4 => Phase::ExchangeRight,
            5 => Phase::Split,
            _ => return None,
        })
    }
}

/// The words of the head.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Field {
    Phase,
    /// The first element of the range; positions of the distribution count from there.
    Base,
    /// Elements of the range, or pairs.
    Len,
    Buckets,
    /// Elements of a block, or the pairs that there is room for.
    Block,
    /// The bucket whose range is being read.
    Hand,
    /// 1 while the four words below say more than the read positions do.
    Moving,
    From,
    FromRead,
    To,
    ToRead,
    /// See [`split_word`].
    Split,
}

/// How many elements of a range that is being split were kept, and how many were read.
#[inline(always)]
pub(crate) const fn split_word(low: usize, read: usize) -> u64 {
    (low as u64) << 32 | read as u64
}

const HEAD_LEN: usize = 16;

/// Bytes of a bucket's block, at least: less is no faster than element by element.
const BLOCK_LEN_MIN: usize = 128;

/// More buckets at a time are slower than twice as few of them.
const BUCKETS_MAX: usize = 2048;

/// How large an area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Bytes of room for elements; a multiple of 8.
    pub(crate) room_len: usize,
    pub(crate) buckets_max: usize,
}

impl Geometry {
    /// An area with about `room_len` bytes of room, for elements of `width` bytes; more, if it
    /// takes more for a few of them.
    pub(crate) fn for_shape(width: usize, room_len: usize) -> Self {
        let room_len = room_len.max(width.saturating_mul(16)).next_multiple_of(64);
        let buckets_max = room_len / BLOCK_LEN_MIN.max(2 * width);
        Geometry { room_len, buckets_max: buckets_max.min(BUCKETS_MAX) }
    }

    /// Whole cache lines of them.
    const fn words(self) -> usize {
        (HEAD_LEN + 3 * self.buckets_max + 1).next_multiple_of(8)
    }

    /// Bytes of an area; a multiple of 8.
    pub(crate) const fn area_len(self) -> usize {
        self.words() * 8 + self.room_len
    }
}

/// See the table of the module above.
pub(crate) struct Area<'a> {
    head: &'a [AtomicU64],
    /// Of each bucket: how many blocks went to the file, and how many elements are in its block.
    pub(crate) words: &'a [AtomicU64],
    /// Of each bucket: the first position of its range that was not read yet.
    pub(crate) read: &'a [AtomicU64],
    /// Of each bucket: where its range begins; one more for the end.
    pub(crate) first: &'a [AtomicU64],
    pub(crate) room: &'a mut [u8],
}

impl<'a> Area<'a> {
    /// Cuts `memory`, which is [`Geometry::area_len`] long and aligned for words. Changes nothing.
    pub(crate) fn of(memory: &'a mut [u8], geometry: Geometry) -> Self {
        assert_eq!(memory.len(), geometry.area_len(), "an area has the length of its geometry");
        let (words, room) = memory.split_at_mut(geometry.words() * 8);
        let words = words_of(words);
        let (head, rest) = words.split_at(HEAD_LEN);
        let (of_buckets, rest) = rest.split_at(geometry.buckets_max);
        let (read, first) = rest.split_at(geometry.buckets_max);
        Area { head, words: of_buckets, read, first, room }
    }

    pub(crate) fn get(&self, field: Field) -> u64 {
        self.head[field as usize].load(Ordering::Relaxed)
    }

    /// The word itself, for what is stored to again and again.
    pub(crate) fn word(&self, field: Field) -> &'a AtomicU64 {
        &self.head[field as usize]
    }

    pub(crate) fn set(&self, field: Field, value: u64) {
        commit(&self.head[field as usize], value);
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.set(Field::Phase, phase as u64);
    }

    /// Elements that the room has place for.
    pub(crate) fn capacity(&self, width: usize) -> usize {
        self.room.len() / width
    }

    /// Pairs of an exchange that there is room for: two positions and an element each.
    pub(crate) fn pairs_max(&self, width: usize) -> usize {
        self.room.len() / (16 + width)
    }

    pub(crate) fn buckets_max(&self) -> usize {
        self.words.len()
    }
}

/// Memory as words that change under a shared borrow.
fn words_of(memory: &mut [u8]) -> &[AtomicU64] {
    let start = memory.as_mut_ptr().cast::<AtomicU64>();
    assert!(start.is_aligned(), "an area begins at a word");
    // SAFETY: aligned, inside the slice, which is borrowed for as long; any bytes are a word.
    unsafe { core::slice::from_raw_parts(start, memory.len() / 8) }
}

/// Stores a word that recovery relies on: all stores before it in the program are made before it,
/// and all behind it after it, as far as a kill can tell.
#[inline(always)]
pub(crate) fn commit(word: &AtomicU64, value: u64) {
    crash::point();
    compiler_fence(Ordering::SeqCst);
    word.store(value, Ordering::Release);
    compiler_fence(Ordering::SeqCst);
    crash::point();
}

/// What is in a word: nobody else writes it.
#[inline(always)]
pub(crate) fn value(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Copies elements between the data and the room.
#[inline(always)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    crash::torn(from, to);
    to.copy_from_slice(from);
}
