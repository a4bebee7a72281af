//! The three states of a page: reserve at a wished address, fail at a taken one, commit one page of
//! a hundred megabytes, and give it all back. Every line is asked when it is printed.

mod support;

use granule::vm::{self, Protection, Reservation};
use support::kernel::write_and_read;
use support::{PAGE, picture, step, words};

const MIB: usize = 1 << 20;
const WISH: usize = 0x5678_1234;
/// The step of 64 KiB that the wish lies in.
const STEP: usize = 0x5678_0000;

fn main() -> Result<(), granule::Error> {
    println!("001-3. Reserve 10 MiB at {WISH:#x}");
    let first =
        step("reserve", STEP, 8, || Reservation::builder().hint(WISH).len(10 * MIB).reserve())?;
    println!("   got {:#x}, rounded down to 64 KiB", first.base());
    println!("   and {:#x} bytes, so that its last byte is in", first.len());
    show(first.base(), 0);

    println!("001-4. Reserve 100 MiB at {WISH:#x}, which overlaps");
    let second = step("reserve, and nothing happens", STEP, 8, || {
        Reservation::builder().hint(WISH).len(100 * MIB).reserve()
    });
    println!("   {:?}; long ranges are better left to the system", second.map_err(|e| e.kind()));

    println!("001-5. Reserve 100 MiB from the top down (MEM_TOP_DOWN), and write to it");
    let range = Reservation::builder().top_down().len(100 * MIB).reserve()?;
    let base = range.base();
    println!("   a multiple of 64 KiB: {}", base.is_multiple_of(64 << 10));
    show(base, 0);
    println!("   write 'A' to page 1: {:?}", write_and_read(base + PAGE, b'A'));

    println!("001-2, 002-2. Commit a part of it, page 1");
    step("commit", base, 8, || range.commit(PAGE..2 * PAGE, Protection::ReadWrite))?;
    (0..3).for_each(|page| show(base, page));

    println!("001-7. Write to the page, give it back, release everything");
    println!("   write 'A' to page 1: {:?}", write_and_read(base + PAGE, b'A'));
    println!("   write 'A' to page 2: {:?}", write_and_read(base + 2 * PAGE, b'A'));
    step("decommit, which is not necessary", base, 8, || range.decommit(PAGE..2 * PAGE))?;
    println!("   write 'A' to page 1: {:?}", write_and_read(base + PAGE, b'A'));
    step("commit pages 2 and 3", base, 8, || {
        range.commit(2 * PAGE..4 * PAGE, Protection::ReadWrite)
    })?;
    step("release, which decommits by itself", base, 8, || range.release())?;

    println!("004-1. Three states: why there is Reserved");
    step("release the first range too", WISH, 8, || first.release())?;
    let range = Reservation::reserve(1 << 40)?;
    let base = range.base();
    println!("   {} reserve a terabyte: addresses side by side", picture(base, 8));
    step("commit what is needed now", base, 8, || range.commit(0..PAGE, Protection::ReadWrite))?;
    step("and what is needed later, right behind it", base, 8, || {
        range.commit(PAGE..3 * PAGE, Protection::ReadWrite)
    })?;
    let taken = Reservation::builder().hint(base + (1 << 30)).len(PAGE).reserve();
    println!("   others get no addresses inside: {:?}", taken.map_err(|error| error.kind()));
    step("release", base, 8, || range.release())
}

/// Page `page`, and a picture of eight pages from `base` on.
fn show(base: usize, page: usize) {
    let region = vm::query(base + page * PAGE).expect("an address of a program");
    println!("   {} page {page}: {}", picture(base, 8), words(&region));
}
