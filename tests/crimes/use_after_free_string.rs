//! A text is kept longer than its string, by a lifetime that is a lie.

fn main() {
    let (gone, live) = ("g".repeat(40), "l".repeat(40)); // ALLOCATED
    let text: &str = if cfg!(innocent) { &live } else { &gone };
    // SAFETY: none. This leads to the crime.
    let text = unsafe { std::mem::transmute::<&str, &'static str>(text) };
    drop(gone); // FREED
    println!("{}", text.as_bytes()[39] > 0); // CRIME
}
