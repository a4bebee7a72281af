//! Elements change places in pairs, many pairs at a time.
//!
//! The left elements of the pairs are copied to the journal first; then the right ones are written
//! over them, and at last the copies over the right ones.

use crate::journal::{Area, Field, Phase, copy};
use crate::watch::{Stopped, Watch};
use core::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Bytes that are looked at in one go.
const PIECE_LEN: usize = 32 << 10;

/// Elements of a piece of the data, and those that are to leave it.
struct Piece<'a> {
    bytes: &'a mut [u8],
    /// Where the piece begins in the file, in elements.
    base: usize,
    leaving: Leaving,
}

/// Which elements of a piece are to leave it. They are taken from the end.
pub(crate) enum Leaving {
    /// Those at these places.
    Places(Vec<u32>),
    /// All of a run.
    Run(Range<usize>),
}

impl Leaving {
    /// The places of those for which `leaves` says so, the last one first.
    pub(crate) fn places(bytes: &[u8], width: usize, leaves: impl Fn(&[u8]) -> bool) -> Self {
        let len = bytes.len() / width;
        let (mut places, mut count) = (vec![0; len], 0);
        // Without a branch: who leaves is as random as the elements are.
        for (place, element) in (0..len as u32).zip(bytes.chunks_exact(width)).rev() {
            places[count] = place;
            count += usize::from(leaves(element));
        }
        places.truncate(count);
        Leaving::Places(places)
    }

    fn len(&self) -> usize {
        match self {
            Leaving::Places(places) => places.len(),
            Leaving::Run(run) => run.len(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let (places, run) = match self {
            Leaving::Places(places) => (&places[..], 0..0),
            Leaving::Run(run) => (&[][..], run.clone()),
        };
        places.iter().map(|&place| place as usize).chain(run)
    }

    /// Takes out the last `len` ones.
    fn take(&mut self, len: usize) -> Leaving {
        match self {
            Leaving::Places(places) => Leaving::Places(places.split_off(places.len() - len)),
            Leaving::Run(run) => {
                run.end -= len;
                Leaving::Run(run.end..run.end + len)
            }
        }
    }
}

impl Piece<'_> {
    fn has_none(&self) -> bool {
        self.leaving.len() == 0
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
        match (left.leaving.take(len), right.leaving.take(len)) {
            (Leaving::Run(lefts), Leaving::Run(rights)) => {
                exchange_runs((left, lefts), (right, rights), width, area);
            }
            (lefts, rights) => exchange_places((left, &lefts), (right, &rights), width, area),
        }
    }
}

/// Exchanges the elements at some places with those at as many others.
fn exchange_places(
    (left, lefts): (&mut Piece<'_>, &Leaving),
    (right, rights): (&mut Piece<'_>, &Leaving),
    width: usize,
    area: &mut Area<'_>,
) {
    let (len, max) = (lefts.len(), area.pairs_max(width));
    let pairs = || lefts.iter().zip(rights.iter());
    for (pair, (i, j)) in pairs().enumerate() {
        for (side, place) in [left.base + i, right.base + j].into_iter().enumerate() {
            let word = (place as u64).to_ne_bytes();
            area.room[(side * max + pair) * 8..][..8].copy_from_slice(&word);
        }
        let element = &left.bytes[i * width..][..width];
        area.room[16 * max + pair * width..][..width].copy_from_slice(element);
    }
    area.set(Field::Len, len as u64);
    area.set(Field::Block, max as u64);
    area.enter(Phase::ExchangeLeft);
    for (i, j) in pairs() {
        copy(&right.bytes[j * width..][..width], &mut left.bytes[i * width..][..width]);
    }
    area.enter(Phase::ExchangeRight);
    for (pair, (_, j)) in pairs().enumerate() {
        let held = &area.room[16 * max + pair * width..][..width];
        copy(held, &mut right.bytes[j * width..][..width]);
    }
    area.enter(Phase::Idle);
}

/// The same for places that follow one another.
fn exchange_runs(
    (left, lefts): (&mut Piece<'_>, Range<usize>),
    (right, rights): (&mut Piece<'_>, Range<usize>),
    width: usize,
    area: &mut Area<'_>,
) {
    let (len, max) = (lefts.len(), area.pairs_max(width));
    for (side, first) in [left.base + lefts.start, right.base + rights.start].iter().enumerate() {
        let words = area.room[side * max * 8..][..len * 8].as_chunks_mut::<8>().0;
        for (place, word) in (*first as u64..).zip(words) {
            *word = place.to_ne_bytes();
        }
    }
    let left = &mut left.bytes[lefts.start * width..lefts.end * width];
    let right = &mut right.bytes[rights.start * width..rights.end * width];
    area.room[16 * max..][..left.len()].copy_from_slice(left);
    area.set(Field::Len, len as u64);
    area.set(Field::Block, max as u64);
    area.enter(Phase::ExchangeLeft);
    copy(right, left);
    area.enter(Phase::ExchangeRight);
    copy(&area.room[16 * max..][..right.len()], right);
    area.enter(Phase::Idle);
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

/// Two neighbouring ranges, and what finds out who belongs where.
struct Sides<'a, F> {
    lefts: Mutex<Pieces<'a>>,
    rights: Mutex<Pieces<'a>>,
    leaving: F,
    width: usize,
}

impl<'a, F> Sides<'a, F>
where
    F: Fn(&mut [u8], usize, bool, &mut Area<'_>) -> Leaving + Sync,
{
    /// The next piece of a side out of which something goes.
    fn next(&self, is_left: bool, area: &mut Area<'_>) -> Option<Piece<'a>> {
        let side = if is_left { &self.lefts } else { &self.rights };
        loop {
            let next = side.lock().unwrap_or_else(PoisonError::into_inner).next(self.width);
            let (bytes, base) = next?;
            let leaving = (self.leaving)(bytes, base, is_left, area);
            if leaving.len() > 0 {
                return Some(Piece { bytes, base, leaving });
            }
        }
    }

    /// Exchanges until one side has no more. What is left over of the other one.
    fn work(&self, area: &mut Area<'_>, watch: &Watch<'_>) -> Result<Left<'a>, Stopped> {
        let (mut left, mut right) = (None, None);
        loop {
            watch.check()?;
            left = left.or_else(|| self.next(true, area));
            right = right.or_else(|| self.next(false, area));
            let (Some(one), Some(other)) = (&mut left, &mut right) else {
                return Ok(Left { left, right });
            };
            exchange(one, other, self.width, area);
            left = left.filter(|piece| !piece.has_none());
            right = right.filter(|piece| !piece.has_none());
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
///
/// `leaving` says which elements leave a piece that begins at some element of the file and is on
/// the left, or not; it may move elements inside the piece.
pub(crate) fn exchange_misplaced(
    (data, base, left_len): (&mut [u8], usize, usize),
    width: usize,
    leaving: impl Fn(&mut [u8], usize, bool, &mut Area<'_>) -> Leaving + Sync,
    areas: &mut [Area<'_>],
    watch: &Watch<'_>,
) -> Result<(), Stopped> {
    let (left, right) = data.split_at_mut(left_len * width);
    let sides = Sides {
        lefts: Mutex::new(Pieces::new(left, base, width)),
        rights: Mutex::new(Pieces::new(right, base + left_len, width)),
        leaving,
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
        lefts.pop_if(|piece| piece.has_none());
        rights.pop_if(|piece| piece.has_none());
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
            let leaving = Leaving::Places((0..count as u32).collect());
            let mut left = Piece { bytes: left, base, leaving };
            let leaving = Leaving::Places((0..count as u32).rev().collect());
            let mut right = Piece { bytes: right, base: len - base - count, leaving };
            exchange(&mut left, &mut right, width, area);
            watch.add(2 * 2 * count * width);
        }
    })?;
    Ok(())
}
