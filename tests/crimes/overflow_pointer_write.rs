//! Writes behind a vector by a pointer.

fn main() {
    let index = if cfg!(innocent) { 3 } else { 4 };
    let mut numbers = vec![1u64; 4]; // ALLOCATED
    let end = numbers.as_mut_ptr().wrapping_add(index);
    // SAFETY: none. This is the crime.
    unsafe { end.write(5) } // CRIME
    println!("{}", numbers[0]);
}
