//! A pointer to the first number is kept over push, which moves the numbers.

fn main() {
    let mut numbers = Vec::with_capacity(4); // ALLOCATED
    numbers.extend([1u64, 2, 3, 4]);
    let old = numbers.as_mut_ptr();
    numbers.push(5); // FREED
    let pointer = if cfg!(innocent) { numbers.as_mut_ptr() } else { old };
    // SAFETY: none. This is the crime.
    unsafe { pointer.write(6) } // CRIME
    println!("{}", numbers.len());
}
