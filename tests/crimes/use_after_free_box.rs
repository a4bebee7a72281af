//! A pointer outlives its box.

fn main() {
    let (gone, live) = (Box::new([1u64; 5]), Box::new([2u64; 5])); // ALLOCATED
    let pointer = if cfg!(innocent) { &live[4] } else { &gone[4] } as *const u64;
    drop(gone); // FREED
    // SAFETY: none. This is the crime.
    let number = unsafe { pointer.read() }; // CRIME
    println!("{number}");
}
