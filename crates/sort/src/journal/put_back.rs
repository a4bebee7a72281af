//! Puts the elements of an area back into the data. Allocates nothing, so that it can run in the
//! child of a fork; may be interrupted and begun again, since it changes nothing but the data until
//! its last store.

use super::area::{Area, Field, Phase, copy, value};
use crate::spread::{FILL, FLUSHED};

/// The words of an area contradict each other or the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Puts back what is in the area, and says how many elements that were.
pub(crate) fn put_back(
    data: &mut [u8],
    width: usize,
    area: &mut Area<'_>,
) -> Result<usize, Damaged> {
    let phase = Phase::of(area.get(Field::Phase)).ok_or(Damaged)?;
    let count = match phase {
        Phase::Idle => 0,
        Phase::WriteBack => write_back(data, width, area)?,
        Phase::Distribute => undistribute(data, width, area)?,
        Phase::ExchangeLeft => exchange(data, width, area, 0)?,
        Phase::ExchangeRight => exchange(data, width, area, 1)?,
        Phase::Split => unsplit(data, width, area)?,
    };
    area.enter(Phase::Idle);
    Ok(count)
}

/// The range of the area in the data.
fn range<'a>(data: &'a mut [u8], width: usize, area: &Area<'_>) -> Result<&'a mut [u8], Damaged> {
    let start = at(area.get(Field::Base), width)?;
    let len = at(area.get(Field::Len), width)?;
    let end = start.checked_add(len).ok_or(Damaged)?;
    data.get_mut(start..end).ok_or(Damaged)
}

fn at(elements: u64, width: usize) -> Result<usize, Damaged> {
    usize::try_from(elements).ok().and_then(|count| count.checked_mul(width)).ok_or(Damaged)
}

fn write_back(data: &mut [u8], width: usize, area: &mut Area<'_>) -> Result<usize, Damaged> {
    let target = range(data, width, area)?;
    copy(area.room.get(..target.len()).ok_or(Damaged)?, target);
    Ok(target.len() / width)
}

/// The high elements go to the places that they were read from, or others.
fn unsplit(data: &mut [u8], width: usize, area: &mut Area<'_>) -> Result<usize, Damaged> {
    let word = area.get(Field::Split);
    let (low, read) = (at(word >> 32, width)?, at(word & 0xffff_ffff, width)?);
    let stale = range(data, width, area)?.get_mut(low..read).ok_or(Damaged)?;
    copy(area.room.get(..stale.len()).ok_or(Damaged)?, stale);
    Ok(stale.len() / width)
}

/// The copies of the left elements go to the left places, or to the right ones.
fn exchange(data: &mut [u8], width: usize, area: &Area<'_>, side: usize) -> Result<usize, Damaged> {
    let (len, max) = (at(area.get(Field::Len), 1)?, at(area.get(Field::Block), 1)?);
    if len > max || max > area.pairs_max(width) {
        return Err(Damaged);
    }
    for pair in 0..len {
        let place = &area.room[(side * max + pair) * 8..][..8];
        let place = u64::from_ne_bytes(place.try_into().expect("eight bytes"));
        let start = at(place, width)?;
        let target = data.get_mut(start..start + width).ok_or(Damaged)?;
        copy(&area.room[16 * max + pair * width..][..width], target);
    }
    Ok(len)
}

/// The distribution, as its words tell it.
struct Spread<'a, 'b> {
    area: &'a Area<'b>,
    buckets: usize,
    block: u64,
    /// The bucket whose range was being read, and how many elements behind its read position.
    hand: usize,
    ahead: u64,
}

impl<'a, 'b> Spread<'a, 'b> {
    fn new(area: &'a Area<'b>, len: u64, width: usize) -> Result<Self, Damaged> {
        let field = |field| usize::try_from(area.get(field)).map_err(|_| Damaged);
        let (buckets, hand) = (field(Field::Buckets)?, field(Field::Hand)?);
        let block = area.get(Field::Block);
        let mut spread = Spread { area, buckets, block, hand, ahead: 0 };
        let room = (buckets as u64).checked_mul(block).ok_or(Damaged)?;
        let fits = at(room, width)? <= area.room.len();
        if !fits || hand >= buckets || buckets > area.buckets_max() || block == 0 {
            return Err(Damaged);
        }
        let ends = (value(&area.first[0]), value(&area.first[buckets]));
        if ends != (0, len) {
            return Err(Damaged);
        }
        let (mut read, mut taken) = (0u64, 0u64);
        for bucket in 0..buckets {
            let (first, end) = (value(&area.first[bucket]), value(&area.first[bucket + 1]));
            let (written, now) = (spread.written(bucket)?, spread.read(bucket));
            if first > end || written > now || now > end || spread.fill(bucket) > block {
                return Err(Damaged);
            }
            read += now - first;
            taken += written - first + spread.fill(bucket);
        }
        spread.ahead = taken.checked_sub(read).ok_or(Damaged)?;
        if spread.read(hand) + spread.ahead > value(&area.first[hand + 1]) {
            return Err(Damaged);
        }
        Ok(spread)
    }

    /// Where the range of a bucket was not read yet, by the word of the bucket alone or by the move
    /// that was under way.
    fn read(&self, bucket: usize) -> u64 {
        let moved = |field| self.area.get(field) == bucket as u64;
        match self.area.get(Field::Moving) {
            1 if moved(Field::From) => self.area.get(Field::FromRead),
            1 if moved(Field::To) => self.area.get(Field::ToRead),
            _ => value(&self.area.read[bucket]),
        }
    }

    fn written(&self, bucket: usize) -> Result<u64, Damaged> {
        let blocks = value(&self.area.words[bucket]) >> FLUSHED;
        let len = blocks.checked_mul(self.block).ok_or(Damaged)?;
        value(&self.area.first[bucket]).checked_add(len).ok_or(Damaged)
    }

    fn fill(&self, bucket: usize) -> u64 {
        value(&self.area.words[bucket]) & FILL
    }

    /// The places of a bucket's range whose elements are in a block, or were.
    fn stale(&self, bucket: usize) -> Result<core::ops::Range<u64>, Damaged> {
        let ahead = if bucket == self.hand { self.ahead } else { 0 };
        Ok(self.written(bucket)?..self.read(bucket) + ahead)
    }
}

/// Each element of a block goes to the next place whose element was read.
fn undistribute(data: &mut [u8], width: usize, area: &Area<'_>) -> Result<usize, Damaged> {
    let len = area.get(Field::Len);
    let data = range(data, width, area)?;
    let spread = Spread::new(area, len, width)?;
    let (mut bucket, mut places, mut count) = (0, spread.stale(0)?, 0);
    for from in 0..spread.buckets {
        for slot in 0..spread.fill(from) {
            while places.is_empty() {
                bucket += 1;
                if bucket == spread.buckets {
                    return Err(Damaged);
                }
                places = spread.stale(bucket)?;
            }
            let source = at(from as u64 * spread.block + slot, width)?;
            let target = at(places.start, width)?;
            copy(&area.room[source..][..width], &mut data[target..][..width]);
            places.start += 1;
            count += 1;
        }
    }
    Ok(count)
}
