//! Writes the first byte behind a 21-byte vector: slack, found when the vector is dropped.

fn main() {
    let index = if cfg!(innocent) { 20 } else { 21 };
    let mut bytes = vec![1u8; 21]; // ALLOCATED
    let end = bytes.as_mut_ptr().wrapping_add(index);
    // SAFETY: none. This is the crime.
    unsafe { end.write(2) } // CRIME
    println!("{}", bytes[0]);
    drop(bytes); // FOUND
}
