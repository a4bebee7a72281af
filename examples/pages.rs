//! Memory is a building, a page is a flat: addresses are virtual, and the system decides what is
//! behind each page.

mod support;

use granule::vm::{self, Protection, Reservation, State};
use support::{PAGE, kernel, picture, step, words};

const WISH: usize = 0x5678_0000;

fn main() -> Result<(), granule::Error> {
    println!("000-1. An address is virtual: a page, and a byte in it");
    let addr = WISH + PAGE + 0x234;
    println!("   {addr:#x} is byte {:#x} of page {:#x}", addr % PAGE, addr / PAGE);
    println!("   4 GiB are {} pages, numbered like the flats of a building", (4 << 30) / PAGE);
    let building = Reservation::builder().hint(WISH).len(8 * PAGE).reserve()?;
    let flats = PAGE..3 * PAGE;
    step("reserved addresses, two pages of them get memory", WISH, 8, || {
        building.commit(flats.clone(), Protection::ReadWrite)
    })?;
    println!("   write 'A' to {addr:#x}: {:?}", kernel::write_and_read(addr, b'A'));
    step("the memory goes back", WISH, 8, || building.decommit(flats.clone()))?;
    step("the same addresses get memory again", WISH, 8, || {
        building.commit(flats.clone(), Protection::ReadWrite)
    })?;
    println!("   read {addr:#x}: {:?}, it is other memory behind the address", kernel::read(addr));

    println!("000-2. The page");
    println!("   {} bytes, {:#x}", vm::info().page_len, vm::info().page_len);

    println!("002-1. Every page is in one of three states");
    let len = building.len();
    println!("   pages = size / page: {len} / {PAGE} = {}", len / PAGE);
    println!("   {}", picture(WISH, 16));
    for page in [0, 1, 3, 8] {
        println!("   page {page}: {}", words(&vm::query(WISH + page * PAGE)?));
    }
    for state in [State::Reserved, State::Committed] {
        println!("   {state:?}: {} of 8 pages", count(&building, state)?);
    }
    Ok(())
}

/// How many pages of the reservation are in a state.
fn count(building: &Reservation, state: State) -> Result<usize, granule::Error> {
    let mut pages = 0;
    let mut offset = 0;
    while offset < building.len() {
        let region = building.query(offset)?;
        pages += if region.state == state { region.len / PAGE } else { 0 };
        offset += region.len;
    }
    Ok(pages)
}
