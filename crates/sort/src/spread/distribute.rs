//! One pass that brings every element of a range into the range of its bucket, in place.
//!
//! Each bucket has a block in the journal's room. Elements are read one after the other and
//! appended to the block of their bucket; a full block is written to the bucket's range. Where
//! nothing was read there yet, the elements that lie in the way are moved to where something was:
//! as many were read and not written as there are in the blocks, so there is always such a place.
//!
//! ```text
//!   range of a bucket   | written | stale        | not read yet |
//!                       first     write position read position  end
//! ```
//! The ranges are known from the start, since all elements were counted. The blocks are those of
//! IPS4o (Axtmann, Witt, Ferizovic, Sanders: "Engineering In-place (Shared-memory) Sorting
//! Algorithms", 2022); that they go to their places at once, with no permutation of blocks and no
//! clean-up afterwards, is what counting first buys.

use super::Digits;
use super::prefetch::prefetch;
use crate::journal::{Area, Field, Phase, commit, copy, value};
use crate::shape::Shape;
use crate::watch::{Stopped, Watch};

/// The lower bits of a bucket's word: elements in its block. The upper ones: blocks written.
pub(crate) const FILL: u64 = (1 << 24) - 1;
pub(crate) const FLUSHED: u32 = FILL.count_ones();

/// Bytes of a block, at most: enough for the memory to deliver it in one go.
const BLOCK_LEN_MAX: usize = 1088;

/// Brings the elements of `data` into the order of their digits. `starts` are where the ranges of
/// the buckets begin, and the end. `base` is where `data` begins in the file, in elements.
pub(crate) fn distribute<S: Shape>(
    data: &mut [u8],
    base: usize,
    (shape, digits): (&S, &Digits),
    starts: &[usize],
    area: &mut Area<'_>,
    watch: &Watch<'_>,
) -> Result<(), Stopped> {
    let width = shape.width();
    let buckets = digits.buckets();
    let block = block_of(area.room.len() / buckets, width);
    assert!(block > 0 && buckets <= area.buckets_max(), "each bucket has room for an element");
    // Of a part of the buckets the starts count from that of the first one.
    let starts: Vec<usize> = starts.iter().map(|start| start - starts[0]).collect();
    for (bucket, &start) in starts.iter().enumerate() {
        commit(&area.first[bucket], start as u64);
        if bucket < buckets {
            commit(&area.read[bucket], start as u64);
            commit(&area.words[bucket], 0);
        }
    }
    area.set(Field::Base, base as u64);
    area.set(Field::Len, (data.len() / width) as u64);
    area.set(Field::Buckets, buckets as u64);
    area.set(Field::Block, block as u64);
    area.set(Field::Hand, 0);
    area.set(Field::Moving, 0);
    area.enter(Phase::Distribute);
    let mut spread = Spread {
        data,
        width,
        starts: &starts,
        area,
        block,
        hand: 0,
        at: 0,
        end: starts[1],
        scan: 0,
        waiting: Vec::new(),
        is_waiting: vec![false; buckets],
        roomy: 0,
    };
    spread.run(shape, digits, watch)?;
    spread.finish()
}

/// Elements of a block for which there are so many bytes.
///
/// Longer ones are of no use. Blocks that are an odd number of cache lines apart do not meet in the
/// same few sets of the first cache, which has 64.
fn block_of(len: usize, width: usize) -> usize {
    const LINE_LEN: usize = 64;
    let lines = len.min(BLOCK_LEN_MAX) / LINE_LEN;
    let len = if lines < 3 { len } else { (lines - 1 + lines % 2) * LINE_LEN };
    (len / width).clamp(1, FILL as usize)
}

struct Spread<'a, 'b> {
    data: &'a mut [u8],
    width: usize,
    starts: &'a [usize],
    area: &'a mut Area<'b>,
    /// Elements of a block.
    block: usize,
    /// The bucket whose range is being read, where, and where that ends.
    hand: usize,
    at: usize,
    end: usize,
    /// The last bucket whose range was begun.
    scan: usize,
    /// Buckets in front of that in whose range there is something to read again.
    waiting: Vec<usize>,
    is_waiting: Vec<bool>,
    /// A bucket in whose range there was much room lately.
    roomy: usize,
}

impl Spread<'_, '_> {
    fn run<S: Shape>(
        &mut self,
        shape: &S,
        digits: &Digits,
        watch: &Watch<'_>,
    ) -> Result<(), Stopped> {
        let mut flushes = 0u32;
        loop {
            while let Some(bucket) = self.fill(shape, digits)? {
                self.flush(bucket)?;
                flushes = flushes.wrapping_add(1);
                if flushes.is_multiple_of(1024) {
                    watch.check()?;
                }
            }
            self.keep_place();
            if !self.next_hand() {
                return Ok(());
            }
        }
    }

    /// Reads elements of the hand's range until a block is full: the bucket of that, or `None` at
    /// the end of the range. An element that has no bucket here was another one when all were
    /// divided.
    #[inline]
    fn fill<S: Shape>(&mut self, shape: &S, digits: &Digits) -> Result<Option<usize>, Stopped> {
        let (width, block, digits) = (shape.width(), self.block, *digits);
        let (words, read, room) = (self.area.words, self.area.read, &mut *self.area.room);
        let soon = block - (block / 4).max(1);
        let elements = self.data[self.at * width..self.end * width].chunks_exact(width);
        for (count, element) in (1..).zip(elements) {
            let bucket = digits.of(shape.rank(element));
            let word = value(words.get(bucket).ok_or(Stopped)?);
            let slot = (word & FILL) as usize;
            room[(bucket * block + slot) * width..][..width].copy_from_slice(element);
            commit(&words[bucket], word + 1);
            if slot + 1 == block {
                self.at += count;
                return Ok(Some(bucket));
            }
            if slot + 1 == soon {
                // What the block is going to move out of its way.
                let next = value(&read[bucket]) as usize * width;
                prefetch(self.data.get(next..next + block * width).unwrap_or_default());
            }
        }
        self.at = self.end;
        Ok(None)
    }

    /// Writes down how far the hand has read: from here on it counts as none.
    fn keep_place(&self) {
        commit(&self.area.read[self.hand], self.at as u64);
    }

    /// Goes on to a range where there is something to read.
    fn next_hand(&mut self) -> bool {
        while let Some(bucket) = self.waiting.pop() {
            self.is_waiting[bucket] = false;
            if self.read(bucket) < self.starts[bucket + 1] {
                self.take(bucket);
                return true;
            }
        }
        while self.scan + 1 < self.starts.len() - 1 {
            self.scan += 1;
            if self.read(self.scan) < self.starts[self.scan + 1] {
                self.take(self.scan);
                return true;
            }
        }
        false
    }

    fn take(&mut self, bucket: usize) {
        self.area.set(Field::Hand, bucket as u64);
        self.hand = bucket;
        self.at = self.read(bucket);
        self.end = self.starts[bucket + 1];
    }

    fn read(&self, bucket: usize) -> usize {
        value(&self.area.read[bucket]) as usize
    }

    fn written(&self, bucket: usize) -> usize {
        self.starts[bucket] + (value(&self.area.words[bucket]) >> FLUSHED) as usize * self.block
    }

    fn stale(&self, bucket: usize) -> usize {
        self.read(bucket) - self.written(bucket)
    }

    /// Writes the full block of a bucket to its range. Where the range is too short for it, the
    /// elements are not those that were counted.
    fn flush(&mut self, bucket: usize) -> Result<(), Stopped> {
        self.keep_place();
        let written = self.written(bucket);
        let need = written + self.block;
        if need > self.starts[bucket + 1] {
            return Err(Stopped);
        }
        while self.read(bucket) < need {
            self.make_room(bucket, need - self.read(bucket));
        }
        let (width, len) = (self.width, self.block * self.width);
        copy(&self.area.room[bucket * len..][..len], &mut self.data[written * width..][..len]);
        let word = value(&self.area.words[bucket]);
        commit(&self.area.words[bucket], ((word >> FLUSHED) + 1) << FLUSHED);
        self.at = self.read(self.hand);
        Ok(())
    }

    /// Moves up to `len` elements that were not read out of the way of a bucket, to where something
    /// was read.
    fn make_room(&mut self, bucket: usize, len: usize) {
        let place = self.place_for(bucket, len);
        let len = len.min(self.stale(place));
        let (from, to) = (self.read(bucket), self.read(place) - len);
        let width = self.width;
        self.data.copy_within(from * width..(from + len) * width, to * width);
        let area = &self.area;
        area.set(Field::From, bucket as u64);
        area.set(Field::FromRead, (from + len) as u64);
        area.set(Field::To, place as u64);
        area.set(Field::ToRead, to as u64);
        area.set(Field::Moving, 1);
        commit(&area.read[bucket], (from + len) as u64);
        commit(&area.read[place], to as u64);
        area.set(Field::Moving, 0);
        if place != self.hand && !self.is_waiting[place] {
            self.is_waiting[place] = true;
            self.waiting.push(place);
        }
    }

    /// A bucket in whose range there is room: for `len` elements, or as many as there are anywhere.
    fn place_for(&mut self, bucket: usize, len: usize) -> usize {
        for place in [self.hand, self.roomy] {
            if place != bucket && self.stale(place) >= len {
                return place;
            }
        }
        let others = (0..=self.scan).filter(|&place| place != bucket);
        let most = others.max_by_key(|&place| self.stale(place));
        self.roomy = most.expect("what is in the blocks was read somewhere");
        self.roomy
    }

    /// Writes what is left in the blocks to what is left of the ranges, if it has the place there:
    /// else the elements are not those that were counted.
    fn finish(self) -> Result<(), Stopped> {
        let (width, buckets) = (self.width, 0..self.starts.len() - 1);
        let fill = |bucket: usize| (value(&self.area.words[bucket]) & FILL) as usize;
        if buckets.clone().any(|bucket| fill(bucket) != self.stale(bucket)) {
            return Err(Stopped);
        }
        for bucket in buckets {
            let (from, to) = (bucket * self.block * width, self.written(bucket) * width);
            let len = fill(bucket) * width;
            copy(&self.area.room[from..][..len], &mut self.data[to..][..len]);
        }
        self.area.enter(Phase::Idle);
        Ok(())
    }
}
