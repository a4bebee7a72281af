//! What a flush promises: seen by other processes, which read the file and have no view of it.

mod section_support;
mod vm_support;

use granule::section::{Durability, GrowMap, Section, ViewMut};
use granule::{ErrorKind, Op};
use section_support::{OwnFile, pattern};
use std::env;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const FILE: &str = "GRANULE_TEST_FILE";
const ROLE: &str = "GRANULE_TEST_ROLE";
const DURABILITIES: [Durability; 3] = [Durability::Start, Durability::Data, Durability::Full];

/// Starts test `name` once more, as `role`. It has to end in peace.
fn start(name: &str, role: &str, file: &Path) {
    let output = vm_support::again()
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .envs([(ROLE, role.as_ref()), (FILE, file.as_os_str())])
        .output()
        .expect("the test program starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains(&format!("played: {role}")), "{text}");
}

/// What a child was started for.
fn role() -> Option<(String, String)> {
    let told = (env::var(ROLE).ok()?, env::var(FILE).expect("it stands beside the role"));
    println!("played: {}", told.0);
    Some(told)
}

/// Reads bytes with the calls of files.
fn read_at(path: &str, place: u64, len: usize) -> Vec<u8> {
    let mut file = std::fs::File::open(path).expect("it is there");
    file.seek(SeekFrom::Start(place)).expect("inside");
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes).expect("inside");
    bytes
}

#[test]
fn another_process_reads_what_was_flushed() {
    const NAME: &str = "another_process_reads_what_was_flushed";
    if let Some((round, path)) = role() {
        let round: usize = round.parse().expect("a number");
        return assert_eq!(read_at(&path, 123_456, 10_000), pattern(10_000 + round)[round..]);
    }
    let file = OwnFile::new(&[0; 300_000]);
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { ViewMut::open(&file) }.expect("a small file");
    for (round, durability) in DURABILITIES.into_iter().enumerate() {
        view[123_456..133_456].copy_from_slice(&pattern(10_000 + round)[round..]);
        view.flush(123_456..133_456, durability).expect("the disk is well");
        start(NAME, &round.to_string(), &file);
    }
}

/// A process that is gone without a goodbye has left what it flushed, and the rest as well: it is
/// in the cache of the system.
#[test]
fn what_a_process_wrote_outlives_it() {
    const NAME: &str = "what_a_process_wrote_outlives_it";
    if let Some((round, path)) = role() {
        let round: usize = round.parse().expect("a number");
        // SAFETY: (1) to (3): the test's own file, and mapped once.
        let mut view = unsafe { ViewMut::open(path) }.expect("a small file");
        view[70_000] = round as u8 + 1;
        view.flush(69_999..70_002, DURABILITIES[round]).expect("the disk is well");
        view[150_000] = round as u8 + 1;
        std::process::exit(0); // nothing is dropped
    }
    let file = OwnFile::new(&[0; 200_000]);
    for round in 0..DURABILITIES.len() {
        start(NAME, &round.to_string(), &file);
        let content = file.content();
        assert_eq!([content[70_000], content[150_000]], [round as u8 + 1; 2]);
    }
}

#[test]
fn a_growing_file_is_read_by_others_while_it_grows() {
    const NAME: &str = "a_growing_file_is_read_by_others_while_it_grows";
    if let Some((len, path)) = role() {
        let len: usize = len.parse().expect("a number");
        return assert_eq!(read_at(&path, 0, len), pattern(len));
    }
    let file = OwnFile::new(b"");
    // SAFETY: (1), (2): the file is this test's own.
    let mut map = unsafe { GrowMap::builder().max(1 << 22).open(&file) }.expect("a small file");
    for (len, durability) in [50_000, 500_000, 1_000_000].into_iter().zip(DURABILITIES) {
        let bytes = pattern(len);
        map.append(&bytes[map.len()..]).expect("there is room");
        map.flush(0..len, durability).expect("the disk is well");
        start(NAME, &len.to_string(), &file);
    }
}

#[test]
fn pages_are_brought_in_where_it_pays_and_stay_as_they_are() {
    let bytes = pattern(500_000);
    let file = OwnFile::new(&bytes);
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { ViewMut::open(&file) }.expect("a small file");
    let pays = view.prefault(0..500_000).expect("there is room");
    println!("it was done: {pays}");
    assert_eq!(view[..], bytes);
    assert!(!view.prefault(7..7).expect("nothing to do"));
    let error = view.prefault(0..500_001).expect_err("it lies outside");
    assert_eq!((error.op(), error.kind()), (Op::Populate, ErrorKind::OutOfRange));
    let memory = Section::anonymous(100_000).expect("so much there is");
    // SAFETY: (1) to (3): nobody else knows this memory.
    let mut view = unsafe { memory.view_mut(0..100_000) }.expect("inside");
    assert!(!view.prefault(0..100_000).expect("nothing to do"), "memory needs none");
}
