//! The heaps of `granule::win32` where they are no copy of Windows: old handles, locks between
//! threads, exceptions, overruns, forks. The answers that are those of Windows are in
//! `windows_semantics`.

use granule::win32::*;
use std::ffi::c_void;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

fn code<T: std::fmt::Debug>(answer: Result<T, Win32Error>) -> u32 {
    answer.expect_err("it is refused").code()
}

fn alloc(heap: HANDLE, size: usize) -> Result<*mut c_void, Win32Error> {
    // SAFETY: (1) the heap has a lock, or one user.
    unsafe { HeapAlloc(heap, 0, size) }
}

fn free(heap: HANDLE, block: *mut c_void) -> Result<(), Win32Error> {
    // SAFETY: (1) as above; (2) the tests use no block after that.
    unsafe { HeapFree(heap, 0, block) }
}

fn destroy(heap: HANDLE) -> Result<(), Win32Error> {
    // SAFETY: (1) (2) the tests are through with the heap.
    unsafe { HeapDestroy(heap) }
}

fn is_valid(heap: HANDLE, block: *const c_void) -> bool {
    // SAFETY: (1) as above.
    unsafe { HeapValidate(heap, 0, block) }
}

#[test]
fn old_handles_lead_nowhere() -> Result<(), Win32Error> {
    let heap = HeapCreate(0, 0, 0)?;
    let block = alloc(heap, 10)?;
    destroy(heap)?;
    let next = HeapCreate(0, 0, 0)?;
    assert_ne!(heap, next, "records are used again, handles are not");
    for wrong in [heap, null_mut(), without_provenance_mut(usize::MAX & !3)] {
        assert_eq!(code(alloc(wrong, 10)), ERROR_INVALID_HANDLE);
        assert_eq!(code(free(wrong, block)), ERROR_INVALID_HANDLE);
        assert_eq!(code(destroy(wrong)), ERROR_INVALID_HANDLE);
        assert_eq!(code(HeapLock(wrong)), ERROR_INVALID_HANDLE);
        assert!(!is_valid(wrong, null()));
    }
    assert_eq!(code(free(next, block)), ERROR_INVALID_PARAMETER);
    destroy(next)
}

#[test]
fn null_is_no_block_but_to_be_freed() -> Result<(), Win32Error> {
    let heap = GetProcessHeap()?;
    free(heap, null_mut())?;
    // SAFETY: (1) the heap has a lock.
    assert_eq!(code(unsafe { HeapSize(heap, 0, null()) }), ERROR_INVALID_PARAMETER);
    // SAFETY: (1) (2) as above; there is no block.
    let moved = unsafe { HeapReAlloc(heap, 0, null_mut(), 10) };
    assert_eq!(code(moved), ERROR_INVALID_PARAMETER);
    Ok(())
}

#[test]
fn who_writes_behind_the_end_is_found_out() -> Result<(), Win32Error> {
    let heap = HeapCreate(0, 0, 0)?;
    let (block, other) = (alloc(heap, 24)?, alloc(heap, 24)?);
    // A neighbour's bytes are not touched: the room is 32 bytes.
    // SAFETY: inside the room of the block.
    let behind = unsafe { block.cast::<u8>().add(24) };
    // SAFETY: as above.
    let old = unsafe { behind.read() };
    // SAFETY: as above.
    unsafe { behind.write(!old) };
    assert!(!is_valid(heap, block) && is_valid(heap, other) && !is_valid(heap, null()));
    assert_eq!(code(free(heap, block)), ERROR_INVALID_PARAMETER);
    let error = free(heap, block).expect_err("it stays in use");
    assert!(error.to_string().contains("behind the end"), "{error}");
    // SAFETY: as above.
    unsafe { behind.write(old) };
    free(heap, block)?;
    assert!(is_valid(heap, null()));
    destroy(heap)
}

#[test]
fn an_exception_is_a_panic() -> Result<(), Win32Error> {
    let always = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 0)?;
    let panicked = std::panic::catch_unwind(|| alloc(always, 1 << 46)).expect_err("it panics");
    let words = panicked.downcast_ref::<String>().expect("a text");
    assert!(words.starts_with("HeapAlloc: ERROR_NOT_ENOUGH_MEMORY (8)"), "{words}");
    let sometimes = HeapCreate(0, 0, 0)?;
    assert_eq!(code(alloc(sometimes, 1 << 46)), ERROR_NOT_ENOUGH_MEMORY);
    let block = alloc(sometimes, 10)?;
    let panicked = std::panic::catch_unwind(|| {
        // SAFETY: (1) (2) the heap has a lock, the block is ours.
        unsafe { HeapReAlloc(sometimes, HEAP_GENERATE_EXCEPTIONS, block, 1 << 46) }
    });
    assert!(panicked.is_err());
    // Nobody has kept the lock, and the block is as it was.
    assert!(is_valid(sometimes, block) && alloc(always, 10).is_ok());
    destroy(always)?;
    destroy(sometimes)
}

#[test]
fn a_lock_keeps_other_threads_out() -> Result<(), Win32Error> {
    let heap = HeapCreate(0, 0, 0)?;
    let (number, count) = (heap.addr(), AtomicUsize::new(0));
    HeapLock(heap)?;
    HeapLock(heap)?;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let heap = without_provenance_mut(number);
            count.fetch_add(1, Ordering::SeqCst);
            let block = alloc(heap, 10).map(|block| block.addr());
            assert_eq!(code(HeapUnlock(heap)), ERROR_NOT_LOCKED);
            (block, count.fetch_add(1, Ordering::SeqCst))
        });
        while count.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        for _ in 0..1000 {
            let block = alloc(heap, 10)?;
            free(heap, block)?;
            assert_eq!(count.load(Ordering::SeqCst), 1, "the other one waits");
        }
        HeapUnlock(heap)?;
        assert_eq!(count.load(Ordering::SeqCst), 1, "it was locked twice");
        HeapUnlock(heap)?;
        let (block, before) = other.join().expect("no panic");
        assert!(block.is_ok() && before == 1);
        Ok(())
    })?;
    destroy(heap)
}

#[test]
fn threads_share_a_heap() -> Result<(), Win32Error> {
    let heap = HeapCreate(0, 0, 0)?;
    let number = heap.addr();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || -> Result<(), Win32Error> {
                let heap = without_provenance_mut(number);
                let mut kept = Vec::new();
                for round in 0..2000_usize {
                    let size = (round * 37 + thread * 101) % 3000;
                    let block = alloc(heap, size)?;
                    // SAFETY: the block is ours and that long.
                    unsafe { block.cast::<u8>().write_bytes(thread as u8, size) };
                    kept.push((block, size));
                    if round % 3 != 0 {
                        let (block, size) = kept.swap_remove(round % kept.len());
                        // SAFETY: as above.
                        let bytes = unsafe { std::slice::from_raw_parts(block.cast::<u8>(), size) };
                        assert!(bytes.iter().all(|&byte| byte == thread as u8));
                        // SAFETY: (1) the heap has a lock.
                        assert_eq!(unsafe { HeapSize(heap, 0, block)? }, size);
                        free(heap, block)?;
                    }
                }
                kept.into_iter().try_for_each(|(block, _)| free(heap, block))
            });
        }
    });
    assert!(is_valid(heap, null()));
    let mut entry = PROCESS_HEAP_ENTRY::default();
    // SAFETY: (1) the heap has a lock.
    while unsafe { HeapWalk(heap, &mut entry) }.is_ok() {
        assert_ne!(entry.wFlags, PROCESS_HEAP_ENTRY_BUSY);
    }
    destroy(heap)
}

#[test]
fn a_walk_tells_regions_blocks_and_gaps() -> Result<(), Win32Error> {
    let heap = HeapCreate(0, 0, 0)?;
    let small: Vec<_> = (0..10).map(|_| alloc(heap, 100)).collect::<Result<_, _>>()?;
    let long = alloc(heap, 100_000)?;
    free(heap, small[3])?;
    free(heap, small[4])?;
    let mut entry = PROCESS_HEAP_ENTRY::default();
    let (mut regions, mut told) = (Vec::new(), Vec::new());
    // SAFETY: (1) the heap has a lock.
    while unsafe { HeapWalk(heap, &mut entry) }.is_ok() {
        match entry.wFlags {
            PROCESS_HEAP_REGION => regions.push(entry.Region.dwCommittedSize),
            flags => told.push((entry.lpData, entry.cbData, flags, entry.iRegionIndex)),
        }
    }
    // The youngest region is the first.
    assert_eq!(regions, [128 << 10, 64 << 10]);
    assert_eq!(told[0], (long, 100_000, PROCESS_HEAP_ENTRY_BUSY, 0));
    assert_eq!(told[1], (small[0], 100, PROCESS_HEAP_ENTRY_BUSY, 1));
    assert_eq!(told[4], (small[3], 224, 0, 1), "two free blocks, side by side");
    assert_eq!(told[5], (small[5], 100, PROCESS_HEAP_ENTRY_BUSY, 1));
    assert_eq!(told.len(), 1 + 3 + 1 + 5 + 1);
    // Where the last entry has gone the walk ends.
    entry.lpData = long;
    entry.wFlags = PROCESS_HEAP_ENTRY_BUSY;
    free(heap, long)?;
    // SAFETY: (1) the heap has a lock.
    assert_eq!(code(unsafe { HeapWalk(heap, &mut entry) }), ERROR_INVALID_PARAMETER);
    // SAFETY: (1) the heap has a lock.
    assert_eq!(unsafe { HeapCompact(heap, 0)? }, 104);
    destroy(heap)
}

#[test]
fn all_heaps_are_told_the_processs_first() -> Result<(), Win32Error> {
    let mine = [HeapCreate(0, 0, 0)?, HeapCreate(HEAP_NO_SERIALIZE, 0, 0)?];
    let mut heaps = [null_mut(); 1000];
    let count = GetProcessHeaps(&mut heaps);
    assert_eq!(heaps[0], GetProcessHeap()?);
    assert!(mine.iter().all(|heap| heaps[..count].contains(heap)));
    assert!(GetProcessHeaps(&mut []) >= 3);
    for heap in mine {
        destroy(heap)?;
    }
    let count = GetProcessHeaps(&mut heaps);
    assert!(!mine.iter().any(|heap| heaps[..count].contains(heap)));
    Ok(())
}

#[test]
fn a_maximum_counts_blocks_not_size_classes() -> Result<(), Win32Error> {
    let heap = HeapCreate(0, 0, 64 << 10)?;
    // One of each class would take a slab each.
    let sizes = (0..44).map(|number| 8 + number * 60);
    let blocks = sizes.map(|size| alloc(heap, size)).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(code(alloc(heap, 10_000)), ERROR_NOT_ENOUGH_MEMORY);
    for block in blocks {
        free(heap, block)?;
    }
    let block = alloc(heap, 60_000)?;
    // SAFETY: (1) (2) the heap has a lock, the block is ours.
    let longer = unsafe { HeapReAlloc(heap, 0, block, 70_000) };
    assert_eq!(code(longer), ERROR_NOT_ENOUGH_MEMORY);
    // SAFETY: (1) (2) as above.
    let shorter = unsafe { HeapReAlloc(heap, 0, block, 100)? };
    assert!(alloc(heap, 50_000).is_ok() && is_valid(heap, shorter));
    destroy(heap)
}

#[test]
fn a_heap_has_what_it_begins_with() -> Result<(), Win32Error> {
    for maximum in [0, 1 << 20] {
        let heap = HeapCreate(0, 1 << 20, maximum)?;
        // SAFETY: (1) the heap has a lock.
        let largest = unsafe { HeapCompact(heap, 0)? };
        let expected = if maximum == 0 { (1 << 20) - 8 } else { 0x7_fff7 };
        assert_eq!(largest, expected);
        let block = alloc(heap, largest)?;
        assert!(is_valid(heap, block) && is_valid(heap, std::ptr::null()));
        destroy(heap)?;
    }
    assert_eq!(code(HeapCreate(0, (1 << 20) + 1, 1 << 20)), ERROR_INVALID_PARAMETER);
    assert_eq!(code(HeapCreate(0, 1 << 46, 0)), ERROR_NOT_ENOUGH_MEMORY, "nobody has so much");
    Ok(())
}
