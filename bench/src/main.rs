//! granule-bench
fn main() {}
