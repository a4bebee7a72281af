//! An array that may become a terabyte, and takes no more memory than it has elements: it never
//! moves, and gives back what it does not need.

use granule::array::StableVec;
use granule::vm::{self, State};

const MIB: usize = 1 << 20;

/// What the page table of the process says: how much is committed from the first element on.
fn committed(array: &StableVec<u64>) -> String {
    match vm::query(array.as_ptr().addr()) {
        Ok(region) if region.state == State::Committed && region.len < MIB => {
            format!("{} KiB", region.len >> 10)
        }
        Ok(region) if region.state == State::Committed => {
            format!("{:.1} MiB", region.len as f64 / MIB as f64)
        }
        _ => "nothing".to_owned(),
    }
}

fn main() -> Result<(), granule::Error> {
    println!("A Vec whose elements never move");
    let mut array: StableVec<u64> = StableVec::with_max((1 << 40) / size_of::<u64>());
    array.try_push(0)?;
    let first = array.as_ptr();
    println!("1. A terabyte of addresses, one number: {} committed", committed(&array));

    println!("2. It grows where it is");
    for count in [10_000, 100_000, 1_000_000, 4_000_000] {
        array.try_extend(array.len() as u64..count)?;
        let stayed = array.as_ptr() == first;
        println!(
            "   {count:7} numbers: {:8} committed, the first one stayed: {stayed}",
            committed(&array)
        );
    }
    // SAFETY: the first element is there, where it always was.
    println!("   {} and {} are the first and the last", unsafe { *first }, array[3_999_999]);

    println!("3. Memory goes back");
    array.truncate(1_500_000);
    println!("   {} numbers: {} committed, less than half is used", array.len(), committed(&array));
    array.truncate(3);
    println!("   {} numbers: {} committed", array.len(), committed(&array));
    array.clear();
    array.try_shrink_to(0)?;
    println!("   {} numbers: {} committed, and the addresses stay", array.len(), committed(&array));

    println!("4. Where the maximum is reached, nothing is lost");
    let mut few = StableVec::with_max(2);
    few.extend(["one", "two"]);
    if let Err(refused) = few.try_push("three") {
        println!("   {:?} came back, {:?} stay", refused.value, few);
    }
    Ok(())
}
