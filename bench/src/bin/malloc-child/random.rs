//! Random numbers that are the same in every run, and the sizes that programs ask for.

/// A linear congruential generator: two instructions, so that it is not what is measured.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        random.next();
        random
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        self.0 >> 32
    }

    /// A number less than `end`.
    #[inline]
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() * end as u64) >> 32) as usize
    }

    /// From 8 to 200, half of them below 16, a quarter below 32 and so on.
    #[inline]
    pub(crate) fn small(&mut self) -> usize {
        let octave = self.octave(4);
        ((8 << octave) + self.below(8 << octave)).min(200)
    }

    /// From 16 to 256 KiB: nine of ten at most 256 bytes, one of a thousand above 64 KiB.
    #[inline]
    pub(crate) fn mixed(&mut self) -> usize {
        let most = match self.next() & 1023 {
            0 => 256 << 10,
            1..10 => 64 << 10,
            10..102 => 4 << 10,
            _ => 256,
        };
        16 + self.below(most - 15)
    }

    /// A number up to `most`; each is half as frequent as the one before.
    #[inline]
    fn octave(&mut self, most: u32) -> u32 {
        (self.next() as u32).trailing_zeros().min(most)
    }

    /// All numbers less than `count` in random order.
    pub(crate) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}
