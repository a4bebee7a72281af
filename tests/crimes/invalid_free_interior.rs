//! A vector is made of a pointer into another one.

fn main() {
    let offset = if cfg!(innocent) { 0 } else { 16 };
    let bytes = std::mem::ManuallyDrop::new(vec![1u8; 64]); // ALLOCATED
    let middle = bytes.as_ptr().cast_mut().wrapping_add(offset);
    // SAFETY: none. This leads to the crime.
    let stolen = unsafe { Vec::from_raw_parts(middle, 8, 64) };
    drop(stolen); // CRIME
    println!("dropped");
}
