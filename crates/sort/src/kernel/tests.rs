//! The kernels of all instruction sets that this processor has, compared with the standard library.

use super::vectors::Instructions;
use super::{Scratch, sort_range, survey_by};
use crate::journal::Geometry;
use crate::memory::Areas;
use crate::order::{Number, Numbers};
use crate::shape::Shape;
use proptest::prelude::*;

const NAMES: [&str; 12] = [
    "u32", "i32", "f32", "u32be", "i32be", "f32be", "u64", "i64", "f64", "u64be", "i64be", "f64be",
];

/// The portable ones, and those that are detected.
fn all_instructions() -> [Instructions; 2] {
    [Instructions::Portable, Instructions::detect()]
}

fn numbers_of(name: &str, is_descending: bool) -> Numbers {
    Numbers::new(name.parse::<Number>().expect("a type")).descending(is_descending)
}

fn check(data: &[u8], shape: &Numbers) -> Result<(), TestCaseError> {
    let width = shape.width();
    let mut expected: Vec<&[u8]> = data.chunks_exact(width).collect();
    expected.sort_by_key(|number| shape.rank(number));
    let ranks = || data.chunks_exact(width).map(|number| shape.rank(number));
    let found = (
        ranks().min().unwrap_or(u64::MAX),
        ranks().max().unwrap_or(0),
        ranks().collect::<Vec<_>>().is_sorted(),
    );
    for instructions in all_instructions() {
        prop_assert_eq!(survey_by(data, shape, instructions), found, "{:?}", instructions);
        let mut areas = Areas::new(Geometry { room_len: data.len() + 64, buckets_max: 4 }, 1);
        let mut scratch = Scratch { instructions, ..Scratch::default() };
        let mut sorted = data.to_vec();
        sort_range(&mut sorted, 0, shape, &mut areas.all()[0], &mut scratch);
        prop_assert!(sorted == expected.concat(), "{:?} by {:?}", shape, instructions);
    }
    Ok(())
}

proptest! {
    #[test]
    fn kernels_agree(
        kind in 0..NAMES.len(), is_descending: bool, seed: u64, len in 0usize..3000,
        narrow in 0u32..64, shape in 0u32..4,
    ) {
        let random = crate::tests::noise(seed).take(len);
        let data: Vec<u8> = random
            .enumerate()
            .flat_map(|(place, number)| match shape {
                0 => number >> narrow,
                // Few are far from the others.
                1 => number >> (narrow & (number as u32 % 61)),
                2 => (number % 7) << narrow,
                _ => (place as u64) << (narrow / 2),
            }.to_be_bytes())
            .collect();
        check(&data, &numbers_of(NAMES[kind], is_descending))?;
    }
}

#[test]
fn long_ranges_of_all_types() {
    for name in NAMES {
        let data: Vec<u8> =
            crate::tests::noise(3).take(40_000).flat_map(u64::to_le_bytes).collect();
        for is_descending in [false, true] {
            check(&data, &numbers_of(name, is_descending)).expect("they agree");
        }
    }
}

#[test]
fn ends_of_all_types() {
    for name in NAMES {
        let ends = [0, u64::MAX, 1 << 63, u64::MAX >> 1, 1, 0xffff_ffff, 1 << 31, 1 << 32];
        let data: Vec<u8> =
            ends.iter().cycle().take(333).flat_map(|number| number.to_le_bytes()).collect();
        check(&data, &numbers_of(name, false)).expect("they agree");
    }
}
