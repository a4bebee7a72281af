//! What a flush promises: seen by other processes, which read the file and have no view of it.

mod section_support;
mod vm_support;

use granule::section::{Access, Durability, GrowMap, Section, ViewMut};
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
    let output = vm_support::start::output(
        vm_support::again()
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .envs([(ROLE, role.as_ref()), (FILE, file.as_os_str())]),
    );
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
fn what_is_written_through_is_in_view_and_file() {
    const NAME: &str = "what_is_written_through_is_in_view_and_file";
    if let Some((round, path)) = role() {
        let round: usize = round.parse().expect("a number");
        return assert_eq!(read_at(&path, 70_123, 5000), pattern(5000 + round)[round..]);
    }
    let mut wanted = pattern(200_000);
    let file = OwnFile::new(&wanted);
    let section = Section::of_file(&file.open(), Access::Write).expect("an open file");
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { section.view_mut(70_000..200_000) }.expect("inside");
    view[50] = 1;
    wanted[70_050] = 1;
    for (round, durability) in DURABILITIES.into_iter().enumerate() {
        let bytes = &pattern(5000 + round)[round..];
        view.write_through(123, bytes, durability).expect("the disk is well");
        wanted[70_123..75_123].copy_from_slice(bytes);
        assert_eq!(view[..], wanted[70_000..]);
        start(NAME, &round.to_string(), &file);
    }
    view.write_through(130_000, b"", Durability::Full).expect("nothing to do");
    for (place, bytes) in [(129_999, &b"ab"[..]), (130_001, b""), (usize::MAX, b"a")] {
        let error = view.write_through(place, bytes, Durability::Data).expect_err("outside");
        assert_eq!((error.op(), error.kind()), (Op::Flush, ErrorKind::OutOfRange));
    }
    drop(view);
    assert_eq!(file.content(), wanted);
}

/// Where each write of a file goes to its end, a view still writes where it lies.
#[test]
fn a_file_for_appending_is_written_in_its_place() {
    let file = OwnFile::new(&pattern(100_000));
    let how = &mut std::fs::File::options();
    let appending = how.read(true).append(true).open(&file).expect("it is there");
    let Ok(section) = Section::of_file(&appending, Access::Write) else {
        println!("skipped: this system writes nothing else through it");
        return;
    };
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { section.view_mut(0..100_000) }.expect("inside");
    view.write_through(5000, b"here", Durability::Data).expect("the disk is well");
    let content = file.content();
    assert_eq!((content.len(), &content[5000..5004]), (100_000, &b"here"[..]));
}

#[test]
fn memory_is_written_without_a_file() {
    let memory = Section::anonymous(100_000).expect("so much there is");
    // SAFETY: (1) to (3): nobody else knows this memory.
    let mut view = unsafe { memory.view_mut(0..100_000) }.expect("inside");
    view.write_through(99_998, b"ab", Durability::Full).expect("inside");
    assert_eq!(view[99_997..], *b"\0ab");
}
