//! Sections and their raw views: what a file shows as memory, and memory as a file.

mod section_support;

use granule::section::{Access, CowView, Durability, Section, View, ViewMut};
use granule::{Error, ErrorKind, Op};
use section_support::{OwnFile, pattern};
use std::fs::File;

/// # Safety
/// 1. The file is the test's own.
unsafe fn read_all(file: &OwnFile) -> View {
    // SAFETY: (1).
    unsafe { View::open(file) }.expect("a small file")
}

fn told(error: &Error) -> (Op, ErrorKind) {
    (error.op(), error.kind())
}

#[test]
fn a_view_shows_any_part_of_a_file() {
    let bytes = pattern(300_000);
    let file = OwnFile::new(&bytes);
    let section = Section::of_file(&file.open(), Access::Read).expect("an open file");
    assert_eq!((section.len(), section.access()), (300_000, Access::Read));
    for start in [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 131_072, 299_999] {
        for len in [1, 7, 4096, 70_000, 300_000] {
            let end = (start + len).min(bytes.len());
            // SAFETY: (1), (2): the file is this test's own.
            let view = unsafe { section.view(start as u64..end as u64) }.expect("inside");
            assert_eq!((&view[..], view.offset()), (&bytes[start..end], start as u64));
        }
    }
}

#[test]
fn what_is_written_to_a_view_is_in_the_file() {
    let mut bytes = pattern(200_000);
    let file = OwnFile::new(&bytes);
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { ViewMut::open(&file) }.expect("an open file");
    view.populate(0..200_000).expect("it fits");
    for place in [0, 4096, 65_536, 199_999] {
        view[place] = !view[place];
        bytes[place] = !bytes[place];
    }
    for durability in [Durability::Start, Durability::Data, Durability::Full] {
        view.flush(0..200_000, durability).expect("the disk is well");
        view.flush(5000..5001, durability).expect("the disk is well");
        view.flush(70..70, durability).expect("nothing to do");
    }
    assert_eq!(file.content(), bytes);
    drop(view);
    assert_eq!(file.content(), bytes);
}

#[test]
fn a_part_is_written_where_it_lies() {
    let file = OwnFile::new(&[b'.'; 100_000]);
    let section = Section::of_file(&file.open(), Access::Write).expect("an open file");
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { section.view_mut(70_000..70_003) }.expect("inside");
    drop(section); // the view does not need it
    view.copy_from_slice(b"abc");
    view.flush(0..3, Durability::Data).expect("the disk is well");
    let content = file.content();
    assert_eq!(&content[69_998..70_005], b"..abc..");
    assert_eq!(content.len(), 100_000);
}

#[test]
fn what_is_written_to_a_copy_stays_there() {
    let bytes = pattern(150_000);
    let file = OwnFile::new(&bytes);
    // SAFETY: (1), (2): the file is this test's own.
    let mut copy = unsafe { CowView::open(&file) }.expect("a small file");
    copy[80_000] ^= 1;
    assert_ne!(copy[80_000], bytes[80_000]);
    assert_eq!((&copy[..80_000], &copy[80_001..]), (&bytes[..80_000], &bytes[80_001..]));
    assert_eq!(file.content(), bytes);
    // SAFETY: (1) the file is this test's own.
    assert_eq!(unsafe { read_all(&file) }[..], bytes[..]);
}

#[test]
fn a_section_for_writing_can_be_read_and_copied() {
    let file = OwnFile::new(b"abc");
    let section = Section::of_file(&file.open(), Access::Write).expect("an open file");
    // SAFETY: (1), (2): nobody writes to the file.
    let view = unsafe { section.view(1..2) }.expect("inside");
    // SAFETY: (1), (2): as above.
    let copy = unsafe { section.view_copy(1..3) }.expect("inside");
    assert_eq!((&view[..], &copy[..]), (&b"b"[..], &b"bc"[..]));
}

#[test]
fn an_empty_file_is_an_empty_view() {
    let file = OwnFile::new(b"");
    // SAFETY: (1) the file is the test's own.
    assert!(unsafe { read_all(&file) }.is_empty());
    // SAFETY: (1) to (3): as above, and mapped once.
    let mut view = unsafe { ViewMut::open(&file) }.expect("an empty file");
    assert!(view.is_empty());
    view.flush(0..0, Durability::Full).expect("nothing to do");
    view.populate(0..0).expect("nothing to do");
    // SAFETY: (1), (2): as above.
    assert!(unsafe { CowView::open(&file) }.expect("an empty file").is_empty());
    let section = Section::of_file(&file.open(), Access::Read).expect("an empty file");
    assert!(section.is_empty());
    // SAFETY: (1), (2): as above.
    let error = unsafe { section.view(0..1) }.expect_err("nothing is there");
    assert_eq!(told(&error), (Op::Map, ErrorKind::OutOfRange));
}

#[test]
fn an_empty_part_is_an_empty_view() {
    let file = OwnFile::new(b"abc");
    let section = Section::of_file(&file.open(), Access::Write).expect("an open file");
    for place in [0, 1, 3] {
        // SAFETY: (1), (2): the file is this test's own.
        assert!(unsafe { section.view(place..place) }.expect("inside").is_empty());
    }
}

#[test]
fn memory_is_shared_by_its_views() {
    let section = Section::anonymous(100_000).expect("so much there is");
    assert_eq!((section.len(), section.access()), (100_000, Access::Write));
    // SAFETY: (1) to (3): the two views are of different bytes.
    let mut left = unsafe { section.view_mut(0..50_000) }.expect("inside");
    // SAFETY: (1) to (3): as above.
    let mut right = unsafe { section.view_mut(50_000..100_000) }.expect("inside");
    assert!(left.iter().chain(right.iter()).all(|&byte| byte == 0));
    left[49_999] = 7;
    right[0] = 8;
    left.flush(0..50_000, Durability::Full).expect("nothing to do");
    drop((left, right));
    // SAFETY: (1), (2): nobody writes any more.
    let all = unsafe { section.view(49_999..50_001) }.expect("inside");
    drop(section);
    assert_eq!(all[..], [7, 8]);
}

#[test]
fn what_lies_outside_is_refused() {
    let file = OwnFile::new(&pattern(10_000));
    let section = Section::of_file(&file.open(), Access::Write).expect("an open file");
    for (start, end) in [(0, 10_001), (10_000, 10_001), (20_000, 20_001), (7, 3), (0, u64::MAX)] {
        // SAFETY: (1), (2): nothing is mapped.
        let error = unsafe { section.view(start..end) }.expect_err("it lies outside");
        assert_eq!(told(&error), (Op::Map, ErrorKind::OutOfRange), "{start}..{end}");
        assert_eq!((error.addr() as u64, error.code(), error.call()), (start, 0, None));
    }
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { section.view_mut(5000..6000) }.expect("inside");
    let inverted = std::ops::Range { start: 9, end: 3 };
    for range in [0..1001, 1000..1001, inverted] {
        let error = view.flush(range.clone(), Durability::Data).expect_err("it lies outside");
        assert_eq!(told(&error), (Op::Flush, ErrorKind::OutOfRange));
        assert_eq!(error.addr(), 5000 + range.start);
        let error = view.populate(range).expect_err("it lies outside");
        assert_eq!(told(&error), (Op::Populate, ErrorKind::OutOfRange));
    }
    let error = Section::anonymous(0).expect_err("nothing cannot be viewed");
    assert_eq!(told(&error), (Op::Map, ErrorKind::OutOfRange));
    let error = Section::anonymous(isize::MAX as usize).expect_err("nobody has so much");
    // Windows says that the length is no length.
    let kinds = [ErrorKind::NoMemory, ErrorKind::BadState];
    assert!(error.op() == Op::Map && kinds.contains(&error.kind()), "{error}");
}

#[test]
fn a_file_that_is_open_for_reading_is_not_written() {
    let file = OwnFile::new(b"abc");
    let reader = File::open(&file).expect("it is there");
    let error = Section::of_file(&reader, Access::Write).expect_err("open for reading only");
    assert_eq!(told(&error), (Op::Map, ErrorKind::Denied), "{error}");
    let section = Section::of_file(&reader, Access::Read).expect("an open file");
    // SAFETY: (1) to (3): nothing is mapped.
    let error = unsafe { section.view_mut(0..1) }.expect_err("a section for reading");
    assert_eq!(told(&error), (Op::Map, ErrorKind::Denied));
    let writer = File::options().append(true).open(&file).expect("it is there");
    let error = Section::of_file(&writer, Access::Read).expect_err("open for writing only");
    assert_eq!(told(&error), (Op::Map, ErrorKind::Denied), "{error}");
    let words = error.to_string();
    assert!(words.starts_with("map of 0 bytes at offset 0 of the file: "), "{words}");
}

#[test]
fn what_is_no_file_of_bytes_is_refused() {
    let (reader, _writer) = std::io::pipe().expect("two handles are to be had");
    #[cfg(unix)]
    let file = File::from(std::os::fd::OwnedFd::from(reader));
    #[cfg(windows)]
    let file = File::from(std::os::windows::io::OwnedHandle::from(reader));
    let error = Section::of_file(&file, Access::Read).expect_err("a pipe");
    assert_eq!(told(&error), (Op::Map, ErrorKind::Unsupported), "{error}");
    // SAFETY: (1), (2): nothing is mapped.
    let error = unsafe { View::open(std::env::temp_dir()) }.expect_err("a folder");
    println!("{error}");
}

/// A view that would reach behind the end is an error, and not a fault later.
#[test]
fn a_file_that_has_become_shorter_is_told() {
    let file = OwnFile::new(&pattern(10_000));
    let section = Section::of_file(&file.open(), Access::Read).expect("an open file");
    if let Err(error) = file.open().set_len(5000) {
        println!("skipped: {error}"); // Windows does not shorten the file of a section
        return;
    }
    // SAFETY: (1), (2): nothing is mapped.
    let error = unsafe { section.view(4000..5001) }.expect_err("it is gone");
    assert_eq!((told(&error), error.addr()), ((Op::Map, ErrorKind::Truncated), 4000));
    // SAFETY: (1), (2): the file is this test's own.
    assert_eq!(unsafe { section.view(4000..5000) }.expect("it is there").len(), 1000);
}

#[test]
fn views_say_what_they_are() {
    let file = OwnFile::new(b"abc");
    // SAFETY: (1) the file is the test's own.
    let words = format!("{:?}", unsafe { read_all(&file) });
    assert_eq!(words, "View(3 bytes at offset 0)");
}
