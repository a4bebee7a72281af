//! Floor 4, uses floors 0 to 3. What others may write to at the same time is read and written in
//! words: by the processor's atomic instructions, always of one size in one view.

use core::sync::atomic::Ordering;

mod sealed {
    /// The accesses to one word.
    ///
    /// # Safety
    /// Of each function:
    /// 1. `at` points to a word in a view that is mapped and aligned for it; for all but `load` it
    ///    may be written.
    /// 2. In this process nobody accesses it but by these functions, of this type.
    pub trait Atomic: Sized {
        #[doc(hidden)]
        unsafe fn load(at: *mut Self) -> Self;
        #[doc(hidden)]
        unsafe fn store(at: *mut Self, value: Self);
        #[doc(hidden)]
        unsafe fn add(at: *mut Self, value: Self) -> Self;
        #[doc(hidden)]
        unsafe fn exchange(at: *mut Self, old: Self, new: Self) -> Result<Self, Self>;
    }
}

pub(super) use sealed::Atomic;

/// An integer that a [`Racy`](super::Racy) view can consist of: `u8`, `u16`, `u32`, `u64`, `usize`
/// and their signed twins.
///
/// ```
/// use granule::section::Section;
/// let memory = Section::anonymous(16)?;
/// let numbers = memory.racy::<i64>(0..16)?;
/// numbers.store(1, -5)?;
/// assert_eq!((numbers.load(0)?, numbers.load(1)?), (0, -5));
/// # Ok::<(), granule::Error>(())
/// ```
pub trait Word:
    Atomic + Copy + Send + Sync + Default + PartialEq + core::fmt::Debug + 'static
{
}

macro_rules! words {
    ($($word:ident, $atomic:ident;)*) => {$(
        impl Atomic for $word {
            #[inline]
            unsafe fn load(at: *mut Self) -> Self {
                // SAFETY: (1), (2). Relaxed, so that nothing is written where nothing may be.
                unsafe { core::sync::atomic::$atomic::from_ptr(at) }.load(Ordering::Relaxed)
            }

            #[inline]
            unsafe fn store(at: *mut Self, value: Self) {
                // SAFETY: (1), (2).
                unsafe { core::sync::atomic::$atomic::from_ptr(at) }.store(value, Ordering::Relaxed)
            }

            #[inline]
            unsafe fn add(at: *mut Self, value: Self) -> Self {
                // SAFETY: (1), (2).
                let word = unsafe { core::sync::atomic::$atomic::from_ptr(at) };
                word.fetch_add(value, Ordering::AcqRel)
            }

            #[inline]
            unsafe fn exchange(at: *mut Self, old: Self, new: Self) -> Result<Self, Self> {
                // SAFETY: (1), (2).
                let word = unsafe { core::sync::atomic::$atomic::from_ptr(at) };
                word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
            }
        }

        impl Word for $word {}
    )*};
}

words! {
    u8, AtomicU8;
    u16, AtomicU16;
    u32, AtomicU32;
    u64, AtomicU64;
    usize, AtomicUsize;
    i8, AtomicI8;
    i16, AtomicI16;
    i32, AtomicI32;
    i64, AtomicI64;
    isize, AtomicIsize;
}
