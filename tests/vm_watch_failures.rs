//! Write watch on Linux: what is said where the system refuses it, and who has none: the child of a
//! fork, and a program that closes files of others. Linux only, for its filters on system calls,
//! its files and fork.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::vm::{self, Protection, Reservation};
use granule::{Error, ErrorKind, Op};
use vm_support::{in_child, in_own_process, limit, mapping_flags, put, refuse_call};

const PAGES: usize = 4;
/// The library's own files have numbers from here on.
const KEPT_MIN: usize = 256;

fn page_len() -> usize {
    vm::info().page_len
}

fn reserve() -> Result<Reservation, Error> {
    Reservation::builder().len(PAGES * page_len()).write_watch().reserve()
}

/// A watched reservation with memory; `None` where the system has no write watch.
fn watched() -> Option<Reservation> {
    match reserve() {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("skipped: {error}");
            None
        }
        reserved => {
            let heap = reserved.expect("a small reservation");
            heap.commit(0..heap.len(), Protection::ReadWrite).expect("memory");
            Some(heap)
        }
    }
}

/// How many pages were written, and are forgotten now.
fn take(heap: &Reservation) -> Result<usize, Error> {
    let mut ranges = [const { 0..0 }; PAGES];
    let found = heap.take_written(0..heap.len(), &mut ranges)?;
    assert_eq!(found.next, None);
    Ok(ranges[..found.count].iter().map(|range| range.len() / page_len()).sum())
}

fn open_files() -> Vec<usize> {
    let folder = std::fs::read_dir("/proc/self/fd").expect("readable");
    let name =
        |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut numbers: Vec<usize> =
        folder.filter_map(name).filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// Lets a new thread be refused `call` with `errno`, and reserve.
fn refused_by(call: libc::c_long, errno: i32) -> Option<Error> {
    let attempt =
        move || refuse_call(call, errno).then(|| reserve().map(drop).expect_err("refused"));
    let error = std::thread::spawn(attempt).join().expect("no panic");
    if error.is_none() {
        println!("skipped: no filters on system calls here");
    }
    error
}

#[test]
fn a_system_without_write_watch_says_so_and_names_the_call() {
    in_own_process("a_system_without_write_watch_says_so_and_names_the_call", &[], || {
        let files = open_files();
        let cases = [
            (libc::SYS_userfaultfd, libc::EPERM, "userfaultfd"),
            (libc::SYS_userfaultfd, libc::ENOSYS, "userfaultfd"),
            (libc::SYS_ioctl, libc::EINVAL, "ioctl"),
            (libc::SYS_ioctl, libc::ENOTTY, "ioctl"),
        ];
        for (call, errno, name) in cases {
            let Some(error) = refused_by(call, errno) else { return };
            assert_eq!(
                (error.op(), error.kind()),
                (Op::Reserve, ErrorKind::Unsupported),
                "{error}"
            );
            assert_eq!((error.call(), error.code()), (Some(name), errno));
            assert!(error.to_string().contains(name), "{error}");
            // The list of pages is kept for good, out of the way.
            let left: Vec<_> = open_files().into_iter().filter(|&file| file < KEPT_MIN).collect();
            assert_eq!(left, files, "no file is left open");
        }
        // Without a watch everything is as ever.
        let plain = std::thread::spawn(|| {
            refuse_call(libc::SYS_userfaultfd, libc::EPERM).then(|| Reservation::reserve(1))
        });
        plain.join().expect("no panic").map(|done| done.expect("a reservation"));
    });
}

#[test]
fn no_more_files_is_an_error_that_leaves_nothing_behind() {
    in_own_process("no_more_files_is_an_error_that_leaves_nothing_behind", &[], || {
        if watched().is_none() {
            return;
        }
        let status = in_child(|| {
            // The child needs files of its own, and gets none.
            limit(libc::RLIMIT_NOFILE, 3);
            let hint = 0x5678_0000;
            let builder = Reservation::builder().hint(hint).len(page_len()).write_watch();
            let error = builder.reserve().map(drop).expect_err("no files");
            assert_eq!((error.op(), error.kind()), (Op::Reserve, ErrorKind::Denied), "{error}");
            assert_eq!(error.code(), libc::EMFILE);
            Reservation::builder().hint(hint).len(1).reserve().map(drop).expect("all given back");
        });
        assert_eq!(status, 0);
    });
}

#[test]
fn all_watches_of_a_process_share_two_files() {
    in_own_process("all_watches_of_a_process_share_two_files", &[], || {
        let before = open_files().len();
        let Some(first) = watched() else { return };
        let files = open_files();
        assert_eq!(files.len(), before + 2);
        for file in &files[files.len() - 2..] {
            assert!(*file >= KEPT_MIN, "out of the way of the program's own");
            // SAFETY: asks for the flags of a file.
            let flags = unsafe { libc::fcntl(*file as i32, libc::F_GETFD) };
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        }
        let more: Vec<_> = (0..50).map(|_| watched().expect("as the first")).collect();
        put(&more[7], 0, 1);
        let written: usize = more.iter().map(|heap| take(heap).expect("watched")).sum();
        assert_eq!((written, take(&first)), (1, Ok(0)));
        assert_eq!(open_files(), files);
        let addr = first.base();
        drop((first, more));
        assert!(mapping_flags(addr).is_empty());
        let Some(last) = watched() else { return };
        put(&last, 0, 1);
        assert_eq!((take(&last), open_files()), (Ok(1), files));
    });
}

#[test]
fn the_child_of_a_fork_has_no_watch_until_it_begins_anew() {
    in_own_process("the_child_of_a_fork_has_no_watch_until_it_begins_anew", &[], || {
        let Some(heap) = watched() else { return };
        put(&heap, 0, 1);
        let status = in_child(|| {
            put(&heap, page_len(), 2);
            let error = take(&heap).expect_err("the child does not know what was written");
            assert_eq!((error.op(), error.kind()), (Op::Written, ErrorKind::BadState), "{error}");
            heap.forget_written(0..heap.len()).expect("the child begins anew");
            assert_eq!(take(&heap), Ok(0));
            put(&heap, 2 * page_len(), 3);
            assert_eq!(take(&heap), Ok(1));
            let own = watched().expect("as in the parent");
            put(&own, 0, 1);
            assert_eq!(take(&own), Ok(1));
            // And its child again.
            let status = in_child(|| {
                assert!(take(&heap).is_err());
                heap.forget_written(0..heap.len()).expect("begins anew");
                put(&heap, 0, 4);
                assert_eq!(take(&heap), Ok(1));
            });
            assert_eq!((status, take(&heap)), (0, Ok(0)));
        });
        assert_eq!(status, 0);
        assert_eq!(take(&heap), Ok(1), "the parent's own write, and none of the child's");
        put(&heap, 0, 1);
        assert_eq!(take(&heap), Ok(1), "the parent goes on being watched");
    });
}

#[test]
fn a_program_that_closes_our_files_loses_the_watch_and_is_told() {
    in_own_process("a_program_that_closes_our_files_loses_the_watch_and_is_told", &[], || {
        let Some(heap) = watched() else { return };
        put(&heap, 0, 1);
        for number in 3..4096 {
            // SAFETY: the numbers are ours, or nobody's; what the library keeps is meant.
            unsafe { libc::close(number) };
        }
        let error = take(&heap).expect_err("the watch is gone");
        assert_eq!((error.op(), error.kind()), (Op::Written, ErrorKind::BadState), "{error}");
        heap.forget_written(0..heap.len()).expect("it can be had again");
        put(&heap, page_len(), 1);
        assert_eq!(take(&heap), Ok(1));
        // Somebody else's file under our numbers is noticed, too.
        for number in 3..4096 {
            // SAFETY: as above; standard error is open.
            unsafe { libc::dup2(2, number) };
        }
        assert!(take(&heap).is_err());
        heap.forget_written(0..heap.len()).expect("it can be had again");
        put(&heap, page_len(), 1);
        assert_eq!(take(&heap), Ok(1));
        let own = watched().expect("as the first");
        put(&own, 0, 1);
        assert_eq!(take(&own), Ok(1));
    });
}

/// Decommit lays new pages, which have to be watched again. If that is refused the next question
/// says so; no written page is passed over in silence.
#[test]
fn a_watch_that_decommit_could_not_renew_is_missed() {
    in_own_process("a_watch_that_decommit_could_not_renew_is_missed", &[], || {
        let Some(heap) = watched() else { return };
        (0..PAGES).for_each(|page| put(&heap, page * page_len(), 1));
        let attempt =
            || refuse_call(libc::SYS_ioctl, libc::ENOMEM).then(|| heap.decommit(0..page_len()));
        let done = std::thread::scope(|scope| scope.spawn(attempt).join()).expect("no panic");
        let Some(done) = done else {
            println!("skipped: no filters on system calls here");
            return;
        };
        done.expect("the pages went back");
        heap.commit(0..page_len(), Protection::ReadWrite).expect("memory");
        put(&heap, 0, 2);
        let error = take(&heap).expect_err("one page is not watched");
        assert_eq!((error.op(), error.kind()), (Op::Written, ErrorKind::BadState), "{error}");
        heap.forget_written(0..page_len()).expect("that page begins anew");
        assert_eq!(take(&heap), Ok(PAGES - 1), "the others were not forgotten");
    });
}
