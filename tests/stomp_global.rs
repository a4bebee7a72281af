//! The stomp finder as the global allocator of a Rust program: this test binary is the program.
//!
//! Crimes are committed in child processes: the binary runs itself with a variable that names one.
//!
//! The finder works on Linux only, so far.
#![cfg(target_os = "linux")]

mod start;

use granule::stomp::Stomp;
use std::collections::BTreeMap;
use std::process::Output;

#[global_allocator]
static ALLOCATOR: Stomp = Stomp::new();

const CRIME: &str = "GRANULE_TEST_CRIME";

/// Runs the crime `name`, which is a test of this binary, alone in a child.
fn commit(name: &str) -> Output {
    start::output(
        start::again()
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(CRIME, name)
            .env_remove("GRANULE_STOMP"),
    )
}

fn is_asked_for(name: &str) -> bool {
    std::env::var(CRIME).is_ok_and(|crime| crime == name)
}

/// The signal that ended a child, and what it wrote to standard error.
fn fate(output: &Output) -> (Option<i32>, String) {
    use std::os::unix::process::ExitStatusExt;
    (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn assert_crime(name: &str, signal: i32, sentences: &[&str]) {
    let (died_by, text) = fate(&commit(name));
    assert_eq!(died_by, Some(signal), "{text}");
    for sentence in sentences {
        assert!(text.contains(sentence), "{sentence:?} is not in:\n{text}");
    }
}

#[test]
fn ordinary_programs_run() {
    let mut map = BTreeMap::new();
    for number in (0..2000u32).rev() {
        map.insert(number, format!("number {number}"));
    }
    let mut numbers: Vec<u32> = map.keys().copied().collect();
    numbers.retain(|number| number % 4 == 0);
    let text: String = map.into_values().take(10).collect();
    assert_eq!((numbers.len(), numbers[499]), (500, 1996));
    assert_eq!(text.len(), 10 * "number 0".len());
}

#[test]
fn threads_allocate_and_free_each_others_blocks() {
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<u8>>();
    let makers: Vec<_> = (0..4u8)
        .map(|maker| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for len in 0..500 {
                    sender.send(vec![maker; len]).expect("somebody listens");
                }
            })
        })
        .collect();
    drop(sender);
    let total: usize = receiver
        .iter()
        .inspect(|bytes| assert!(bytes.iter().all(|byte| *byte == bytes[0])))
        .map(|bytes| bytes.len())
        .sum();
    makers.into_iter().for_each(|maker| maker.join().expect("no panic"));
    assert_eq!(total, 4 * (0..500).sum::<usize>());
}

#[test]
fn over_aligned_and_zeroed_layouts() {
    #[derive(Clone)]
    #[repr(align(8192))]
    struct Wide([u8; 100]);
    let wide = vec![Wide([7; 100]); 3];
    assert!(wide.iter().all(|wide| (&raw const *wide).addr() % 8192 == 0 && wide.0[99] == 7));
    assert!(vec![0u64; 100_000].iter().all(|&word| word == 0));
}

#[test]
fn an_overflow_faults_at_the_byte() {
    assert_crime("overflow", 11, &["overflow (write)", "0 bytes after the 13-byte block"]);
}

#[test]
fn overflow() {
    if is_asked_for("overflow") {
        let mut bytes = vec![1u8; 13].into_boxed_slice();
        // SAFETY: none: this is the crime. Rust's alignment of 1 leaves no slack.
        unsafe { bytes.as_mut_ptr().wrapping_add(13).write_volatile(1) };
    }
}

#[test]
fn a_use_after_free_faults() {
    assert_crime("use_after_free", 11, &["use-after-free (read)", "8 bytes inside the 32-byte"]);
}

#[test]
fn use_after_free() {
    if is_asked_for("use_after_free") {
        let words = vec![1u64; 4];
        let dangling = words.as_ptr();
        drop(words);
        // SAFETY: none: this is the crime.
        let _ = unsafe { dangling.wrapping_add(1).read_volatile() };
    }
}

#[test]
fn a_double_free_is_told() {
    assert_crime("double_free", 6, &["double-free", "24-byte block", "freed:", "allocated:"]);
}

#[test]
fn double_free() {
    if is_asked_for("double_free") {
        let block = Box::into_raw(Box::new([1u64; 3]));
        for _ in 0..2 {
            // SAFETY: none the second time: this is the crime.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

#[test]
fn start_placement_sees_underflows() {
    let output = start::output(
        start::again()
            .args(["--exact", "underflow", "--nocapture", "--test-threads=1"])
            .env(CRIME, "underflow")
            .env("GRANULE_STOMP", "placement=start"),
    );
    let (signal, text) = fate(&output);
    assert_eq!(signal, Some(11), "{text}");
    assert!(text.contains("underflow (write)") && text.contains("1 bytes before"), "{text}");
}

#[test]
fn underflow() {
    if is_asked_for("underflow") {
        let mut bytes = vec![1u8; 100];
        // SAFETY: none: this is the crime.
        unsafe { bytes.as_mut_ptr().wrapping_sub(1).write_volatile(1) };
    }
}

#[test]
fn options_that_cannot_be_read_are_named() {
    let output = start::output(
        start::again()
            .args(["--exact", "ordinary_programs_run"])
            .env("GRANULE_STOMP", "align=16,placement=middle"),
    );
    let (_, text) = fate(&output);
    assert!(output.status.success() && text.contains("placement=middle"), "{text}");
}
