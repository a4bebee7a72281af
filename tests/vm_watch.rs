//! Write watch through its public face: which pages are told, by whatever they were written, and
//! what the other verbs do to that. Refusals of the system are in `vm_watch_failures.rs`.
#![allow(clippy::single_range_in_vec_init, reason = "one range of pages is meant")]

mod vm_support;

use granule::vm::{self, GuardKind, Protection, Reservation};
use granule::{ErrorKind, Op};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use vm_support::{byte_at, put};

fn page_len() -> usize {
    vm::info().page_len
}

/// A watched reservation of so many committed pages; `None` where the system has no write watch.
fn watched(pages: usize) -> Option<Reservation> {
    let reserved = Reservation::builder().len(pages * page_len()).write_watch().reserve();
    match reserved {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("skipped: {error}");
            None
        }
        reserved => {
            let reservation = reserved.expect("a small reservation");
            reservation.commit(0..reservation.len(), Protection::ReadWrite).expect("memory");
            Some(reservation)
        }
    }
}

fn write(reservation: &Reservation, page: usize) {
    put(reservation, page * page_len() + page % page_len(), 1);
}

/// Page numbers of what is told, all of it, by rooms of `room` ranges.
fn told(reservation: &Reservation, room: usize, take: bool) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    let mut ranges = vec![0..0; room];
    let mut rest = 0..reservation.len();
    loop {
        let written = if take {
            reservation.take_written(rest.clone(), &mut ranges)
        } else {
            reservation.written(rest.clone(), &mut ranges)
        };
        let written = written.expect("a watched reservation");
        assert!(written.count <= room);
        for range in &ranges[..written.count] {
            assert_eq!((range.start % page_len(), range.end % page_len()), (0, 0));
            let pages = range.start / page_len()..range.end / page_len();
            match all.last_mut() {
                Some(last) if last.end == pages.start => last.end = pages.end,
                _ => all.push(pages),
            }
        }
        match written.next {
            Some(next) => {
                assert!(rest.start < next && next < rest.end);
                rest.start = next;
            }
            None => return all,
        }
    }
}

fn taken(reservation: &Reservation) -> Vec<Range<usize>> {
    told(reservation, 100, true)
}

#[test]
fn only_what_was_written_is_told_and_only_once() {
    let Some(heap) = watched(40) else { return };
    assert!(heap.is_watched());
    assert_eq!(taken(&heap), []);
    for page in [3, 4, 5, 39, 0] {
        write(&heap, page);
    }
    let written = [0..1, 3..6, 39..40];
    assert_eq!(told(&heap, 100, false), written);
    assert_eq!(told(&heap, 1, false), written, "asking forgets nothing");
    assert_eq!(taken(&heap), written);
    assert_eq!(taken(&heap), []);
    write(&heap, 4);
    assert_eq!(taken(&heap), [4..5], "written again");
}

#[test]
fn reading_is_not_writing() {
    let Some(heap) = watched(20) else { return };
    assert_eq!(byte_at(&heap, 5 * page_len()), 0);
    assert_eq!(taken(&heap), []);
    write(&heap, 7);
    assert_eq!(taken(&heap), [7..8], "in a table of pages that were never touched");
    assert_eq!((byte_at(&heap, 5 * page_len()), byte_at(&heap, 7 * page_len() + 7)), (0, 1));
    assert_eq!(taken(&heap), []);
    for page in [5, 6] {
        write(&heap, page);
    }
    assert_eq!(taken(&heap), [5..7], "the first write to a page that was read counts");
}

#[test]
fn a_part_can_be_asked_and_forgotten() {
    let Some(heap) = watched(10) else { return };
    (0..10).for_each(|page| write(&heap, page));
    let page = page_len();
    heap.forget_written(2 * page + 1..2 * page + 2).expect("a page, by one of its bytes");
    heap.forget_written(5 * page - 1..5 * page + 1).expect("two pages, by a byte of each");
    assert_eq!(told(&heap, 100, false), [0..2, 3..4, 6..10]);
    let mut ranges = [const { 0..0 }; 2];
    let found = heap.take_written(page..4 * page, &mut ranges).expect("three pages");
    assert_eq!((found.count, found.next), (2, None));
    assert_eq!(ranges, [page..2 * page, 3 * page..4 * page]);
    assert_eq!(taken(&heap), [0..1, 6..10]);
}

/// More runs than any buffer between has room for, and rooms of all sizes.
#[test]
fn small_rooms_lose_and_double_nothing() {
    let Some(heap) = watched(1200) else { return };
    for room in [1, 2, 3, 63, 64, 65, 500, 1200] {
        let pages = |distance: usize| (0..1200).step_by(distance);
        for distance in [2, 3, 150, 400] {
            pages(distance).for_each(|page| write(&heap, page));
            let expected: Vec<_> = pages(distance).map(|page| page..page + 1).collect();
            assert_eq!(told(&heap, room, false), expected, "room {room}, distance {distance}");
            assert_eq!(told(&heap, room, true), expected, "room {room}, distance {distance}");
            assert_eq!(taken(&heap), []);
        }
    }
}

#[test]
fn a_full_room_says_where_to_go_on() {
    let Some(heap) = watched(9) else { return };
    [1, 2, 4, 7].into_iter().for_each(|page| write(&heap, page));
    let page = page_len();
    let mut ranges = [const { 0..0 }; 2];
    let found = heap.take_written(0..heap.len(), &mut ranges).expect("two of three");
    assert_eq!((found.count, ranges), (2, [page..3 * page, 4 * page..5 * page]));
    let next = found.next.expect("there is one more");
    assert!((5 * page..=7 * page).contains(&next));
    assert_eq!(taken(&heap), [7..8], "what was not told is not forgotten");
}

#[test]
fn the_system_writes_too() {
    use std::io::Read;
    let Some(heap) = watched(4) else { return };
    let mut file = std::fs::File::open(std::env::current_exe().expect("a name")).expect("a file");
    // SAFETY: the offset lies inside the reservation.
    let start = unsafe { heap.as_ptr().add(2 * page_len()) };
    // SAFETY: two committed pages that nobody else uses, initialised by the system.
    let buffer = unsafe { std::slice::from_raw_parts_mut(start, page_len() + 1) };
    file.read_exact(buffer).expect("a test is longer than a page");
    assert_eq!(taken(&heap), [2..4]);
}

#[test]
fn writes_of_all_threads_are_told() {
    let Some(heap) = watched(64) else { return };
    std::thread::scope(|scope| {
        for first in 0..4 {
            let heap = &heap;
            scope.spawn(move || (first..64).step_by(8).for_each(|page| write(heap, page)));
        }
    });
    let expected: Vec<_> = (0..64).step_by(8).map(|page| page..page + 4).collect();
    assert_eq!(taken(&heap), expected);
}

/// Takes while another thread writes: every write is told at last.
#[test]
fn no_write_is_lost_between_telling_and_forgetting() {
    const PAGES: usize = 512;
    const LAPS: u8 = 50;
    let Some(heap) = watched(PAGES) else { return };
    let mut copy = vec![0; PAGES];
    let mut follow = |heap: &Reservation| {
        for range in taken(heap) {
            for page in range {
                // SAFETY: a page of the reservation.
                let byte = unsafe { heap.as_ptr().add(page * page_len()) };
                // SAFETY: committed, and bytes are written whole.
                copy[page] = unsafe { AtomicU8::from_ptr(byte) }.load(Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for lap in 1..=LAPS {
                for page in 0..PAGES {
                    // SAFETY: a page of the reservation.
                    let byte = unsafe { heap.as_ptr().add(page * page_len()) };
                    // SAFETY: committed, and only used as an atomic.
                    unsafe { AtomicU8::from_ptr(byte) }.store(lap, Ordering::Relaxed);
                }
            }
        });
        while !writer.is_finished() {
            follow(&heap);
        }
    });
    follow(&heap);
    assert!(copy.iter().all(|&byte| byte == LAPS), "a copy that follows the writes is complete");
}

#[test]
fn rights_change_nothing_about_what_was_written() {
    let Some(heap) = watched(6) else { return };
    write(&heap, 1);
    write(&heap, 3);
    heap.protect(0..heap.len(), Protection::Read).expect("rights");
    assert_eq!(told(&heap, 9, false), [1..2, 3..4]);
    heap.protect(0..3 * page_len(), Protection::NoAccess).expect("rights");
    assert_eq!(taken(&heap), [1..2, 3..4]);
    heap.protect(0..heap.len(), Protection::ReadWrite).expect("rights");
    heap.commit(0..heap.len(), Protection::ReadWrite).expect("committed already");
    assert_eq!(taken(&heap), []);
    write(&heap, 3);
    assert_eq!(taken(&heap), [3..4]);
}

#[test]
fn pages_that_lose_their_content_are_forgotten_and_watched_on() {
    let kinds = [GuardKind::Marker, GuardKind::Split];
    for kind in kinds.into_iter().filter(|&kind| kind == vm::info().guard || kind == kinds[1]) {
        let builder = Reservation::builder().len(8 * page_len()).write_watch().guard_kind(kind);
        let Ok(heap) = builder.reserve() else {
            println!("skipped: no write watch beside {kind:?}");
            continue;
        };
        let (page, all) = (page_len(), 0..8 * page_len());
        heap.commit(all.clone(), Protection::ReadWrite).expect("memory");
        (0..8).for_each(|page| write(&heap, page));
        heap.decommit(page..3 * page).expect("two pages go");
        heap.guard(4 * page..6 * page).expect("two guards");
        let left = [0..1, 3..4, 6..8];
        assert_eq!(told(&heap, 9, false), left, "{kind:?}");
        heap.commit(page..3 * page, Protection::ReadWrite).expect("they come back");
        heap.unguard(4 * page..6 * page).expect("and these");
        assert_eq!(taken(&heap), left, "{kind:?}");
        assert_eq!(taken(&heap), [], "{kind:?}");
        [2, 5].into_iter().for_each(|page| write(&heap, page));
        assert_eq!(taken(&heap), [2..3, 5..6], "{kind:?}");
        heap.guard(all.clone()).expect("guards");
        heap.unguard(all.clone()).expect("no guards");
        heap.decommit(all.clone()).expect("nothing");
        assert_eq!(taken(&heap), [], "{kind:?}");
        heap.commit(all, Protection::ReadWrite).expect("memory");
        (0..8).for_each(|page| write(&heap, page));
        assert_eq!(taken(&heap), [Range { start: 0, end: 8 }], "{kind:?}");
    }
}

#[test]
fn what_was_discarded_is_told_when_it_is_written_again() {
    let Some(heap) = watched(4) else { return };
    (0..4).for_each(|page| write(&heap, page));
    heap.forget_written(0..heap.len()).expect("all");
    heap.discard(0..heap.len()).expect("the content");
    assert_eq!(taken(&heap), []);
    write(&heap, 2);
    assert_eq!(taken(&heap), [2..3]);
}

#[test]
fn a_long_reservation_of_few_pages_is_asked_at_once() {
    let page = page_len();
    let builder = Reservation::builder().len(1 << 40).write_watch().untracked();
    let Ok(heap) = builder.reserve() else {
        println!("skipped: no write watch here");
        return;
    };
    for offset in [0, 1 << 30, (1 << 40) - page] {
        heap.commit(offset..offset + page, Protection::ReadWrite).expect("a page");
        // SAFETY: the offset lies inside the reservation.
        let byte = unsafe { heap.as_ptr().add(offset) };
        // SAFETY: a page committed a moment ago, which nobody else uses.
        unsafe { byte.write_volatile(1) };
    }
    let mut ranges = [const { 0..0 }; 4];
    let found = heap.take_written(0..heap.len(), &mut ranges).expect("three pages");
    assert_eq!((found.count, found.next), (3, None));
    let starts = [0, 1 << 30, (1 << 40) - page];
    assert_eq!(ranges[..3], starts.map(|start| start..start + page));
}

#[test]
fn wrong_questions_are_refused() {
    let refused = |error: granule::Error| {
        assert_eq!((error.op(), error.code()), (Op::Written, 0), "{error}");
        error.kind()
    };
    let plain = Reservation::reserve(page_len()).expect("a page");
    assert!(!plain.is_watched());
    let mut ranges = [const { 0..0 }; 1];
    let asked = plain.written(0..1, &mut ranges).map(drop);
    let taken = plain.take_written(0..1, &mut ranges).map(drop);
    for result in [asked, taken, plain.forget_written(0..1)] {
        assert_eq!(result.map_err(refused), Err(ErrorKind::BadState));
    }
    let Some(heap) = watched(1) else { return };
    for range in [0..0, Range { start: 2, end: 1 }, 0..page_len() + 1, usize::MAX - 1..usize::MAX] {
        let asked = heap.written(range.clone(), &mut ranges).map(drop);
        for result in [asked, heap.forget_written(range)] {
            assert_eq!(result.map_err(refused), Err(ErrorKind::OutOfRange));
        }
    }
    let nowhere = heap.take_written(0..1, &mut []).map(drop);
    assert_eq!(nowhere.map_err(refused), Err(ErrorKind::OutOfRange));
}
