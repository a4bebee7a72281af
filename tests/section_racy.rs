//! Racy views: words that anybody may change, and files that anybody may shorten.

mod section_support;

use granule::section::{Access, Durability, Racy, Section, Word};
use granule::{Error, ErrorKind, Op};
use section_support::{OwnFile, pattern};

const PAGE: usize = 4096;

fn view_of<T: Word>(file: &OwnFile, access: Access) -> Racy<T> {
    let section = Section::of_file(&file.open(), access).expect("an open file");
    section.racy(0..section.len()).expect("a small file")
}

/// The length of a file, or `None` where it cannot be changed under a view.
fn shorten(file: &OwnFile, len: usize) -> Option<()> {
    if std::env::var_os("GRANULE_TEST_RUNNER").is_some_and(|runner| !runner.is_empty()) {
        println!("skipped: qemu tells the host's address of a lost page, not the program's");
        return None;
    }
    let told = file.open().set_len(len as u64);
    if let Err(error) = &told {
        if cfg!(not(windows)) {
            panic!("{error}"); // only Windows protects a file that is mapped
        }
        println!("skipped: {error}");
    }
    told.ok()
}

fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> (Op, ErrorKind) {
    let error = result.expect_err("this must be refused");
    (error.op(), error.kind())
}

const LOST: (Op, ErrorKind) = (Op::Access, ErrorKind::Truncated);

#[test]
fn words_are_read_and_written() {
    let file = OwnFile::new(&[0; 1000]);
    let view: Racy<u32> = view_of(&file, Access::Write);
    assert_eq!((view.len(), view.valid_len(), view.is_empty()), (250, 250, false));
    view.store(249, 5).expect("inside");
    assert_eq!(view.fetch_add(249, 2).expect("inside"), 5);
    assert_eq!(view.compare_exchange(249, 7, 9).expect("inside"), Ok(7));
    assert_eq!(view.compare_exchange(249, 7, 10).expect("inside"), Err(9));
    assert_eq!(view.load(249).expect("inside"), 9);
    view.copy_in(10, &[1, 2, 3]).expect("inside");
    let mut words = [0; 4];
    view.copy_out(9, &mut words).expect("inside");
    assert_eq!(words, [0, 1, 2, 3]);
    view.flush(0..250, Durability::Full).expect("the disk is well");
    assert_eq!(file.content()[996..], 9u32.to_ne_bytes());
}

#[test]
fn a_file_for_reading_is_not_written() {
    let file = OwnFile::new(b"abcd");
    let view: Racy = view_of(&file, Access::Read);
    assert_eq!(view.load(2).expect("inside"), b'c');
    for result in [view.store(0, 1), view.fetch_add(0, 1).map(drop), view.copy_in(0, b"x")] {
        assert_eq!(told(result), (Op::Access, ErrorKind::Denied));
    }
    assert_eq!(told(view.compare_exchange(0, b'a', b'b')), (Op::Access, ErrorKind::Denied));
    assert_eq!(file.content(), b"abcd");
}

#[test]
fn what_lies_outside_is_refused() {
    let file = OwnFile::new(&[0; 24]);
    let section = Section::of_file(&file.open(), Access::Write).expect("an open file");
    for (start, end) in [(0, 7), (4, 12), (1, 8)] {
        assert_eq!(told(section.racy::<u64>(start..end)), (Op::Map, ErrorKind::Misaligned));
    }
    assert_eq!(told(section.racy::<u64>(0..32)), (Op::Map, ErrorKind::OutOfRange));
    let view = section.racy::<u64>(8..24).expect("inside");
    assert_eq!(told(view.load(2)), (Op::Access, ErrorKind::OutOfRange));
    assert_eq!(told(view.store(usize::MAX, 0)), (Op::Access, ErrorKind::OutOfRange));
    let error = view.copy_out(1, &mut [0; 2]).expect_err("one word too many");
    assert_eq!((error.addr(), error.len()), (16, 16));
    assert_eq!(told(view.flush(0..3, Durability::Data)), (Op::Flush, ErrorKind::OutOfRange));
    assert!(section.racy::<u64>(8..8).expect("nothing").is_empty());
    let empty = OwnFile::new(b"");
    assert_eq!(told(view_of::<u8>(&empty, Access::Write).load(0)).1, ErrorKind::OutOfRange);
}

#[test]
fn a_lost_page_is_an_error_and_no_death() {
    let bytes = pattern(64 * PAGE);
    let file = OwnFile::new(&bytes);
    let view: Racy = view_of(&file, Access::Write);
    let mut all = vec![0; bytes.len()];
    view.copy_out(0, &mut all).expect("all is there");
    assert_eq!(all, bytes);
    let Some(()) = shorten(&file, 10 * PAGE + 100) else { return };
    // Nobody has noticed yet, and what is left is left.
    assert_eq!(view.valid_len(), 64 * PAGE);
    assert_eq!(view.load(10 * PAGE + 99).expect("it is there"), bytes[10 * PAGE + 99]);
    assert_eq!(told(view.load(40 * PAGE)), LOST);
    assert_eq!(view.valid_len(), 10 * PAGE + 100);
    // From now on even what no fault tells.
    assert_eq!(told(view.load(10 * PAGE + 100)), LOST);
    assert_eq!(told(view.store(63 * PAGE, 1)), LOST);
    assert_eq!(told(view.fetch_add(11 * PAGE, 1)), LOST);
    assert_eq!(told(view.compare_exchange(20 * PAGE, 0, 1)), LOST);
    assert_eq!(told(view.copy_out(0, &mut all)), LOST);
    assert_eq!(all[..10 * PAGE + 100], bytes[..10 * PAGE + 100]);
    assert_eq!(told(view.copy_in(9 * PAGE, &[7; 2 * PAGE])), LOST);
    view.store(0, 99).expect("it is there");
    let content = file.content();
    assert_eq!((content.len(), content[0], content[9 * PAGE]), (10 * PAGE + 100, 99, 7));
}

#[test]
fn a_file_that_is_emptied_is_lost_as_a_whole() {
    let file = OwnFile::new(&pattern(5 * PAGE));
    let section = Section::of_file(&file.open(), Access::Read).expect("an open file");
    let view = section.racy::<u16>(100..4 * PAGE as u64).expect("inside");
    let Some(()) = shorten(&file, 0) else { return };
    assert_eq!(told(view.load(0)), LOST);
    assert_eq!(view.valid_len(), 0);
    assert_eq!(told(section.racy::<u8>(0..1)), (Op::Map, ErrorKind::Truncated));
}

/// Threads read while the file is shortened and lengthened: every answer is a word that was there,
/// zero from a page that is there again, or the error; and nobody dies.
#[test]
fn threads_survive_a_file_that_comes_and_goes() {
    let file = OwnFile::new(&[7; 32 * PAGE]);
    if shorten(&file, 32 * PAGE).is_none() {
        return;
    }
    for round in 0..50 {
        let view: Racy<u64> = view_of(&file, Access::Write);
        if round == 0 && shorten(&file, 16 * PAGE).is_none() {
            return;
        }
        let read = || {
            for index in (0..view.len()).rev() {
                match view.load(index) {
                    Ok(word) => assert!(word == 0 || word == 0x0707_0707_0707_0707),
                    Err(error) => assert_eq!((error.op(), error.kind()), LOST),
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(read);
            scope.spawn(read);
            for len in [32, 3, 0, 17, 32] {
                file.open().set_len((len * PAGE) as u64).expect("nobody protects it");
            }
        });
    }
}

#[test]
fn views_of_memory_are_racy_too() {
    let memory = Section::anonymous(80).expect("so much there is");
    let (left, right) = (memory.racy::<u64>(0..80).expect("inside"), memory.racy::<u64>(8..16));
    let right = right.expect("inside");
    std::thread::scope(|scope| {
        for view in [(&left, 1), (&right, 0)] {
            scope.spawn(move || {
                for _ in 0..1000 {
                    view.0.fetch_add(view.1, 1).expect("inside");
                }
            });
        }
    });
    assert_eq!(left.load(1).expect("inside"), 2000);
    assert_eq!(format!("{right:?}"), "Racy(1 words of 8 bytes at offset 8)");
}
