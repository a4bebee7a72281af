//! The sort dies at every store that recovery relies on, and in the middle of every copy; so does
//! recovery. No element is ever lost.

use super::{Keyed, is_sorted, multiset, noise, sort};
use crate::journal::{Damaged, Geometry, crash, put_back};
use crate::memory::Areas;
use crate::shape::{Native, Shape};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Works until it is done or dies at the given point. `None`: it has died.
fn dies<R>(point: u64, work: impl FnOnce() -> R) -> Option<R> {
    crash::after(point);
    let result = catch_unwind(AssertUnwindSafe(work));
    crash::after(u64::MAX);
    match result {
        Ok(result) => Some(result),
        Err(panic) if panic.is::<crash::Crash>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// Sorts, dying at each point in turn; recovers, dying once; recovers again.
fn play<S: Shape>(data: &[u8], shape: &S, geometry: Geometry, threads: usize) -> u64 {
    let width = shape.width();
    let expected = multiset(data, width);
    let mut second = noise(7);
    for point in 0.. {
        let mut areas = Areas::new(geometry, threads);
        let mut sorted = data.to_vec();
        if dies(point, || sort(&mut sorted, shape, &mut areas.all())).is_some() {
            assert!(is_sorted(&sorted, shape));
            assert_eq!(multiset(&sorted, width), expected);
            return point;
        }
        for end in [second.next().unwrap() % 64, u64::MAX] {
            let recovered = dies(end, || {
                areas
                    .all()
                    .iter_mut()
                    .try_for_each(|area| put_back(&mut sorted, width, area).map(drop))
            });
            assert_ne!(recovered, Some(Err(Damaged)), "at point {point}");
        }
        assert_eq!(multiset(&sorted, width), expected, "at point {point}");
    }
    unreachable!("a sort has an end");
}

const SMALL: Geometry = Geometry { room_len: 160, buckets_max: 5 };

fn bytes_of(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    numbers.flat_map(u32::to_ne_bytes).collect()
}

#[test]
fn random_numbers() {
    let data = bytes_of(noise(1).map(|number| number as u32).take(311));
    let points = play(&data, &Native::<u32>::new(), SMALL, 1);
    assert!(points > 2000, "only {points} points");
}

#[test]
fn few_distinct_numbers_and_unequal_buckets() {
    let data = bytes_of(noise(2).map(|number| (number % 5 * (number % 3)) as u32).take(250));
    play(&data, &Native::<u32>::new(), SMALL, 1);
    let data = bytes_of(noise(3).map(|number| 1 << (number % 31)).take(250));
    play(&data, &Native::<u32>::new(), SMALL, 1);
}

#[test]
fn reversed_numbers() {
    for len in [200, 201] {
        play(&bytes_of((0..len).rev()), &Native::<u32>::new(), SMALL, 1);
    }
}

#[test]
fn records_of_equal_rank() {
    let shape = Keyed { width: 5, key: 3 };
    let data: Vec<u8> = noise(4)
        .take(200)
        .flat_map(|number| [number as u8 & 1, (number >> 8) as u8 & 31, 7, (number >> 16) as u8, 3])
        .collect();
    play(&data, &shape, SMALL, 1);
}

#[test]
fn long_numbers_by_vectors() {
    for bits in [64, 3] {
        let numbers = noise(6).map(|number| number >> (64 - bits)).take(140);
        let data: Vec<u8> = numbers.flat_map(u64::to_ne_bytes).collect();
        for threads in [1, 2] {
            play(&data, &Native::<u64>::new(), SMALL, threads);
        }
    }
}

#[test]
fn two_threads() {
    let data = bytes_of(noise(5).map(|number| number as u32).take(400));
    play(&data, &Native::<u32>::new(), SMALL, 2);
}
