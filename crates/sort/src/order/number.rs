//! Numbers as they lie in files, and ranks that order as they do.

use super::bits::{Plain, form};
use crate::shape::Shape;
use std::fmt;
use std::str::FromStr;

/// What the bytes of a number mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberKind {
    /// A whole number from 0 on.
    Unsigned,
    /// A whole number, two's complement.
    Signed,
    /// IEEE 754, in its total order: -NaN, -infinity, .., -0, +0, .., +infinity, NaN.
    Float,
}

/// Which byte of a number comes first in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Endian {
    /// The lowest, as on x86-64 and AArch64.
    #[default]
    Little,
    /// The highest, as in network protocols.
    Big,
}

/// One type of number: `u8` to `u64`, `i8` to `i64`, `f32`, `f64`, in either byte order.
///
/// Written as in Rust, with `le` or `be` behind it if it is said: `u32`, `i64be`, `f32le`. Without
/// a word it is little-endian.
///
/// ```
/// use granule_sort::order::Number;
/// let number: Number = "f64be".parse()?;
/// assert_eq!(number.len(), 8);
/// let rank = |value: f64| number.rank(&value.to_be_bytes());
/// assert!(rank(f64::NEG_INFINITY) < rank(-0.0) && rank(-0.0) < rank(0.0));
/// assert!(rank(f64::INFINITY) < rank(f64::NAN));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    kind: NumberKind,
    len: usize,
    endian: Endian,
}

impl Number {
    /// A number of `len` bytes; `None` if there is no such type.
    #[must_use]
    pub fn new(kind: NumberKind, len: usize, endian: Endian) -> Option<Self> {
        let there_is = match kind {
            NumberKind::Unsigned | NumberKind::Signed => matches!(len, 1 | 2 | 4 | 8),
            NumberKind::Float => matches!(len, 4 | 8),
        };
        there_is.then_some(Number { kind, len, endian })
    }

    /// What its bytes mean.
    #[must_use]
    pub fn kind(&self) -> NumberKind {
        self.kind
    }

    /// Bytes of one: 1, 2, 4 or 8.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no number is empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Which byte comes first.
    #[must_use]
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The same in another byte order.
    #[must_use]
    pub fn with_endian(mut self, endian: Endian) -> Self {
        self.endian = endian;
        self
    }

    /// A number from 0 to 2^(8 len) - 1 that orders as the numbers do. Different bytes have
    /// different ranks.
    ///
    /// # Panics
    /// If `bytes` is shorter than [`len`](Self::len).
    #[must_use]
    #[inline]
    pub fn rank(&self, bytes: &[u8]) -> u64 {
        let bits = self.bits(bytes);
        let sign = 1 << (8 * self.len - 1);
        let all = u64::MAX >> (64 - 8 * self.len);
        match self.kind {
            NumberKind::Unsigned => bits,
            NumberKind::Signed => bits ^ sign,
            // Of negative floats the one with the larger magnitude is the smaller.
            NumberKind::Float if bits & sign != 0 => !bits & all,
            NumberKind::Float => bits | sign,
        }
    }

    #[inline]
    fn bits(&self, bytes: &[u8]) -> u64 {
        match (self.len, self.endian) {
            (1, _) => u64::from(bytes[0]),
            (2, Endian::Little) => u64::from(u16::from_le_bytes(first(bytes))),
            (2, Endian::Big) => u64::from(u16::from_be_bytes(first(bytes))),
            (4, Endian::Little) => u64::from(u32::from_le_bytes(first(bytes))),
            (4, Endian::Big) => u64::from(u32::from_be_bytes(first(bytes))),
            (_, Endian::Little) => u64::from_le_bytes(first(bytes)),
            (_, Endian::Big) => u64::from_be_bytes(first(bytes)),
        }
    }
}

#[inline]
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("an element has as many bytes as its type")
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, endian) = match text {
            _ if text.ends_with("le") => (&text[..text.len() - 2], Endian::Little),
            _ if text.ends_with("be") => (&text[..text.len() - 2], Endian::Big),
            _ => (text, Endian::Little),
        };
        let kind = match name.as_bytes().first() {
            Some(b'u') => Some(NumberKind::Unsigned),
            Some(b'i') => Some(NumberKind::Signed),
            Some(b'f') => Some(NumberKind::Float),
            _ => None,
        };
        let bits = name.get(1..).filter(|digits| !digits.starts_with(['0', '+']));
        let bits = bits.and_then(|digits| digits.parse::<usize>().ok());
        let number = kind.zip(bits).filter(|(_, bits)| bits % 8 == 0);
        number.and_then(|(kind, bits)| Number::new(kind, bits / 8, endian)).ok_or_else(|| {
            format!("`{text}` is no type of numbers: say u8 to u64, i8 to i64, f32 or f64")
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NumberKind::Unsigned => 'u',
            NumberKind::Signed => 'i',
            NumberKind::Float => 'f',
        };
        let endian = if self.endian == Endian::Big { "be" } else { "" };
        write!(out, "{kind}{}{endian}", 8 * self.len)
    }
}

/// A file of numbers of one type, from the lowest to the highest, or the other way.
///
/// ```
/// use granule_sort::order::Numbers;
/// use granule_sort::shape::Shape;
/// let numbers = Numbers::new("i16".parse()?).descending(true);
/// assert!(numbers.compare(&5_i16.to_le_bytes(), &(-3_i16).to_le_bytes()).is_lt());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Numbers {
    number: Number,
    descending: bool,
}

impl Numbers {
    /// From the lowest to the highest.
    #[must_use]
    pub fn new(number: Number) -> Self {
        Numbers { number, descending: false }
    }

    /// The highest first, or not.
    #[must_use]
    pub fn descending(mut self, descending: bool) -> Self {
        self.descending = descending;
        self
    }

    /// The type of the numbers.
    #[must_use]
    pub fn number(&self) -> Number {
        self.number
    }

    /// Whether the highest comes first.
    #[must_use]
    pub fn is_descending(&self) -> bool {
        self.descending
    }
}

impl Shape for Numbers {
    fn width(&self) -> usize {
        self.number.len()
    }

    #[inline]
    fn rank(&self, element: &[u8]) -> u64 {
        let rank = self.number.rank(element);
        let all = u64::MAX >> (64 - 8 * self.number.len);
        if self.descending { rank ^ all } else { rank }
    }

    fn rank_decides(&self) -> bool {
        true
    }

    fn numbers(&self) -> Option<Numbers> {
        Some(*self)
    }
}

/// [`Numbers`] of `LEN` bytes: with the length, and without a branch, the compiler makes the
/// fastest sort of them.
///
/// ```
/// use granule_sort::order::{Numbers, NumbersOf};
/// let mut bytes = [5_i16, -3, 4].map(i16::to_be_bytes);
/// let shape = NumbersOf::<2>::new(Numbers::new("i16be".parse()?)).expect("an i16 has 2 bytes");
/// granule_sort::sort_in_memory(bytes.as_flattened_mut(), &shape, 1);
/// assert_eq!(bytes.map(i16::from_be_bytes), [-3, 4, 5]);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NumbersOf<const LEN: usize>(Plain<LEN, { form::ANY }>);

impl<const LEN: usize> NumbersOf<LEN> {
    /// `None` if the numbers are of another length.
    #[must_use]
    pub fn new(numbers: Numbers) -> Option<Self> {
        (numbers.number().len() == LEN).then(|| NumbersOf(Plain::new(numbers)))
    }
}

impl<const LEN: usize> Shape for NumbersOf<LEN> {
    #[inline(always)]
    fn width(&self) -> usize {
        LEN
    }

    #[inline(always)]
    fn rank(&self, element: &[u8]) -> u64 {
        self.0.rank(element)
    }

    #[inline(always)]
    fn rank_decides(&self) -> bool {
        true
    }

    fn numbers(&self) -> Option<Numbers> {
        self.0.numbers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_rust() {
        for name in ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"] {
            let number: Number = name.parse().expect(name);
            assert_eq!(number.to_string(), name);
            assert_eq!(number, format!("{name}le").parse().expect(name));
            let big: Number = format!("{name}be").parse().expect(name);
            assert_eq!(big, number.with_endian(Endian::Big));
            assert_eq!(big.to_string(), format!("{name}be"));
        }
        for bad in ["", "u", "u7", "u128", "f16", "f8", "x32", "u32me", "u+8", "be", "u08"] {
            assert!(bad.parse::<Number>().is_err(), "{bad}");
        }
    }

    /// All pairs of some values: ranks order as the language does.
    macro_rules! orders {
        ($name:literal, $values:expr, $compare:expr) => {
            for endian in [Endian::Little, Endian::Big] {
                let number = $name.parse::<Number>().expect($name).with_endian(endian);
                let bytes = |value: &_| match endian {
                    Endian::Little => to_le($values[0], value).to_vec(),
                    Endian::Big => to_le($values[0], value).iter().rev().copied().collect(),
                };
                for left in &$values {
                    for right in &$values {
                        let ranks = number.rank(&bytes(left)).cmp(&number.rank(&bytes(right)));
                        assert_eq!(ranks, $compare(left, right), "{left} {right} {endian:?}");
                        let up = Numbers::new(number);
                        let down = up.descending(true);
                        for numbers in [up, down] {
                            let ranks = [left, right].map(|value| of_len(numbers, &bytes(value)));
                            let expected = numbers.compare(&bytes(left), &bytes(right));
                            assert_eq!(ranks[0].cmp(&ranks[1]), expected, "{left} {right}");
                        }
                    }
                }
            }
        };
    }

    trait Bytes: Copy {
        fn le(self) -> Vec<u8>;
    }

    macro_rules! bytes {
        ($($type:ty)*) => {
            $(impl Bytes for $type {
                fn le(self) -> Vec<u8> {
                    self.to_le_bytes().to_vec()
                }
            })*
        };
    }

    bytes!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

    fn to_le<T: Bytes>(_: T, value: &T) -> Vec<u8> {
        value.le()
    }

    /// The rank by the shape of a constant length.
    fn of_len(numbers: Numbers, bytes: &[u8]) -> u64 {
        match bytes.len() {
            1 => NumbersOf::<1>::new(numbers).expect("1 byte").rank(bytes),
            2 => NumbersOf::<2>::new(numbers).expect("2 bytes").rank(bytes),
            4 => NumbersOf::<4>::new(numbers).expect("4 bytes").rank(bytes),
            _ => NumbersOf::<8>::new(numbers).expect("8 bytes").rank(bytes),
        }
    }

    #[test]
    fn ranks_order_as_numbers_do() {
        orders!("u8", [0_u8, 1, 127, 128, 255], Ord::cmp);
        orders!("i8", [-128_i8, -1, 0, 1, 127], Ord::cmp);
        orders!("u16", [0_u16, 1, 255, 256, u16::MAX], Ord::cmp);
        orders!("i16", [i16::MIN, -256, -1, 0, 255, i16::MAX], Ord::cmp);
        orders!("u32", [0_u32, 1, 1 << 31, u32::MAX], Ord::cmp);
        orders!("i32", [i32::MIN, -1, 0, 1, i32::MAX], Ord::cmp);
        orders!("u64", [0_u64, 1, 1 << 63, u64::MAX], Ord::cmp);
        orders!("i64", [i64::MIN, -1, 0, 1, i64::MAX], Ord::cmp);
        let nan = f32::NAN;
        orders!("f32", [-nan, f32::MIN, -1.0, -0.0, 0.0, 1e-40, 1.0, nan], f32::total_cmp);
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        orders!("f64", [-nan, -infinity, -1.5, -0.0, 0.0, 1.5, infinity, nan], f64::total_cmp);
    }

    #[test]
    fn descending_turns_around() {
        let up = Numbers::new("i32".parse().expect("a type"));
        let down = up.descending(true);
        let (low, high) = ((-5_i32).to_le_bytes(), 7_i32.to_le_bytes());
        assert!(up.compare(&low, &high).is_lt() && down.compare(&low, &high).is_gt());
        assert!(down.compare(&low, &low).is_eq() && down.rank_decides());
    }
}
