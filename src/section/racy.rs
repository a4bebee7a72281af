//! Floor 4, uses floors 0 to 3. A view whose bytes others may change, and whose file they may
//! shorten. What happens to lost pages is told in [`lost`](super::lost): an access that was
//! repeated looks at the note, and is an error.

use super::lost::Patched;
use super::mapped::{Keeps, Mapped};
use super::{Access, Section, Word};
use crate::error::{Error, ErrorKind, Op};
use crate::sys::{Backing, Durability, Sharing};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

/// A part of a file, or of memory, that anybody may change at any time: words instead of slices.
///
/// It is safe, and honest: whatever other processes do to the file, a load tells what the word was
/// at some moment, or that it is lost. What they write at the same time can be torn between words,
/// and never within one.
///
/// | they | an access here |
/// |---|---|
/// | write | reads the old word or the new one |
/// | shorten the file | is `Truncated`, and the process lives |
/// | shorten it inside a page | reads zero up to the end of that page; no system can tell |
/// | shorten and lengthen it, unseen | reads zero where the file now has zeros |
/// | fill the disk under a file with holes | is `Truncated` where a store needs a place |
///
/// On Windows a file that is mapped cannot be made shorter; a disk or a network that fails under a
/// view ends the process there (`EXCEPTION_IN_PAGE_ERROR`): nothing can be laid over a view.
///
/// A view has words of one size, because a word that is written whole and read in parts has no
/// value that the language knows. Two views of one file may differ in it.
///
/// ```
/// use granule::section::{Access, Section};
/// # let path = std::env::temp_dir().join(format!("granule-racy-{}", std::process::id()));
/// std::fs::write(&path, [0; 16])?;
/// let file = std::fs::File::options().read(true).write(true).open(&path)?;
/// let counters = Section::of_file(&file, Access::Write)?.racy::<u64>(0..16)?;
/// counters.fetch_add(1, 5)?; // by any process that has the file
/// assert_eq!(counters.load(1)?, 5);
/// # drop((counters, file));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("MapViewOfFile", "mmap", "SIGBUS", "shared memory"))]
pub struct Racy<T: Word = u8> {
    /// Dropped first. None for an empty view.
    patched: Option<Patched>,
    mapped: Mapped,
    access: Access,
    words: PhantomData<T>,
}

// SAFETY: the words are accessed by atomic instructions only; all else is the process' own.
unsafe impl<T: Word> Send for Racy<T> {}
// SAFETY: as above.
unsafe impl<T: Word> Sync for Racy<T> {}

impl<T: Word> Racy<T> {
    pub(super) fn map(section: &Section, range: Range<u64>) -> Result<Self, Error> {
        let size = size_of::<T>() as u64;
        if !range.start.is_multiple_of(size) || !range.end.is_multiple_of(size) {
            let len = range.end.saturating_sub(range.start) as usize;
            return Err(Error::new(Op::Map, ErrorKind::Misaligned, range.start as usize, len, 0));
        }
        let sharing = match section.access() {
            Access::Read => Sharing::Read,
            Access::Write => Sharing::Write,
        };
        let mapped = Mapped::new(section, range, sharing, Keeps::File)?;
        let access = section.access();
        let (offset, len, file) = (mapped.offset(), mapped.len(), mapped.file());
        let mut view = Racy { patched: None, mapped, access, words: PhantomData };
        if len > 0 && file.file != Backing::NOTHING {
            // SAFETY: (1) the view keeps it, and goes after this.
            let patched = unsafe { Patched::new(&view.mapped, file) };
            let patched = patched.map_err(|error| error.as_part_of_file(Op::Map, offset, len));
            view.patched = Some(patched?);
        }
        Ok(view)
    }

    /// The first word, for what else lies in shared memory: its user keeps to atomic accesses.
    pub(super) const fn as_ptr(&self) -> NonNull<u8> {
        self.mapped.as_ptr()
    }

    /// How many words.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.mapped.len() / size_of::<T>()
    }

    /// True for a view without words.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.mapped.len() == 0
    }

    /// How many words are known not to be lost. It becomes less when an access finds out, and
    /// never more.
    #[must_use]
    pub fn valid_len(&self) -> usize {
        self.valid_bytes() / size_of::<T>()
    }

    fn valid_bytes(&self) -> usize {
        self.patched.as_ref().map_or(usize::MAX, Patched::valid).min(self.mapped.len())
    }

    /// The word at `index`, as it is now (an acquire load).
    ///
    /// # Errors
    /// - `OutOfRange`: there is no such word.
    /// - `Truncated`: it is lost.
    #[inline]
    pub fn load(&self, index: usize) -> Result<T, Error> {
        let at = self.at(index, 1, Access::Read)?;
        // SAFETY: (1) inside the view; (2) it has accesses of this type only.
        let value = unsafe { T::load(at) };
        self.done(index, 1).map(|()| value)
    }

    /// Writes the word at `index` (a release store).
    ///
    /// # Errors
    /// - `OutOfRange`, `Truncated`: as for [`load`](Self::load).
    /// - `Denied`: the section is for reading only.
    #[inline]
    pub fn store(&self, index: usize, value: T) -> Result<(), Error> {
        let at = self.at(index, 1, Access::Write)?;
        fence(Ordering::Release);
        // SAFETY: (1) inside the view, which may be written; (2) as for `load`.
        unsafe { T::store(at, value) };
        self.done(index, 1)
    }

    /// Adds to the word at `index` in one step, around at the end of its range, and tells what was
    /// there before.
    ///
    /// # Errors
    /// As for [`store`](Self::store).
    #[inline]
    pub fn fetch_add(&self, index: usize, value: T) -> Result<T, Error> {
        let at = self.at(index, 1, Access::Write)?;
        // SAFETY: (1) and (2) as for `store`.
        let before = unsafe { T::add(at, value) };
        self.done(index, 1).map(|()| before)
    }

    /// Writes `new` if the word at `index` is `old`, in one step. Tells what was there before: `Ok`
    /// inside if it was `old`.
    ///
    /// # Errors
    /// As for [`store`](Self::store).
    #[inline]
    pub fn compare_exchange(&self, index: usize, old: T, new: T) -> Result<Result<T, T>, Error> {
        let at = self.at(index, 1, Access::Write)?;
        // SAFETY: (1) and (2) as for `store`.
        let told = unsafe { T::exchange(at, old, new) };
        self.done(index, 1).map(|()| told)
    }

    /// Copies the words from `first` on, word by word.
    ///
    /// # Errors
    /// As for [`load`](Self::load). The words before the lost ones have been copied.
    pub fn copy_out(&self, first: usize, words: &mut [T]) -> Result<(), Error> {
        let at = self.at(first, words.len(), Access::Read)?;
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: inside the view.
            let at = unsafe { at.add(index) };
            // SAFETY: (1) and (2) as for `load`.
            *word = unsafe { T::load(at) };
        }
        self.done(first, words.len())
    }

    /// Copies words to `first` and behind it, word by word.
    ///
    /// # Errors
    /// As for [`store`](Self::store). The words before the lost ones have been written.
    pub fn copy_in(&self, first: usize, words: &[T]) -> Result<(), Error> {
        let at = self.at(first, words.len(), Access::Write)?;
        fence(Ordering::Release);
        for (index, &word) in words.iter().enumerate() {
            // SAFETY: inside the view.
            let at = unsafe { at.add(index) };
            // SAFETY: (1) and (2) as for `store`.
            unsafe { T::store(at, word) };
        }
        self.done(first, words.len())
    }

    /// Brings what was written to these words to the disk; see
    /// [`ViewMut::flush`](super::ViewMut::flush).
    ///
    /// # Errors
    /// As there.
    pub fn flush(&self, range: Range<usize>, durability: Durability) -> Result<(), Error> {
        let bytes = |index: usize| index.saturating_mul(size_of::<T>());
        self.mapped.flush(bytes(range.start)..bytes(range.end), durability)
    }

    /// Where the words from `first` on lie.
    #[inline]
    fn at(&self, first: usize, count: usize, access: Access) -> Result<*mut T, Error> {
        if count > self.len() || first > self.len() - count {
            return Err(self.error(ErrorKind::OutOfRange, first, count));
        }
        if access == Access::Write && self.access == Access::Read {
            return Err(self.error(ErrorKind::Denied, first, count));
        }
        // SAFETY: inside the view, or at its end.
        Ok(unsafe { self.mapped.as_ptr().as_ptr().cast::<T>().add(first) })
    }

    /// Whether what was accessed was there. The fence keeps this look behind the access.
    #[inline]
    fn done(&self, first: usize, count: usize) -> Result<(), Error> {
        fence(Ordering::AcqRel);
        if (first + count) * size_of::<T>() > self.valid_bytes() {
            return Err(self.error(ErrorKind::Truncated, first, count));
        }
        Ok(())
    }

    #[cold]
    fn error(&self, kind: ErrorKind, first: usize, count: usize) -> Error {
        let bytes = |words: usize| words.saturating_mul(size_of::<T>());
        self.mapped.error(Op::Access, kind, bytes(first), bytes(count))
    }
}

impl<T: Word> fmt::Debug for Racy<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, size, offset) = (self.len(), size_of::<T>(), self.mapped.offset());
        write!(out, "Racy({len} words of {size} bytes at offset {offset})")
    }
}
