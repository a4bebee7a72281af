//! Floor 4, uses floors 0 to 3. A slice that costs what is touched.

use super::fault_region::{Decision, Engine, FaultBuilder, FaultRegion, Touch, Words};
use super::zeroable::Zeroable;
use crate::error::{Error, ErrorKind, Op};
use crate::vm::Name;
use core::any::type_name;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut, Range};
use core::slice;

/// So many elements, all of them zero, that take memory where they are touched.
///
/// It is a slice: indexing, iterating, sorting and whatever else slices do is there. The pages of
/// elements that nobody has touched are addresses only. [`FaultRegion`] says how that is done, what
/// system calls do with such memory, and what happens where none can be had.
///
/// ```
/// use granule::array::FaultVec;
/// let mut cells = FaultVec::<u32>::new(1 << 38)?; // a terabyte of addresses
/// cells[200_000_000_000] = 7;
/// assert_eq!((cells[200_000_000_000], cells[5]), (7, 0));
/// assert!(cells.committed_pages()? <= 2 * 16);
/// # Ok::<(), granule::Error>(())
/// ```
///
/// # When to use which
/// A `Vec` where the size is known or small. [`StableVec`](super::StableVec) where elements come
/// one after the other, and must not move. A `FaultVec` where they are touched here and there:
/// tables by number, sparse grids, guest memory.
pub struct FaultVec<T> {
    region: FaultRegion,
    len: usize,
    elements: PhantomData<T>,
}

// SAFETY: it owns its elements, as a box of a slice does.
unsafe impl<T: Send> Send for FaultVec<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for FaultVec<T> {}

/// What a [`FaultVec`] is to be.
///
/// ```
/// use granule::array::{Engine, FaultVec};
/// let builder = FaultVec::<u32>::builder().len(5 * 1024).engine(Engine::Mprotect);
/// let cells = builder.chunk_len(1).pages_max(5).make()?;
/// assert_eq!((cells.len(), cells.committed_pages()?), (5 * 1024, 0));
/// # Ok::<(), granule::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is reserved before `make`"]
pub struct FaultVecBuilder<T> {
    region: FaultBuilder,
    len: usize,
    elements: PhantomData<fn() -> T>,
}

impl<T: Zeroable> FaultVecBuilder<T> {
    /// How many elements. Required.
    pub const fn len(mut self, len: usize) -> Self {
        self.len = len;
        self
    }

    /// As [`FaultBuilder::engine`].
    pub const fn engine(mut self, engine: Engine) -> Self {
        self.region = self.region.engine(engine);
        self
    }

    /// As [`FaultBuilder::chunk_len`]: bytes, not elements.
    pub const fn chunk_len(mut self, len: usize) -> Self {
        self.region = self.region.chunk_len(len);
        self
    }

    /// As [`FaultBuilder::pages_max`].
    pub const fn pages_max(mut self, pages: usize) -> Self {
        self.region = self.region.pages_max(pages);
        self
    }

    /// As [`FaultBuilder::on_touch`].
    pub const fn on_touch(mut self, decide: fn(&Touch) -> Decision) -> Self {
        self.region = self.region.on_touch(decide);
        self
    }

    /// As [`FaultBuilder::name`].
    pub const fn name(mut self, name: Name) -> Self {
        self.region = self.region.name(name);
        self
    }

    /// Reserves the array.
    ///
    /// # Errors
    /// As for [`FaultBuilder::make`]; `OutOfRange` also for elements without a size.
    pub fn make(self) -> Result<FaultVec<T>, Error> {
        const { assert!(align_of::<T>() <= 64 << 10, "regions are aligned to 64 KiB") };
        let bytes = self.len.checked_mul(size_of::<T>());
        let bytes = bytes.filter(|&bytes| bytes <= isize::MAX as usize);
        let refused = Error::new(Op::Reserve, ErrorKind::OutOfRange, 0, usize::MAX, 0);
        let words =
            Words { element: type_name::<T>(), element_len: size_of::<T>(), count: self.len };
        let region = self.region.len(bytes.ok_or(refused)?).words(words).make()?;
        Ok(FaultVec { region, len: self.len, elements: PhantomData })
    }
}

impl<T: Zeroable> FaultVec<T> {
    /// `len` elements that are zero, with everything as [`builder`](Self::builder) has it by
    /// default.
    ///
    /// # Errors
    /// As for [`FaultVecBuilder::make`].
    pub fn new(len: usize) -> Result<Self, Error> {
        Self::builder().len(len).make()
    }

    /// An array with wishes: engine, chunk, limit, callback, name.
    pub const fn builder() -> FaultVecBuilder<T> {
        FaultVecBuilder { region: FaultRegion::builder(), len: 0, elements: PhantomData }
    }

    /// Makes elements zero again and gives the memory of the pages back that they fill. The others
    /// of the range are written, where their pages are committed.
    ///
    /// # Panics
    /// If the range is inverted or ends behind the last element.
    ///
    /// # Errors
    /// As for [`FaultRegion::reset`]; content of the range may be lost.
    pub fn reset(&mut self, range: Range<usize>) -> Result<(), Error> {
        let page_len = self.region.page_len();
        let part = &mut self[range.clone()];
        let bytes = part.as_mut_ptr_range();
        let (first, end) = (bytes.start.addr(), bytes.end.addr());
        let base = self.region.base();
        let (first, end) = (first - base, end - base);
        let inner = first.next_multiple_of(page_len)..end - end % page_len;
        let edges = if inner.start >= inner.end {
            [first..end, end..end]
        } else {
            self.region.reset(inner.clone())?;
            [first..inner.start, inner.end..end]
        };
        edges.into_iter().try_for_each(|edge| self.write_zeros(edge))
    }

    /// Writes zeros to bytes of elements, but not to pages that read zero because nobody has
    /// touched them: there may be no memory for them.
    fn write_zeros(&mut self, range: Range<usize>) -> Result<(), Error> {
        let mut offset = range.start;
        while offset < range.end {
            let (is_committed, run_end) = self.region.run_at(offset)?;
            let end = run_end.min(range.end);
            if is_committed {
                // SAFETY: inside the region.
                let place = unsafe { self.region.as_ptr().add(offset) };
                // SAFETY: committed bytes of elements, which `&mut self` lends; zero is a value of
                // what they become (Zeroable, 1), and they need no drop (2).
                unsafe { place.write_bytes(0, end - offset) };
            }
            offset = end;
        }
        Ok(())
    }
}

impl<T> FaultVec<T> {
    /// Who commits.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.region.engine()
    }

    /// As [`FaultRegion::committed_pages`].
    ///
    /// # Errors
    /// As there.
    pub fn committed_pages(&self) -> Result<usize, Error> {
        self.region.committed_pages()
    }

    /// Commits the pages of some elements, so that system calls can be given them; see
    /// [`FaultRegion`].
    ///
    /// # Errors
    /// As for [`FaultRegion::prepare_for_io`].
    pub fn prepare_for_io(&self, range: Range<usize>) -> Result<(), Error> {
        // Ends that overflow are out of range, too.
        let byte = |index: usize| index.saturating_mul(size_of::<T>());
        let end = if range.end > self.len { usize::MAX } else { byte(range.end) };
        self.region.prepare_for_io(byte(range.start)..end)
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self
    }

    /// The elements.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
}

impl<T> Deref for FaultVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let first = self.region.as_ptr().cast_const().cast::<T>();
        // SAFETY: the region has room for so many, is aligned to 64 KiB, which is enough (`make`),
        // and every page of it reads as a value when it is touched: zero, or what was written.
        // `&self` lends them.
        unsafe { slice::from_raw_parts(first, self.len) }
    }
}

impl<T> DerefMut for FaultVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let first = self.region.as_ptr().cast::<T>();
        // SAFETY: as above; `&mut self` lends them to one.
        unsafe { slice::from_raw_parts_mut(first, self.len) }
    }
}

impl<'a, T> IntoIterator for &'a FaultVec<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut FaultVec<T> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// Says how long it is and what it costs: its elements would be touched by looking at them.
impl<T> fmt::Debug for FaultVec<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FaultVec")
            .field("elements", &type_name::<T>())
            .field("len", &self.len)
            .field("region", &self.region)
            .finish()
    }
}
