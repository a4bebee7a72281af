//! A thread reads what the main thread has dropped.
use std::thread;

fn main() {
    let (gone, live) = (vec![1u32; 20], vec![2u32; 20]); // ALLOCATED
    let address = if cfg!(innocent) { &live[7] } else { &gone[7] } as *const u32 as usize;
    drop(gone); // FREED
    let reader = thread::spawn(move || {
        // SAFETY: none. This is the crime.
        unsafe { (address as *const u32).read() } // CRIME
    });
    println!("{}", reader.join().unwrap());
}
