//! Which pages were written? The system notes it: a copy that is kept up to date by copying nothing
//! but what was changed.

use granule::ErrorKind;
use granule::vm::{Protection, Reservation};

const PAGE: usize = 4096;
const PAGES: usize = 16;

fn main() -> Result<(), granule::Error> {
    println!("1. Reserve 16 watched pages and commit them");
    let reserved = Reservation::builder().len(PAGES * PAGE).write_watch().reserve();
    let heap = match reserved {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("skipped: {error}");
            return Ok(());
        }
        reserved => reserved?,
    };
    heap.commit(0..heap.len(), Protection::ReadWrite)?;
    show(&heap)?;

    println!("2. Read page 1, write pages 3, 4 and 9");
    println!("   page 1 reads {}", get(&heap, PAGE));
    for page in [3, 4, 9] {
        put(&heap, page * PAGE + 5, b'A');
    }
    show(&heap)?;

    println!("3. Copy what was written, and forget it at the same time");
    let mut copy = vec![0; heap.len()];
    follow(&heap, &mut copy)?;
    show(&heap)?;

    println!("4. Write page 4 again");
    put(&heap, 4 * PAGE + 5, b'B');
    follow(&heap, &mut copy)?;
    println!("   the copy has {:?}", [3, 4, 9].map(|page| char::from(copy[page * PAGE + 5])));

    println!("5. Pages that are decommitted are forgotten");
    (0..PAGES).for_each(|page| put(&heap, page * PAGE, b'C'));
    heap.decommit(5 * PAGE..8 * PAGE)?;
    show(&heap)
}

/// The pages, a letter each: W written, - not.
fn show(heap: &Reservation) -> Result<(), granule::Error> {
    let mut ranges = [const { 0..0 }; PAGES];
    let count = heap.written(0..heap.len(), &mut ranges)?.count;
    let is_written = |page| ranges[..count].iter().any(|range| range.contains(&(page * PAGE)));
    let letters = (0..PAGES).map(|page| if is_written(page) { 'W' } else { '-' });
    println!("   |{}|", letters.collect::<String>());
    Ok(())
}

/// Brings the copy up to date.
fn follow(heap: &Reservation, copy: &mut [u8]) -> Result<(), granule::Error> {
    let mut ranges = [const { 0..0 }; PAGES];
    let count = heap.take_written(0..heap.len(), &mut ranges)?.count;
    for range in &ranges[..count] {
        println!("   copy bytes {range:x?}");
        range.clone().for_each(|offset| copy[offset] = get(heap, offset));
    }
    Ok(())
}

fn put(heap: &Reservation, offset: usize, byte: u8) {
    // SAFETY: the offset lies inside the reservation.
    let target = unsafe { heap.as_ptr().add(offset) };
    // SAFETY: all pages are committed, and nobody else uses them.
    unsafe { target.write_volatile(byte) };
}

fn get(heap: &Reservation, offset: usize) -> u8 {
    // SAFETY: the offset lies inside the reservation.
    let source = unsafe { heap.as_ptr().add(offset) };
    // SAFETY: all pages are committed, and nobody else uses them.
    unsafe { source.read_volatile() }
}
