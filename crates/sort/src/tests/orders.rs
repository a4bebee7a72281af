//! All kinds of orders, lengths, shapes and journals, compared with the standard library.

use super::{Keyed, check, noise};
use crate::journal::Geometry;
use crate::shape::Shape;
use crate::shape::{Native, Number};
use crate::{sort, sort_in_memory, sort_in_memory_stable};
use proptest::prelude::*;

const SMALL: Geometry = Geometry { room_len: 256, buckets_max: 7 };

/// Orders that sorts have trouble with, of numbers below `2^bits`.
fn patterns(len: usize, bits: u32) -> Vec<Vec<u64>> {
    let mask = u64::MAX >> (64 - bits);
    let half = len as u64 / 2;
    let steps = |step: fn(u64, u64) -> u64| -> Vec<u64> {
        (0..len as u64).map(|at| step(at, half)).collect()
    };
    let random: Vec<u64> = noise(len as u64).take(len).collect();
    let mut orders = vec![
        random.clone(),
        steps(|at, _| at),
        steps(|at, half| 2 * half - at.min(2 * half)),
        steps(|_, _| 5),
        steps(|at, half| at.abs_diff(half)),
        steps(|at, half| half - at.abs_diff(half).min(half)),
        steps(|at, _| at % 3),
        steps(|at, _| at.wrapping_mul(0x9e37_79b9) % 17),
        random.iter().map(|number| number >> (number % 64)).collect(),
        random.iter().map(|number| (number % 1000).pow(3)).collect(),
    ];
    let mut nearly = steps(|at, _| at);
    nearly.iter_mut().skip(3).step_by(97).for_each(|number| *number = 0);
    orders.push(nearly);
    orders.iter_mut().flatten().for_each(|number| *number &= mask);
    orders
}

fn check_numbers<T: Number + PartialEq + std::fmt::Debug>(
    len: usize,
    bits: u32,
    number: impl Fn(u64) -> T,
    bytes: impl Fn(T) -> Vec<u8>,
) {
    for order in patterns(len, bits) {
        let numbers: Vec<T> = order.into_iter().map(&number).collect();
        let data: Vec<u8> = numbers.iter().flat_map(|&number| bytes(number)).collect();
        for threads in [1, 2, 3] {
            check(&data, &Native::<T>::new(), SMALL, threads);
        }
        let mut sorted = numbers.clone();
        sort(&mut sorted);
        let mut expected = numbers;
        expected.sort_by_key(|number| number.rank());
        let ranks = |numbers: &[T]| numbers.iter().map(|number| number.rank()).collect::<Vec<_>>();
        assert_eq!(ranks(&sorted), ranks(&expected));
    }
}

macro_rules! number_tests {
    ($($name:ident: $number:ty, $bits:expr, $make:expr;)*) => {$(
        #[test]
        fn $name() {
            for len in [1, 2, 3, 31, 32, 100, 1001, 5000] {
                check_numbers::<$number>(len, $bits, $make, |number| number.to_ne_bytes().to_vec());
            }
        }
    )*};
}

number_tests! {
    u8_in_all_orders: u8, 8, |number| number as u8;
    i8_in_all_orders: i8, 8, |number| number as i8;
    u16_in_all_orders: u16, 16, |number| number as u16;
    i16_in_all_orders: i16, 16, |number| number as i16;
    u32_in_all_orders: u32, 32, |number| number as u32;
    i32_in_all_orders: i32, 32, |number| number as i32;
    u64_in_all_orders: u64, 64, |number| number;
    i64_in_all_orders: i64, 64, |number| number as i64;
    f32_in_all_orders: f32, 32, |number| f32::from_bits(number as u32);
    f64_in_all_orders: f64, 64, f64::from_bits;
}

#[test]
fn every_short_length() {
    for len in 0..1000 {
        let data: Vec<u8> = noise(len).take(len as usize).flat_map(u64::to_ne_bytes).collect();
        check(&data, &Native::<u64>::new(), SMALL, 1);
        let mut numbers: Vec<u64> =
            noise(len).map(|number| number % 300).take(len as usize).collect();
        let mut expected = numbers.clone();
        sort(&mut numbers);
        expected.sort_unstable();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn floating_point_has_the_total_order() {
    let special =
        [0.0, f64::INFINITY, f64::NAN, 1.0, f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX];
    let mut numbers: Vec<f64> = special.iter().flat_map(|&number| [number, -number]).collect();
    numbers.extend(noise(9).map(f64::from_bits).take(3000));
    let mut expected = numbers.clone();
    sort(&mut numbers);
    expected.sort_by(f64::total_cmp);
    assert!(numbers.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn millions_of_numbers_on_several_threads() {
    let data: Vec<u8> = noise(3).take(1 << 20).flat_map(u64::to_ne_bytes).collect();
    for threads in [1, 2, 5] {
        let mut sorted = data.clone();
        sort_in_memory(&mut sorted, &Native::<u64>::new(), threads);
        let mut expected: Vec<u64> = noise(3).take(1 << 20).collect();
        expected.sort_unstable();
        let (sorted, _) = sorted.as_chunks::<8>();
        assert!(sorted.iter().map(|number| u64::from_ne_bytes(*number)).eq(expected));
    }
}

proptest! {
    #[test]
    fn records_in_any_order(
        width in 1usize..40, key in 1usize..6, count in 0usize..600, alphabet in 1u64..9,
        seed: u64, room_len in 8usize..64, buckets_max in 4usize..40, threads in 1usize..4,
    ) {
        let shape = Keyed { width, key: key.min(width) };
        let data: Vec<u8> =
            noise(seed).map(|number| (number % alphabet) as u8).take(count * width).collect();
        let room_len = (8 * room_len).max(buckets_max * width).next_multiple_of(8);
        check(&data, &shape, Geometry { room_len, buckets_max }, threads);
    }

    #[test]
    fn equal_records_stay_in_order(
        width in 1usize..20, key in 1usize..6, count in 0usize..600, alphabet in 1u64..9,
        seed: u64, threads in 1usize..3,
    ) {
        let shape = Keyed { width, key: key.min(width) };
        let data: Vec<u8> =
            noise(seed).map(|number| (number % alphabet) as u8).take(count * width).collect();
        let mut expected: Vec<&[u8]> = data.chunks_exact(width).collect();
        expected.sort_by(|left, right| shape.compare(left, right));
        let mut sorted = data.clone();
        sort_in_memory_stable(&mut sorted, &shape, threads);
        prop_assert_eq!(sorted.chunks_exact(width).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn numbers_in_any_order(
        mut numbers: Vec<u64>, narrow in 0u32..64, room_len in 5usize..64, threads in 1usize..4,
    ) {
        numbers.iter_mut().for_each(|number| *number >>= narrow);
        let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let geometry = Geometry { room_len: 8 * room_len, buckets_max: 5 };
        check(&data, &Native::<u64>::new(), geometry, threads);
    }
}
