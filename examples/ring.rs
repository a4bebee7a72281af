//! A ring of bytes that never wraps: the same 64 KiB of memory are mapped twice, side by side, so
//! that a message across the end of the ring is one slice.

use granule::vm::Ring;

fn main() -> Result<(), granule::Error> {
    println!("1. A ring for 1000 bytes");
    let mut ring = Ring::new(1000)?;
    println!("   {} bytes fit, rounded up to 64 KiB", ring.capacity());
    let first = ring.spare().as_ptr().addr();

    println!("2. Fill all of it but 4 bytes, and consume that");
    let most = ring.capacity() - 4;
    ring.fill(most);
    ring.consume(most);
    let spare = ring.spare();
    println!("   {} bytes are spare, from offset {}", spare.len(), spare.as_ptr().addr() - first);

    println!("3. Write ten bytes from there on: 4 before the end of the memory, 6 behind it");
    ring.spare()[..10].copy_from_slice(b"0123456789");
    ring.fill(10);
    show(&ring, first);

    println!("4. Consume 7: what is left begins at the front");
    ring.consume(7);
    show(&ring, first);

    println!("5. One thread writes numbers, another one adds them up");
    ring.consume(ring.len());
    let (mut producer, mut consumer) = ring.split();
    let sum = std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 1u32..=100_000 {
                while producer.spare_len() < 4 {
                    std::thread::yield_now();
                }
                producer.write(&number.to_le_bytes());
            }
        });
        let mut sum = 0;
        while !(consumer.is_abandoned() && consumer.is_empty()) {
            let (numbers, _) = consumer.filled().as_chunks::<4>();
            sum += numbers.iter().map(|&bytes| u64::from(u32::from_le_bytes(bytes))).sum::<u64>();
            let len = 4 * numbers.len();
            consumer.consume(len);
        }
        sum
    });
    println!("   1 + 2 + .. + 100000 = {sum}");
    Ok(())
}

/// What is filled, and where that begins.
fn show(ring: &Ring, first: usize) {
    let filled = ring.filled();
    let text = String::from_utf8_lossy(filled);
    println!("   filled: {text:?} at offset {}", filled.as_ptr().addr() - first);
}
