//! What one element of a file is, and which of two comes first.

use crate::order::{self, Endian, NumberKind, Numbers};
use core::cmp::Ordering;
use core::marker::PhantomData;

/// Elements of one width, and their order.
///
/// Sorting looks at the rank first, which is a number and quick to move about, and at the elements
/// only where two ranks are equal. A shape is compiled into the sort: where `width` is a constant
/// and inlined, as for numbers, elements are moved by single instructions.
pub trait Shape: Sync {
    /// Bytes of one element; at least 1, and always the same.
    fn width(&self) -> usize;

    /// A number that orders as the elements do, as far as it goes: of two elements with different
    /// ranks, the one with the lower rank comes first. `element` has [`width`](Self::width) bytes.
    fn rank(&self, element: &[u8]) -> u64;

    /// Elements of equal rank are in no order: [`compare`](Self::compare) has nothing to add.
    fn rank_decides(&self) -> bool;

    /// Which of two elements comes first. Consistent with the rank, and a total order.
    fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        self.rank(left).cmp(&self.rank(right))
    }

    /// The elements are plain numbers in this order, and nothing else decides: they may be sorted
    /// by vector instructions, which look at their bits and at no [`rank`](Self::rank). `None`
    /// unless a shape says so.
    fn numbers(&self) -> Option<Numbers> {
        None
    }
}

/// A number that has a rank: unsigned as it is, signed with its sign turned, floating point in the
/// order of `total_cmp` (-NaN, -infinity .. -0.0, 0.0 .. infinity, NaN).
pub trait Number: Copy + Send + Sync + sealed::Plain {
    /// What its bytes mean.
    const KIND: NumberKind;

    /// A number that orders as these do.
    fn rank(self) -> u64;

    /// From its bytes, in the order of this machine; there are as many as it is wide.
    fn of_bytes(bytes: &[u8]) -> Self;
}

mod sealed {
    /// All bytes are a value, and there is no padding: a slice of them is a slice of bytes.
    pub trait Plain {}
}

macro_rules! numbers {
    ($($number:ty, $kind:ident, |$value:ident| $rank:expr;)*) => {$(
        impl sealed::Plain for $number {}

        impl Number for $number {
            const KIND: NumberKind = NumberKind::$kind;

            #[inline(always)]
            fn rank(self) -> u64 {
                let $value = self;
                $rank
            }

            #[inline(always)]
            fn of_bytes(bytes: &[u8]) -> Self {
                <$number>::from_ne_bytes(bytes.try_into().expect("as many bytes as it is wide"))
            }
        }
    )*};
}

numbers! {
    u8, Unsigned, |value| u64::from(value);
    u16, Unsigned, |value| u64::from(value);
    u32, Unsigned, |value| u64::from(value);
    u64, Unsigned, |value| value;
    i8, Signed, |value| u64::from((value as u8) ^ (1 << 7));
    i16, Signed, |value| u64::from((value as u16) ^ (1 << 15));
    i32, Signed, |value| u64::from((value as u32) ^ (1 << 31));
    i64, Signed, |value| (value as u64) ^ (1 << 63);
    f32, Float, |value| {
        let bits = value.to_bits();
        u64::from(bits ^ (((bits as i32) >> 31) as u32 | (1 << 31)))
    };
    f64, Float, |value| {
        let bits = value.to_bits();
        bits ^ (((bits as i64) >> 63) as u64 | (1 << 63))
    };
}

/// The shape of numbers in the byte order of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native<T>(PhantomData<T>);

impl<T> Native<T> {
    /// The shape.
    #[must_use]
    pub const fn new() -> Self {
        Native(PhantomData)
    }
}

impl<T: Number> Shape for Native<T> {
    #[inline(always)]
    fn width(&self) -> usize {
        size_of::<T>()
    }

    #[inline(always)]
    fn rank(&self, element: &[u8]) -> u64 {
        T::of_bytes(element).rank()
    }

    #[inline(always)]
    fn rank_decides(&self) -> bool {
        true
    }

    fn numbers(&self) -> Option<Numbers> {
        let endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };
        order::Number::new(T::KIND, size_of::<T>(), endian).map(Numbers::new)
    }
}
