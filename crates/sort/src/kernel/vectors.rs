//! The vector instructions of this processor, if it has any that we know, and what they sort.

use crate::order::RankBits;
use crate::shape::Shape;
use core::sync::atomic::AtomicU64;

#[cfg(target_arch = "x86_64")]
pub(super) use super::avx2::Avx2;
#[cfg(not(target_arch = "x86_64"))]
use none::Avx2;

/// What a kernel may use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instructions {
    /// Those that every processor has.
    Portable,
    /// AVX2, too.
    Avx2(Avx2),
}

impl Instructions {
    /// The best ones of this processor.
    pub(crate) fn detect() -> Self {
        Avx2::detect().map_or(Instructions::Portable, Instructions::Avx2)
    }
}

impl Default for Instructions {
    fn default() -> Self {
        Self::detect()
    }
}

/// Vector instructions, and how they make ranks of the numbers that they sort.
#[derive(Clone, Copy)]
pub(super) struct Vectors {
    avx2: Avx2,
    bits: RankBits,
}

impl Vectors {
    /// `None` if there are none, or the elements are no numbers of 4 or 8 bytes.
    pub(super) fn of<S: Shape>(shape: &S, instructions: Instructions) -> Option<Self> {
        let Instructions::Avx2(avx2) = instructions else { return None };
        let bits = RankBits::of(shape.numbers()?);
        matches!(bits.len, 4 | 8).then_some(Vectors { avx2, bits })
    }

    /// The lowest and the highest rank, and whether the numbers are in order.
    pub(super) fn survey(self, data: &[u8]) -> (u64, u64, bool) {
        match self.bits.len {
            4 => self.avx2.survey::<4>(data.as_chunks().0, self.bits),
            _ => self.avx2.survey::<8>(data.as_chunks().0, self.bits),
        }
    }

    /// Splits numbers of 8 bytes at a rank, as far as vectors go: how many are low, and how many
    /// were read. The high ones are in the room, and `state` says so: see `spread::split`.
    pub(super) fn split(
        self,
        (numbers, room): (&mut [u8], &mut [u8]),
        border: u64,
        state: &AtomicU64,
    ) -> (usize, usize) {
        if self.bits.len != 8 {
            return (0, 0);
        }
        let places = (numbers.as_chunks_mut().0, room.as_chunks_mut().0);
        self.avx2.split(places, border, state, self.bits)
    }

    /// Sorts each of the buckets that lie in `from` one behind the other, the lowest first, into
    /// `to`. `ends` are where they end. Those that are longer than 32 numbers are copied and left
    /// to `sort_long`.
    pub(super) fn sort_buckets<const W: usize>(
        self,
        (from, to): (&[[u8; W]], &mut [[u8; W]]),
        ends: &[u32],
        sort_long: &dyn Fn(&mut [[u8; W]]),
    ) {
        self.avx2.sort_buckets((from, to), ends, self.bits, sort_long);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod none {
    use crate::order::RankBits;
    use core::sync::atomic::AtomicU64;

    /// Other processors do not have it: there is no value of this type.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Avx2 {}

    impl Avx2 {
        pub(crate) fn detect() -> Option<Self> {
            None
        }

        pub(super) fn survey<const W: usize>(self, _: &[[u8; W]], _: RankBits) -> (u64, u64, bool) {
            match self {}
        }

        pub(super) fn split(
            self,
            _: (&mut [[u8; 8]], &mut [[u8; 8]]),
            _: u64,
            _: &AtomicU64,
            _: RankBits,
        ) -> (usize, usize) {
            match self {}
        }

        pub(super) fn sort_buckets<const W: usize>(
            self,
            _: (&[[u8; W]], &mut [[u8; W]]),
            _: &[u32],
            _: RankBits,
            _: &dyn Fn(&mut [[u8; W]]),
        ) {
            match self {}
        }
    }
}
