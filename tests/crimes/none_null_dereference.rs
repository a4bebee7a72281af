//! Not ours: a null dereference dies by SIGSEGV, as ever.

fn main() {
    println!("before");
    let nowhere = std::hint::black_box(std::ptr::null::<u8>());
    // SAFETY: none. This is the fault.
    println!("{}", unsafe { nowhere.read_volatile() });
}
