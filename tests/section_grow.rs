//! Files that grow as memory: they never move, and are plain files when they are closed.

mod section_support;

use granule::section::{Durability, GrowBuilder, GrowMap, Prefault};
use granule::{Error, ErrorKind, Op};
use section_support::{OwnFile, pattern};
use std::fs::File;
use std::io::Write;
use std::path::Path;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Many growths, and addresses that an emulator has, too.
fn small() -> GrowBuilder {
    GrowMap::builder().max(64 * MIB).step(64 * KIB)
}

fn open_as(builder: GrowBuilder, path: &Path) -> GrowMap {
    // SAFETY: (1), (2): the files are the tests' own.
    unsafe { builder.open(path) }.expect("a file of the test's own")
}

fn open(path: &Path) -> GrowMap {
    open_as(small(), path)
}

fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> (Op, ErrorKind) {
    let error = result.expect_err("this must be refused");
    (error.op(), error.kind())
}

#[test]
fn it_never_moves_however_often_it_grows() {
    let file = OwnFile::new(b"");
    let mut map = open(&file);
    map.append(b"first").expect("there is room");
    let (place, first) = (map.as_slice().as_ptr(), map.capacity());
    let bytes = pattern(10_007);
    let mut growths = 0;
    for round in 0..1000 {
        let before = map.capacity();
        let range = map.append(&bytes).expect("there is room");
        assert_eq!(range, 5 + round * 10_007..5 + (round + 1) * 10_007);
        growths += usize::from(map.capacity() > before);
        assert_eq!(map.as_slice().as_ptr(), place);
    }
    assert!(growths >= 100 && map.capacity() > first, "{growths} growths");
    assert_eq!(map[..5], *b"first");
    assert!(map[5..].chunks(10_007).all(|part| part == bytes));
    map.close().expect("it can be cut");
    let content = file.content();
    assert_eq!(content.len(), 5 + 1000 * 10_007);
    assert!(content[5..].chunks(10_007).all(|part| part == bytes));
}

#[test]
fn what_is_there_is_kept() {
    for len in [0, 1, 4095, 4096, 61_440, 61_441, 65_535, 65_536, 65_537, 200_000] {
        let bytes = pattern(len);
        let file = OwnFile::new(&bytes);
        let mut map = open(&file);
        assert_eq!((map.len(), map.recovered()), (len, None));
        assert_eq!(map[..], bytes);
        map.append(b"abc").expect("there is room");
        assert_eq!(map.len(), len + 3);
        drop(map); // as good as closing
        assert_eq!(file.content(), [&bytes[..], b"abc"].concat(), "{len} bytes");
    }
}

#[test]
fn opened_and_closed_a_file_is_as_it_was() {
    for len in [0, 5, 65_536, 300_000] {
        let bytes = pattern(len);
        let file = OwnFile::new(&bytes);
        let mut map = open(&file);
        assert_eq!(map.append(b"").expect("nothing to do"), len..len);
        assert_eq!(map.is_empty(), len == 0);
        map.close_durably().expect("it can be cut");
        assert_eq!(file.content(), bytes);
    }
}

#[test]
fn a_small_file_takes_little_room_and_a_large_one_grows_by_steps() {
    let file = OwnFile::new(b"");
    let mut map = open_as(GrowMap::builder().max(64 * MIB).step(MIB), &file);
    let mut capacities = vec![map.capacity() + 4 * KIB];
    while map.len() < 5 * MIB {
        map.append(&[1; 10 * KIB]).expect("there is room");
        let capacity = map.capacity() + 4 * KIB;
        if capacities.last() != Some(&capacity) {
            capacities.push(capacity);
        }
    }
    let steps = [64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB, 3 * MIB, 4 * MIB];
    assert_eq!(capacities[..8], steps);
    let len = std::fs::metadata(&*file).expect("it is there").len();
    assert_eq!(len as usize, map.capacity() + 4 * KIB);
}

#[test]
fn a_file_is_made() {
    let file = OwnFile::new(b"");
    std::fs::remove_file(&file).expect("it is there");
    let mut map = open(&file);
    writeln!(map, "{} bytes", 12).expect("there is room");
    map.by_ref().flush().expect("nothing to do");
    map.close().expect("it can be cut");
    assert_eq!(file.content(), b"12 bytes\n");
}

#[test]
fn values_are_appended_and_read() {
    let file = OwnFile::new(b"");
    let mut map = open(&file);
    assert_eq!(map.push(1u64).expect("there is room"), 0);
    assert_eq!(map.extend_from_slice(&[2u64, 3]).expect("there is room"), 8..24);
    assert_eq!(map.as_slice_of::<u64>().expect("whole"), [1, 2, 3]);
    assert_eq!(map.push(4u8).expect("there is room"), 24);
    assert_eq!(told(map.as_slice_of::<u64>()), (Op::Cast, ErrorKind::OutOfRange));
    let (_, reader) = map.split();
    assert_eq!(reader.as_slice_of::<u64>(), [1, 2, 3]);
    assert!(reader.as_slice_of::<[u64; 0]>().is_empty());
    assert_eq!((reader.len(), reader.is_empty()), (25, false));
}

#[test]
fn beyond_the_maximum_is_an_error_and_the_rest_goes_on() {
    let file = OwnFile::new(b"");
    let mut map = open_as(GrowMap::builder().max(200_000).step(64 * KIB), &file);
    map.append(&pattern(199_999)).expect("below the maximum");
    let error = map.append(b"ab").expect_err("one too many");
    assert_eq!((error.op(), error.kind()), (Op::Resize, ErrorKind::OutOfRange));
    assert_eq!((error.addr(), error.len(), error.code()), (199_999, 2, 0));
    let words = error.to_string();
    assert!(words.contains("more than the maximum it was opened with"), "{words}");
    map.append(b"a").expect("the last byte");
    assert_eq!((map.len(), map.max()), (200_000, 200_000));
    assert_eq!(told(map.reserve_additional(usize::MAX)).1, ErrorKind::OutOfRange);
    map.truncate(10);
    map.append(b"bc").expect("there is room again");
    map.close().expect("it can be cut");
    assert_eq!(file.content(), [&pattern(10)[..], b"bc"].concat());
    // SAFETY: (1), (2): as above.
    let error = unsafe { GrowMap::builder().max(11).open(&file) }.expect_err("12 bytes");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(file.content().len(), 12);
    // SAFETY: (1), (2): as above.
    let error = unsafe { GrowMap::builder().max(usize::MAX).open(&file) }.expect_err("too much");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn room_that_was_reserved_needs_no_growth() {
    let file = OwnFile::new(b"");
    let mut map = open(&file);
    map.reserve_additional(5 * MIB).expect("there is room");
    let capacity = map.capacity();
    assert!(capacity >= 5 * MIB);
    map.append(&vec![3; 5 * MIB]).expect("it was reserved");
    assert_eq!(map.capacity(), capacity);
}

/// What is brought in ahead of the content is zeros: none of them may lie on it.
#[test]
fn pages_that_are_brought_in_are_behind_the_content() {
    for how in [Prefault::Auto, Prefault::Always, Prefault::Never] {
        let file = OwnFile::new(&pattern(70_001));
        let mut wanted = pattern(70_001);
        let mut map = open_as(GrowMap::builder().max(32 * MIB).step(MIB).prefault(how), &file);
        for round in 0..120 {
            let len = [1, 3000, 65_536, 100_003, 400_000][round % 5];
            map.append(&pattern(len)).expect("there is room");
            wanted.extend(pattern(len));
            match round % 40 {
                17 => {
                    let len = wanted.len() - 700_000;
                    map.truncate(len);
                    wanted.truncate(len);
                }
                23 => map.flush(0..wanted.len(), Durability::Data).expect("the disk is well"),
                31 => map.reserve_additional(MIB).expect("there is room"),
                _ => {}
            }
        }
        assert!(map[..] == wanted, "{how:?}");
        map.close().expect("it can be cut");
        assert!(file.content() == wanted, "{how:?}");
    }
}

#[test]
fn bytes_are_changed_given_up_and_emptied() {
    let file = OwnFile::new(&pattern(300_000));
    let mut wanted = pattern(300_000);
    let mut map = open(&file);
    map.as_mut_slice(100..200).expect("inside").fill(7);
    wanted[100..200].fill(7);
    map.punch(4000..150_001).expect("inside");
    wanted[4000..150_001].fill(0);
    assert_eq!(map[..], wanted);
    map.as_mut_slice(9_000..9_010).expect("inside").fill(8);
    wanted[9_000..9_010].fill(8);
    map.truncate(100_000);
    map.truncate(200_000); // there are fewer
    wanted.truncate(100_000);
    map.append(&pattern(50_000)).expect("there is room");
    wanted.extend(pattern(50_000));
    assert_eq!(map[..], wanted);
    map.punch(5..5).expect("nothing to do");
    assert_eq!(told(map.punch(0..150_001)), (Op::Discard, ErrorKind::OutOfRange));
    assert_eq!(told(map.as_mut_slice(0..150_001)), (Op::Access, ErrorKind::OutOfRange));
    let inverted = std::ops::Range { start: 9, end: 3 };
    assert_eq!(told(map.flush(inverted, Durability::Data)), (Op::Flush, ErrorKind::OutOfRange));
    map.close().expect("it can be cut");
    assert_eq!(file.content(), wanted);
}

/// The blocks of a hole go back to the disk, and come again before they are written.
#[cfg(target_os = "linux")]
#[test]
fn a_hole_takes_no_place() {
    use std::os::unix::fs::MetadataExt;
    let blocks = |file: &OwnFile| {
        file.open().sync_all().expect("the disk is well");
        std::fs::metadata(&**file).expect("it is there").blocks() * 512
    };
    let file = OwnFile::new(&vec![1; 8 * MIB]);
    let mut map = open(&file);
    let before = blocks(&file);
    map.punch(MIB..7 * MIB).expect("inside");
    let holed = blocks(&file);
    if holed + 6 * MIB as u64 > before {
        println!("skipped: this file system has no holes ({before} and {holed} bytes)");
        return;
    }
    map.as_mut_slice(2 * MIB..3 * MIB).expect("there is room");
    assert!(blocks(&file) >= holed + MIB as u64);
    map.truncate(4 * MIB);
    map.append(b"x").expect("there is room");
    assert!(blocks(&file) >= holed + 4 * MIB as u64, "the room is whole again");
}

#[test]
fn readers_see_whole_appends_at_one_place() {
    const RECORD: usize = 48;
    let file = OwnFile::new(b"");
    let mut map = open(&file);
    let (mut appender, reader) = map.split();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                let place = reader.as_slice().as_ptr();
                let mut seen = 0;
                while seen < 100_000 {
                    let all = reader.as_slice();
                    assert!(all.len() % RECORD == 0 && all.as_ptr() == place);
                    let records = all.len() / RECORD;
                    assert!(records >= seen);
                    for index in (seen..records).chain(records.checked_sub(1)) {
                        let record = &all[index * RECORD..][..RECORD];
                        assert!(record.chunks(8).all(|word| *word == index.to_le_bytes()[..8]));
                    }
                    seen = records;
                    std::thread::yield_now();
                }
            });
        }
        for index in 0..100_000u64 {
            appender.push([index.to_le(); RECORD / 8]).expect("there is room");
        }
    });
    assert_eq!(map.len(), 100_000 * RECORD);
}

/// A copy of the file as it is while it is open is what a death leaves.
#[test]
fn a_file_that_was_not_closed_is_recovered() {
    for len in [0, 10, 61_440, 61_441, 200_000] {
        let file = OwnFile::new(b"");
        let mut map = open(&file);
        map.append(&pattern(len)).expect("there is room");
        map.flush(0..len / 2, Durability::Data).expect("the disk is well");
        map.append(b"tail").expect("there is room");
        let left = OwnFile::new(&file.content());
        assert!(left.content().len() >= len + 4 + 4 * KIB);
        let mut again = open_as(GrowMap::builder().max(len + 100), &left);
        let told = again.recovered().expect("it was not closed");
        assert_eq!((told.len, told.flushed_len), (len + 4, len / 2));
        assert_eq!(again[..], [&pattern(len)[..], b"tail"].concat());
        again.append(b"more").expect("there is room");
        again.close().expect("it can be cut");
        assert_eq!(left.content(), [&pattern(len)[..], b"tailmore"].concat());
        assert_eq!(open(&left).recovered(), None);
    }
}

#[test]
fn what_is_no_record_is_content() {
    let file = OwnFile::new(b"");
    let map = open(&file);
    let left = file.content();
    drop(map);
    assert_eq!(left.len(), 64 * KIB);
    let record = &left[60 * KIB..];
    let behind = [&left[..], b"x"].concat();
    let longer = [&vec![0; 124 * KIB][..], record].concat();
    let mut broken = left.clone();
    broken[60 * KIB + 3] ^= 1;
    for bytes in [behind, longer, broken, record.to_vec()] {
        let file = OwnFile::new(&bytes);
        let map = open(&file);
        assert_eq!((map.len(), map.recovered()), (bytes.len(), None));
        drop(map);
        assert_eq!(file.content(), bytes);
    }
}

/// Somebody has something to append that would be taken for what this type itself left.
#[test]
fn content_that_looks_like_a_record_shortens_nothing() {
    let file = OwnFile::new(b"");
    let mut map = open(&file);
    map.append(b"short").expect("there is room");
    let forged = file.content();
    drop(map);
    let file = OwnFile::new(b"");
    let mut map = open(&file);
    map.append(&forged).expect("there is room");
    map.close().expect("it is left as it is");
    let mut again = open(&file);
    assert_eq!(again[..], forged);
    again.append(b"x").expect("there is room");
    again.close().expect("it can be cut");
    assert_eq!(file.content(), [&forged[..], b"x"].concat());
}

#[test]
fn flushed_bytes_are_told_as_far_as_there_is_no_gap() {
    let file = OwnFile::new(b"abc");
    let mut map = open(&file);
    let flushed = || {
        let left = OwnFile::new(&file.content());
        open(&left).recovered().expect("it was not closed").flushed_len
    };
    assert_eq!(flushed(), 3);
    map.append(&[1; 1000]).expect("there is room");
    assert_eq!(flushed(), 3);
    map.flush(3..503, Durability::Start).expect("the disk is well");
    assert_eq!(flushed(), 3, "nothing is promised");
    map.flush(10..503, Durability::Data).expect("the disk is well");
    assert_eq!(flushed(), 3, "a gap");
    map.flush(3..503, Durability::Data).expect("the disk is well");
    assert_eq!(flushed(), 503);
    map.reserve_additional(200_000).expect("there is room");
    assert_eq!(flushed(), 503, "the next record, too");
    map.flush(0..1003, Durability::Full).expect("the disk is well");
    assert_eq!(flushed(), 1003);
    map.truncate(100);
    assert_eq!(flushed(), 100);
}

#[test]
fn a_file_that_cannot_be_written_is_refused_and_left_alone() {
    let file = OwnFile::new(b"abc");
    let reading = File::open(&file).expect("it is there");
    let appending = File::options().read(true).append(true).open(&file).expect("it is there");
    for file in [reading, appending] {
        // SAFETY: (1), (2): the file is the test's own.
        let error = unsafe { small().of_file(&file) }.expect_err("not open for writing");
        assert_eq!((error.op(), error.kind()), (Op::Map, ErrorKind::Denied), "{error}");
    }
    assert_eq!(file.content(), b"abc");
    let mut map = open(&file);
    assert_eq!(format!("{map:?}"), "GrowMap(3 bytes of at most 67108864)");
    map.append(b"d").expect("there is room");
    drop(map);
    assert_eq!(file.content(), b"abcd");
}
