//! Two boxes are made of one pointer.

fn main() {
    let first = Box::into_raw(Box::new([1u8; 48])); // ALLOCATED
    let second = if cfg!(innocent) { Box::into_raw(Box::new([2u8; 48])) } else { first };
    // SAFETY: `first` came from `into_raw`.
    drop(unsafe { Box::from_raw(first) }); // FREED
    // SAFETY: none. This is the crime.
    drop(unsafe { Box::from_raw(second) }); // CRIME
    println!("dropped");
}
