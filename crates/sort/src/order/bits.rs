//! How the rank of a number follows from its bits: some are turned, and some more in negative ones.

use super::number::{Endian, NumberKind, Numbers};
use crate::shape::Shape;

/// What makes a rank of the bits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RankBits {
    /// Bytes of a number.
    pub(crate) len: usize,
    /// The highest byte comes first.
    pub(crate) is_big: bool,
    /// Bits that are turned in all numbers.
    pub(crate) turned: u64,
    /// And in negative ones.
    pub(crate) turned_in_negative: u64,
}

impl RankBits {
    pub(crate) fn of(numbers: Numbers) -> Self {
        let number = numbers.number();
        let all = u64::MAX >> (64 - 8 * number.len());
        let sign = all ^ (all >> 1);
        let (turned, turned_in_negative) = match number.kind() {
            NumberKind::Unsigned => (0, 0),
            NumberKind::Signed => (sign, 0),
            NumberKind::Float => (sign, all >> 1),
        };
        let turned = if numbers.is_descending() { turned ^ all } else { turned };
        let is_big = number.endian() == Endian::Big;
        RankBits { len: number.len(), is_big, turned, turned_in_negative }
    }
}

/// How much of [`RankBits`] there is to do: known when the sort is compiled.
pub(crate) mod form {
    /// Whole numbers, the lowest byte first.
    pub(crate) const PLAIN: u8 = 0;
    /// Floating point, the lowest byte first.
    pub(crate) const FLOAT: u8 = 1;
    /// Any of them.
    pub(crate) const ANY: u8 = 2;
}

/// Numbers of `W` bytes whose form is known to the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plain<const W: usize, const FORM: u8> {
    numbers: Numbers,
    bits: RankBits,
}

impl<const W: usize, const FORM: u8> Plain<W, FORM> {
    pub(crate) fn new(numbers: Numbers) -> Self {
        let bits = RankBits::of(numbers);
        let is_plain = !bits.is_big && bits.turned_in_negative == 0;
        let fits = match FORM {
            form::PLAIN => is_plain,
            form::FLOAT => !bits.is_big,
            _ => true,
        };
        assert!(bits.len == W && fits, "the form is that of the numbers");
        Plain { numbers, bits }
    }
}

impl<const W: usize, const FORM: u8> Shape for Plain<W, FORM> {
    #[inline(always)]
    fn width(&self) -> usize {
        W
    }

    #[inline(always)]
    fn rank(&self, element: &[u8]) -> u64 {
        let mut word = [0; 8];
        word[..W].copy_from_slice(&element[..W]);
        let little = u64::from_le_bytes(word);
        let is_big = FORM == form::ANY && self.bits.is_big;
        let bits = if is_big { little.swap_bytes() >> (64 - 8 * W) } else { little };
        if FORM == form::PLAIN {
            return bits ^ self.bits.turned;
        }
        let negative = 0_u64.wrapping_sub(bits >> (8 * W - 1));
        bits ^ self.bits.turned ^ (negative & self.bits.turned_in_negative)
    }

    #[inline(always)]
    fn rank_decides(&self) -> bool {
        true
    }

    fn numbers(&self) -> Option<Numbers> {
        Some(self.numbers)
    }
}
