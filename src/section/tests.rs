//! Sections while the system's calls fail: see `vm::tests::stage` for what is checked.

use super::{Access, Durability, GrowMap, Prefault, Section, ViewMut};
use crate::error::{Call, Error, ErrorKind, Op};
use crate::sys;
use crate::sys::inject::{Plan, Session};
use crate::vm::Reservation;
use crate::vm::tests::stage::{Absorbed, in_own_process, play};
use core::sync::atomic::{AtomicU32, Ordering};
use std::path::PathBuf;
use std::vec::Vec;

/// A file of the test's own, removed when this is dropped.
pub(super) struct OwnFile(pub(super) PathBuf);

impl OwnFile {
    pub(super) fn new(name: &str, len: usize) -> Self {
        let name = std::format!("granule-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, std::vec![7; len]).expect("the folder takes one");
        OwnFile(path)
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn views_of_a_file() {
    let path = OwnFile::new("story-views", 200_000);
    let file = std::fs::File::options().read(true).write(true).open(&path.0).expect("it is there");
    play(&[], |stage| {
        let section = stage.verb(Op::Map, || Section::of_file(&file, Access::Write))?;
        // SAFETY: (1), (2): the file is this test's own, and does not change.
        let read = stage.verb(Op::Map, || unsafe { section.view(70_000..70_001) })?;
        assert_eq!(read[..], [7]);
        // SAFETY: (1), (2): as above.
        let mut copy = stage.verb(Op::Map, || unsafe { section.view_copy(0..10) })?;
        copy[3] = 9;
        // SAFETY: (1) to (3): these bytes are mapped once.
        let mut write = stage.verb(Op::Map, || unsafe { section.view_mut(100_000..200_000) })?;
        stage.verb(Op::Flush, || write.write_through(10, b"durable", Durability::Data))?;
        stage.verb(Op::Flush, || write.flush(5000..6000, Durability::Data))?;
        stage.verb(Op::Flush, || write.flush(5000..6000, Durability::Full))?;
        stage.leave(|| drop((section, read, copy, write)));
        Ok(())
    });
}

#[test]
fn views_of_memory() {
    let unknown = "a file system that takes no places makes the file longer";
    play(&[Absorbed::by(Op::Map, Call::Fallocate, unknown).on_some_systems()], |stage| {
        let section = stage.verb(Op::Map, || Section::anonymous(100_000))?;
        // SAFETY: (1) to (3): nobody else knows this memory.
        let mut view = stage.verb(Op::Map, || unsafe { section.view_mut(0..100_000) })?;
        view[99_999] = 1;
        stage.leave(|| drop((section, view)));
        Ok(())
    });
}

#[test]
fn a_racy_view() {
    let path = OwnFile::new("story-racy", 100_000);
    let file = std::fs::File::options().read(true).write(true).open(&path.0).expect("it is there");
    play(&[], |stage| {
        let section = stage.verb(Op::Map, || Section::of_file(&file, Access::Write))?;
        let view = stage.verb(Op::Map, || section.racy::<u32>(0..100_000))?;
        assert_eq!(view.load(24_999)?, 0x0707_0707);
        stage.verb(Op::Flush, || view.flush(0..10, Durability::Data))?;
        stage.leave(|| drop((section, view)));
        Ok(())
    });
}

#[test]
fn what_is_cached() {
    let path = OwnFile::new("story-cached", 100_000);
    let file = std::fs::File::open(&path.0).expect("it is there");
    let whole = Section::of_file(&file, Access::Read).expect("a small file");
    let told = match whole.cached(0..100_000) {
        Ok(told) => told,
        Err(error) => return std::println!("skipped: {error}"),
    };
    assert_eq!(told.resident, 100_000u64.next_multiple_of(sys::limits().page_len as u64));
    assert_eq!(whole.cached(0..0).expect("nothing to ask"), crate::sys::CacheState::default());
    assert_eq!(whole.cached(0..100_001).expect_err("outside").kind(), ErrorKind::OutOfRange);
    let long = OwnFile::new("cached-long", 5 << 20);
    let file = std::fs::File::open(&long.0).expect("it is there");
    let section = Section::of_file(&file, Access::Read).expect("a file");
    let huge = section.cached_huge(1..5 << 20).expect("it was told of the other file");
    assert!(huge <= 4 << 20, "{huge}: the first and the last piece are not whole");
    let page_by_page = "mincore tells instead";
    let absorbs = [
        Absorbed::by(Op::Query, Call::Cachestat, page_by_page).on_some_systems(),
        Absorbed::by(Op::Query, Call::Openat, "how long a huge page is").on_some_systems(),
        Absorbed::by(Op::Query, Call::Read, "as above").on_some_systems(),
    ];
    play(&absorbs, |stage| {
        let now = stage.verb(Op::Query, || whole.cached(0..100_000))?;
        assert_eq!(now.resident, told.resident);
        stage.verb(Op::Query, || whole.cached_huge(0..100_000))?;
        Ok(())
    });
}

#[test]
fn a_copy_that_is_committed() {
    let path = OwnFile::new("story-copy", 100_000);
    let file = std::fs::File::options().read(true).write(true).open(&path.0).expect("it is there");
    let looked = "the view is compared with the file instead";
    let copied = "the file is copied into the pages instead";
    let stays = "the twin stays; where nothing is refused any more, without memory";
    let rare = |op, call, why| Absorbed::by(op, call, why).on_some_systems();
    let absorbs = [
        Absorbed::by(Op::Written, Call::Pread, looked),
        rare(Op::Written, Call::Openat, looked),
        rare(Op::Written, Call::Munmap, stays),
        rare(Op::Written, Call::Mmap, stays),
        rare(Op::Written, Call::Mprotect, stays),
        rare(Op::Written, Call::Madvise, stays),
        rare(Op::Written, Call::UnmapViewOfFile, stays),
        rare(Op::Discard, Call::Madvise, copied),
        rare(Op::Discard, Call::Openat, copied),
        rare(Op::Discard, Call::Pread, copied),
        rare(Op::Discard, Call::Munlock, copied),
        rare(Op::Discard, Call::Munmap, stays),
        rare(Op::Discard, Call::Mmap, stays),
        rare(Op::Discard, Call::Mprotect, stays),
        Absorbed::by(Op::Discard, Call::UnmapViewOfFile, stays),
        rare(Op::Commit, Call::Fallocate, "the file keeps the length that it has"),
        Absorbed::by(Op::Commit, Call::Pread, looked),
        rare(Op::Commit, Call::Madvise, copied),
        rare(Op::Commit, Call::Openat, copied),
        rare(Op::Commit, Call::Munlock, copied),
        Absorbed::by(Op::Commit, Call::Munmap, stays),
        rare(Op::Commit, Call::Mmap, stays),
        rare(Op::Commit, Call::Mprotect, stays),
        Absorbed::by(Op::Commit, Call::UnmapViewOfFile, stays),
    ];
    play(&absorbs, |stage| {
        let section = stage.verb(Op::Map, || Section::of_file(&file, Access::Write))?;
        // SAFETY: (1), (2): the file is this test's own; no slice of it is used while it changes.
        let mut view = stage.verb(Op::Map, || unsafe { section.view_copy(0..100_000) })?;
        view[50_000] = view[50_000].wrapping_add(1);
        let dirty = stage.verb(Op::Written, || view.dirty_ranges().next().transpose())?;
        assert!(dirty.is_some_and(|run| run.contains(&50_000)));
        stage.verb(Op::Discard, || view.discard(0..10))?;
        stage.verb(Op::Commit, || view.commit(Durability::Data))?;
        stage.leave(|| drop((section, view)));
        Ok(())
    });
}

#[test]
fn a_map_that_grows() {
    in_own_process("section::tests::a_map_that_grows", play_a_map_that_grows);
}

fn play_a_map_that_grows() {
    let zeros = "zeros are written instead";
    let tried = "it is tried again, with addresses or without";
    let rare = |op, call, why| Absorbed::by(op, call, why).on_some_systems();
    let absorbs = [
        rare(Op::Map, Call::Fallocate, zeros),
        rare(Op::Resize, Call::Fallocate, zeros),
        rare(Op::Discard, Call::Fallocate, zeros),
        rare(Op::Map, Call::VirtualAlloc, tried),
        rare(Op::Resize, Call::VirtualAlloc, tried),
        rare(Op::Resize, Call::VirtualQuery, "the views are looked for step by step"),
        rare(Op::Map, Call::MapViewOfFile, tried),
        rare(Op::Resize, Call::MapViewOfFile, tried),
        rare(Op::Resize, Call::Pwrite, "less is asked for, for which there is a place"),
        rare(Op::Resize, Call::WriteFile, "less is asked for, for which there is a place"),
    ];
    play(&absorbs, |stage| {
        // Windows leaves a file as it is while a view of it could not be taken away.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = OwnFile::new(&std::format!("story-grow-{count}"), 100_000);
        let how = &mut std::fs::File::options();
        let file = how.read(true).write(true).open(&path.0).expect("it is there");
        let builder = GrowMap::builder().max(1 << 20);
        // SAFETY: (1), (2): the file is this test's own.
        let mut map = stage.verb(Op::Map, || unsafe { builder.of_file(&file) })?;
        assert_eq!(map.len(), 100_000);
        let place = stage.verb(Op::Resize, || map.append(&[1; 400_000]))?;
        assert_eq!((place, &map[..1], &map[499_999..]), (100_000..500_000, &[7][..], &[1][..]));
        stage.verb(Op::Discard, || map.punch(50_000..60_000))?;
        stage.verb(Op::Resize, || map.as_mut_slice(0..70_000).map(|bytes| bytes[55_000] = 1))?;
        stage.verb(Op::Flush, || map.flush(0..10, Durability::Start))?;
        stage.verb(Op::Flush, || map.flush(100_000..500_000, Durability::Data))?;
        stage.verb(Op::Flush, || map.flush(0..500_000, Durability::Full))?;
        map.truncate(80_000);
        stage.verb(Op::Resize, || map.close_durably())
    });
}

/// Whatever is refused, once or from then on: when it is not refused any more, the map grows.
#[test]
fn a_growth_that_was_refused_can_be_had_later() {
    let name = "section::tests::a_growth_that_was_refused_can_be_had_later";
    in_own_process(name, refuse_growths);
}

fn refuse_growths() {
    let grow = |plan: Plan| {
        let Plan { nth, count, choice } = plan;
        let path = OwnFile::new(&std::format!("grow-later-{nth}-{count}-{choice}"), 1000);
        // SAFETY: (1), (2): the file is this test's own.
        let mut map = unsafe { GrowMap::builder().max(4 << 20).open(&path.0) }.expect("a file");
        let session = Session::open(plan);
        let refused = (0..2).filter(|_| map.append(&[1; 500_000]).is_err()).count();
        let (calls, counted) = (session.calls(), session.counted());
        drop(session);
        // Others want addresses, too.
        let others = [(); 40].map(|()| Reservation::reserve(100_000).expect("some addresses"));
        for round in 0..2 {
            map.append(&[1; 500_000]).unwrap_or_else(|error| {
                panic!("growth {round} after {refused} refused ones, {plan:?} {calls:?}: {error}")
            });
        }
        assert_eq!(map.len(), 1000 + (4 - refused) * 500_000);
        assert!(map[1000..].iter().all(|&byte| byte == 1));
        drop(others);
        counted
    };
    let calls = grow(Plan::NOTHING);
    assert!(calls >= 2, "{calls} calls");
    for nth in 1..=calls {
        for (count, choice) in [(1, 0), (1, 1), (2, 0), (64, 1), (usize::MAX, 0), (usize::MAX, 1)] {
            grow(Plan { nth, count, choice });
        }
    }
}

/// The pages behind the content are brought in, or come by faults; nothing that was appended is
/// lost, and a write to the file that is refused is told.
#[test]
fn a_map_that_looks_ahead() {
    in_own_process("section::tests::a_map_that_looks_ahead", play_a_map_that_looks_ahead);
}

fn play_a_map_that_looks_ahead() {
    if !sys::CAN_POPULATE {
        return std::println!("skipped: nothing is brought in ahead here");
    }
    let by_faults = "pages come by faults";
    let rare = |op, call, why| Absorbed::by(op, call, why).on_some_systems();
    let absorbs = [
        rare(Op::Map, Call::Fallocate, "zeros are written instead"),
        rare(Op::Resize, Call::Fallocate, "zeros are written instead"),
        rare(Op::Resize, Call::Pwrite, "less is asked for, for which there is a place"),
        rare(Op::Resize, Call::Ftruncate, "what a refused step took stays behind the end"),
        rare(Op::Resize, Call::Madvise, by_faults),
        rare(Op::Resize, Call::Getrusage, by_faults),
        rare(Op::Resize, Call::Ioctl, by_faults),
        rare(Op::Resize, Call::Openat, by_faults),
    ];
    for how in [Prefault::Auto, Prefault::Always] {
        play(&absorbs, |stage| {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = OwnFile::new(&std::format!("story-ahead-{count}"), 0);
            let how_opened = &mut std::fs::File::options();
            let file = how_opened.read(true).write(true).open(&path.0).expect("it is there");
            let builder = GrowMap::builder().max(2 << 20).prefault(how);
            // SAFETY: (1), (2): the file is this test's own.
            let mut map = stage.verb(Op::Map, || unsafe { builder.of_file(&file) })?;
            for part in 0..10 {
                stage.verb(Op::Resize, || map.append(&[part; 100_000]))?;
            }
            for (part, bytes) in map.chunks(100_000).enumerate() {
                assert_eq!(bytes, [part as u8; 100_000]);
            }
            stage.verb(Op::Resize, || map.close())
        });
    }
}

/// What a flush asks the system for, in order.
fn calls_of(flush: impl FnOnce() -> Result<(), Error>) -> Vec<Call> {
    let session = Session::open(Plan::NOTHING);
    flush().expect("the disk is well");
    session.calls()
}

/// `Data` waits for the disk, `Full` for the whole file, `Start` for nothing.
#[test]
fn a_flush_reaches_the_disk_as_far_as_it_says() {
    let path = OwnFile::new("flush-calls", 100_000);
    let how = &mut std::fs::File::options();
    let file = how.read(true).write(true).open(&path.0).expect("it is there");
    // SAFETY: (1) to (3): the file is this test's own, and mapped once.
    let mut view = unsafe { ViewMut::of_file(&file) }.expect("a small file");
    view[70_000] = 1;
    let flush = |durability| view.flush(69_000..71_000, durability);
    let start = calls_of(|| flush(Durability::Start));
    let data = calls_of(|| flush(Durability::Data));
    let full = calls_of(|| flush(Durability::Full));
    let waits = |calls: &[Call]| {
        [Call::Fsync, Call::FlushFileBuffers].iter().any(|call| calls.contains(call))
    };
    assert!(start.len() == 1 && !waits(&start), "{start:?}");
    assert!(waits(&data) || data == [Call::Msync], "{data:?}");
    assert!(waits(&full) && full.len() == 2, "{full:?}");
    for (durability, calls) in [(Durability::Data, data), (Durability::Full, full)] {
        for nth in 1..=calls.len() {
            let session = Session::open(Plan { nth, count: 1, choice: 0 });
            let error = flush(durability).expect_err("the disk is not well");
            drop(session);
            assert_eq!((error.op(), error.call()), (Op::Flush, calls[nth - 1].name()));
        }
    }
}

/// The length of what was appended is brought to the disk after the bytes, and once.
#[test]
fn a_growing_file_is_flushed_before_its_length() {
    let path = OwnFile::new("flush-grow", 0);
    // SAFETY: (1), (2): the file is this test's own.
    let mut map = unsafe { GrowMap::builder().max(1 << 20).open(&path.0) }.expect("a small file");
    map.append(&[1; 5000]).expect("there is room");
    let disk = |calls: &[Call]| {
        let waits = [Call::Msync, Call::FlushFileBuffers];
        calls.iter().filter(|call| waits.contains(call)).count()
    };
    assert_eq!(disk(&calls_of(|| map.flush(0..5000, Durability::Data))), 2);
    assert_eq!(disk(&calls_of(|| map.flush(0..5000, Durability::Data))), 1);
    map.append(&[2; 10]).expect("there is room");
    assert_eq!(disk(&calls_of(|| map.flush(0..5010, Durability::Data))), 2);
    // Where the bytes do not reach the disk the length does not say so.
    map.append(&[3; 10]).expect("there is room");
    let session = Session::open(Plan { nth: 1, count: 1, choice: 0 });
    map.flush(0..5020, Durability::Data).expect_err("the disk is not well");
    drop(session);
    let left = OwnFile::new("flush-left", 0);
    std::fs::copy(&path.0, &left.0).expect("there is room");
    // SAFETY: (1), (2): as above.
    let again = unsafe { GrowMap::builder().max(1 << 20).open(&left.0) }.expect("a small file");
    let told = again.recovered().expect("it was not closed");
    assert_eq!((told.len, told.flushed_len), (5020, 5010));
}
