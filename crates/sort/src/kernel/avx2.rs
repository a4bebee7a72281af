//! Sorts 16 or 32 numbers in vectors of AVX2.
//!
//! Four numbers are a vector. Four vectors are sorted lane by lane, turned over, so that each is in
//! order by itself, and merged by bitonic networks (Batcher: "Sorting networks and their
//! applications", 1968). No branch depends on what the numbers are.

use crate::journal::{commit, crash, split_word};
use crate::order::RankBits;
use core::arch::x86_64::*;
use core::sync::atomic::AtomicU64;

/// The processor has AVX2: who has one of these has asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Avx2(()))
    }

    /// See `Vectors`.
    pub(super) fn sort_buckets<const W: usize>(
        self,
        (from, to): (&[[u8; W]], &mut [[u8; W]]),
        ends: &[u32],
        bits: RankBits,
        sort_long: &dyn Fn(&mut [[u8; W]]),
    ) {
        assert!(matches!(W, 4 | 8) && W == bits.len, "two widths are known");
        let buckets = (from, to, ends);
        match (bits.turned_in_negative != 0, bits.is_big) {
            // SAFETY: there is AVX2, or there would be no `self`.
            (false, false) => unsafe { sort_all::<W, false, false>(buckets, bits, sort_long) },
            // SAFETY: as above.
            (false, true) => unsafe { sort_all::<W, false, true>(buckets, bits, sort_long) },
            // SAFETY: as above.
            (true, false) => unsafe { sort_all::<W, true, false>(buckets, bits, sort_long) },
            // SAFETY: as above.
            (true, true) => unsafe { sort_all::<W, true, true>(buckets, bits, sort_long) },
        }
    }
}

impl Avx2 {
    /// The lowest and the highest rank, and whether the numbers are in order.
    pub(super) fn survey<const W: usize>(
        self,
        data: &[[u8; W]],
        bits: RankBits,
    ) -> (u64, u64, bool) {
        assert!(matches!(W, 4 | 8) && W == bits.len, "two widths are known");
        match (bits.turned_in_negative != 0, bits.is_big) {
            // SAFETY: there is AVX2, or there would be no `self`.
            (false, false) => unsafe { survey::<W, false, false>(data, bits) },
            // SAFETY: as above.
            (false, true) => unsafe { survey::<W, false, true>(data, bits) },
            // SAFETY: as above.
            (true, false) => unsafe { survey::<W, true, false>(data, bits) },
            // SAFETY: as above.
            (true, true) => unsafe { survey::<W, true, true>(data, bits) },
        }
    }
}

/// See [`Avx2::survey`].
#[target_feature(enable = "avx2")]
fn survey<const W: usize, const FLOAT: bool, const BIG: bool>(
    data: &[[u8; W]],
    bits: RankBits,
) -> (u64, u64, bool) {
    const VECTORS: usize = 4;
    let keys = Keys::<W, FLOAT, BIG>::new(bits);
    let mut low = [_mm256_set1_epi64x(i64::MAX); VECTORS];
    let mut high = [_mm256_set1_epi64x(i64::MIN); VECTORS];
    let mut falls = [_mm256_setzero_si256(); VECTORS];
    let mut rest = data;
    // Each number and the one behind it.
    while rest.len() > 4 * VECTORS {
        for place in 0..VECTORS {
            let [now, next] = [0, 1].map(|one| {
                let four = rest[4 * place + one..].first_chunk().expect("there are enough");
                keys.load(four)
            });
            low[place] = exchange(low[place], now).0;
            high[place] = exchange(high[place], now).1;
            falls[place] = _mm256_or_si256(falls[place], _mm256_cmpgt_epi64(now, next));
        }
        rest = &rest[4 * VECTORS..];
    }
    let number = |number: [u8; W]| keys.ranks(keys.load(&[number; 4]));
    let (mut least, mut most, mut before, mut is_sorted) = (u64::MAX, 0, 0, true);
    for one in rest {
        let rank = number(*one);
        least = least.min(rank[0]);
        most = most.max(rank[0]);
        is_sorted &= before <= rank[0];
        before = rank[0];
    }
    if data.len() > rest.len() {
        for place in 0..VECTORS {
            least = keys.ranks(low[place]).into_iter().fold(least, u64::min);
            most = keys.ranks(high[place]).into_iter().fold(most, u64::max);
            is_sorted &= _mm256_testz_si256(falls[place], falls[place]) == 1;
        }
    }
    (least, most, is_sorted)
}

impl Avx2 {
    /// See `Vectors`.
    pub(super) fn split(
        self,
        (numbers, room): (&mut [[u8; 8]], &mut [[u8; 8]]),
        border: u64,
        state: &AtomicU64,
        bits: RankBits,
    ) -> (usize, usize) {
        assert!(bits.len == 8 && border > 0, "four numbers are a vector, and one may be low");
        let places = (numbers, room);
        match (bits.turned_in_negative != 0, bits.is_big) {
            // SAFETY: there is AVX2, or there would be no `self`.
            (false, false) => unsafe { split::<false, false>(places, border, state, bits) },
            // SAFETY: as above.
            (false, true) => unsafe { split::<false, true>(places, border, state, bits) },
            // SAFETY: as above.
            (true, false) => unsafe { split::<true, false>(places, border, state, bits) },
            // SAFETY: as above.
            (true, true) => unsafe { split::<true, true>(places, border, state, bits) },
        }
    }
}

/// See [`Avx2::split`].
#[target_feature(enable = "avx2")]
fn split<const FLOAT: bool, const BIG: bool>(
    (numbers, room): (&mut [[u8; 8]], &mut [[u8; 8]]),
    border: u64,
    state: &AtomicU64,
    bits: RankBits,
) -> (usize, usize) {
    let keys = Keys::<8, FLOAT, BIG>::new(bits);
    let highest_low = _mm256_set1_epi64x((border - 1) as i64 ^ i64::MIN);
    let (mut low, mut read) = (0, 0);
    while let Some(four) = numbers[read..].first_chunk::<4>()
        && read - low + 4 <= room.len()
    {
        let held = read - low;
        let is_high = _mm256_cmpgt_epi64(keys.load(four), highest_low);
        let highs = _mm256_movemask_pd(_mm256_castsi256_pd(is_high)) as usize;
        if matches!(held, 1..=3) {
            // Four stale places are not there yet, and a part of a vector would be lost in others.
            let one = four[0];
            room[held] = one;
            numbers[low] = one;
            low += 1 - highs % 2;
            read += 1;
        } else {
            let [low_first, high_first] = [highs, !highs % 16].map(|last| gather(four, last));
            room[held..held + 4].copy_from_slice(&high_first);
            crash::point();
            // Where nothing is held yet, the four are written over themselves, in another order.
            numbers[low..low + 4].copy_from_slice(&low_first);
            low += 4 - highs.count_ones() as usize;
            read += 4;
        }
        commit(state, split_word(low, read));
    }
    (low, read)
}

/// Four numbers, those of these lanes behind the others.
#[target_feature(enable = "avx2")]
#[inline]
fn gather(four: &[[u8; 8]; 4], last: usize) -> [[u8; 8]; 4] {
    const ORDERS: [[u32; 8]; 16] = orders();
    let from = four.as_flattened().as_ptr();
    // SAFETY: 32 bytes, which may lie anywhere.
    let bits = unsafe { _mm256_loadu_si256(from.cast()) };
    // SAFETY: as above.
    let order = unsafe { _mm256_loadu_si256(ORDERS[last].as_ptr().cast()) };
    let mut gathered = [[0; 8]; 4];
    let bits = _mm256_permutevar8x32_epi32(bits, order);
    // SAFETY: as above.
    unsafe { _mm256_storeu_si256(gathered.as_flattened_mut().as_mut_ptr().cast(), bits) };
    gathered
}

/// For each set of lanes the halves of the others, and then its own.
const fn orders() -> [[u32; 8]; 16] {
    let mut orders = [[0; 8]; 16];
    let mut set = 0;
    while set < 16 {
        let (mut lane, mut first, mut last) = (0, 0, 4 - (set as u32).count_ones() as usize);
        while lane < 4 {
            let place = if set >> lane & 1 == 0 { &mut first } else { &mut last };
            orders[set][2 * *place] = 2 * lane;
            orders[set][2 * *place + 1] = 2 * lane + 1;
            *place += 1;
            lane += 1;
        }
        set += 1;
    }
    orders
}

/// Numbers of the short window, and of the long one.
const SHORT: usize = 16;
const LONG: usize = 32;

/// See [`Avx2::sort_buckets`].
///
/// A window begins where a bucket does and may reach into the next ones: their numbers are higher,
/// so they come behind those of the bucket, and are written again with the next window.
#[target_feature(enable = "avx2")]
#[inline]
fn sort_all<const W: usize, const FLOAT: bool, const BIG: bool>(
    (from, to, ends): (&[[u8; W]], &mut [[u8; W]], &[u32]),
    bits: RankBits,
    sort_long: &dyn Fn(&mut [[u8; W]]),
) {
    let keys = Keys::<W, FLOAT, BIG>::new(bits);
    let (mut start, mut bucket) = (0, 0);
    while start + LONG <= from.len() {
        let mut end = ends[bucket] as usize;
        bucket += 1;
        if end - start <= SHORT {
            // As many buckets as there is room for.
            while bucket < ends.len() && ends[bucket] as usize - start <= SHORT {
                end = ends[bucket] as usize;
                bucket += 1;
            }
            keys.short(&from[start..start + SHORT], &mut to[start..start + SHORT]);
        } else if end - start <= LONG {
            keys.long(&from[start..start + LONG], &mut to[start..start + LONG]);
        } else {
            to[start..end].copy_from_slice(&from[start..end]);
            sort_long(&mut to[start..end]);
        }
        start = end;
    }
    // What is left is sorted among numbers that nothing comes behind.
    let rest = &from[start..];
    let mut window = [keys.highest(); LONG];
    window[..rest.len()].copy_from_slice(rest);
    let mut sorted = window;
    keys.long(&window, &mut sorted);
    to[start..].copy_from_slice(&sorted[..rest.len()]);
}

/// Makes keys of numbers of `W` bytes, which order as signed words do, and numbers of keys.
#[derive(Clone, Copy)]
struct Keys<const W: usize, const FLOAT: bool, const BIG: bool> {
    turned: __m256i,
    turned_in_negative: __m256i,
    /// Where in a vector the bytes come from if the highest is the first.
    bytes: __m256i,
}

impl<const W: usize, const FLOAT: bool, const BIG: bool> Keys<W, FLOAT, BIG> {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(bits: RankBits) -> Self {
        // A short number is the upper half of its word.
        let up = 64 - 8 * W as u32;
        let turned = (bits.turned << up) ^ (1 << 63);
        let order: [i8; 16] = std::array::from_fn(|at| (at / W * W + W - 1 - at % W) as i8);
        let half = i128::from_le_bytes(order.map(|at| at as u8));
        let (low, high) = (half as i64, (half >> 64) as i64);
        Keys {
            turned: _mm256_set1_epi64x(turned as i64),
            turned_in_negative: _mm256_set1_epi64x((bits.turned_in_negative << up) as i64),
            bytes: _mm256_set_epi64x(high, low, high, low),
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(self, numbers: &[[u8; W]; 4]) -> __m256i {
        let from = numbers.as_flattened().as_ptr();
        let bits = if W == 8 {
            // SAFETY: 32 bytes, which may lie anywhere.
            let bits = unsafe { _mm256_loadu_si256(from.cast()) };
            if BIG { _mm256_shuffle_epi8(bits, self.bytes) } else { bits }
        } else {
            // SAFETY: 16 bytes, which may lie anywhere.
            let bits = unsafe { _mm_loadu_si128(from.cast()) };
            let bytes = _mm256_castsi256_si128(self.bytes);
            let bits = if BIG { _mm_shuffle_epi8(bits, bytes) } else { bits };
            _mm256_slli_epi64::<32>(_mm256_cvtepu32_epi64(bits))
        };
        _mm256_xor_si256(self.turn_negative(bits), self.turned)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(self, keys: __m256i, numbers: &mut [[u8; W]; 4]) {
        let bits = self.turn_negative(_mm256_xor_si256(keys, self.turned));
        let to = numbers.as_flattened_mut().as_mut_ptr();
        if W == 8 {
            let bits = if BIG { _mm256_shuffle_epi8(bits, self.bytes) } else { bits };
            // SAFETY: 32 bytes, which may lie anywhere.
            unsafe { _mm256_storeu_si256(to.cast(), bits) };
        } else {
            let halves = _mm256_shuffle_epi32::<0b11_01_11_01>(bits);
            let bits = _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(halves));
            let bytes = _mm256_castsi256_si128(self.bytes);
            let bits = if BIG { _mm_shuffle_epi8(bits, bytes) } else { bits };
            // SAFETY: 16 bytes, which may lie anywhere.
            unsafe { _mm_storeu_si128(to.cast(), bits) };
        }
    }

    /// Of negative floats the one with the larger magnitude is the smaller.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn turn_negative(self, bits: __m256i) -> __m256i {
        if !FLOAT {
            return bits;
        }
        let negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), bits);
        _mm256_xor_si256(bits, _mm256_and_si256(negative, self.turned_in_negative))
    }

    /// The ranks of four keys.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn ranks(self, keys: __m256i) -> [u64; 4] {
        let ranks = _mm256_xor_si256(keys, _mm256_set1_epi64x(i64::MIN));
        let mut words = [0u64; 4];
        // SAFETY: 32 bytes, which may lie anywhere.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), ranks) };
        words.map(|word| word >> (64 - 8 * W))
    }

    /// No number comes behind this one.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn highest(self) -> [u8; W] {
        let mut numbers = [[0; W]; 4];
        self.store(_mm256_set1_epi64x(i64::MAX), &mut numbers);
        numbers[0]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load_all<const N: usize>(self, from: &[[u8; W]]) -> [__m256i; N] {
        let mut keys = [_mm256_setzero_si256(); N];
        for (keys, numbers) in keys.iter_mut().zip(from.as_chunks().0) {
            *keys = self.load(numbers);
        }
        keys
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn store_all<const N: usize>(self, keys: [__m256i; N], to: &mut [[u8; W]]) {
        for (keys, numbers) in keys.into_iter().zip(to.as_chunks_mut().0) {
            self.store(keys, numbers);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn short(self, from: &[[u8; W]], to: &mut [[u8; W]]) {
        self.store_all(sort_16(self.load_all(from)), to);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn long(self, from: &[[u8; W]], to: &mut [[u8; W]]) {
        let left = sort_16(self.load_all(from));
        let right = sort_16(self.load_all(&from[SHORT..]));
        let [a, b, c, d] = left;
        let (a, h) = exchange(a, reverse(right[3]));
        let (b, g) = exchange(b, reverse(right[2]));
        let (c, f) = exchange(c, reverse(right[1]));
        let (d, e) = exchange(d, reverse(right[0]));
        self.store_all(merge_16([a, b, c, d]), to);
        self.store_all(merge_16([h, g, f, e]), &mut to[SHORT..]);
    }
}

/// In each lane the lower key, and the higher one.
#[target_feature(enable = "avx2")]
#[inline]
fn exchange(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let is_wrong = _mm256_cmpgt_epi64(a, b);
    (_mm256_blendv_epi8(a, b, is_wrong), _mm256_blendv_epi8(b, a, is_wrong))
}

#[target_feature(enable = "avx2")]
#[inline]
fn reverse(keys: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b00_01_10_11>(keys)
}

/// Sorts the keys of four vectors.
#[target_feature(enable = "avx2")]
#[inline]
fn sort_16(keys: [__m256i; 4]) -> [__m256i; 4] {
    let [a, b, c, d] = turn_over(sort_lanes(keys));
    let (b, d) = (reverse(b), reverse(d));
    let ((a, b), (c, d)) = (exchange(a, b), exchange(c, d));
    let ((a, b), (c, d)) = (merge_4(a, b), merge_4(c, d));
    let (a, d) = exchange(a, reverse(d));
    let (b, c) = exchange(b, reverse(c));
    let ((a, b), (c, d)) = (merge_8(a, b), merge_8(d, c));
    [a, b, c, d]
}

/// Sorts the keys of each lane.
#[target_feature(enable = "avx2")]
#[inline]
fn sort_lanes([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let ((a, b), (c, d)) = (exchange(a, b), exchange(c, d));
    let ((a, c), (b, d)) = (exchange(a, c), exchange(b, d));
    let (b, c) = exchange(b, c);
    [a, b, c, d]
}

/// Makes a vector of each lane.
#[target_feature(enable = "avx2")]
#[inline]
fn turn_over([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (even, odd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (even_2, odd_2) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    let (first, third) = halves(even, even_2);
    let (second, fourth) = halves(odd, odd_2);
    [first, second, third, fourth]
}

/// The lower halves of both, and the upper ones.
#[target_feature(enable = "avx2")]
#[inline]
fn halves(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    (_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b))
}

/// Sorts each of two vectors, of which each is bitonic.
#[target_feature(enable = "avx2")]
#[inline]
fn merge_4(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let (low, high) = halves(a, b);
    let (low, high) = exchange(low, high);
    let (even, odd) = (_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
    let (even, odd) = exchange(even, odd);
    halves(_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd))
}

/// Sorts two vectors that are bitonic together.
#[target_feature(enable = "avx2")]
#[inline]
fn merge_8(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let (a, b) = exchange(a, b);
    merge_4(a, b)
}

/// Sorts four vectors that are bitonic together.
#[target_feature(enable = "avx2")]
#[inline]
fn merge_16([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let ((a, c), (b, d)) = (exchange(a, c), exchange(b, d));
    let ((a, b), (c, d)) = (merge_8(a, b), merge_8(c, d));
    [a, b, c, d]
}
