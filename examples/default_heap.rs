//! The heap of the process: all of this program's allocations lie there, as those of a C++ program
//! do on Windows. And beside it a heap of one's own.
//!
//! ```text
//! cargo run --example default_heap
//! ```

use granule::win32::*;
use std::alloc::{GlobalAlloc, Layout, System, alloc, dealloc};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::Rc;

/// `malloc` and `free`, `new` and `delete`: blocks of the default heap.
struct DefaultHeap;

/// What every block of a heap is a multiple of.
const ALIGN: usize = 16;

#[global_allocator]
static ALLOCATOR: DefaultHeap = DefaultHeap;

// SAFETY: a heap gives every block memory of its own, at a multiple of 16; what needs more than
// that is left to the system's allocator, to and fro.
unsafe impl GlobalAlloc for DefaultHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN {
            // SAFETY: the same contract.
            return unsafe { System.alloc(layout) };
        }
        let Ok(heap) = GetProcessHeap() else { return null_mut() };
        // SAFETY: (1) the heap of the process has a lock.
        unsafe { HeapAlloc(heap, 0, layout.size()) }.map_or(null_mut(), <*mut c_void>::cast)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.align() > ALIGN {
            // SAFETY: the same contract.
            return unsafe { System.dealloc(block, layout) };
        }
        // SAFETY: (1) as above; (2) the same contract.
        let freed = GetProcessHeap().and_then(|heap| unsafe { HeapFree(heap, 0, block.cast()) });
        if freed.is_err() {
            std::process::abort(); // somebody has written where he must not
        }
    }
}

/// The size of a block of the default heap; `None` if there is no such block.
fn size(block: *const c_void) -> Option<usize> {
    let heap = GetProcessHeap().ok()?;
    // SAFETY: (1) the heap of the process has a lock.
    unsafe { HeapSize(heap, 0, block) }.ok()
}

/// Says when it comes and when it goes.
struct Value(&'static str);

impl Value {
    fn new(name: &'static str) -> Self {
        println!("   {name} is constructed");
        Value(name)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        println!("   {} is dropped", self.0);
    }
}

fn told<T>(answer: Result<T, Win32Error>) -> String {
    answer.map_or_else(|error| format!("{} ({})", error.name(), error.code()), |_| "ok".to_string())
}

fn malloc_and_new(heap: HANDLE) {
    println!("003-8. malloc and free: a block of any size, not initialised");
    let layout = Layout::from_size_align(100, 1).expect("a layout");
    // SAFETY: the layout is not empty.
    let block = unsafe { alloc(layout) }.cast::<c_void>();
    println!("   malloc(100): {:?} bytes of the default heap", size(block).unwrap_or_default());
    // SAFETY: allocated above with this layout.
    unsafe { dealloc(block.cast(), layout) };
    println!("   after free it is a block: {}", size(block).is_some());

    println!("003-9. new and delete: HeapAlloc, and a value constructed in the block");
    let value = Box::new(Value::new("a value"));
    let block = (&raw const *value).cast();
    println!("   new: {:?} bytes of the default heap", size(block).unwrap_or_default());
    drop(value);
    println!("   after delete it is a block: {}", size(block).is_some());
    let values = ["one", "two"].map(Value::new).into_iter().collect::<Box<[Value]>>();
    println!("   new[]: {:?} bytes", size((&raw const values[0]).cast()).unwrap_or_default());
    drop(values);
    let shared = Rc::new(Value::new("a shared value"));
    let other = Rc::clone(&shared);
    drop(shared);
    println!("   one of two owners is gone");
    drop(other);
    // SAFETY: (1) the heap of the process has a lock.
    println!("   the heap is sound: {}", unsafe { HeapValidate(heap, 0, null_mut()) });
}

fn main() -> Result<(), Win32Error> {
    println!("004-5. The default heap: made with the program, and used by all of it");
    let heap = GetProcessHeap()?;
    let mut heaps = [null_mut(); 8];
    let count = GetProcessHeaps(&mut heaps);
    println!(
        "   GetProcessHeaps: {count}, the first one is the default heap: {}",
        heaps[0] == heap
    );
    // SAFETY: (1) (2) it is refused.
    println!("   HeapDestroy of it: {}", told(unsafe { HeapDestroy(heap) }));
    malloc_and_new(heap);

    println!("004-5. It grows by itself above the 1 MiB that a linker gives it under Windows");
    let blocks: Vec<Box<[u8; 1000]>> = (0..3000).map(|_| Box::new([7; 1000])).collect();
    let are_its = blocks.iter().all(|block| size((&raw const **block).cast()) == Some(1000));
    println!("   {} blocks of 1000 bytes are its blocks: {are_its}", blocks.len());
    let long = vec![0_u8; 10 << 20];
    println!("   a block of {:?} MiB", size(long.as_ptr().cast()).map_or(0, |len| len >> 20));
    drop((blocks, long));
    heap_of_ones_own()
}

fn heap_of_ones_own() -> Result<(), Win32Error> {
    println!("003-7, 002-13. HeapAlloc: any size and more options, on a heap of one's own");
    let heap = HeapCreate(0, 0, 0)?;
    // SAFETY: (1) the heap has a lock.
    let new = |flags, size| unsafe { HeapAlloc(heap, flags, size) };
    // SAFETY: (1) the heap has a lock.
    let size = |block: *mut c_void| unsafe { HeapSize(heap, 0, block) };
    let (short, long) = (new(0, 10)?, new(HEAP_ZERO_MEMORY, 600_000)?);
    println!("   HeapSize: {} and {}", size(short)?, size(long)?);
    // SAFETY: the block is in use and that long, and was zeroed.
    let bytes = unsafe { std::slice::from_raw_parts(long.cast::<u8>(), 600_000) };
    println!("   HEAP_ZERO_MEMORY: zero {}", bytes.iter().all(|&byte| byte == 0));
    let mut page = MEMORY_BASIC_INFORMATION::default();
    VirtualQuery(long, &mut page, size_of::<MEMORY_BASIC_INFORMATION>())?;
    println!("   it has committed the pages by itself: {}", page.State == MEM_COMMIT);
    // SAFETY: (1) (2) the heap has a lock, and the block is ours.
    let longer = unsafe { HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, short, 50_000_000) };
    println!("   HEAP_REALLOC_IN_PLACE_ONLY, 10 to 50000000: {}", told(longer));
    // SAFETY: (1) (2) as above; the block is not used again.
    let free = || unsafe { HeapFree(heap, 0, short) };
    println!("   HeapFree: {}, once more: {}", told(free()), told(free()));
    // SAFETY: (1) (2) its blocks are not used again.
    println!("   HeapDestroy: {}", told(unsafe { HeapDestroy(heap) }));

    let small = HeapCreate(0, 4096, 1 << 20)?;
    // SAFETY: (1) the heap has a lock.
    let new = || unsafe { HeapAlloc(small, 0, 4000) };
    let count = (0..).take_while(|_| new().is_ok()).count();
    println!("   1 MiB at most: {count} blocks of 4000 bytes, then {}", told(new()));
    // SAFETY: (1) (2) as above.
    println!("   HeapDestroy, with all of them: {}", told(unsafe { HeapDestroy(small) }));
    Ok(())
}
