//! Copy on write: what was written is told page by page, committed, or forgotten.

mod section_support;

use granule::section::{Access, CowView, Durability, Section};
use granule::{ErrorKind, Op};
use section_support::{OwnFile, pattern};
use std::ops::Range;

/// The pages that were written.
fn dirty(view: &CowView) -> Vec<Range<usize>> {
    view.dirty_ranges().collect::<Result<_, _>>().expect("the system tells")
}

fn copy_of(section: &Section, range: Range<u64>) -> CowView {
    // SAFETY: (1), (2): the file is the test's own, and no slice of it is used while it changes.
    unsafe { section.view_copy(range) }.expect("inside")
}

/// The ranges are those of usual pages.
fn has_usual_pages() -> bool {
    let usual = granule::vm::info().page_len == 4096;
    if !usual {
        println!("skipped: the ranges are told with pages of 4096 bytes");
    }
    usual
}

#[test]
fn written_pages_are_told_committed_and_forgotten() {
    if !has_usual_pages() {
        return;
    }
    let bytes = pattern(4_000_000);
    let file = OwnFile::new(&bytes);
    let section = Section::of_file(&file.open(), Access::Write).expect("an open file");
    let mut view = copy_of(&section, 5000..3_999_000);
    assert!(dirty(&view).is_empty());
    assert_eq!(view.iter().map(|&byte| u64::from(byte)).max(), Some(255)); // read all of it
    assert!(dirty(&view).is_empty(), "reading copies nothing");
    let places = [0, 10_000, 20_000, 21_000, 3_000_000, 3_993_999];
    places.iter().for_each(|&place| view[place] = !view[place]);
    // The view begins 904 bytes into page 1 of the file.
    let written = [0..3192, 7288..11_384, 19_576..23_672, 2_997_368..3_001_464];
    let mut wanted = written.to_vec();
    wanted.push(3_992_696..3_994_000);
    assert_eq!(dirty(&view), wanted);
    view.discard(21_000..21_001).expect("inside");
    assert_eq!(view[20_000..21_001], bytes[25_000..26_001], "the whole page is forgotten");
    view[10_001] = !view[10_001];
    assert_eq!(file.content(), bytes, "nobody else sees it");
    wanted.remove(2);
    assert_eq!(dirty(&view), wanted);
    let len: usize = wanted.iter().map(Range::len).sum();
    assert_eq!(view.commit(Durability::Data).expect("the disk is well"), len);
    assert!(dirty(&view).is_empty());
    let mut now = bytes.clone();
    for place in [0, 10_000, 10_001, 3_000_000, 3_993_999] {
        now[5000 + place] = !now[5000 + place];
    }
    assert!(file.content() == now && view[..] == now[5000..3_999_000]);
    assert_eq!(view.commit(Durability::Full).expect("nothing to do"), 0);
}

#[test]
fn neighbours_are_one_run() {
    if !has_usual_pages() {
        return;
    }
    let file = OwnFile::new(&pattern(3 << 20));
    let section = Section::of_file(&file.open(), Access::Read).expect("an open file");
    let mut view = copy_of(&section, 0..3 << 20);
    let changed = 1_000_000..2_500_000;
    view[changed.clone()].iter_mut().for_each(|byte| *byte = !*byte);
    assert_eq!(dirty(&view), vec![Range { start: 999_424, end: 2_502_656 }]);
    let error = view.commit(Durability::Data).expect_err("a section for reading");
    assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::Denied));
    view.discard(0..3 << 20).expect("inside");
    assert!(dirty(&view).is_empty());
    assert!(view[..] == file.content()[..]);
    let error = view.discard(0..(3 << 20) + 1).expect_err("outside");
    assert_eq!((error.op(), error.kind()), (Op::Discard, ErrorKind::OutOfRange));
}

#[test]
fn memory_can_be_copied_and_committed_to() {
    let memory = Section::anonymous(10_000).expect("so much there is");
    let mut view = copy_of(&memory, 0..10_000);
    view[9_999] = 5;
    // SAFETY: (1), (2): read before and after, and no longer.
    assert_eq!(unsafe { memory.view(9_999..10_000) }.expect("inside")[..], [0]);
    assert!(view.commit(Durability::Full).expect("it is memory") > 0);
    // SAFETY: (1), (2): as above.
    assert_eq!(unsafe { memory.view(9_999..10_000) }.expect("inside")[..], [5]);
    assert!(dirty(&view).is_empty());
}

#[test]
fn an_empty_copy_has_nothing_to_tell() {
    let file = OwnFile::new(b"");
    let section = Section::of_file(&file.open(), Access::Write).expect("an empty file");
    let mut view = copy_of(&section, 0..0);
    assert!(dirty(&view).is_empty());
    view.discard(0..0).expect("nothing to do");
    assert_eq!(view.commit(Durability::Full).expect("nothing to do"), 0);
}
