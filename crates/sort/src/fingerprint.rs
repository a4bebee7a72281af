//! A number for all elements of a file, whatever order they are in.

use crate::shape::Shape;
use core::convert::Infallible;

/// Odd, and with no pattern: the first 64 bits behind the point of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// The same of the root of 2.
const SEED: u64 = 0x6a09_e667_f3bc_c908;

/// The sum of a hash of each element: the same for the same elements in another order, and for
/// others by a chance of 1 in 2^64, unless somebody has chosen them for it.
pub(crate) fn fingerprint<S: Shape>(data: &[u8], shape: &S, threads: usize) -> u64 {
    let width = shape.width();
    let part_len = (data.len() / width).div_ceil(threads).max(1) * width;
    let mut parts: Vec<&[u8]> = data.chunks(part_len).collect();
    let sum = |part: &mut &[u8]| Ok::<_, Infallible>(sum_of(part, width));
    let Ok(sums) = crate::threads::each(&mut parts, sum);
    sums.into_iter().fold(0, u64::wrapping_add)
}

/// With widths that are common as constants.
fn sum_of(part: &[u8], width: usize) -> u64 {
    match width {
        1 => sum_of_width(part, 1),
        2 => sum_of_width(part, 2),
        4 => sum_of_width(part, 4),
        8 => sum_of_width(part, 8),
        16 => sum_of_width(part, 16),
        _ => sum_of_width(part, width),
    }
}

#[inline(always)]
fn sum_of_width(part: &[u8], width: usize) -> u64 {
    part.chunks_exact(width).map(hash).fold(0, u64::wrapping_add)
}

#[inline(always)]
fn hash(element: &[u8]) -> u64 {
    let (words, rest) = element.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = (!rest.is_empty()).then_some(&last);
    words.iter().chain(last).fold(SEED, |hash, word| mix(hash ^ u64::from_ne_bytes(*word)))
}

/// The two halves of a product: each bit of it depends on all that are there.
#[inline(always)]
fn mix(word: u64) -> u64 {
    let product = u128::from(word) * u128::from(FACTOR);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::fingerprint;
    use crate::shape::Shape;

    struct Wide(usize);

    impl Shape for Wide {
        fn width(&self) -> usize {
            self.0
        }

        fn rank(&self, _: &[u8]) -> u64 {
            0
        }

        fn rank_decides(&self) -> bool {
            true
        }
    }

    fn noise(len: usize) -> Vec<u8> {
        (1..=len as u64).map(|at| (at.wrapping_mul(super::FACTOR) >> 56) as u8).collect()
    }

    #[test]
    fn the_order_does_not_count_and_each_bit_does() {
        for width in [1, 2, 3, 4, 7, 8, 9, 16, 24, 100] {
            let shape = Wide(width);
            let data = noise(width * 21);
            let before = fingerprint(&data, &shape, 1);
            let turned: Vec<u8> = data.chunks(width).rev().flatten().copied().collect();
            for threads in [1, 2, 5, 30] {
                assert_eq!(fingerprint(&turned, &shape, threads), before, "{width}, {threads}");
            }
            for bit in 0..8 * data.len() {
                let mut other = data.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(fingerprint(&other, &shape, 2), before, "{width}, bit {bit}");
            }
        }
    }

    #[test]
    fn no_elements_and_some_more_of_one() {
        assert_eq!(fingerprint(&[], &Wide(8), 2), 0);
        let of = |words: &[u64]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            fingerprint(&bytes, &Wide(8), 1)
        };
        assert_ne!(of(&[1, 1, 2]), of(&[1, 2, 2]));
        assert_ne!(of(&[0, 3]), of(&[1, 2]));
    }
}
