//! Ranges of one rank that are too long for the cache: a quicksort that compares elements.

use super::Worker;
use crate::journal::Area;
use crate::kernel;
use crate::shape::Shape;
use crate::spread::{Leaving, exchange_misplaced};
use crate::watch::Stopped;
use core::cmp::Ordering;
use core::slice::from_mut;

impl<S: Shape> Worker<'_, '_, S> {
    /// Sorts a range by comparison: what is less than one of its elements goes left, what is equal
    /// to it stays in the middle.
    pub(super) fn sort_compared(&mut self, data: &mut [u8], base: usize) -> Result<(), Stopped> {
        let (mut data, mut base) = (data, base);
        let width = self.shape.width();
        loop {
            if data.len() / width <= kernel::len_max(self.shape, self.area) {
                return self.sort(data, base, false);
            }
            let pivot = self.pivot(data);
            let less = self.part(data, base, &pivot, Ordering::Less)?;
            let (left, rest) = data.split_at_mut(less * width);
            let equal = self.part(rest, base + less, &pivot, Ordering::Equal)?;
            self.watch.add(equal * width);
            let right = &mut rest[equal * width..];
            let right_base = base + less + equal;
            // The shorter side now, the longer one in the next round: the depth stays small.
            if left.len() < right.len() {
                self.sort_compared(left, base)?;
                (data, base) = (right, right_base);
            } else {
                self.sort_compared(right, right_base)?;
                data = left;
            }
        }
    }

    /// Brings the elements that compare so with the pivot to the left. How many they are.
    fn part(
        &mut self,
        data: &mut [u8],
        base: usize,
        pivot: &[u8],
        wanted: Ordering,
    ) -> Result<usize, Stopped> {
        let width = self.shape.width();
        let goes_left = |element: &[u8]| self.shape.compare(element, pivot) == wanted;
        let count = data.chunks_exact(width).filter(|element| goes_left(element)).count();
        let leaving = |piece: &mut [u8], _, is_left, _: &mut Area<'_>| {
            Leaving::places(piece, width, |element| goes_left(element) != is_left)
        };
        let areas = from_mut(&mut *self.area);
        exchange_misplaced((data, base, count), width, leaving, areas, self.watch)?;
        Ok(count)
    }

    /// The middle one of nine elements.
    fn pivot(&self, data: &[u8]) -> Vec<u8> {
        let width = self.shape.width();
        let len = data.len() / width;
        let mut nine: Vec<&[u8]> =
            (0..9).map(|i| &data[(len - 1) / 8 * i * width..][..width]).collect();
        nine.sort_unstable_by(|left, right| self.shape.compare(left, right));
        nine[4].to_vec()
    }
}
