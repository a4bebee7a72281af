//! The C text of a CString is used after the CString is gone.
use std::ffi::{CStr, CString};

fn main() {
    let kept = CString::new("k".repeat(63)).unwrap();
    let gone = CString::new("g".repeat(63)).unwrap(); // ALLOCATED
    let pointer = if cfg!(innocent) { kept.as_ptr() } else { gone.as_ptr() };
    drop(gone); // FREED
    // SAFETY: none. This is the crime.
    let text = unsafe { CStr::from_ptr(pointer) }; // CRIME
    println!("{}", text.count_bytes());
}
