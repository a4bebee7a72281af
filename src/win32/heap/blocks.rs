//! Floor 5, uses floors 0 to 4. `HeapAlloc`, `HeapReAlloc`, `HeapFree`, `HeapSize`.

use super::super::error::{Reason, Win32Error};
use super::record::{self, Made};
use super::tail::{self, TAIL};
use super::{HANDLE, HEAP_GENERATE_EXCEPTIONS, HEAP_REALLOC_IN_PLACE_ONLY, HEAP_ZERO_MEMORY};
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::NonNull;

/// A block of `size` bytes, at a multiple of 16; 0 is a size, too. Its content is anything, or zero
/// with [`HEAP_ZERO_MEMORY`].
///
/// Windows, Linux: as for [`LocalHeap::allocate`](crate::heap::LocalHeap::allocate).
///
/// # Errors
/// - `ERROR_NOT_ENOUGH_MEMORY` (8): the heap has reached its maximum, or the block is not for a
///   heap that has one; or the system gives no memory.
/// - `ERROR_INVALID_HANDLE` (6): there is no such heap, or a fork has left it in the hands of a
///   thread that is not here.
///
/// # Panics
/// With [`HEAP_GENERATE_EXCEPTIONS`], here or at [`HeapCreate`](super::HeapCreate), instead of an
/// error.
///
/// # Safety
/// 1. With [`HEAP_NO_SERIALIZE`](super::HEAP_NO_SERIALIZE), here or at
///    [`HeapCreate`](super::HeapCreate), no other call on this heap is under way.
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 4096, 1 << 20)?;
/// // SAFETY: (1) the heap has a lock.
/// let error = unsafe { HeapAlloc(heap, 0, 2 << 20) }.expect_err("it has 1 MiB");
/// assert_eq!(error.code(), ERROR_NOT_ENOUGH_MEMORY);
/// // SAFETY: (1) (2) nobody uses its blocks.
/// unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias("malloc", "calloc"))]
#[track_caller]
pub unsafe fn HeapAlloc(heap: HANDLE, flags: u32, size: usize) -> Result<*mut c_void, Win32Error> {
    const CALL: &str = "HeapAlloc";
    // SAFETY: (1).
    unsafe { with_exceptions(CALL, heap, flags, |made| allocate(CALL, made, flags, size)) }
}

/// Makes a block longer or shorter. Where it cannot be done in place the content moves to another
/// block, and the old one is free. With [`HEAP_ZERO_MEMORY`] what it grows by reads zero; with
/// [`HEAP_REALLOC_IN_PLACE_ONLY`] it never moves.
///
/// # Errors
/// As for [`HeapAlloc`], and 8 if it would have to move and must not; as for [`HeapFree`], and null
/// is no block. The block is as it was.
///
/// # Panics
/// As for [`HeapAlloc`].
///
/// # Safety
/// 1. As for [`HeapAlloc`].
/// 2. If the block is of this heap, nobody uses it meanwhile, nor by its old address after success.
///
/// ```
/// use granule::win32::*;
/// let heap = HeapCreate(0, 0, 0)?;
/// // SAFETY: (1) the heap has a lock.
/// let block = unsafe { HeapAlloc(heap, 0, 10)? };
/// // SAFETY: (1) (2) as above, and the block is ours.
/// let block = unsafe { HeapReAlloc(heap, HEAP_ZERO_MEMORY, block, 5000)? };
/// // SAFETY: the block is that long and reads zero from byte 10 on.
/// assert_eq!(unsafe { block.cast::<u8>().add(4999).read() }, 0);
/// // SAFETY: (1) (2) nobody uses its blocks any more.
/// unsafe { HeapDestroy(heap)? };
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "realloc")]
#[track_caller]
pub unsafe fn HeapReAlloc(
    heap: HANDLE,
    flags: u32,
    block: *mut c_void,
    size: usize,
) -> Result<*mut c_void, Win32Error> {
    const CALL: &str = "HeapReAlloc";
    // SAFETY: (1).
    unsafe {
        with_exceptions(CALL, heap, flags, |made| {
            let block = given(CALL, made, block)?;
            block.resized(CALL, made, flags, size)
        })
    }
}

/// Gives a block back. Null is none, and nothing happens.
///
/// # Errors
/// - `ERROR_INVALID_PARAMETER` (87): the block is free, of another heap, or none at all; or
///   somebody has written behind its end. Nothing has changed.
/// - `ERROR_INVALID_HANDLE` (6): as for [`HeapAlloc`].
///
/// # Safety
/// 1. As for [`HeapAlloc`].
/// 2. If the block is of this heap, nobody uses it any more.
///
/// ```
/// use granule::win32::*;
/// let heap = GetProcessHeap()?;
/// // SAFETY: (1) the heap has a lock.
/// let block = unsafe { HeapAlloc(heap, 0, 10)? };
/// // SAFETY: (1) (2) as above, and the block is ours.
/// unsafe { HeapFree(heap, 0, block)? };
/// // SAFETY: (1) (2) as above, and nobody has taken the block meanwhile.
/// let error = unsafe { HeapFree(heap, 0, block) }.expect_err("it is free");
/// assert_eq!(error.code(), ERROR_INVALID_PARAMETER);
/// # Ok::<(), Win32Error>(())
/// ```
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias = "free")]
pub unsafe fn HeapFree(heap: HANDLE, flags: u32, block: *const c_void) -> Result<(), Win32Error> {
    const CALL: &str = "HeapFree";
    let work = |made: &Made| {
        if block.is_null() {
            return Ok(());
        }
        let block = given(CALL, made, block)?;
        block.free(made);
        made.budget.give(block.size);
        Ok(())
    };
    // SAFETY: (1).
    unsafe { record::with(CALL, heap, flags, work) }
}

/// The size of a block, as it was asked for: to the byte.
///
/// # Errors
/// As for [`HeapFree`], and null is no block. Where Windows gives `(SIZE_T)-1` is an error here.
///
/// # Safety
/// 1. As for [`HeapAlloc`].
///
/// See [`HeapCreate`](super::HeapCreate) for an example.
#[allow(non_snake_case, reason = "the name that Windows gives it")]
#[doc(alias("malloc_usable_size", "_msize"))]
pub unsafe fn HeapSize(
    heap: HANDLE,
    flags: u32,
    block: *const c_void,
) -> Result<usize, Win32Error> {
    const CALL: &str = "HeapSize";
    // SAFETY: (1).
    unsafe { record::with(CALL, heap, flags, |made| Ok(given(CALL, made, block)?.size)) }
}

/// Works on a heap whose caller may have asked for exceptions.
///
/// # Safety
/// 1. As for [`record::with`].
#[track_caller]
unsafe fn with_exceptions(
    call: &'static str,
    heap: HANDLE,
    flags: u32,
    work: impl FnOnce(&Made) -> Result<NonNull<u8>, Win32Error>,
) -> Result<*mut c_void, Win32Error> {
    let all_flags = Cell::new(flags);
    let work = |made: &Made| {
        all_flags.set(flags | made.options);
        work(made)
    };
    // SAFETY: (1).
    let told = unsafe { record::with(call, heap, flags, work) };
    match told {
        // The heap is left by now.
        Err(error) if all_flags.get() & HEAP_GENERATE_EXCEPTIONS != 0 => panic!("{error}"),
        told => told.map(|block| block.as_ptr().cast()),
    }
}

/// A block in use that a caller has given.
#[derive(Clone, Copy)]
pub(super) struct Given {
    start: NonNull<u8>,
    /// Bytes that the heap has for it.
    room: usize,
    pub(super) size: usize,
}

/// What is known of a block that a caller gives, or what is wrong with it.
pub(super) fn given(
    call: &'static str,
    made: &Made,
    block: *const c_void,
) -> Result<Given, Win32Error> {
    let refused = |reason| Win32Error::new(call, reason);
    let start = NonNull::new(block.cast_mut().cast()).ok_or(refused(Reason::NullBlock))?;
    let room = made.heap.in_use(start).map_err(|finding| refused(Reason::of_block(finding)))?;
    // SAFETY: (1) it is in use, and has that room; all blocks of this heap were made below.
    let size = unsafe { tail::read(start, room) }.ok_or(refused(Reason::Overrun))?;
    Ok(Given { start, room, size })
}

fn allocate(
    call: &'static str,
    made: &Made,
    flags: u32,
    size: usize,
) -> Result<NonNull<u8>, Win32Error> {
    if !made.budget.take(size) {
        return Err(Win32Error::new(call, Reason::HeapFull));
    }
    new_block(call, made, flags, size).inspect_err(|_| made.budget.give(size))
}

/// A block that is paid for.
fn new_block(
    call: &'static str,
    made: &Made,
    flags: u32,
    size: usize,
) -> Result<NonNull<u8>, Win32Error> {
    let layout = tail::layout(size).ok_or(Win32Error::new(call, Reason::HeapFull))?;
    let new = match flags & HEAP_ZERO_MEMORY {
        0 => made.heap.allocate(layout),
        _ => made.heap.allocate_zeroed(layout),
    };
    let block = new.map_err(|error| Win32Error::with_cause(call, Reason::HeapFull, error))?;
    // SAFETY: (1) it is new and has that room; (2) the layout was made for the size.
    unsafe { tail::write(block, tail::room_of(&made.heap, block), size) };
    Ok(block)
}

impl Given {
    fn free(&self, made: &Made) {
        // SAFETY: (1) it is in use in this heap; our caller's caller does not use it again.
        unsafe { made.heap.deallocate(self.start) };
    }

    /// The block with another size, here or elsewhere.
    fn resized(
        self,
        call: &'static str,
        made: &Made,
        flags: u32,
        size: usize,
    ) -> Result<NonNull<u8>, Win32Error> {
        if !made.budget.change(Some(self.size), size) {
            return Err(Win32Error::new(call, Reason::HeapFull));
        }
        let new = match self.stretched(made, flags, size) {
            Some(room) => {
                // SAFETY: (1) it is in use and has that room; (2) the size fits.
                unsafe { tail::write(self.start, room, size) };
                Ok(self.start)
            }
            None if flags & HEAP_REALLOC_IN_PLACE_ONLY != 0 => {
                Err(Win32Error::new(call, Reason::CannotStay))
            }
            None => self.moved(call, made, flags, size),
        };
        new.inspect_err(|_| {
            let is_back = made.budget.change(Some(size), self.size);
            debug_assert!(is_back, "it was paid for before");
        })
    }

    /// The room for another size where the block stands; `None` if it has to move.
    fn stretched(&self, made: &Made, flags: u32, size: usize) -> Option<usize> {
        let layout = tail::layout(size)?;
        let fits = layout.size() <= self.room;
        // A block that loses half of its bytes is better off elsewhere.
        let is_worth_it = layout.size() > self.room / 2;
        let room = if fits && (is_worth_it || flags & HEAP_REALLOC_IN_PLACE_ONLY != 0) {
            self.room
        } else {
            // Where the system refuses, another place may be ready.
            made.heap.resize_in_place(self.start, layout).ok().flatten()?
        };
        if flags & HEAP_ZERO_MEMORY != 0 && size > self.size {
            // SAFETY: inside the block.
            let rest = unsafe { self.start.add(self.size) };
            // SAFETY: the block has `size` bytes and a tail now, and our caller alone uses it.
            unsafe { rest.write_bytes(0, size - self.size) };
        }
        debug_assert!(size + TAIL <= room);
        Some(room)
    }

    fn moved(
        &self,
        call: &'static str,
        made: &Made,
        flags: u32,
        size: usize,
    ) -> Result<NonNull<u8>, Win32Error> {
        let new = new_block(call, made, flags, size)?;
        // SAFETY: both are in use and as long as that, and the new one is another block.
        unsafe { self.start.copy_to_nonoverlapping(new, self.size.min(size)) };
        self.free(made);
        Ok(new)
    }
}
