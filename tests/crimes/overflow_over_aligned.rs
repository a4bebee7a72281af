//! Reads behind a box whose type asks for an alignment of 128.

#[repr(align(128))]
struct Lane([u8; 128]);

fn main() {
    let index = if cfg!(innocent) { 127 } else { 129 };
    let lane = Box::new(Lane([3; 128])); // ALLOCATED
    let pointer = lane.0.as_ptr().wrapping_add(index);
    // SAFETY: none. This is the crime.
    let byte = unsafe { pointer.read_volatile() }; // CRIME
    println!("{byte}");
}
