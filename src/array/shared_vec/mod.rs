//! Floor 4, uses floors 0 to 3. An array that many threads append to at the same time.
//!
//! # Why it is sound
//! Which elements are complete is told by `ds::prefix`; memory comes from `growth`. Here are the
//! elements, and this is why they may be touched:
//! 1. An index is taken once, so whoever has a ticket writes its element alone, and before a scan
//!    has found its note nobody reads it.
//! 2. There is memory for it: that is committed before the ticket can be taken, and stays until the
//!    array is dropped. Nothing ever moves.
//! 3. Elements below `published` are written, and only ever shared from then on: references to them
//!    are valid as long as the array is borrowed.
//! 4. Between the ticket and the note nothing can panic: the value is there already, and is moved.
//! 5. With `&mut` to the array nobody appends. A taken element without a note is that of a thread
//!    which is not there any more (see "fork" at [`SharedVec`]), and is not touched.

mod error;
mod growth;
mod iter;
#[cfg(test)]
mod tests;
mod turn;

pub use error::{PushError, PushReason};
pub use iter::IntoIter;

use crate::ds::prefix::{Prefix, Ticket};
use crate::error::Error;
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use error::Refused;
use growth::{Memory, Refusal};

/// Bytes of elements that [`SharedVec::new`] takes addresses for.
const USUAL_LEN: usize = if usize::BITS >= 64 { 1 << 36 } else { 1 << 27 };

/// A vector that any number of threads append to through `&self`, without a lock.
///
/// - Elements never move: a `&T` stays valid as long as the vector is borrowed, whoever appends.
/// - They are contiguous: [`as_slice`](Self::as_slice) is one `&[T]`.
/// - Every reader sees a prefix: if element 7 is there, elements 0 to 6 are, whoever appended them.
///   An element is seen as soon as its `push` and those of all before it are through.
///
/// ```
/// use granule::array::SharedVec;
/// let vec = SharedVec::new();
/// let first = &vec[vec.push(0)];
/// std::thread::scope(|scope| {
///     for thread in 1..=4 {
///         let vec = &vec;
///         scope.spawn(move || (0..1000).map(|_| vec.push(thread)).max());
///     }
///     let seen = vec.as_slice(); // some of them, and all of those are complete
///     assert!(seen.iter().all(|&thread| thread <= 4));
/// });
/// assert_eq!((vec.len(), *first), (4001, 0));
/// ```
///
/// # Memory
/// Addresses for the most elements there can be are reserved at the beginning; memory is committed
/// as the vector grows: 64 KiB, 128 KiB and so on up to 2 MiB, then in blocks of 2 MiB, an eighth
/// and at most 64 MiB ahead, which Linux makes huge pages of. A byte for each of 2^20 elements, or
/// of all if they are fewer, tells which are complete. Nothing goes back before the vector is
/// dropped. Elements without a size need no memory at all.
///
/// # Threads and signals
/// An append takes its place by one compare-and-swap; who loses it to another append pauses for
/// about a microsecond and tries again. It waits for nobody, with one exception: one thread at a
/// time commits memory, ahead if all goes well, and where it does not come to that, who finds
/// no room waits for it. A reader never waits.
///
/// A thread that is stopped in the middle of an append holds back what readers see, and nothing
/// else: others go on appending. If they are 2^20 elements ahead of it, they pause for a
/// while, so that it can go on. If it does not, they go on without it, and from
/// there on each element takes one bit of memory and one atomic operation more.
///
/// A signal handler may append. If it has interrupted an append, its own elements are seen after
/// that one went on. If it has interrupted the very growth and there is no room, it gets an
/// [error](PushReason::Interrupted).
///
/// # Fork
/// The child of a fork has a copy of the vector, and can read it and append to it. Where another
/// thread of the parent was in the middle of an append, the child never sees the elements from that
/// place on, as that thread is not there to go on; they are dropped with the vector.
///
/// # When to use which
/// One thread appends at a time, or elements are taken out again: a never-moving vector without
/// atomics, or a `Vec`. Many append, and readers want to go on meanwhile: this one. Many append and
/// remove: a `Mutex` around a vector.
///
/// # Lifetimes
/// What is appended through `&self` has to live as long as the vector, whoever appends it:
/// ```compile_fail,E0597
/// use granule::array::SharedVec;
/// let words = SharedVec::<&'static str>::new();
/// {
///     let short = String::from("short");
///     let shorter: &SharedVec<&str> = &words;
///     shorter.push(&short);
/// }
/// println!("{}", words[0]);
/// ```
///
/// The idea of notes that are written after the elements, and of a prefix that readers move on, is
/// that of the sequence numbers of bounded queues; that memory is reserved first and never moves is
/// the notes' dynamic array.
#[doc(alias("concurrent vector", "append-only", "boxcar"))]
pub struct SharedVec<T> {
    /// The first element; dangling without `memory`.
    elements: NonNull<T>,
    max: usize,
    /// `None` if there can be no element, or none with a size.
    memory: Option<Memory>,
    prefix: Prefix,
    /// It owns elements, and takes them through `&self`: a vector of `&'static` ones must not pass
    /// for one of others (invariant), or somebody appends what dies before it.
    _owns: PhantomData<(T, fn(T))>,
}

// SAFETY: it owns its elements and its memory, and no thread is special to them.
unsafe impl<T: Send> Send for SharedVec<T> {}
// SAFETY: elements are shared with all threads, which takes `Sync`, and come from one to be dropped
// by another, which takes `Send`. All else is atomic.
unsafe impl<T: Send + Sync> Sync for SharedVec<T> {}

impl<T> SharedVec<T> {
    const IS_ZST: bool = size_of::<T>() == 0;

    /// After so many appends one looks after the prefix and the room: 64, or fewer if the elements
    /// are so large that there is never much room.
    const PERIOD: usize = {
        let quarter = if Self::IS_ZST { 64 } else { (16 << 10) / size_of::<T>() };
        match quarter.checked_ilog2() {
            Some(log) if log < 6 => 1 << log,
            Some(_) => 64,
            None => 1,
        }
    };

    /// An empty vector with addresses for 64 GiB of elements (128 MiB where addresses have 32
    /// bits), and for any number of elements without a size.
    ///
    /// # Panics
    /// If the system refuses the addresses: [`with_max`](Self::with_max) needs fewer, and returns
    /// the error.
    pub fn new() -> Self {
        let max = USUAL_LEN.checked_div(size_of::<T>()).unwrap_or(usize::MAX);
        match Self::with_max(max) {
            Ok(vec) => vec,
            Err(error) => panic!("SharedVec of at most {max} elements: {error}; use `with_max`"),
        }
    }

    /// An empty vector for at most `max` elements.
    ///
    /// Takes addresses only: for the elements, a bit for each, and a mebibyte.
    ///
    /// Windows: `VirtualAlloc(MEM_RESERVE)`. Linux: mmap, and madvise if there are 2 MiB or more.
    ///
    /// # Errors
    /// - `OutOfRange`: addresses do not reach so far, or `max` is above 2^40 - 2^24.
    /// - As for [`Builder::reserve`](crate::vm::Builder::reserve).
    pub fn with_max(max: usize) -> Result<Self, Error> {
        let is_bare = Self::IS_ZST || max == 0;
        let memory = if is_bare { None } else { Some(Memory::new(Layout::new::<T>(), max)?) };
        let start = memory.as_ref().and_then(|memory| NonNull::new(memory.as_ptr().cast()));
        Ok(SharedVec {
            elements: start.unwrap_or(NonNull::dangling()),
            max,
            memory,
            prefix: Prefix::new(growth::ring_shift(max)),
            _owns: PhantomData,
        })
    }

    /// Appends an element and returns its index.
    ///
    /// Now and then it commits memory. Windows: `VirtualAlloc(MEM_COMMIT)`. Linux: mprotect.
    ///
    /// # Panics
    /// Where [`try_push`](Self::try_push) returns an error.
    #[inline]
    #[track_caller]
    pub fn push(&self, value: T) -> usize {
        match self.try_push(value) {
            Ok(index) => index,
            Err(error) => refuse(error.refused()),
        }
    }

    /// Appends an element and returns its index, or returns the element with the reason why not.
    ///
    /// # Errors
    /// - [`PushReason::Full`]: the maximum is reached.
    /// - [`PushReason::System`]: the system refused the memory.
    /// - [`PushReason::Interrupted`]: the calling signal handler has interrupted the growth.
    #[inline]
    pub fn try_push(&self, value: T) -> Result<usize, PushError<T>> {
        let Some(memory) = &self.memory else { return self.push_bare(value) };
        let Ticket { index, room } = match self.prefix.take() {
            Some(ticket) => ticket,
            None => match memory.ticket(&self.prefix) {
                Ok(ticket) => ticket,
                Err(why) => return Err(PushError::new(value, self.refused(why))),
            },
        };
        // SAFETY: the index is below the maximum, which the reservation has room for.
        let place = unsafe { self.elements.add(index) };
        // SAFETY: committed (2), aligned as the reservation is, and the ticket's alone (1).
        unsafe { place.write(value) };
        self.prefix.complete(index, memory);
        if index % Self::PERIOD == Self::PERIOD - 1 {
            memory.look_ahead(&self.prefix, room);
        }
        Ok(index)
    }

    /// Elements without a size, or none at all.
    fn push_bare(&self, value: T) -> Result<usize, PushError<T>> {
        let max = if Self::IS_ZST { self.max } else { 0 };
        // Before the count, which lets it be dropped.
        let value = core::mem::ManuallyDrop::new(value);
        self.prefix.count(max).ok_or_else(|| {
            let value = core::mem::ManuallyDrop::into_inner(value);
            PushError::new(value, self.refused(Refusal::Full))
        })
    }

    #[cold]
    fn refused(&self, why: Refusal) -> Refused {
        Refused { len: self.len(), max: self.max, why }
    }

    /// How many elements there are; all of them are complete. It waits for nobody: it looks how far
    /// appends have come since somebody looked last.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.memory {
            Some(memory) => memory.advance(&self.prefix),
            None => self.prefix.published(),
        }
    }

    /// True if there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many elements there can be at most.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// How many elements there is committed memory for.
    pub fn capacity(&self) -> usize {
        self.memory.as_ref().map_or(self.max, Memory::capacity)
    }

    /// Element `index`, if there are so many.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.prefix.published() && index >= self.len() {
            return None;
        }
        // SAFETY: the index is published, so it lies inside.
        let element = unsafe { self.elements.add(index) };
        // SAFETY: (3).
        Some(unsafe { element.as_ref() })
    }

    /// All elements that there are now. Others may append while the slice is in use; it stays as it
    /// is.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        let elements = NonNull::slice_from_raw_parts(self.elements, self.len());
        // SAFETY: (3), and they are contiguous.
        unsafe { elements.as_ref() }
    }

    /// All elements, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let mut elements = NonNull::slice_from_raw_parts(self.elements, self.len());
        // SAFETY: (3), they are contiguous, and all references to them borrow the array.
        unsafe { elements.as_mut() }
    }

    /// The elements that there are now.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.as_slice().iter()
    }

    /// All elements, to be changed.
    pub fn iter_mut(&mut self) -> core::slice::IterMut<'_, T> {
        self.as_mut_slice().iter_mut()
    }

    /// Drops what is complete behind the first `len` elements, which are those that readers see.
    fn drop_unseen(&mut self, len: usize) {
        let Some(memory) = &self.memory else { return };
        for index in len..self.prefix.taken() {
            if self.prefix.withdraw(index, memory) {
                // SAFETY: the index was taken, so it lies inside.
                let element = unsafe { self.elements.add(index) };
                // SAFETY: (5), and it had its note until now: it was written, nobody has seen it,
                // and nobody will, not even if this panics.
                unsafe { element.drop_in_place() };
            }
        }
    }
}

impl<T> Drop for SharedVec<T> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() {
            let len = self.len();
            let elements = ptr::slice_from_raw_parts_mut(self.elements.as_ptr(), len);
            // SAFETY: (3) and (5): they are written, and nobody has references to them.
            unsafe { ptr::drop_in_place(elements) };
            self.drop_unseen(len);
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse(refused: Refused) -> ! {
    panic!("{refused}")
}
