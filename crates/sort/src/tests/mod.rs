//! Tests of the sort as a whole, with small journals.

mod crashes;
mod orders;

use crate::engine;
use crate::journal::{Area, Geometry};
use crate::memory::Areas;
use crate::shape::Shape;
use crate::watch::Watch;
use core::cmp::Ordering;

/// Records of `width` bytes whose first `key` bytes are the key, of which the rank has one.
#[derive(Clone, Copy, Debug)]
struct Keyed {
    width: usize,
    key: usize,
}

impl Shape for Keyed {
    fn width(&self) -> usize {
        self.width
    }

    fn rank(&self, element: &[u8]) -> u64 {
        u64::from(element[0])
    }

    fn rank_decides(&self) -> bool {
        self.key == 1
    }

    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        left[..self.key].cmp(&right[..self.key])
    }
}

/// Numbers that look random, and are the same each time.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

fn sort<S: Shape>(data: &mut [u8], shape: &S, areas: &mut [Area<'_>]) {
    let watch = Watch::new(2 * data.len() as u64, None, None);
    let found = engine::found(data, shape);
    engine::sort(data, shape, found, areas, &watch).expect("nobody stops it");
}

fn is_sorted<S: Shape>(data: &[u8], shape: &S) -> bool {
    let elements: Vec<&[u8]> = data.chunks_exact(shape.width()).collect();
    elements.is_sorted_by(|left, right| shape.compare(left, right) != Ordering::Greater)
}

/// The elements in one order that depends on nothing else.
fn multiset(data: &[u8], width: usize) -> Vec<&[u8]> {
    let mut elements: Vec<&[u8]> = data.chunks_exact(width).collect();
    elements.sort_unstable();
    elements
}

/// Sorts with areas of this geometry, and compares.
fn check<S: Shape>(data: &[u8], shape: &S, geometry: Geometry, threads: usize) {
    let mut sorted = data.to_vec();
    let mut areas = Areas::new(geometry, threads);
    sort(&mut sorted, shape, &mut areas.all());
    assert!(is_sorted(&sorted, shape), "{:?}", &sorted[..sorted.len().min(400)]);
    assert_eq!(multiset(&sorted, shape.width()), multiset(data, shape.width()));
}
