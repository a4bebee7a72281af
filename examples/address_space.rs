//! The picture of an address space, with the numbers of this process, from the top down.

mod support;

use granule::vm;
use support::kernel::write_and_read;
use support::words;

fn main() -> Result<(), granule::Error> {
    let info = vm::info();
    let on_heap = Box::new(1);
    let on_stack = 2;
    let kernel = 1 << (usize::BITS - 1);

    println!("001-1. The address space of this process");
    println!("  |------------------|");
    show("kernel", kernel);
    show("forbidden", info.address_max + 1);
    println!("  |------------------| programs end at {:#x}", info.address_max);
    show("stack", (&raw const on_stack).addr());
    show("heap", (&raw const *on_heap).addr());
    show("program", main as *const () as usize);
    println!("  |------------------| reservations begin at {:#x}", info.address_min);
    show("NULL partition", 0);
    println!("  |------------------|");
    println!("   write 'A' to 0x0: {:?}", write_and_read(0, b'A'));
    Ok(())
}

/// A part of the picture: one address in it, and what `query` says of that.
fn show(part: &str, addr: usize) {
    let answer = match vm::query(addr) {
        Ok(region) => words(&region),
        Err(error) => format!("no program's: {:?}", error.kind()),
    };
    println!("  | {part:<16} | at {addr:#x}: {answer}");
}
