//! Writes behind a vector by an index that nothing checks.

fn main() {
    let index = if cfg!(innocent) { 31 } else { 32 };
    let mut bytes = vec![1u8; 32]; // ALLOCATED
    // SAFETY: none. This is the crime.
    unsafe { *bytes.get_unchecked_mut(index) = 2 } // CRIME
    println!("{}", bytes[0]);
}
