//! The picture of an address space, with the numbers of this process, from the top down.

mod support;

use granule::vm::{self, Kind, Protection, State};
use support::kernel::write_and_read;
use support::words;

fn main() -> Result<(), granule::Error> {
    let info = vm::info();
    let on_heap = Box::new(1);
    let on_stack = 2;
    let program = main as *const () as usize;
    let kernel = 1 << (usize::BITS - 1);

    println!("001-1. The address space of this process");
    println!("  |------------------|");
    show("kernel", kernel);
    show("forbidden", info.address_max + 1);
    println!("  |------------------| programs end at {:#x}", info.address_max);
    show("stack", (&raw const on_stack).addr());
    show("library", library(program)?);
    show("heap", (&raw const *on_heap).addr());
    show("program", program);
    println!("  |------------------| reservations begin at {:#x}", info.address_min);
    show("NULL partition", 0);
    println!("  |------------------|");
    println!("   write 'A' to 0x0: {:?}", write_and_read(0, b'A'));

    let (mut next, mut gaps) = (info.address_min, 0);
    for region in vm::regions() {
        let region = region?;
        gaps += usize::from(region.base != next);
        next = region.base + region.len;
    }
    println!(
        "   all regions side by side: {gaps} gaps, up to the end: {}",
        next > info.address_max
    );
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

/// Code that is not the program's.
fn library(program: usize) -> Result<usize, granule::Error> {
    let program = vm::query(program)?;
    for region in vm::regions() {
        let region = region?;
        let is_code = region.protection == Some(Protection::ExecuteRead);
        if is_code && region.kind == Some(Kind::Image) && region.name != program.name {
            assert_eq!(region.state, State::Committed);
            return Ok(region.base);
        }
    }
    Ok(0)
}
