//! The family as `granule::win32` has it.

use super::super::api::Expect;
use super::super::ours::code;
use super::Api;
use granule::win32::{
    GetProcessHeap, HANDLE, HeapAlloc, HeapCompact, HeapCreate, HeapDestroy, HeapFree, HeapLock,
    HeapReAlloc, HeapSize, HeapUnlock, HeapValidate, HeapWalk, PROCESS_HEAP_ENTRY,
    PROCESS_HEAP_ENTRY_BUSY,
};
use std::ffi::c_void;
use std::ptr::{with_exposed_provenance_mut, without_provenance_mut};

pub(crate) struct Ours;

fn handle(heap: usize) -> HANDLE {
    without_provenance_mut(heap)
}

fn pointer(block: usize) -> *mut c_void {
    with_exposed_provenance_mut(block)
}

impl Api for Ours {
    fn name(&self) -> &'static str {
        "granule::win32"
    }

    fn expect(&self) -> Expect {
        Expect::Documented
    }

    fn is_fatal(&self) -> bool {
        false
    }

    fn create(&self, options: u32, initial: usize, maximum: usize) -> Result<usize, u32> {
        let heap = HeapCreate(options, initial, maximum);
        heap.map(|heap| heap.addr()).map_err(|error| code(&error))
    }

    fn process(&self) -> usize {
        GetProcessHeap().expect("memory").addr()
    }

    fn destroy(&self, heap: usize) -> Result<(), u32> {
        // SAFETY: (1) (2) the table makes one call at a time, and is through with the blocks.
        unsafe { HeapDestroy(handle(heap)) }.map_err(|error| code(&error))
    }

    fn alloc(&self, heap: usize, flags: u32, size: usize) -> Result<usize, u32> {
        // SAFETY: (1) the table makes one call at a time.
        let block = unsafe { HeapAlloc(handle(heap), flags, size) };
        block.map(|block| block.expose_provenance()).map_err(|error| code(&error))
    }

    fn realloc(&self, heap: usize, flags: u32, block: usize, size: usize) -> Result<usize, u32> {
        // SAFETY: (1) (2) as above; the table forgets the old address.
        let block = unsafe { HeapReAlloc(handle(heap), flags, pointer(block), size) };
        block.map(|block| block.expose_provenance()).map_err(|error| code(&error))
    }

    fn free(&self, heap: usize, block: usize) -> Result<(), u32> {
        // SAFETY: (1) (2) as above.
        unsafe { HeapFree(handle(heap), 0, pointer(block)) }.map_err(|error| code(&error))
    }

    fn size(&self, heap: usize, block: usize) -> Result<usize, u32> {
        // SAFETY: (1) as above.
        unsafe { HeapSize(handle(heap), 0, pointer(block)) }.map_err(|error| code(&error))
    }

    fn validate(&self, heap: usize, block: usize) -> bool {
        // SAFETY: (1) as above.
        unsafe { HeapValidate(handle(heap), 0, pointer(block)) }
    }

    fn compact(&self, heap: usize) -> Result<usize, u32> {
        // SAFETY: (1) as above.
        unsafe { HeapCompact(handle(heap), 0) }.map_err(|error| code(&error))
    }

    fn lock(&self, heap: usize) -> Result<(), u32> {
        HeapLock(handle(heap)).map_err(|error| code(&error))
    }

    fn unlock(&self, heap: usize) -> Result<(), u32> {
        HeapUnlock(handle(heap)).map_err(|error| code(&error))
    }

    fn walk(&self, heap: usize) -> (usize, usize, u32) {
        let (mut entry, mut count, mut bytes) = (PROCESS_HEAP_ENTRY::default(), 0, 0);
        loop {
            // SAFETY: (1) as above.
            match unsafe { HeapWalk(handle(heap), &mut entry) } {
                Ok(()) if entry.wFlags & PROCESS_HEAP_ENTRY_BUSY != 0 => {
                    count += 1;
                    bytes += entry.cbData as usize;
                }
                Ok(()) => {}
                Err(error) => return (count, bytes, code(&error)),
            }
        }
    }
}
