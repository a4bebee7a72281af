//! Exclusive views: files that nobody else has.

mod section_other;
mod section_support;
mod start;

use granule::section::{Durability, Exclusive, FreezePolicy, Frozen, ViewMut};
use granule::{Error, ErrorKind, Op};
use section_other::Other;
#[cfg(any(target_os = "linux", windows))]
use section_other::sum;
use section_support::{OwnFile, pattern};
use std::fs::File;
use std::io;

const LEN: usize = 300_000;

#[test]
fn other_process() {
    section_other::live();
}

/// The file for ourselves; `None`, with a message, where that is not to be had.
fn claimed(claim: impl Fn() -> io::Result<Exclusive>) -> Option<Exclusive> {
    let error = match section_other::when_left(claim, |error| told(error) == Some(IN_USE)) {
        Ok(view) => return Some(view),
        Err(error) => error,
    };
    println!("skipped: {error}");
    assert_eq!(told(&error), Some((Op::Hold, ErrorKind::Unsupported)));
    None
}

const IN_USE: (Op, ErrorKind) = (Op::Hold, ErrorKind::InUse);

fn told(error: &io::Error) -> Option<(Op, ErrorKind)> {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    error.map(|error| (error.op(), error.kind()))
}

#[test]
fn what_is_written_is_in_the_file() {
    let mut bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    let Some(mut view) = claimed(|| Exclusive::open(&file)) else { return };
    assert!(view[..] == bytes[..]);
    for place in [0, 4096, 65_536, LEN - 1] {
        view[place] = !view[place];
        bytes[place] = !bytes[place];
    }
    for durability in [Durability::Start, Durability::Data, Durability::Full] {
        view.flush(0..LEN, durability).expect("the disk is well");
        view.flush(5000..5001, durability).expect("the disk is well");
        view.flush(70..70, durability).expect("nothing to do");
    }
    let error = view.flush(1..LEN + 1, Durability::Data).expect_err("one byte too many");
    assert_eq!((error.op(), error.kind()), (Op::Flush, ErrorKind::OutOfRange));
    view.as_mut_slice_of::<u32>().expect("it is a multiple")[1] = 7;
    bytes[4..8].copy_from_slice(&7u32.to_ne_bytes());
    assert!(!view.is_detached() && !view.is_wanted());
    assert_eq!(format!("{view:?}"), "Exclusive(300000 bytes)");
    drop(view);
    assert!(file.content() == bytes);
}

#[test]
fn a_file_is_made_and_emptied() {
    let file = OwnFile::new(b"old");
    let Some(mut view) = claimed(|| Exclusive::create(&file, 70_000)) else { return };
    assert!(view.len() == 70_000 && view.iter().all(|&byte| byte == 0));
    view[69_999] = 1;
    drop(view);
    assert_eq!((file.content().len(), file.content()[69_999]), (70_000, 1));
    std::fs::remove_file(&file).expect("nobody has it");
    let view = claimed(|| Exclusive::create(&file, 0)).expect("as above");
    assert!(view.is_empty());
    view.flush(0..0, Durability::Full).expect("nothing to do");
    let error = view.flush(0..1, Durability::Full).expect_err("nothing is there");
    assert_eq!((error.op(), error.kind()), (Op::Flush, ErrorKind::OutOfRange));
    assert_eq!(file.content(), b"");
    let error = Exclusive::open(file.with_extension("not-there")).expect_err("nobody made it");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(Exclusive::open(std::env::temp_dir()).is_err());
}

/// Anybody is in the way: a reader, a view, in this process or another one.
#[test]
fn whoever_has_the_file_is_in_the_way() {
    let bytes = pattern(LEN);
    let file = OwnFile::new(&bytes);
    if claimed(|| Exclusive::open(&file)).is_none() {
        return;
    }
    let refused = |why: &str| {
        for result in [Exclusive::open(&file), Exclusive::create(&file, 1)] {
            let error = result.expect_err(why);
            assert_eq!(told(&error), Some(IN_USE), "{why}: {error}");
        }
        assert!(file.content() == bytes, "{why}");
    };
    let reader = File::open(&file).expect("it is there");
    refused("our own reader");
    drop(reader);
    // SAFETY: (1) to (3): nobody touches the bytes.
    let view = unsafe { ViewMut::open(&file) }.expect("it is there");
    refused("our own view");
    drop(view);
    let frozen = Frozen::open_with(&file, FreezePolicy::Require).expect("nobody writes");
    if cfg!(windows) {
        refused("our own frozen view");
    } else {
        // It gives way: it has the file no more.
        assert!(claimed(|| Exclusive::open(&file)).is_some());
    }
    assert!(frozen[..] == bytes[..]);
    drop(frozen);
    let mut other = Other::start();
    for what in ["keep-reading", "keep-writing"] {
        assert_eq!(other.does(what, &file), "");
        refused(what);
        assert_eq!(other.does("close", &file), "");
    }
    assert!(claimed(|| Exclusive::open(&file)).is_some());
}

/// Who wants the file waits until the view is dropped, and sees all that was written.
#[cfg(target_os = "linux")]
#[test]
fn others_wait_until_the_view_is_dropped() {
    let mut other = Other::start();
    for round in 0..20u8 {
        let file = OwnFile::new(&pattern(LEN));
        let Some(mut view) = claimed(|| Exclusive::open(&file)) else { return };
        other.tell("read", &file);
        while !view.is_wanted() {
            std::thread::yield_now();
        }
        view.fill(round);
        view.flush(0..LEN, Durability::Start).expect("the file is ours");
        assert!(!view.is_detached());
        drop(view);
        let wanted = format!("{LEN} bytes, sum {}", sum(&[round; LEN]));
        assert_eq!(other.answer(), wanted);
    }
}

/// Who has no patience is let in at once, while a thread writes: it loses none of its own writes,
/// and none that it made afterwards are in the file.
#[cfg(target_os = "linux")]
#[test]
fn a_view_is_detached_when_patience_is_over() {
    let mut other = Other::start();
    for (round, way) in
        ["write", "read", "empty", "shorten"].into_iter().cycle().take(60).enumerate()
    {
        let bytes = pattern(LEN);
        let file = OwnFile::new(&bytes);
        let Some(mut view) = claimed(|| Exclusive::open(&file)) else { return };
        view.set_patience(std::time::Duration::ZERO);
        other.tell(way, &file);
        let mut count = 0u64;
        let first = view.as_ptr();
        while !view.is_detached() || count < 1000 {
            // Each page in turn has the count; what was there must be what was written there.
            let place = (count as usize % 73) * 4096;
            let word = &mut view[place..place + 8];
            if count >= 73 {
                assert_eq!(word, (count - 73).to_ne_bytes(), "round {round}");
            }
            word.copy_from_slice(&count.to_ne_bytes());
            count += 1;
        }
        let answer = other.answer();
        assert!(answer.is_empty() || way == "read", "{answer}");
        let error = view.flush(0..LEN, Durability::Data).expect_err("it is somebody else's");
        assert_eq!((error.op(), error.kind()), (Op::Flush, ErrorKind::Detached));
        assert!(!view.is_wanted());
        let before = file.content();
        view.fill(0x55);
        assert_eq!(view.as_ptr(), first);
        assert!(view.iter().all(|&byte| byte == 0x55));
        assert!(file.content() == before, "what is written now is in no file");
        assert_eq!(format!("{view:?}"), "Exclusive(300000 bytes, detached)");
        // What was not written by the thread is as it was, but where the other has written.
        if let Some(byte) = before.get(280_000..280_010) {
            assert_eq!(byte, &bytes[280_000..280_010]);
        }
    }
}

/// The child of a fork has no view, and takes nothing from the parent.
#[cfg(target_os = "linux")]
#[test]
fn a_child_does_not_have_the_view() {
    let file = OwnFile::new(&pattern(LEN));
    let Some(mut view) = claimed(|| Exclusive::open(&file)) else { return };
    // SAFETY: the child makes plain system calls and ends.
    let process = unsafe { libc::fork() };
    assert!(process >= 0);
    if process == 0 {
        let lost = view.is_detached() && view.flush(0..1, Durability::Data).is_err();
        // SAFETY: read once, and dropped in the child only.
        drop(unsafe { std::ptr::read(&raw const view) });
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!lost)) };
    }
    let mut status = -1;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert_eq!(status, 0);
    view.fill(9);
    view.flush(0..LEN, Durability::Start).expect("it is ours as before");
    drop(view);
    assert!(file.content() == [9; LEN]);
}

/// Windows refuses everybody, and nobody waits.
#[cfg(windows)]
#[test]
fn everybody_is_refused() {
    let file = OwnFile::new(&pattern(LEN));
    let mut view = claimed(|| Exclusive::open(&file)).expect("nobody has it");
    let mut other = Other::start();
    for way in ["read", "empty", "shorten", "write", "keep-reading"] {
        assert!(other.does(way, &file).contains("os error 32"), "{way}");
    }
    view.fill(3);
    assert!(!view.is_wanted() && !view.is_detached());
    drop(view);
    let wanted = format!("{LEN} bytes, sum {}", sum(&[3; LEN]));
    assert_eq!(other.does("read", &file), wanted);
}
