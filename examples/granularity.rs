//! Eight bytes cost 64 KiB of addresses: memory comes in pages, reservations in steps of the
//! granularity. Every line is asked of the system when it is printed.

mod support;

use granule::vm::{self, Protection, Reservation};
use support::{picture, words, write_and_read};

/// A neighbourhood in which programs have nothing, so that the pictures show us alone.
const WISH: usize = 0x5678_0000;

fn main() -> Result<(), granule::Error> {
    let info = vm::info();
    println!("page {} bytes, granularity {} bytes", info.page_len, info.granularity);

    println!("1. Reserve and commit 8 bytes");
    let block = Reservation::builder().hint(WISH).len(8).reserve()?;
    block.commit(0..8, Protection::ReadWrite)?;
    let base = block.base();
    println!("   {:#x} is a multiple of 64 KiB: {}", base, base.is_multiple_of(info.granularity));
    println!("   {} the 16 pages of a step", picture(base, 16));
    println!("   byte 8: {:?}, it is in the same page", write_and_read(base + 8, b'A'));
    println!("   byte 4095: {:?}", write_and_read(base + 4095, b'A'));
    println!("   byte 4096: {:?}", write_and_read(base + 4096, b'A'));
    println!("   page 0: {}", words(&vm::query(base)?));
    println!("   page 1: {}, and yet:", words(&vm::query(base + 4096)?));

    println!("2. Reserve what is left of the step");
    for offset in [0x1000, 0x8000, 0xf000, 0x10000] {
        let builder = Reservation::builder().hint(base + offset).len(8);
        let answer = match builder.reserve() {
            Ok(neighbour) => format!("got {:#x}", neighbour.base()),
            Err(error) => format!("{:?}", error.kind()),
        };
        println!("   at {:#x}: {answer}", base + offset);
    }

    println!("3. Eight blocks of 8 bytes, one reservation each");
    block.release()?;
    let mut blocks = Vec::new();
    for index in 0..8 {
        let block =
            Reservation::builder().hint(WISH + index * info.granularity).len(8).reserve()?;
        block.commit(0..8, Protection::ReadWrite)?;
        blocks.push(block);
    }
    let span = blocks.len() * info.granularity;
    println!("   {}", picture(WISH, 32));
    println!(
        "   used {} bytes, committed {} bytes",
        8 * blocks.len(),
        blocks.len() * info.page_len
    );
    println!("   addresses {span} bytes, {} of them wasted", span - blocks.len() * info.page_len);
    println!("   one reservation and a heap in it wastes none of this");
    drop(blocks);
    println!("   {} after the drop", picture(WISH, 32));
    Ok(())
}
