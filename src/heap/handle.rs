//! Floor 4, uses floors 0 to 2. A heap that lives as long as one of its handles.
//!
//! The heap lies in a block of its own, together with the number of its handles: nothing is
//! allocated elsewhere. The last handle takes it out of there and drops it, and the block with it.

use super::Heap;
use crate::ds::primitive::{AtomicUsize, Ordering, fence};
use crate::error::Error;
use crate::sys;
use core::alloc::Layout;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

/// Handles there can be; more are a leak, and would make the number begin again.
const HANDLES_MAX: usize = isize::MAX as usize;

/// A handle of a [`Heap`]: a clone is another one, and the last one drops the heap with all of its
/// blocks. So collections that own a handle each need no lifetime.
///
/// The heap has one block more than it was asked for: its own.
///
/// ```
/// use granule::heap::{Heap, HeapHandle};
/// use std::alloc::Layout;
/// let handle = HeapHandle::new(Heap::new()?)?;
/// let other = handle.clone();
/// let thread = std::thread::spawn(move || other.allocate(Layout::new::<u64>()).is_ok());
/// assert!(thread.join().expect("no panic"));
/// assert_eq!(handle.stats().blocks, 2);
/// drop(handle); // the last one
/// # Ok::<(), granule::Error>(())
/// ```
///
/// With the feature `allocator-api2-02`, `allocator-api2-04` or `nightly` it is an `Allocator`, as
/// heaps themselves and references to them are.
#[doc(alias("Rc", "Arc", "Allocator"))]
pub struct HeapHandle {
    kept: NonNull<Kept>,
}

/// The heap, in a block of its own.
struct Kept {
    handles: AtomicUsize,
    heap: Heap,
}

// SAFETY: a handle gives references to the heap, which is for all threads, and the last one to go,
// on any of them, drops it: that comes behind the drops of the others by the order of `handles`.
unsafe impl Send for HeapHandle {}
// SAFETY: as above.
unsafe impl Sync for HeapHandle {}

impl HeapHandle {
    /// The first handle of a heap.
    ///
    /// # Errors
    /// As for [`Heap::allocate`]: there is no room for the heap's own block. The heap is dropped.
    pub fn new(heap: Heap) -> Result<Self, Error> {
        let kept = heap.allocate(Layout::new::<Kept>())?.cast::<Kept>();
        // SAFETY: a new block for it.
        unsafe { kept.write(Kept { handles: AtomicUsize::new(1), heap }) };
        Ok(HeapHandle { kept })
    }

    fn kept(&self) -> &Kept {
        // SAFETY: it was written by `new`, and stays as long as there is a handle.
        unsafe { self.kept.as_ref() }
    }
}

impl Deref for HeapHandle {
    type Target = Heap;

    #[inline]
    fn deref(&self) -> &Heap {
        &self.kept().heap
    }
}

impl Clone for HeapHandle {
    fn clone(&self) -> Self {
        // Nothing is read because of it: who clones has a handle already.
        if self.kept().handles.fetch_add(1, Ordering::Relaxed) > HANDLES_MAX {
            sys::abort();
        }
        HeapHandle { kept: self.kept }
    }
}

impl Drop for HeapHandle {
    fn drop(&mut self) {
        if self.kept().handles.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // What the other handles did comes before the end.
        fence(Ordering::Acquire);
        // SAFETY: written by `new`; nobody has a handle, and so a reference, any more.
        let kept = unsafe { self.kept.read() };
        // The heap is here on the stack now, and its drop takes the block along.
        drop(kept);
    }
}

impl fmt::Debug for HeapHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HeapOptions;
    use super::*;

    #[test]
    fn the_last_handle_drops_the_heap() {
        let heap = Heap::new().expect("a heap");
        let handle = HeapHandle::new(heap).expect("memory");
        let block = handle.allocate(Layout::new::<[u8; 100]>()).expect("memory");
        let mut handles = vec![handle.clone(), handle.clone(), handle];
        while let Some(handle) = handles.pop() {
            assert!(handle.owns(block));
        }
        let other = Heap::new().expect("a heap");
        assert!(other.usable_len(block).is_none(), "its slab is nobody's, or another's");
    }

    #[test]
    fn handles_go_from_thread_to_thread() {
        let handle = HeapHandle::new(Heap::new().expect("a heap")).expect("memory");
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let handle = handle.clone();
                std::thread::spawn(move || {
                    for _ in 0..1000 {
                        let block = handle.clone().allocate(Layout::new::<u64>());
                        // SAFETY: (1) it is ours and not used again.
                        unsafe { handle.deallocate(block.expect("memory")) };
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!((handle.stats().blocks, handle.kept().handles.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn a_heap_without_room_for_itself_is_refused() {
        let heap = HeapOptions::new().max_len(0).shared().expect("a heap");
        assert!(HeapHandle::new(heap).is_err());
    }
}
