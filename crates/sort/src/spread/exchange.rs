//! Elements change places in pairs, many pairs at a time.
//!
//! The left elements of the pairs are copied to the journal first; then the right ones are written
//! over them, and at last the copies over the right ones.

use crate::journal::{Area, Field, Phase, copy};
use crate::watch::{Stopped, Watch};
use std::sync::{Mutex, PoisonError};

/// Bytes that are looked at in one go.
const PIECE_LEN: usize = 32 << 10;

/// Elements of a piece of the data, and the places of those that are to leave it.
struct Piece<'a> {
    bytes: &'a mut [u8],
    /// Where the piece begins in the file, in elements.
    base: usize,
    leaving: Vec<u32>,
}

impl<'a> Piece<'a> {
    fn new(bytes: &'a mut [u8], base: usize, leaves: impl Fn(usize) -> bool, width: usize) -> Self {
        let len = bytes.len() / width;
        let mut piece = Piece { bytes, base, leaving: Vec::new() };
        // The last one comes first: they are taken from the end.
        piece.leaving.extend((0..len as u32).rev().filter(|&place| leaves(place as usize)));
        piece
    }
}

/// Exchanges elements of the two pieces, as many as both have.
fn exchange(left: &mut Piece<'_>, right: &mut Piece<'_>, width: usize, area: &mut Area<'_>) {
    let max = area.pairs_max(width);
    loop {
        let len = left.leaving.len().min(right.leaving.len()).min(max);
        if len == 0 {
            return;
        }
        let lefts = left.leaving.split_off(left.leaving.len() - len);
        let rights = right.leaving.split_off(right.leaving.len() - len);
        let pairs =
            || lefts.iter().zip(&rights).map(|(&i, &j)| (i as usize * width, j as usize * width));
        for (pair, (&i, &j)) in lefts.iter().zip(&rights).enumerate() {
            let places = [left.base + i as usize, right.base + j as usize];
            for (side, place) in places.into_iter().enumerate() {
                let word = (place as u64).to_ne_bytes();
                area.room[(side * max + pair) * 8..][..8].copy_from_slice(&word);
            }
            let element = &left.bytes[i as usize * width..][..width];
            area.room[16 * max + pair * width..][..width].copy_from_slice(element);
        }
        area.set(Field::Len, len as u64);
        area.set(Field::Block, max as u64);
        area.enter(Phase::ExchangeLeft);
        for (i, j) in pairs() {
            copy(&right.bytes[j..][..width], &mut left.bytes[i..][..width]);
        }
        area.enter(Phase::ExchangeRight);
        for (pair, (_, j)) in pairs().enumerate() {
            copy(&area.room[16 * max + pair * width..][..width], &mut right.bytes[j..][..width]);
        }
        area.enter(Phase::Idle);
    }
}

/// Pieces that are handed out one after the other.
struct Pieces<'a> {
    rest: Option<(&'a mut [u8], usize)>,
    len: usize,
}

impl<'a> Pieces<'a> {
    fn new(bytes: &'a mut [u8], base: usize, width: usize) -> Self {
        Pieces { rest: Some((bytes, base)), len: (PIECE_LEN / width).max(1) * width }
    }

    fn next(&mut self, width: usize) -> Option<(&'a mut [u8], usize)> {
        let (bytes, base) = self.rest.take()?;
        if bytes.len() <= self.len {
            return Some((bytes, base));
        }
        let (piece, rest) = bytes.split_at_mut(self.len);
        self.rest = Some((rest, base + self.len / width));
        Some((piece, base))
    }
}

/// Two neighbouring ranges, and who belongs where.
struct Sides<'a, F> {
    lefts: Mutex<Pieces<'a>>,
    rights: Mutex<Pieces<'a>>,
    goes_left: F,
    width: usize,
}

impl<'a, F: Fn(&[u8]) -> bool + Sync> Sides<'a, F> {
    /// The next piece of a side out of which something goes.
    fn next(&self, is_left: bool) -> Option<Piece<'a>> {
        let side = if is_left { &self.lefts } else { &self.rights };
        loop {
            let next = side.lock().unwrap_or_else(PoisonError::into_inner).next(self.width);
            let (bytes, base) = next?;
            let mut leaving = Vec::with_capacity(bytes.len() / self.width);
            let elements = bytes.chunks_exact(self.width).enumerate().rev();
            leaving.extend(
                elements
                    .filter(|(_, element)| (self.goes_left)(element) != is_left)
                    .map(|(place, _)| place as u32),
            );
            if !leaving.is_empty() {
                return Some(Piece { bytes, base, leaving });
            }
        }
    }

    /// Exchanges until one side has no more. What is left over of the other one.
    fn work(&self, area: &mut Area<'_>, watch: &Watch<'_>) -> Result<Left<'a>, Stopped> {
        let (mut left, mut right) = (None, None);
        loop {
            watch.check()?;
            left = left.or_else(|| self.next(true));
            right = right.or_else(|| self.next(false));
            let (Some(one), Some(other)) = (&mut left, &mut right) else {
                return Ok(Left { left, right });
            };
            exchange(one, other, self.width, area);
            left = left.filter(|piece| !piece.leaving.is_empty());
            right = right.filter(|piece| !piece.leaving.is_empty());
        }
    }
}

/// Pieces of which a thread has not found the other halves of all pairs.
struct Left<'a> {
    left: Option<Piece<'a>>,
    right: Option<Piece<'a>>,
}

/// Exchanges those elements of the first `left_len` ones that do not go left with those behind
/// them that do; there are as many of these as of those. One thread for each area.
pub(crate) fn exchange_misplaced(
    (data, base, left_len): (&mut [u8], usize, usize),
    width: usize,
    goes_left: impl Fn(&[u8]) -> bool + Sync,
    areas: &mut [Area<'_>],
    watch: &Watch<'_>,
) -> Result<(), Stopped> {
    let (left, right) = data.split_at_mut(left_len * width);
    let sides = Sides {
        lefts: Mutex::new(Pieces::new(left, base, width)),
        rights: Mutex::new(Pieces::new(right, base + left_len, width)),
        goes_left,
        width,
    };
    let rests = crate::threads::each(areas, |area| sides.work(area, watch))?;
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    for rest in rests {
        lefts.extend(rest.left);
        rights.extend(rest.right);
    }
    while let (Some(left), Some(right)) = (lefts.last_mut(), rights.last_mut()) {
        exchange(left, right, width, &mut areas[0]);
        lefts.pop_if(|piece| piece.leaving.is_empty());
        rights.pop_if(|piece| piece.leaving.is_empty());
    }
    Ok(())
}

/// Turns the data around. One thread for each area.
pub(crate) fn reverse(
    data: &mut [u8],
    width: usize,
    areas: &mut [Area<'_>],
    watch: &Watch<'_>,
) -> Result<(), Stopped> {
    let len = data.len() / width;
    let (left, right) = data.split_at_mut(len / 2 * width);
    let right = &mut right[len % 2 * width..];
    let piece_len = (PIECE_LEN / width).max(1);
    let lefts = left.chunks_mut(piece_len * width).enumerate();
    let pairs = Mutex::new(lefts.zip(right.rchunks_mut(piece_len * width)));
    crate::threads::each(areas, |area| {
        loop {
            watch.check()?;
            let next = pairs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(((number, left), right)) = next else { return Ok(()) };
            let count = left.len() / width;
            let base = number * piece_len;
            let mut left = Piece::new(left, base, |_| true, width);
            let mut right = Piece::new(right, len - base - count, |_| true, width);
            left.leaving.reverse();
            exchange(&mut left, &mut right, width, area);
            watch.add(2 * 2 * count * width);
        }
    })?;
    Ok(())
}
