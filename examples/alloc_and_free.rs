//! The parameters of VirtualAlloc and VirtualFree, one by one: address, size, type, protection.

mod support;

use granule::vm::{Protection, Reservation};
use granule::win32::{MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, VirtualAlloc, VirtualFree};
use std::ptr::with_exposed_provenance;
use support::kernel::{self, write_and_read};
use support::{PAGE, picture, step, words};

const WISH: usize = 0x5678_0000;

fn main() -> Result<(), granule::Error> {
    println!("001-6. lpAddress, dwSize, flAllocationType, flProtect");
    let at = |addr, len| Reservation::builder().hint(addr).len(len).reserve();
    let block = step("MEM_RESERVE, 5000 bytes at 0x56781000", WISH, 8, || at(WISH + PAGE, 5000))?;
    println!("   address {:#x} in steps of 64 KiB, size {} in pages", block.base(), block.len());
    step("MEM_COMMIT, PAGE_READWRITE", WISH, 8, || block.commit(0..1, Protection::ReadWrite))?;
    println!("   write 'A': {:?}", write_and_read(WISH, b'A'));
    step("PAGE_NOACCESS", WISH, 8, || block.protect(0..1, Protection::NoAccess))?;
    println!("   write 'A': {:?}", write_and_read(WISH, b'A'));
    step("VirtualFree", WISH, 8, || block.release())?;
    let low = Reservation::builder().bottom_up().len(PAGE).reserve()?;
    let high = Reservation::builder().top_down().len(PAGE).reserve()?;
    println!("   MEM_TOP_DOWN lies above the lowest address: {}", high.base() > low.base());

    println!("002-5. VirtualAlloc makes Reserved and Committed, VirtualFree makes Free");
    let anywhere = Reservation::reserve(PAGE)?;
    println!("   address NULL: anywhere, {}", picture(anywhere.base(), 1));
    println!("   reserve adjusts to the granularity: {:#x}", at(WISH + 0x1234, 1)?.base());
    let block = step("reserve", WISH, 8, || at(WISH, 8 * PAGE))?;
    step("commit byte 0x1234 adjusts to the page", WISH, 8, || {
        block.commit(0x1234..0x1235, Protection::ReadWrite)
    })?;

    println!("002-6. The smallest set of pages that contains the bytes");
    step("commit 2 bytes across a border", WISH, 8, || {
        block.commit(4 * PAGE - 1..4 * PAGE + 1, Protection::ReadWrite)
    })?;
    let beyond = block.commit(7 * PAGE..8 * PAGE + 1, Protection::ReadWrite);
    println!("   {} beyond the end: {:?}", picture(WISH, 8), beyond.map_err(|error| error.kind()));

    println!("002-7. MEM_DECOMMIT and MEM_RELEASE");
    println!("   write 'A' to page 3: {:?}", write_and_read(WISH + 3 * PAGE, b'A'));
    step("MEM_DECOMMIT, one byte", WISH, 8, || block.decommit(3 * PAGE..3 * PAGE + 1))?;
    println!("   read page 3: {:?}", kernel::letter(WISH + 3 * PAGE));
    step("MEM_RELEASE takes the whole reservation", WISH, 8, || block.release())?;
    refused_releases();

    println!("002-8. The usual protections");
    let block = at(WISH, 2 * PAGE)?;
    println!("   {} reserved: {}", picture(WISH, 2), words(&block.query(0)?));
    block.commit(0..PAGE, Protection::ReadWrite)?;
    println!("   {} committed: {}", picture(WISH, 2), words(&block.query(0)?));
    block.protect(0..PAGE, Protection::Read)?;
    println!("   {} for reading: {}", picture(WISH, 2), words(&block.query(0)?));
    println!("   write 'A': {:?}, read: {:?}", kernel::write(WISH, b'A'), kernel::letter(WISH));
    Ok(())
}

/// The size of a MEM_RELEASE must be 0, and the address the one that was reserved.
fn refused_releases() {
    let wish = with_exposed_provenance(WISH);
    // SAFETY: new addresses are nobody's.
    let base = unsafe { VirtualAlloc(wish, 2 * PAGE, MEM_RESERVE, PAGE_NOACCESS) };
    let base = base.expect("the addresses are free");
    for (addr, size) in [(base, PAGE), (base.wrapping_byte_add(PAGE), 0), (base, 0)] {
        let before = picture(WISH, 8);
        // SAFETY: nobody uses the reservation.
        let answer = unsafe { VirtualFree(addr, size, MEM_RELEASE) };
        let answer = answer.map_err(|error| error.code());
        println!(
            "   {before} -> {}  VirtualFree({:#x}, {size}, MEM_RELEASE): {answer:?}",
            picture(WISH, 8),
            addr.addr()
        );
    }
}
