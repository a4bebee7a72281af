//! A vector claims to be longer than its memory.

fn main() {
    let len = if cfg!(innocent) { 4 } else { 5 };
    let mut numbers: Vec<u32> = Vec::with_capacity(4); // ALLOCATED
    numbers.extend([1, 2, 3, 4]);
    // SAFETY: none. This leads to the crime.
    unsafe { numbers.set_len(len) }
    let last = numbers[len - 1]; // CRIME
    println!("{last}");
}
