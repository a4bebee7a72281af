//! Writes before a vector.

fn main() {
    let index = if cfg!(innocent) { 0 } else { -1 };
    let mut numbers = vec![1u16; 16]; // ALLOCATED
    let before = numbers.as_mut_ptr().wrapping_offset(index);
    // SAFETY: none. This is the crime.
    unsafe { before.write(9) } // CRIME
    println!("{}", numbers[15]);
    drop(numbers); // FOUND
}
