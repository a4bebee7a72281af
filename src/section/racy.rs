//! Floor 4, uses floors 0 to 3. A view whose bytes others may change, and whose file they may
//! shorten.
//!
//! # What happens to lost pages
//! Linux raises SIGBUS when a page is touched that lies behind the end of its file, or that finds
//! no place on the disk. The fault floor hands that to [`Shared`], in the middle of the access:
//! 1. it asks for the length of the file, and notes how much of the view is still valid;
//! 2. it lays zero pages over everything behind it, in one call, so that there is one fault however
//!    long the lost part is;
//! 3. the access is repeated, reads zero or writes to nowhere, looks at the note, and is an error.

use super::mapped::{Keeps, Mapped};
use super::{Access, Section, Word};
use crate::addr::{align_down, align_up};
use crate::error::{Error, ErrorKind, Op};
use crate::fault::{Fault, Handler, Outcome, Watch};
use crate::sys::{self, Backing, Durability, Sharing};
use crate::vm::{Protection, Reservation};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

/// What the handler of a view works with: it lies in memory of its own, and does not move.
struct Shared {
    /// Where the mapped pages begin and end.
    pages: Range<usize>,
    /// Where the view begins in them.
    lead: usize,
    /// Where it begins in the file.
    offset: u64,
    file: Backing,
    /// How many bytes of the view are known not to be lost.
    valid: AtomicUsize,
}

impl Handler for Shared {
    fn fault(&self, fault: &Fault) -> Outcome {
        let page_len = sys::limits().page_len;
        let touched = align_down(fault.addr(), page_len);
        // SAFETY: (1) the file is open for as long as the view lives, and so longer than the watch.
        let file_len = unsafe { sys::stored_len(self.file) }.unwrap_or(u64::MAX);
        let kept = |from: u64| usize::try_from(file_len.saturating_sub(from)).unwrap_or(usize::MAX);
        let valid = kept(self.offset);
        // A page of which the file still has a byte is there, whole.
        let pages_len = align_up(kept(self.offset - self.lead as u64), page_len);
        let end = pages_len.and_then(|len| self.pages.start.checked_add(len));
        let (lost, valid) = match end {
            Some(end) if touched >= end => (end..self.pages.end, valid),
            // The file is long enough (again); this page has no place, or cannot be read.
            _ => {
                let first = self.pages.start + self.lead;
                (touched..touched + page_len, touched.saturating_sub(first))
            }
        };
        self.valid.fetch_min(valid, Ordering::Release);
        let Some(start) = NonNull::new(core::ptr::with_exposed_provenance_mut(lost.start)) else {
            return Outcome::NotMine;
        };
        // SAFETY: (1) pages of the view; (2) an access to them is an error from now on.
        match unsafe { sys::patch_view(start, lost.len()) } {
            Ok(()) => Outcome::Resume,
            Err(_) => Outcome::NotMine,
        }
    }
}

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
    /// Dropped first: the handler must not run when the rest is gone.
    _watch: Option<Watch>,
    mapped: Mapped,
    /// Has the [`Shared`]; none for an empty view.
    state: Option<Reservation>,
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
        let mut view = Racy { _watch: None, mapped, state: None, access, words: PhantomData };
        if view.mapped.len() > 0 && view.mapped.file().file != Backing::NOTHING {
            let (offset, len) = (view.mapped.offset(), view.mapped.len());
            view.watch().map_err(|error| error.as_part_of_file(Op::Map, offset, len))?;
        }
        Ok(view)
    }

    /// Has faults of the view answered.
    fn watch(&mut self) -> Result<(), Error> {
        let (start, lead) = self.mapped.start();
        let page_len = sys::limits().page_len;
        let end = start.addr().get() + lead + self.mapped.len();
        let pages = start.addr().get()..align_up(end, page_len).unwrap_or(end);
        let state = Reservation::builder().len(size_of::<Shared>()).untracked().reserve()?;
        state.commit(0..size_of::<Shared>(), Protection::ReadWrite)?;
        let (offset, file) = (self.mapped.offset(), self.mapped.file());
        let valid = AtomicUsize::new(usize::MAX);
        let place = state.as_ptr().cast::<Shared>();
        start.as_ptr().expose_provenance(); // the handler makes pointers of it
        // SAFETY: committed, page-aligned, and ours alone.
        unsafe { place.write(Shared { pages: pages.clone(), lead, offset, file, valid }) };
        // SAFETY: it stays there as long as `state`, which goes after the watch.
        let shared: &'static Shared = unsafe { &*place };
        // SAFETY: (1) the handler makes bare calls and atomic accesses only; (2) it has laid a page
        // there then; (3) the view was made a moment ago, and nobody knows it.
        self._watch = Some(unsafe { Watch::new(pages, shared) }?);
        self.state = Some(state);
        Ok(())
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
        let Some(state) = &self.state else { return self.mapped.len() };
        // SAFETY: written when the view was made, and shared from then on.
        let shared = unsafe { &*state.as_ptr().cast::<Shared>() };
        shared.valid.load(Ordering::Relaxed).min(self.mapped.len())
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
