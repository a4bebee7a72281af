//! Floor 4, uses floors 0 to 3. Plain data: what any bytes of a file are a value of.

use crate::error::{Error, ErrorKind, Op};
use core::num::Wrapping;

/// Plain data: a type whose values are their bytes, and of which any bytes are a value. Integers,
/// floats and arrays of them are; so is a structure of them without padding, and
/// [`pod_struct!`](crate::pod_struct) makes one without any `unsafe`.
///
/// `bool`, `char`, references and most enumerations are not: some bytes are no value of them.
///
/// ```
/// use granule::section::{Pod, ViewMut};
///
/// #[repr(C)]
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct Sample {
///     time: u64,
///     value: f64,
/// }
///
/// // SAFETY: (1), (2): two fields of 8 bytes, one behind the other, and any bits are numbers; (3)
/// // they are numbers only.
/// unsafe impl Pod for Sample {}
///
/// # let path = std::env::temp_dir().join(format!("granule-pod-{}", std::process::id()));
/// std::fs::write(&path, [0; 32])?;
/// // SAFETY: (1) to (3): the file is this program's own, and mapped once.
/// let mut view = unsafe { ViewMut::open(&path) }?;
/// let samples = view.as_mut_slice_of::<Sample>()?;
/// samples[1] = Sample { time: 7, value: 0.5 };
/// assert_eq!(view.as_slice_of::<u64>()?, [0, 0, 7, 0.5f64.to_bits()]);
/// # drop(view);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Other crates of plain data
/// Views are bytes (`Deref<Target = [u8]>`), so what is derived with `bytemuck` or `zerocopy` needs
/// no adapter: `bytemuck::try_cast_slice::<u8, T>(&view)` and `<[T]>::ref_from_bytes(&view)`.
///
/// # The order of bytes
/// A number lies in the file as it lies in memory: another processor may read it the other way
/// round. Use `u64::to_le` and `u64::from_le` in files that travel.
///
/// # Safety
/// 1. Any bytes, of the type's size, are a value of it.
/// 2. It has no padding: every byte of a value is initialised.
/// 3. It has no references or pointers, and no part that can be changed through a shared
///    reference.
#[doc(alias("AnyBitPattern", "FromBytes", "plain old data", "bytemuck", "zerocopy"))]
pub unsafe trait Pod: Copy + 'static {}

macro_rules! pod {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY: (1) to (3): a number of which all bits count, and any are one.
            unsafe impl Pod for $type {}
        )*
    };
}

pod! { u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64 }

// SAFETY: (1) to (3): values of such a type, side by side, with nothing in between.
unsafe impl<T: Pod, const N: usize> Pod for [T; N] {}
// SAFETY: (1) to (3): laid out as the type in it.
unsafe impl<T: Pod> Pod for Wrapping<T> {}

/// Makes a structure that is [`Pod`]: `#[repr(C)]`, `Clone`, `Copy`, and checked when it is
/// compiled. A field that is not plain data is an error, and so is padding: order the fields by
/// size, or name the gap.
///
/// ```
/// use granule::{pod_struct, section::bytes_of};
/// pod_struct! {
///     /// An entry of an index.
///     #[derive(Debug, PartialEq)]
///     pub struct Entry {
///         pub key: [u8; 10],
///         pub len: u16,
///         pub record: u32,
///     }
/// }
/// let entry = Entry { key: *b"granule   ", len: 7, record: 1 };
/// assert_eq!(bytes_of(&[entry]).len(), 16);
/// ```
///
/// There would be 7 bytes behind `kind`:
/// ```compile_fail,E0080
/// granule::pod_struct! {
///     struct Padded { kind: u8, value: u64 }
/// }
/// ```
///
/// Not every byte is a `bool`:
/// ```compile_fail,E0277
/// granule::pod_struct! {
///     struct Flag { is_set: bool }
/// }
/// ```
#[macro_export]
macro_rules! pod_struct {
    (
        $(#[$attribute:meta])*
        $seen:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_seen:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        $seen struct $name {
            $($(#[$field_attribute])* $field_seen $field: $type),*
        }

        const _: () = {
            const fn size_of_pod<T: $crate::section::Pod>() -> usize {
                ::core::mem::size_of::<T>()
            }
            let fields = 0 $(+ size_of_pod::<$type>())*;
            assert!(fields == ::core::mem::size_of::<$name>(), "the structure has padding");
        };

        // SAFETY: (1), (3): all fields are such types; (2) nor is there a byte between them or
        // behind, as was checked above.
        unsafe impl $crate::section::Pod for $name {}
    };
}

/// The bytes of plain data, as they lie in memory.
///
/// ```
/// assert_eq!(granule::section::bytes_of(&[0x0101u16, 0x0202]), [1, 1, 2, 2]);
/// ```
#[must_use]
pub const fn bytes_of<T: Pod>(values: &[T]) -> &[u8] {
    // SAFETY: of a `Pod` all bytes are initialised (2), and none can change meanwhile (3).
    unsafe { core::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Bytes that begin at `offset` of a file, as values.
pub(super) fn cast<T: Pod>(bytes: &[u8], offset: u64) -> Result<&[T], Error> {
    let len = count::<T>(bytes, offset)?;
    let start = if len == 0 { core::ptr::dangling() } else { bytes.as_ptr().cast() };
    // SAFETY: so many values fit, aligned, and any bytes are values (1); they are borrowed as the
    // bytes are.
    Ok(unsafe { core::slice::from_raw_parts(start, len) })
}

/// The same, to be changed.
pub(super) fn cast_mut<T: Pod>(bytes: &mut [u8], offset: u64) -> Result<&mut [T], Error> {
    let len = count::<T>(bytes, offset)?;
    let start = bytes.as_mut_ptr().cast();
    let start = if len == 0 { core::ptr::dangling_mut() } else { start };
    // SAFETY: as above; and whatever is written to them leaves initialised bytes (2).
    Ok(unsafe { core::slice::from_raw_parts_mut(start, len) })
}

/// How many values the bytes are.
fn count<T: Pod>(bytes: &[u8], offset: u64) -> Result<usize, Error> {
    let refused = |kind| Err(Error::new(Op::Cast, kind, offset as usize, bytes.len(), 0));
    if bytes.is_empty() {
        return Ok(0);
    }
    if !bytes.as_ptr().cast::<T>().is_aligned() {
        return refused(ErrorKind::Misaligned);
    }
    match bytes.len().checked_rem(size_of::<T>()) {
        Some(0) => Ok(bytes.len() / size_of::<T>()),
        _ => refused(ErrorKind::OutOfRange),
    }
}
