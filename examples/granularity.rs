//! Eight bytes cost 64 KiB of addresses: memory comes in pages, reservations in steps of the
//! granularity. Every line is asked when it is printed.

mod support;

use granule::vm::{self, Protection, Reservation};
use support::kernel::write_and_read;
use support::{PAGE, picture, step, words};

/// A neighbourhood in which programs have nothing, so that the pictures show us alone.
const WISH: usize = 0x5678_0000;

fn main() -> Result<(), granule::Error> {
    let info = vm::info();
    println!("002-4, 003-4. What the system says (GetSystemInfo)");
    println!("   page {} bytes, granularity {} bytes", info.page_len, info.granularity);

    println!("003-3. A base is a multiple of the granularity");
    let block = step("reserve 8 bytes in the middle of a step", WISH, 16, || {
        Reservation::builder().hint(WISH + 0x1234).len(8).reserve()
    })?;
    let base = block.base();
    println!("   asked for {:#x}, got {base:#x}", WISH + 0x1234);
    println!("   a multiple of 64 KiB: {}", base.is_multiple_of(info.granularity));
    step("release", WISH, 16, || block.release())?;

    println!("003-5. Reserve and commit 8 bytes");
    let block = step("reserve", WISH, 16, || Reservation::builder().hint(WISH).len(8).reserve())?;
    step("commit, the 16 pages of a step", WISH, 16, || block.commit(0..8, Protection::ReadWrite))?;
    println!("   byte 8: {:?}, it is in the same page", write_and_read(WISH + 8, b'A'));
    println!("   byte 4095: {:?}", write_and_read(WISH + PAGE - 1, b'A'));
    println!("   byte 4096: {:?}", write_and_read(WISH + PAGE, b'A'));
    println!("   page 0: {}", words(&vm::query(WISH)?));
    println!(
        "   page 1: {}, and yet nobody gets the rest of the step:",
        words(&vm::query(WISH + PAGE)?)
    );
    for offset in [0x1000, 0x8000, 0xf000, 0x10000] {
        let builder = Reservation::builder().hint(WISH + offset).len(8);
        let answer = match builder.reserve() {
            Ok(neighbour) => format!("got {:#x}", neighbour.base()),
            Err(error) => format!("{:?}", error.kind()),
        };
        println!("   at {:#x}: {answer}", WISH + offset);
    }

    println!("003-6. Release");
    step("release", WISH, 16, || block.release())?;
    println!("   byte 8: {:?}", write_and_read(WISH + 8, b'A'));

    println!("002-3, 004-2. Why a step is larger than a page: eight blocks of 8 bytes");
    let mut blocks = Vec::new();
    for index in 0..8 {
        let block =
            Reservation::builder().hint(WISH + index * info.granularity).len(8).reserve()?;
        block.commit(0..8, Protection::ReadWrite)?;
        blocks.push(block);
    }
    let span = blocks.len() * info.granularity;
    println!("   {}", picture(WISH, 32));
    println!("   used {} bytes, committed {} bytes", 8 * blocks.len(), blocks.len() * PAGE);
    println!("   addresses {span} bytes, {} of them wasted", span - blocks.len() * PAGE);
    println!("   small blocks belong into one reservation: the space stays in large pieces");
    step("drop them all", WISH, 32, || drop(blocks));
    Ok(())
}
