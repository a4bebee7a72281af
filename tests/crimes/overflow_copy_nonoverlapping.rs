//! Copies more bytes into a box than it has.

fn main() {
    let len = if cfg!(innocent) { 64 } else { 65 };
    let text = [b'x'; 80];
    let mut target = Box::new([0u8; 64]); // ALLOCATED
    // SAFETY: none. This is the crime.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), target.as_mut_ptr(), len) } // CRIME
    println!("{}", target[63]);
}
