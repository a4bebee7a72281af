//! The dynamic array of the notes in its four steps, by hand: it grows in place, and takes memory
//! as it grows. `granule::array::StableVec` does this for any elements.

mod support;

use granule::vm::{self, Protection, Reservation};
use support::{PAGE, picture, step};

const WISH: usize = 0x5678_0000;
const NUMBERS_MAX: usize = 5 * PAGE / size_of::<u32>();

/// Numbers side by side that never move, however many there are.
struct DynamicArray {
    memory: Reservation,
    committed: usize,
    len: usize,
}

impl DynamicArray {
    fn push(&mut self, number: u32) -> Result<(), granule::Error> {
        let (start, end) = (self.len * size_of::<u32>(), (self.len + 1) * size_of::<u32>());
        if end > self.committed {
            let more = self.committed..self.committed + PAGE;
            step(&format!("commit for number {}", self.len), WISH, 8, || {
                self.memory.commit(more.clone(), Protection::ReadWrite)
            })?;
            self.committed = more.end;
        }
        // SAFETY: the range up to `end` is committed, and so inside the reservation.
        let place = unsafe { self.memory.as_ptr().add(start) };
        // SAFETY: the page is committed for writing; it is ours alone, and `start` a multiple of 4.
        unsafe { place.cast::<u32>().write(number) };
        self.len += 1;
        Ok(())
    }

    fn numbers(&self) -> &[u32] {
        let first = self.memory.as_ptr().cast_const().cast::<u32>();
        // SAFETY: `push` has written the first `len` numbers; only it changes anything, and it
        // needs `&mut`.
        unsafe { std::slice::from_raw_parts(first, self.len) }
    }
}

fn main() -> Result<(), granule::Error> {
    println!("002-9, 004-3. A dynamic array in four steps");
    let info = vm::info();
    println!("1. Ask for the page, {}, and the granularity, {}", info.page_len, info.granularity);

    println!("2. Reserve what is expected at most: {NUMBERS_MAX} numbers");
    let memory = step("reserve", WISH, 8, || {
        Reservation::builder().hint(WISH).len(NUMBERS_MAX * size_of::<u32>()).reserve()
    })?;
    let mut array = DynamicArray { memory, committed: 0, len: 0 };

    println!("3. Commit as needed");
    for number in 0..NUMBERS_MAX {
        array.push(number as u32)?;
    }
    let right = array.numbers().iter().zip(0..).all(|(&number, wanted)| number == wanted);
    println!("   {} numbers, all of them right: {right}", array.numbers().len());
    println!("   number {NUMBERS_MAX}: {:?}", array.push(0).map_err(|error| error.kind()));

    println!("4. Release");
    drop(array);
    println!("   {}", picture(WISH, 8));
    Ok(())
}
