//! The three states of a page: reserve at a wished address, fail at a taken one, commit one page of
//! a hundred megabytes, and give it all back. Every line is asked of the system when it is printed.

mod support;

use granule::vm::{self, Protection, Reservation};
use support::{picture, words, write_and_read};

const MIB: usize = 1 << 20;
const WISH: usize = 0x5678_1234;

fn main() -> Result<(), granule::Error> {
    println!("1. Reserve 10 MiB at {WISH:#x}");
    let first = Reservation::builder().hint(WISH).len(10 * MIB).reserve()?;
    println!("   got {:#x}, rounded down to 64 KiB", first.base());
    println!("   and {:#x} bytes, so that its last byte is in", first.len());
    show(first.base(), 0);

    println!("2. Reserve 100 MiB at {WISH:#x}, which overlaps");
    let second = Reservation::builder().hint(WISH).len(100 * MIB).reserve();
    println!("   {:?}; long ranges are better left to the system", second.map_err(|e| e.kind()));

    println!("3. Reserve 100 MiB anywhere");
    let range = Reservation::reserve(100 * MIB)?;
    let base = range.base();
    println!("   a multiple of 64 KiB: {}", base.is_multiple_of(64 << 10));
    show(base, 0);
    println!("   write 'A' to page 1: {:?}", write_and_read(base + 4096, b'A'));

    println!("4. Commit one page of it, page 1");
    range.commit(4096..8192, Protection::ReadWrite)?;
    (0..3).for_each(|page| show(base, page));
    println!("   write 'A' to page 1: {:?}", write_and_read(base + 4096, b'A'));
    println!("   write 'A' to page 2: {:?}", write_and_read(base + 8192, b'A'));

    println!("5. Decommit it (not necessary before a release)");
    range.decommit(4096..8192)?;
    show(base, 1);
    println!("   write 'A' to page 1: {:?}", write_and_read(base + 4096, b'A'));

    println!("6. Release both");
    range.release()?;
    first.release()?;
    show(WISH, 0);
    println!("   write 'A' there: {:?}", write_and_read(WISH, b'A'));
    Ok(())
}

/// Page `page` as the system has it, and a picture of eight pages from `base` on.
fn show(base: usize, page: usize) {
    let region = vm::query(base + page * 4096).expect("an address of a program");
    println!("   {} page {page}: {}", picture(base, 8), words(&region));
}
