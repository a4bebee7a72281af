//! Floor 4. A `Vec` whose elements never move while they live.
//!
//! ```text
//!   | elements | spare |. . . . . . . . . . . . . . . . . . . . . . . . |
//!   0         len   capacity                                           max
//!   |<-- committed --->|<------------- addresses only ---------------->|
//! ```
//! The array reserves addresses for the most that it may ever hold, and commits memory as it grows.
//! So it grows where it is: nothing is copied, no moment has two copies in memory, and pointers to
//! elements stay good.
//!
//! # What it costs
//! - Addresses: 64 GiB for each array with the usual maximum, and no memory for them. Most programs
//!   have 128 TiB of addresses, so that some 2000 such arrays fit; on some AArch64 systems they
//!   have 512 GiB, for seven. Give [`with_max`](StableVec::with_max) where there are many, and
//!   under a limit of addresses (`ulimit -v`).
//! - Memory: what is committed, which doubles from 64 KiB to 512 KiB, and from there on grows by
//!   blocks of 2 MiB, an eighth at a time, at most 64 MiB. Committed pages are promised; they are
//!   taken when they are touched. Blocks are asked for as huge pages, so that what is taken can be
//!   up to 2 MiB more than the elements.
//! - Three mappings of the process's 65530, on Linux.
//!
//! # What goes back
//! When elements leave (pop, truncate, clear, drain ..) memory goes back as soon as more than 2 MiB
//! *and* more than half of what is committed is spare; room for half as many elements again stays.
//! What [`reserve`](StableVec::reserve) or [`with_capacity`](StableVec::with_capacity) made room
//! for stays, too, until [`shrink_to_fit`](StableVec::shrink_to_fit), which gives back at once
//! whatever is spare.
//!
//! # Small arrays
//! Reserving, committing and releasing take microseconds. So the reservation of an array that is
//! dropped is kept for the next one, with its first 64 KiB of memory, if the array has the usual
//! maximum and no special wishes. At most 16 are kept, which are 1 MiB; [`trim`] releases them, and
//! so does an array that finds no addresses. As with `malloc`, old bytes stay in them until
//! somebody else's are written there.
//!
//! Everything beyond goes back to the system with the array, and comes anew with the next one. A
//! program that needs much again and again clears one array with a capacity instead of making many.
//!
//! # Guarded spare
//! [`guard_spare`](Builder::guard_spare) keeps nothing committed behind the page of the last
//! element. A stale pointer into an array that was cleared or shortened, or an index far beyond the
//! end in `unsafe` code, then faults at the guilty instruction. What is caught, exactly:
//!
//! - every touch of a page that has no byte of a live element: after [`clear`](StableVec::clear)
//!   that is every page;
//! - not a touch of the last element's own page, behind it; nor of an element that took the place
//!   of another, as [`remove`](StableVec::remove) and [`swap_remove`](StableVec::swap_remove) do;
//!   nor of room that was made by [`reserve`](StableVec::reserve), or because an iterator said that
//!   it had more elements, until elements leave;
//! - nothing while the system refuses to take pages back, as it may when the process has no
//!   mappings left; and nothing of an array that was dropped, once its addresses are somebody
//!   else's.
//!
//! Each page then takes a call of the system of its own, to come and to go: growing and shrinking
//! element by element is several times slower.
//!
//! The idea is the notes' dynamic array (reserve, then commit as it grows); the arena allocators of
//! games and compilers are the same one.

mod builder;
mod cache;
mod compare;
mod convert;
mod drain;
mod edit;
mod extend;
mod into_iter;
mod push_error;
#[cfg(feature = "serde")]
mod serde;
mod store;
#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use cache::trim;
pub use drain::Drain;
pub use into_iter::IntoIter;
pub use push_error::PushError;

use crate::error::{Error, ErrorKind, Op};
use crate::vm::CommitPolicy;
use core::mem::{MaybeUninit, needs_drop};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::{fmt, slice};
use store::{Store, USUAL_MAX, Wishes};

/// A contiguous array whose elements never move while they live; see the [module](self).
///
/// It has the functions of `Vec`, and is a slice to whoever borrows it. Each function that can need
/// memory panics where there is none, and has a twin, `try_..`, that returns the [`Error`] and
/// leaves the array as it was.
///
/// # Errors
/// Of all `try_..` functions that make room:
/// - [`Op::Grow`], `OutOfRange`: the maximum is reached.
/// - [`Op::Reserve`], at the first element: `NoAddressSpace`, `TooManyMappings`, `NoMemory`,
///   `OutOfRange` (the maximum is more than the addresses of a program), as of
///   [`vm::Builder::reserve`](crate::vm::Builder::reserve).
/// - [`Op::Commit`]: `NoMemory`, `TooManyMappings`, as of
///   [`Reservation::commit`](crate::vm::Reservation::commit).
///
/// # System calls
/// Growing, at the borders that [the module](self) tells. Windows: `VirtualAlloc`; Linux: mmap and
/// madvise for the first element, then mprotect. Giving back. Windows: `VirtualFree`; Linux: mmap
/// and madvise. Drop. Windows: `VirtualFree`; Linux: munmap; none if the reservation is kept.
///
/// ```
/// use granule::array::StableVec;
/// let mut primes = StableVec::new();
/// primes.push(2_u64);
/// let first = primes.as_ptr();
/// primes.extend(3..1_000_000);
/// assert_eq!(primes.as_ptr(), first); // a million elements later
/// primes.retain(|&n| n < 10 && n % 2 == 1);
/// assert_eq!(primes, [3, 5, 7, 9]);
/// ```
#[doc(alias("VirtualAlloc", "arena", "dynamic array", "reserve", "commit"))]
pub struct StableVec<T> {
    /// The first element; dangling as long as there is no memory.
    start: NonNull<T>,
    len: usize,
    /// Elements that fit into what is committed.
    capacity: usize,
    /// With fewer elements than this, memory goes back.
    low: usize,
    max: usize,
    store: Store,
}

// SAFETY: the elements belong to the array as those of a `Vec` do, and go where it goes.
unsafe impl<T: Send> Send for StableVec<T> {}
// SAFETY: a shared array gives out nothing but shared elements.
unsafe impl<T: Sync> Sync for StableVec<T> {}

impl<T> StableVec<T> {
    /// Elements that fit into the usual maximum.
    const USUAL_MAX: usize = match USUAL_MAX.checked_div(size_of::<T>()) {
        Some(max) => max,
        None => usize::MAX,
    };

    /// An empty array of at most 64 GiB (256 MiB where addresses have 32 bits). Takes nothing; the
    /// addresses are reserved at the first element.
    ///
    /// ```
    /// use granule::array::StableVec;
    /// use std::sync::Mutex;
    /// static EVENTS: Mutex<StableVec<u64>> = Mutex::new(StableVec::new());
    /// EVENTS.lock().expect("nobody panics").push(7);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self::with_max(Self::USUAL_MAX)
    }

    /// An empty array of at most `max` elements.
    ///
    /// ```
    /// use granule::array::StableVec;
    /// let mut few = StableVec::with_max(2);
    /// few.extend([1, 2]);
    /// assert!(few.try_push(3).is_err());
    /// ```
    #[must_use]
    pub const fn with_max(max: usize) -> Self {
        Self::with_wishes(max, CommitPolicy::Strict, false)
    }

    /// An empty array with room for `capacity` elements, and the usual maximum, or `capacity` if
    /// that is more. The room is not given back before
    /// [`shrink_to_fit`](StableVec::shrink_to_fit).
    ///
    /// # Panics
    /// If there are no addresses or no memory for them.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let mut array = Self::with_max(Self::USUAL_MAX.max(capacity));
        array.reserve(capacity);
        array
    }

    /// The twin of [`with_capacity`](Self::with_capacity) that does not panic.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_with_capacity(capacity: usize) -> Result<Self, Error> {
        let mut array = Self::with_max(Self::USUAL_MAX.max(capacity));
        array.try_reserve(capacity)?;
        Ok(array)
    }

    /// An array with wishes: maximum, guard, commit policy.
    pub const fn builder() -> Builder<T> {
        Builder::new()
    }

    const fn with_wishes(max: usize, policy: CommitPolicy, guard: bool) -> Self {
        // No slice is longer than this, wherever it lies.
        let longest = match (isize::MAX as usize).checked_div(size_of::<T>()) {
            Some(longest) => longest,
            None => usize::MAX,
        };
        let max = if max < longest { max } else { longest };
        let bytes = max.saturating_mul(size_of::<T>());
        StableVec {
            start: NonNull::dangling(),
            len: 0,
            // What has no size needs no memory.
            capacity: if size_of::<T>() == 0 { max } else { 0 },
            low: 0,
            max,
            store: Store::new(Wishes { max: bytes, align: align_of::<T>(), policy, guard }),
        }
    }

    /// How many elements there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there is no element.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Elements that fit into the memory that is committed: as many can be there before the system
    /// is asked again.
    #[inline]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Elements that there can ever be.
    #[inline]
    pub const fn max_len(&self) -> usize {
        self.max
    }

    /// Bytes of memory that are committed: whole pages, 0 before the first element.
    ///
    /// ```
    /// use granule::array::StableVec;
    /// let mut array = StableVec::new();
    /// assert_eq!(array.committed_len(), 0);
    /// array.push(1_u8);
    /// assert_eq!(array.committed_len(), 64 << 10);
    /// ```
    #[inline]
    pub const fn committed_len(&self) -> usize {
        self.store.committed()
    }

    /// The elements.
    #[inline]
    pub const fn as_slice(&self) -> &[T] {
        // SAFETY: the first `len` elements are there, aligned and initialised; whoever changes them
        // needs the array mutably.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The elements, to be changed.
    #[inline]
    pub const fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and the array is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// The first element: dangling before the first one was pushed, and the same ever after.
    #[inline]
    pub const fn as_ptr(&self) -> *const T {
        self.start.as_ptr()
    }

    /// As [`as_ptr`](Self::as_ptr), for writing.
    #[inline]
    pub const fn as_mut_ptr(&mut self) -> *mut T {
        self.start.as_ptr()
    }

    /// The room behind the elements that is committed. What is written there becomes elements by
    /// [`set_len`](Self::set_len).
    pub const fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        let spare = self.capacity - self.len;
        // SAFETY: `len` is at most `capacity`, and elements up to that lie in one allocation.
        let first = unsafe { self.start.add(self.len) };
        // SAFETY: the pages are committed for writing and belong to the array, which is borrowed
        // mutably; nobody has to have written there.
        unsafe { slice::from_raw_parts_mut(first.as_ptr().cast(), spare) }
    }

    /// Says how many elements there are, and drops none. Gives no memory back.
    ///
    /// # Safety
    /// 1. `len` is at most the [capacity](Self::capacity).
    /// 2. The first `len` elements are initialised.
    #[inline]
    pub const unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity);
        self.len = len;
    }

    /// Appends an element.
    ///
    /// # Panics
    /// If the maximum is reached, or there are no addresses or no memory.
    #[inline]
    pub fn push(&mut self, value: T) {
        if self.len >= self.capacity {
            self.grow_or_panic(1);
        }
        // SAFETY: (1) there is room now.
        unsafe { self.push_unchecked(value) };
    }

    /// The twin of [`push`](Self::push) that does not panic; the error has the value.
    ///
    /// # Errors
    /// As of the [type](Self).
    ///
    /// ```
    /// use granule::array::StableVec;
    /// let mut array = StableVec::with_max(1);
    /// array.try_push("first").expect("a page of memory");
    /// let refused = array.try_push("second").unwrap_err();
    /// assert_eq!((refused.value, array.len()), ("second", 1));
    /// ```
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.len >= self.capacity
            && let Err(error) = self.grow(1)
        {
            return Err(PushError { value, error });
        }
        // SAFETY: (1) there is room now.
        unsafe { self.push_unchecked(value) };
        Ok(())
    }

    /// # Safety
    /// 1. `len` is below `capacity`.
    #[inline(always)]
    unsafe fn push_unchecked(&mut self, value: T) {
        // SAFETY: by (1) the place lies inside what is committed.
        let place = unsafe { self.start.add(self.len) };
        // SAFETY: committed for writing, aligned, and no element is there.
        unsafe { place.write(value) };
        self.len += 1;
    }

    /// Takes the last element.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        self.len = last;
        // SAFETY: an element that is there.
        let place = unsafe { self.start.add(last) };
        // SAFETY: it is initialised, and `len` no longer counts it.
        let value = unsafe { place.read() };
        if last < self.low {
            self.settle();
        }
        Some(value)
    }

    /// Drops all elements but the first `len`, the last ones as a slice. Does nothing if there are
    /// no more.
    pub fn truncate(&mut self, len: usize) {
        let Some(count) = self.len.checked_sub(len).filter(|&count| count > 0) else { return };
        // Before anything is dropped: should a drop panic, nothing is dropped twice.
        self.len = len;
        if needs_drop::<T>() {
            // SAFETY: `len` was at most the number of elements.
            let first = unsafe { self.start.add(len) };
            let rest = ptr::slice_from_raw_parts_mut(first.as_ptr(), count);
            // SAFETY: these were elements, and nobody will see them again.
            unsafe { ptr::drop_in_place(rest) };
        }
        if len < self.low {
            self.settle();
        }
    }

    /// Drops all elements.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Makes room for `additional` elements, which stays until they are there or
    /// [`shrink_to_fit`](Self::shrink_to_fit).
    ///
    /// # Panics
    /// If that is more than the maximum, or there are no addresses or no memory.
    pub fn reserve(&mut self, additional: usize) {
        if let Err(error) = self.try_reserve(additional) {
            self.fail(error);
        }
    }

    /// The twin of [`reserve`](Self::reserve) that does not panic.
    ///
    /// # Errors
    /// As of the [type](Self).
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), Error> {
        self.make_room(additional)?;
        self.store.keep((self.len + additional) * size_of::<T>());
        self.refresh();
        Ok(())
    }

    /// Gives all memory back that has no element in it, in whole pages.
    pub fn shrink_to_fit(&mut self) {
        self.shrink_to(0);
    }

    /// Gives all memory back but that of the elements and of `capacity` elements at least, in whole
    /// pages. Should the system refuse, it stays: see [`try_shrink_to`](Self::try_shrink_to).
    pub fn shrink_to(&mut self, capacity: usize) {
        // No more was promised than a try.
        let _ = self.try_shrink_to(capacity);
    }

    /// The twin of [`shrink_to`](Self::shrink_to) that tells if the system does not take the memory
    /// back. The elements are as they were either way, and [`capacity`](Self::capacity) is what can
    /// be relied on.
    ///
    /// # Errors
    /// `TooManyMappings`, `Denied`, as of
    /// [`Reservation::decommit`](crate::vm::Reservation::decommit).
    pub fn try_shrink_to(&mut self, capacity: usize) -> Result<(), Error> {
        let least = self.len.max(capacity.min(self.capacity));
        let done = self.store.shrink_to(least.saturating_mul(size_of::<T>()));
        self.refresh();
        done
    }

    /// Room for `additional` elements.
    #[inline]
    fn make_room(&mut self, additional: usize) -> Result<(), Error> {
        if additional > self.capacity - self.len { self.grow(additional) } else { Ok(()) }
    }

    /// As above, where the caller has no way to tell.
    #[inline]
    fn make_room_or_panic(&mut self, additional: usize) {
        if additional > self.capacity - self.len {
            self.grow_or_panic(additional);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow_or_panic(&mut self, additional: usize) {
        if let Err(error) = self.grow(additional) {
            self.fail(error);
        }
    }

    /// Commits more. If it fails nothing has changed.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, additional: usize) -> Result<(), Error> {
        let needed = self.len.saturating_add(additional);
        if needed > self.max || size_of::<T>() == 0 {
            let bytes = needed.saturating_mul(size_of::<T>());
            let addr = self.start.addr().get();
            return Err(Error::new(Op::Grow, ErrorKind::OutOfRange, addr, bytes, 0));
        }
        self.store.reach(needed.saturating_mul(size_of::<T>()))?;
        self.refresh();
        Ok(())
    }

    /// Elements have left: gives memory back, or not yet.
    #[cold]
    #[inline(never)]
    fn settle(&mut self) {
        self.store.settle(self.len * size_of::<T>());
        self.refresh();
    }

    /// What follows from the bytes that are committed.
    fn refresh(&mut self) {
        let Some(start) = self.store.start() else { return };
        self.start = start.cast();
        let fitting = self.store.committed().checked_div(size_of::<T>());
        self.capacity = fitting.map_or(self.max, |count| count.min(self.max));
        self.low = self.store.low().div_ceil(size_of::<T>().max(1));
    }

    #[cold]
    #[inline(never)]
    fn fail(&self, error: Error) -> ! {
        panic!("a StableVec of {} elements, maximum {}: {error}", self.len, self.max);
    }
}

impl<T> Drop for StableVec<T> {
    fn drop(&mut self) {
        if needs_drop::<T>() {
            // SAFETY: the elements are there, and nobody will see them again. The store goes after
            // them, even if a drop panics.
            unsafe { ptr::drop_in_place(self.as_mut_slice()) };
        }
    }
}

impl<T> Deref for StableVec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T> DerefMut for StableVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<T> Default for StableVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for StableVec<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(out)
    }
}
