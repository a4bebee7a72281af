//! A vector is read out of its place, so that two own the same numbers.

fn main() {
    let numbers = vec![1u32; 30]; // ALLOCATED
    // SAFETY: none. This leads to the crime.
    let copy = unsafe { std::ptr::read(&numbers) };
    if cfg!(innocent) {
        std::mem::forget(numbers);
    } else {
        drop(numbers); // FREED
    }
    drop(copy); // CRIME
    println!("dropped");
}
