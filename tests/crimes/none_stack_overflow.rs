//! Not ours: the stack overflows, and std's own handler says so and aborts.

#[expect(unconditional_recursion)]
fn recurse(depth: u8) -> u8 {
    let pad = std::hint::black_box([depth; 4096]);
    recurse(pad[0]).wrapping_add(pad[1])
}

fn main() {
    println!("{}", recurse(1));
}
