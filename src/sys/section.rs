//! Floor 1, uses floor 0. The third page of the door: files as memory.
//!
//! The contract is that of the folder (see `sys`), with these additions:
//! - A [`Backing`] is ours until it is closed; views outlive it.
//! - Offsets of views are multiples of [`view_step`], lengths are not zero and need not be whole
//!   pages: the rest of the last page belongs to the view.
//! - Nothing here protects from what other processes do to a file.

use super::{
    Access, Errno, allocate_len, backing_again, close_backing, file_backing, first_copies,
    flush_view, forget_copies, map_view, memory_backing, patch_view, set_len, stored_len,
    unmap_view, view_step,
};
use core::ops::Range;
use core::ptr::NonNull;

/// A file or memory that can be mapped, by the numbers that the system knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backing {
    /// The file; [`NOTHING`](Backing::NOTHING) for memory.
    pub(crate) file: usize,
    /// What views are made of, where that is not the file: a file of memory; on Windows the section
    /// object, which an empty file has not.
    pub(crate) object: usize,
}

impl Backing {
    /// The number of no file.
    pub(crate) const NOTHING: usize = usize::MAX;

    /// The number that a view is made of.
    #[cfg(not(windows))]
    pub(super) const fn mapped(self) -> usize {
        if self.object == Self::NOTHING { self.file } else { self.object }
    }
}

/// How a view is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// To be read; it shows what others write.
    Read,
    /// To be read and written; others see it.
    Write,
    /// To be read and written; a page is copied when it is first written, and nobody sees it.
    Copy,
}

/// What a flush has done when it returns.
///
/// | | Linux | Windows |
/// |---|---|---|
/// | `Start` | sync_file_range | `FlushViewOfFile` |
/// | `Data` | msync(MS_SYNC) | `FlushViewOfFile`, `FlushFileBuffers` |
/// | `Full` | msync(MS_SYNC), fsync | `FlushViewOfFile`, `FlushFileBuffers` |
///
/// On Linux msync(MS_SYNC) is fdatasync of a range: it waits for the bytes, and for the file
/// system's journal if a place or a length has changed, but not for times.
///
/// macOS and FreeBSD: msync with MS_ASYNC for `Start`, MS_SYNC for `Data`, and fsync for `Full`.
///
/// ```
/// use granule::section::{Durability, Section};
/// let memory = Section::anonymous(1)?;
/// // SAFETY: (1) to (3): nobody else knows this memory.
/// let view = unsafe { memory.view_mut(0..1) }?;
/// view.flush(0..1, Durability::Full)?; // nothing to do: it is no file
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Writing has begun. Nothing is promised; what follows is quicker.
    Start,
    /// The bytes of the range are on the disk, and what is needed to find them again.
    Data,
    /// The file is on the disk: all its bytes, its length, its times.
    Full,
}

/// The list every platform must have, with the types it must have them in.
#[expect(clippy::type_complexity, reason = "the list of types is the point")]
const _SECTION_CONTRACT: (
    unsafe fn(usize, Access) -> Result<(Backing, u64), Errno>,
    fn(u64) -> Result<Backing, Errno>,
    unsafe fn(Backing, bool) -> Result<Backing, Errno>,
    unsafe fn(Backing),
    unsafe fn(Backing) -> Result<u64, Errno>,
    unsafe fn(usize, u64) -> Result<(), Errno>,
    unsafe fn(usize, u64, u64) -> Result<(), Errno>,
    unsafe fn(Backing, u64, usize, Sharing) -> Result<NonNull<u8>, Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    unsafe fn(Backing, u64, NonNull<u8>, usize, Durability) -> Result<(), Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<Option<Range<usize>>, Errno>,
    unsafe fn(NonNull<u8>, usize) -> Result<(), Errno>,
    fn() -> usize,
) = (
    file_backing,
    memory_backing,
    backing_again,
    close_backing,
    stored_len,
    set_len,
    allocate_len,
    map_view,
    unmap_view,
    patch_view,
    flush_view,
    first_copies,
    forget_copies,
    view_step,
);

/// Files of the standard library.
#[cfg(feature = "std")]
const _FILE_CONTRACT: fn(&std::fs::File) -> usize = super::number_of;
