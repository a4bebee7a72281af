//! A slice is made with more numbers than there are.

fn main() {
    let len = if cfg!(innocent) { 12 } else { 13 };
    let numbers = vec![2i32; 12]; // ALLOCATED
    // SAFETY: none. This leads to the crime.
    let slice = unsafe { std::slice::from_raw_parts(numbers.as_ptr(), len) };
    let mut sum = 0;
    for index in 0..len {
        sum += slice[index]; // CRIME
    }
    println!("{sum}");
}
