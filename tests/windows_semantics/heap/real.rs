//! The family as the system has it: Windows, or Wine.

use super::super::api::Expect;
use super::super::real::{is_wine, last_error};
use super::Api;
use std::ffi::c_void;
use std::mem::zeroed;
use std::ptr::{null_mut, with_exposed_provenance_mut};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleA;
use windows_sys::Win32::System::Memory::{
    GetProcessHeap, HeapAlloc, HeapCompact, HeapCreate, HeapDestroy, HeapFree, HeapLock,
    HeapReAlloc, HeapSize, HeapUnlock, HeapValidate, HeapWalk, PROCESS_HEAP_ENTRY,
};

/// `PROCESS_HEAP_ENTRY_BUSY`
const BUSY: u16 = 4;

pub(crate) struct Real;

fn handle(heap: usize) -> HANDLE {
    with_exposed_provenance_mut(heap)
}

fn pointer(block: usize) -> *mut c_void {
    with_exposed_provenance_mut(block)
}

fn address(pointer: *mut c_void) -> Result<usize, u32> {
    if pointer.is_null() { Err(last_error()) } else { Ok(pointer.expose_provenance()) }
}

fn done(answer: i32) -> Result<(), u32> {
    if answer == 0 { Err(last_error()) } else { Ok(()) }
}

impl Api for Real {
    fn name(&self) -> &'static str {
        if is_wine() { "Wine" } else { "Windows" }
    }

    fn expect(&self) -> Expect {
        if is_wine() { Expect::DocumentedOrWine } else { Expect::Documented }
    }

    fn is_fatal(&self) -> bool {
        !is_wine()
    }

    fn create(&self, options: u32, initial: usize, maximum: usize) -> Result<usize, u32> {
        // SAFETY: it takes numbers.
        address(unsafe { HeapCreate(options, initial, maximum) })
    }

    fn process(&self) -> usize {
        // SAFETY: it takes nothing.
        unsafe { GetProcessHeap() }.expose_provenance()
    }

    fn destroy(&self, heap: usize) -> Result<(), u32> {
        // SAFETY: a heap of the table's, or the process's, which is refused.
        done(unsafe { HeapDestroy(handle(heap)) })
    }

    fn alloc(&self, heap: usize, flags: u32, size: usize) -> Result<usize, u32> {
        // SAFETY: a heap of the table's, or the process's.
        address(unsafe { HeapAlloc(handle(heap), flags, size) })
    }

    fn realloc(&self, heap: usize, flags: u32, block: usize, size: usize) -> Result<usize, u32> {
        // SAFETY: a block of the table's; it forgets the old address.
        address(unsafe { HeapReAlloc(handle(heap), flags, pointer(block), size) })
    }

    fn free(&self, heap: usize, block: usize) -> Result<(), u32> {
        // SAFETY: wrong blocks are passed only where they are refused.
        done(unsafe { HeapFree(handle(heap), 0, pointer(block)) })
    }

    fn size(&self, heap: usize, block: usize) -> Result<usize, u32> {
        // SAFETY: as above.
        let size = unsafe { HeapSize(handle(heap), 0, pointer(block)) };
        if size == usize::MAX { Err(last_error()) } else { Ok(size) }
    }

    fn validate(&self, heap: usize, block: usize) -> bool {
        // SAFETY: as above.
        unsafe { HeapValidate(handle(heap), 0, pointer(block)) != 0 }
    }

    fn compact(&self, heap: usize) -> Result<usize, u32> {
        // SAFETY: a heap of the table's. 0 may be an answer, too.
        Ok(unsafe { HeapCompact(handle(heap), 0) })
    }

    fn lock(&self, heap: usize) -> Result<(), u32> {
        // SAFETY: a heap of the table's.
        done(unsafe { HeapLock(handle(heap)) })
    }

    fn unlock(&self, heap: usize) -> Result<(), u32> {
        // SAFETY: a heap of the table's.
        done(unsafe { HeapUnlock(handle(heap)) })
    }

    fn walk(&self, heap: usize) -> (usize, usize, u32) {
        // SAFETY: a structure of numbers and pointers may be zero.
        let mut entry: PROCESS_HEAP_ENTRY = unsafe { zeroed() };
        entry.lpData = null_mut();
        let (mut count, mut bytes) = (0, 0);
        // SAFETY: a heap of the table's, and a place for the answer.
        while unsafe { HeapWalk(handle(heap), &raw mut entry) } != 0 {
            if entry.wFlags & BUSY != 0 {
                count += 1;
                bytes += entry.cbData as usize;
            }
        }
        (count, bytes, last_error())
    }
}

/// `SizeOfHeapReserve` of the program's own header, which the option /HEAP of a linker sets.
#[test]
fn the_linker_gives_the_default_heap_a_megabyte() {
    /// Where the header begins, in the stub in front of it.
    const E_LFANEW: usize = 0x3c;
    /// Signature and file header, and the field's place behind them.
    const HEAP_RESERVE: usize = 24 + 88;
    // SAFETY: null is the program itself.
    let program = unsafe { GetModuleHandleA(std::ptr::null()) }.cast::<u8>();
    // SAFETY: every program begins with a stub that long.
    let place = unsafe { program.add(E_LFANEW) }.cast::<u32>();
    // SAFETY: as above.
    let header = unsafe { place.read_unaligned() } as usize;
    // SAFETY: the stub says that the header is there.
    let place = unsafe { program.add(header + HEAP_RESERVE) }.cast::<u64>();
    // SAFETY: as above.
    assert_eq!(unsafe { place.read_unaligned() }, 1 << 20);
}
