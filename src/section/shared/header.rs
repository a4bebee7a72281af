//! Floor 4, uses floors 0 to 3. What lies in the memory of a ring.
//!
//! ```text
//!   0     128     256       384           512           1024
//!   | fixed | filled | consumed | producer | consumer | .. | words of messages ..
//! ```

use super::SharedMemory;
use crate::ds::messages::Lanes;
use crate::error::{ErrorKind, Op};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Where the words begin.
pub(super) const HEADER_LEN: usize = 1024;
/// The fewest words of a ring.
const WORDS_MIN: usize = 8;
/// Says that a ring of version 1 is finished here.
const MAGIC: u64 = u64::from_le_bytes(*b"granule1");

/// On a pair of cache lines of its own: the two sides are on different processors.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Line<T>(pub(super) T);

/// What never changes once it is there.
#[derive(Debug)]
#[repr(C)]
struct Fixed {
    magic: AtomicU64,
    words: AtomicU64,
}

/// What one side says of itself.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Side {
    /// See `ds::doorbell`.
    pub(super) asleep: AtomicU32,
    /// 1 once somebody has been there: nobody else will.
    pub(super) arrived: AtomicU32,
    /// 1 once it has closed.
    pub(super) left: AtomicU32,
}

/// The first bytes of the memory. All of it is atomic, and any bits are valid: a peer can write
/// what it likes.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Header {
    fixed: Line<Fixed>,
    filled: Line<AtomicU64>,
    consumed: Line<AtomicU64>,
    sides: [Line<Side>; 2],
}

const _: () = assert!(size_of::<Header>() <= HEADER_LEN);

/// Words for that many bytes; `None` if there is no such ring.
pub(super) fn words_for(capacity: usize) -> Option<usize> {
    let words = capacity.div_ceil(size_of::<u64>()).max(WORDS_MIN).checked_next_power_of_two()?;
    let len = words.checked_mul(size_of::<u64>())?.checked_add(HEADER_LEN)?;
    (capacity > 0 && len <= isize::MAX as usize).then_some(words)
}

impl Header {
    /// The header of memory that is long enough.
    pub(super) fn of(memory: &SharedMemory) -> &Header {
        assert!(memory.len() >= HEADER_LEN);
        // SAFETY: mapped for as long as `memory`, aligned as pages are, and long enough. All of it
        // is atomic, any bits are valid, and nothing else in this process uses these addresses.
        unsafe { memory.view.as_ptr().cast::<Header>().as_ref() }
    }

    pub(super) const fn side(&self, side: usize) -> &Side {
        &self.sides[side].0
    }

    /// The header says from now on that the ring is finished.
    pub(super) fn finish(&self, words: usize) {
        self.fixed.0.words.store(words as u64, Ordering::Relaxed);
        self.fixed.0.magic.store(MAGIC, Ordering::Release);
    }

    /// How many words the ring has that somebody has made in memory of `len` bytes.
    pub(super) fn words(&self, len: usize) -> Result<usize, ErrorKind> {
        match self.fixed.0.magic.load(Ordering::Acquire) {
            MAGIC => {}
            0 => return Err(ErrorKind::NotFound),
            _ => return Err(ErrorKind::Corrupt),
        }
        let words = usize::try_from(self.fixed.0.words.load(Ordering::Relaxed));
        let room = (len - HEADER_LEN) / size_of::<u64>();
        let fits = |words: &usize| words.is_power_of_two() && (WORDS_MIN..=room).contains(words);
        words.ok().filter(fits).ok_or(ErrorKind::Corrupt)
    }

    /// Both positions, and the words: as many as were found by [`words`](Self::words).
    pub(super) fn lanes<'a>(&'a self, memory: &'a SharedMemory, words: usize) -> Lanes<'a> {
        assert!(memory.len() >= HEADER_LEN + words * size_of::<u64>());
        // SAFETY: inside the view.
        let first = unsafe { memory.view.as_ptr().add(HEADER_LEN) };
        let first = first.cast::<AtomicU64>().as_ptr();
        // SAFETY: as for `of`: so many of them are mapped.
        let words = unsafe { core::slice::from_raw_parts(first, words) };
        Lanes { filled: &self.filled.0, consumed: &self.consumed.0, words }
    }
}

/// Refuses a ring that has another's bytes, or none.
pub(super) fn found_words(memory: &SharedMemory) -> Result<usize, crate::error::Error> {
    let words = if memory.len() < HEADER_LEN {
        Err(ErrorKind::Corrupt)
    } else {
        Header::of(memory).words(memory.len())
    };
    memory.check_len(Op::Share)?;
    words.map_err(|kind| memory.error(Op::Share, kind, 0))
}
