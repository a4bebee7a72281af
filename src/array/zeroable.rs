//! Floor 4. Types for which memory that was never written is a value.

use core::mem::{ManuallyDrop, MaybeUninit};
use core::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroIsize, NonZeroU8,
    NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128, NonZeroUsize, Wrapping,
};
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
    AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};

/// A type of which bytes that are all zero are a value, and one that nothing has to be done for
/// when it goes. Fresh pages read zero, so an array of such values needs no initialisation.
///
/// ```
/// use granule::array::{FaultVec, Zeroable};
///
/// #[repr(C)]
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct Cell {
///     kind: u32,
///     value: f64,
/// }
///
/// // SAFETY: (1) both fields may be zero; (2) there is nothing to drop.
/// unsafe impl Zeroable for Cell {}
///
/// let mut cells = FaultVec::<Cell>::new(1_000_000_000)?;
/// cells[999_999_999].value = 0.5;
/// assert_eq!(cells[12], Cell { kind: 0, value: 0.0 });
/// # Ok::<(), granule::Error>(())
/// ```
///
/// # Safety
/// 1. Bytes that are all zero are a value of the type.
/// 2. The type needs no drop.
pub unsafe trait Zeroable {}

macro_rules! zeroable {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY: (1) zero is a value of the type, as its documentation has it; (2) it has no
            // drop.
            unsafe impl Zeroable for $type {}
        )*
    };
}

zeroable! {
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char, (),
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize,
    Option<NonZeroU8>, Option<NonZeroU16>, Option<NonZeroU32>, Option<NonZeroU64>,
    Option<NonZeroU128>, Option<NonZeroUsize>, Option<NonZeroI8>, Option<NonZeroI16>,
    Option<NonZeroI32>, Option<NonZeroI64>, Option<NonZeroI128>, Option<NonZeroIsize>,
}

// SAFETY: (1) each element may be zero; (2) none needs a drop.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}
// SAFETY: as the type inside.
unsafe impl<T: Zeroable> Zeroable for Wrapping<T> {}
// SAFETY: (1) any bytes are a value; (2) it never drops.
unsafe impl<T> Zeroable for MaybeUninit<T> {}
// SAFETY: (1) as the type inside; (2) it never drops.
unsafe impl<T: Zeroable> Zeroable for ManuallyDrop<T> {}
// SAFETY: (1) null; (2) a pointer has no drop.
unsafe impl<T> Zeroable for *const T {}
// SAFETY: as above.
unsafe impl<T> Zeroable for *mut T {}
// SAFETY: as above.
unsafe impl<T> Zeroable for AtomicPtr<T> {}
// SAFETY: (1) `None` is null, which is guaranteed; (2) a pointer has no drop.
unsafe impl<T> Zeroable for Option<NonNull<T>> {}
// SAFETY: (1) as above; (2) a reference has no drop.
unsafe impl<T> Zeroable for Option<&'static T> {}
// SAFETY: (1) each part may be zero; (2) none needs a drop.
unsafe impl<A: Zeroable, B: Zeroable> Zeroable for (A, B) {}
// SAFETY: as above.
unsafe impl<A: Zeroable, B: Zeroable, C: Zeroable> Zeroable for (A, B, C) {}
