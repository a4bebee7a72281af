//! A release takes the memory away, and does not only mark it free: a stale pointer faults, and can
//! pollute nobody.

mod support;

use granule::vm::{Protection, Reservation};
use support::kernel::{self, write_and_read};
use support::{PAGE, step};

const WISH: usize = 0x5678_0000;

fn main() -> Result<(), granule::Error> {
    println!("000-3. Released memory cannot be polluted");
    let reserve = || Reservation::builder().hint(WISH).len(2 * PAGE).reserve();
    let block = step("reserve two pages", WISH, 4, reserve)?;
    step("commit them", WISH, 4, || block.commit(0..2 * PAGE, Protection::ReadWrite))?;
    let stale = block.base() + 8;
    println!("   write 'A' to the block: {:?}", write_and_read(stale, b'A'));
    step("release the block, keep the pointer", WISH, 4, || block.release())?;
    println!("   read through the stale pointer: {:?}", kernel::letter(stale));
    println!("   write 'B' through it: {:?}", write_and_read(stale, b'B'));

    println!("   The next owner of the addresses");
    let next = step("reserve two pages", WISH, 4, reserve)?;
    println!("   write 'B' through the stale pointer: {:?}", write_and_read(stale, b'B'));
    step("commit one", WISH, 4, || next.commit(0..PAGE, Protection::ReadWrite))?;
    println!("   the new memory reads {:?}, nothing is left of 'A' or 'B'", kernel::read(stale));
    step("release", WISH, 4, || next.release())
}
