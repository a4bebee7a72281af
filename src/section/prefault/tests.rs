//! Pages that are brought in: what it does to faults and to content, and what it does when the
//! system refuses.

use super::{LOOK_MIN, PIECE, Prefault, prefault};
use crate::error::{Call, ErrorKind, Op};
use crate::section::tests::OwnFile;
use crate::section::{Access, Section, ViewMut};
use crate::sys;
use crate::vm::tests::stage::{Absorbed, play};
use std::fs::File;
use std::vec::Vec;

const LEN: usize = 2 * PIECE + LOOK_MIN;

fn open(path: &OwnFile) -> File {
    File::options().read(true).write(true).open(&path.0).expect("it is there")
}

fn view_of(path: &OwnFile) -> ViewMut {
    // SAFETY: (1) to (3): the file is a test's own, and mapped once.
    unsafe { ViewMut::of_file(&open(path)) }.expect("a small file")
}

/// Faults of a load and a store to each page of a fresh view, by what was done before.
fn faults_after(path: &OwnFile, how: Prefault) -> u64 {
    let mut view = view_of(path);
    prefault(&mut view, how).expect("all pages are there");
    let before = sys::fault_count().expect("it tells");
    for byte in view.iter_mut().step_by(sys::limits().page_len) {
        *byte = core::hint::black_box(*byte).wrapping_add(1);
    }
    sys::fault_count().expect("it tells") - before
}

#[test]
fn loads_and_stores_find_their_pages() {
    let path = OwnFile::new("prefault-faults", LEN);
    if sys::fault_count().is_err() {
        return std::println!("skipped: this system does not count faults");
    }
    // How many there are without differs; an emulator has its own.
    let [never, always, auto] =
        [Prefault::Never, Prefault::Always, Prefault::Auto].map(|how| faults_after(&path, how));
    if always * 8 > never {
        return std::println!("skipped: all pages at once leave {always} faults of {never}");
    }
    assert!(auto * 8 <= never, "{auto} faults, {never} without, {always} with all pages at once");
}

#[test]
fn content_stays() {
    for len in [1, 4096, 4097, LOOK_MIN, PIECE, LEN + 5] {
        let path = OwnFile::new("prefault-content", 0);
        let bytes: Vec<u8> = (0..len).map(|index| (index >> 3) as u8).collect();
        std::fs::write(&path.0, &bytes).expect("it is there");
        let mut view = view_of(&path);
        for how in [Prefault::Auto, Prefault::Always, Prefault::Never] {
            prefault(&mut view[len / 3..], how).expect("all pages are there");
            prefault(&mut view, how).expect("all pages are there");
            assert_eq!(view[..], bytes);
        }
    }
    prefault(&mut [], Prefault::Always).expect("nothing to do");
}

/// A copy has its own pages afterwards, and the file is as it was.
#[test]
fn pages_of_a_copy_are_the_view_s_own() {
    let path = OwnFile::new("prefault-copy", LEN);
    let section = Section::of_file(&open(&path), Access::Write).expect("a small file");
    // SAFETY: (1), (2): the file is this test's own.
    let mut copy = unsafe { section.view_copy(0..LEN as u64) }.expect("a small file");
    prefault(&mut copy, Prefault::Auto).expect("all pages are there");
    copy.fill(1);
    assert!(std::fs::read(&path.0).expect("it is there").iter().all(|&byte| byte == 7));
}

/// Where one call brings pages in, it says that they are lost; a touch would end the process.
#[test]
fn lost_pages_are_an_error() {
    if !sys::CAN_POPULATE || sys::inject::is_emulated() {
        return std::println!("skipped: pages are touched, or an emulator says nothing of them");
    }
    let path = OwnFile::new("prefault-lost", LEN);
    for how in [Prefault::Auto, Prefault::Always] {
        open(&path).set_len(LEN as u64).expect("there is room");
        let mut view = view_of(&path);
        open(&path).set_len(4096).expect("a view does not hold it");
        if !tells_of_holes(&mut view) {
            return std::println!("skipped: the system does not know how");
        }
        let error = prefault(&mut view, how).expect_err("they are lost");
        assert_eq!((error.op(), error.kind()), (Op::Populate, ErrorKind::Other), "{error}");
    }
}

/// Older kernels, and emulators, do not know the advice.
fn tells_of_holes(view: &mut ViewMut) -> bool {
    let start = core::ptr::NonNull::from(&mut view[..]).cast();
    // SAFETY: no byte is concerned: the length is 0.
    unsafe { sys::populate(start, 0, Access::Write) }.is_ok() && sys::memory_len().is_ok()
}

#[test]
fn refused_calls() {
    let path = OwnFile::new("story-prefault", LEN);
    let file = open(&path);
    let all = "all pages are brought in, as nobody tells what is there";
    let absorbs = [
        Absorbed::by(Op::Populate, Call::Getrusage, all).on_some_systems(),
        Absorbed::by(Op::Populate, Call::Ioctl, all).on_some_systems(),
        Absorbed::by(Op::Populate, Call::Openat, all).on_some_systems(),
        Absorbed::by(Op::Populate, Call::Madvise, "an older kernel: pages are touched")
            .on_some_systems(),
        Absorbed::by(Op::Map, Call::Fallocate, "memory has no places").on_some_systems(),
    ];
    play(&absorbs, |stage| {
        let memory = stage.verb(Op::Map, || Section::anonymous(LEN))?;
        let section = stage.verb(Op::Map, || Section::of_file(&file, Access::Write))?;
        for section in [&memory, &section] {
            // SAFETY: (1) to (3): memory and file are this test's own.
            let mut view = stage.verb(Op::Map, || unsafe { section.view_mut(0..LEN as u64) })?;
            stage.verb(Op::Populate, || prefault(&mut view, Prefault::Auto))?;
            stage.verb(Op::Populate, || prefault(&mut view, Prefault::Always))?;
            stage.leave(|| drop(view));
        }
        stage.leave(|| drop((memory, section)));
        Ok(())
    });
}
