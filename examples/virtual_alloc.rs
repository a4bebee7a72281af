//! The programs of the notes with the functions of the notes: `VirtualAlloc`, `VirtualFree`,
//! `VirtualProtect`, `VirtualQuery`, on any system. Every line is asked when it is printed.

mod support;

use granule::win32::*;
use std::ffi::c_void;
use std::ptr::{null_mut, with_exposed_provenance_mut};
use support::kernel::write_and_read;
use support::{PAGE, step};

const MIB: usize = 1 << 20;
/// Pages in a picture.
const PAGES: usize = 8;

fn main() {
    let info = GetSystemInfo();
    println!("002-4. GetSystemInfo");
    println!("   dwPageSize {:#x}", info.dwPageSize);
    println!("   dwAllocationGranularity {:#x}", info.dwAllocationGranularity);
    println!("   lpMinimumApplicationAddress {:#x}", info.lpMinimumApplicationAddress.addr());

    println!("001-3. 10 MiB at 0x56781234");
    let wish = with_exposed_provenance_mut(0x5678_1234);
    let first = alloc("MEM_RESERVE", wish, 10 * MIB, MEM_RESERVE, PAGE_READWRITE);
    told(first, 0);

    println!("001-4. 100 MiB over it");
    alloc("MEM_RESERVE", wish, 100 * MIB, MEM_RESERVE, PAGE_READWRITE);

    println!("001-5. A write to what is only reserved");
    println!("   *p1 = 'A': {:?}", write_and_read(first.addr(), b'A'));

    println!("001-6, 001-7. 100 MiB from the top, and a page of them");
    // SAFETY: (1) no address is given.
    let top =
        unsafe { VirtualAlloc(null_mut(), 100 * MIB, MEM_RESERVE | MEM_TOP_DOWN, PAGE_READWRITE) };
    let top = top.expect("so many addresses are free");
    println!("   MEM_RESERVE | MEM_TOP_DOWN: a multiple of 64 KiB: {}", top.addr() % 0x1_0000 == 0);
    let page = top.wrapping_byte_add(PAGE);
    // SAFETY: (1) nobody has references into the range.
    let page = unsafe { VirtualAlloc(page, PAGE, MEM_COMMIT, PAGE_READWRITE) };
    let page = page.expect("a page of memory is to be had");
    println!("   MEM_COMMIT of p1 + 4096: p1 + {}", page.addr() - top.addr());
    (0..3).for_each(|index| told(top, index * PAGE));
    println!("   *(p1 + 4096) = 'A': {:?}", write_and_read(page.addr(), b'A'));
    free("MEM_DECOMMIT", page, PAGE, MEM_DECOMMIT);
    told(top, 0);
    free("MEM_RELEASE", top, 0, MEM_RELEASE);
    told(top, PAGE);

    println!("002-6. Two bytes are two pages, if a border is between them");
    let two = first.wrapping_byte_add(4 * PAGE - 1);
    alloc("MEM_COMMIT, 2 bytes", two, 2, MEM_COMMIT, PAGE_READWRITE);
    told(first, 3 * PAGE);
    protect("PAGE_READONLY", two, 2, PAGE_READONLY);
    told(first, 3 * PAGE);
    println!("   write 'A': {:?}", write_and_read(two.addr(), b'A'));
    protect("PAGE_READONLY", first, PAGE, PAGE_READONLY);

    println!("002-7. Release wants the start and size 0");
    free("MEM_RELEASE, 10 MiB", first, 10 * MIB, MEM_RELEASE);
    free("MEM_RELEASE", first.wrapping_byte_add(PAGE), 0, MEM_RELEASE);
    free("MEM_RELEASE", first, 0, MEM_RELEASE);
    free("MEM_RELEASE", first, 0, MEM_RELEASE);

    println!("003-5. 8 bytes");
    let small = with_exposed_provenance_mut(0x5678_0000);
    let small =
        alloc("MEM_RESERVE | MEM_COMMIT", small, 8, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    told(small, 0);
    alloc("MEM_RESERVE", small.wrapping_byte_add(PAGE), 8, MEM_RESERVE, PAGE_READWRITE);
    println!("   byte 4096: {:?}", write_and_read(small.addr() + PAGE, b'A'));
    free("MEM_RELEASE", small, 0, MEM_RELEASE);
}

/// Where the pictures of what happens at an address begin: at its step of 64 KiB.
fn step_of(address: *mut c_void) -> usize {
    address.addr() & !0xffff
}

/// Calls `VirtualAlloc` and says what came of it.
fn alloc(words: &str, address: *mut c_void, size: usize, kind: u32, rights: u32) -> *mut c_void {
    // SAFETY: (1) this program has no references into what it allocates.
    let call = || unsafe { VirtualAlloc(address, size, kind, rights) };
    let answer = step(words, step_of(address), PAGES, call);
    match answer {
        Ok(base) => println!("   VirtualAlloc: {:#x}", base.addr()),
        Err(error) => println!("   {error}"),
    }
    answer.unwrap_or(null_mut())
}

/// Calls `VirtualFree` and says what came of it.
fn free(words: &str, address: *mut c_void, size: usize, kind: u32) {
    // SAFETY: (1) this program has no references into what it allocates. (2) It has one thread.
    let call = || unsafe { VirtualFree(address, size, kind) };
    match step(words, step_of(address), PAGES, call) {
        Ok(()) => println!("   VirtualFree: done"),
        Err(error) => println!("   {error}"),
    }
}

/// Calls `VirtualProtect` and says what came of it.
fn protect(words: &str, address: *mut c_void, size: usize, rights: u32) {
    let mut old = 0;
    // SAFETY: (1) this program has no references into what it allocates.
    let call = || unsafe { VirtualProtect(address, size, rights, Some(&mut old)) };
    match step(words, step_of(address), PAGES, call) {
        Ok(()) => println!("   VirtualProtect: it was {old:#x}"),
        Err(error) => println!("   {error}"),
    }
}

/// What `VirtualQuery` tells about a page of the range at `base`.
fn told(base: *mut c_void, offset: usize) {
    let mut found = MEMORY_BASIC_INFORMATION::default();
    let len = size_of::<MEMORY_BASIC_INFORMATION>();
    VirtualQuery(base.wrapping_byte_add(offset), &mut found, len).expect("an address of programs");
    let state = match found.State {
        MEM_COMMIT => "MEM_COMMIT",
        MEM_RESERVE => "MEM_RESERVE",
        _ => "MEM_FREE",
    };
    let start = found.BaseAddress.addr() - base.addr();
    let len = match found.State {
        // How far it is to the next neighbour is chance.
        MEM_FREE => String::new(),
        _ => format!(" {:#x} bytes, Protect {:#x}", found.RegionSize, found.Protect),
    };
    println!("   VirtualQuery: p1 + {start:#x}: {state}{len}");
}
