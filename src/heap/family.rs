//! Floor 4, uses floors 0 to 2. What C's malloc and free ask of the heap of the process: blocks by
//! their size alone, and blocks of which nothing is known.
//!
//! The two quick ways have no other way inside: what they cannot do at once they leave undone, and
//! the caller goes on with a call that can. So they need no stack and no register of their caller.

use super::class::{C_ALIGN, Class, SIZE_MAX};
use super::process::{Granule, Visit, cached_of, is_cached};
use super::report::{Finding, broken};
use crate::error::{Error, ErrorKind, Op};
use core::alloc::Layout;
use core::ptr::NonNull;

impl Granule {
    /// What [`allocate_c`](Self::allocate_c) gives, if this thread has it ready. No system call, no
    /// wait; no thread gets a part of the heap by this.
    ///
    /// `None` says nothing about the memory there is: `allocate_c` is asked then.
    ///
    /// ```
    /// use granule::Granule;
    /// let block = Granule.allocate_ready(40).or_else(|| Granule.allocate_c(40));
    /// let block = block.expect("40 bytes").as_ptr();
    /// // SAFETY: it came from this heap a moment ago.
    /// if !unsafe { Granule.deallocate_ready(block) } {
    ///     // SAFETY: the same, and it was not given back.
    ///     unsafe { Granule.deallocate_c(block) };
    /// }
    /// ```
    #[inline(always)]
    #[doc(alias = "malloc")]
    pub fn allocate_ready(&self, size: usize) -> Option<NonNull<u8>> {
        Class::of_c(size).and_then(cached_of)
    }

    /// Gives a block back, if that is quick: this thread keeps it, whoever allocated it, unless it
    /// is long, or one of a thread's first of that size. True if it is done; else nothing has
    /// happened, and [`deallocate_c`](Self::deallocate_c) is asked.
    ///
    /// # Safety
    /// 1. `block` came from this heap, has not been given back, and is not used again if the answer
    ///    is true; or it is null, or lies in no heap at all, which gives false.
    #[inline(always)]
    #[doc(alias = "free")]
    pub unsafe fn deallocate_ready(&self, block: *mut u8) -> bool {
        is_cached(block)
    }

    /// Makes a block longer or shorter of which nothing but its address is known; where it stands
    /// if it can be. A block that gets less than half as long moves to a smaller one.
    ///
    /// The new one is aligned to 16, up to 8 bytes to 8. An address that no block begins at is
    /// reported; the process is aborted then.
    ///
    /// # Errors
    /// As for [`reallocate`](Self::reallocate).
    ///
    /// # Safety
    /// 1. `block` came from this heap, has not been given back, and after success is not used again
    ///    by its old address.
    #[doc(alias = "realloc")]
    pub unsafe fn reallocate_unsized(
        &self,
        block: NonNull<u8>,
        size: usize,
    ) -> Result<NonNull<u8>, Error> {
        let Some(usable) = self.usable_len(block) else {
            let finding = if self.owns(block) { Finding::NotABlock } else { Finding::Foreign };
            broken(finding, block)
        };
        let too_long = |_| {
            let addr = block.addr().get();
            Error::new(Op::Allocate, ErrorKind::OutOfRange, addr, size, 0)
        };
        let align = if size.max(usable) <= C_ALIGN / 2 { C_ALIGN / 2 } else { C_ALIGN };
        let old = Layout::from_size_align(usable, align).map_err(too_long)?;
        if size <= usable && usable - size <= usable / 2 {
            if usable > SIZE_MAX {
                self.shorten(block, Layout::from_size_align(size, align).map_err(too_long)?)?;
            }
            return Ok(block);
        }
        // SAFETY: (1): a layout of a block of that many bytes; what it is aligned to is not asked.
        unsafe { self.reallocate(block, old, size) }
    }

    /// Gives back what a long block has too much, if it is this thread's.
    fn shorten(&self, block: NonNull<u8>, new: Layout) -> Result<(), Error> {
        match Visit::begin_or_enter() {
            Some(visit) => visit.held().resize_own(block, new).map(drop),
            None => Ok(()),
        }
    }
}
