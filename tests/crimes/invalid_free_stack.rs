//! A box is made of a local variable.

fn main() {
    let mut local = 5u64;
    let pointer = if cfg!(innocent) { Box::into_raw(Box::new(5)) } else { &raw mut local };
    // SAFETY: none. This leads to the crime.
    let boxed = unsafe { Box::from_raw(pointer) };
    drop(boxed); // CRIME
    println!("{local}");
}
