//! Shared arrays and the system: memory that is refused, children of a fork, signal handlers. Linux
//! only, for its limits, fork and signals.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::array::SharedVec;
use granule::array::shared_vec::PushReason;
use granule::vm::{Protection, Reservation};
use granule::{ErrorKind, Op};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use vm_support::{in_child, in_own_process, limit};

const MIB: usize = 1 << 20;

/// Appends until the system refuses.
fn fill(vec: &SharedVec<u64>) {
    loop {
        let Err(error) = vec.try_push(1) else { continue };
        let PushReason::System(error) = error.reason() else { panic!("{error}") };
        assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::NoMemory));
        return;
    }
}

#[test]
fn at_the_limit_of_memory_it_is_as_it_was_and_goes_on_when_there_is_some() {
    let name = "at_the_limit_of_memory_it_is_as_it_was_and_goes_on_when_there_is_some";
    in_own_process(name, &[], || {
        let ballast = Reservation::reserve(64 * MIB).expect("addresses");
        ballast.commit(0..64 * MIB, Protection::ReadWrite).expect("64 MiB");
        let vec = SharedVec::new();
        vec.push(0);
        let text = std::fs::read_to_string("/proc/self/status").expect("readable");
        let line = text.lines().find_map(|line| line.strip_prefix("VmData:")).expect("a line");
        let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        // The stacks of the threads, and a while.
        limit(libc::RLIMIT_DATA, (kib.expect("KiB") << 10) + 32 * MIB as u64);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| fill(&vec));
            }
        });
        // Stacks are given back.
        fill(&vec);
        let len = vec.len();
        assert_eq!(len, vec.capacity());
        assert!(vec.try_push(2).is_err());
        assert_eq!((vec.len(), vec.capacity()), (len, len));
        drop(ballast);
        assert_eq!(vec.push(1), len);
        assert_eq!(vec.iter().filter(|&&value| value == 1).count(), len);
    });
}

/// Whatever another thread is doing when the process is copied: the child reads, appends further
/// than the ring of notes reaches, and drops.
#[test]
fn the_child_of_a_fork_has_a_copy_that_never_hangs() {
    in_own_process("the_child_of_a_fork_has_a_copy_that_never_hangs", &[], || {
        let is_over = AtomicBool::new(false);
        for round in 0..20 {
            let vec = SharedVec::with_max(1 << 28).expect("addresses");
            is_over.store(false, Ordering::Relaxed);
            thread::scope(|scope| {
                let appender = scope.spawn(|| {
                    let mut count = 0;
                    while count < 1 << 27 && !is_over.load(Ordering::Relaxed) {
                        vec.push(1u8);
                        count += 1;
                    }
                    count
                });
                while vec.len() < round * 20_000 {
                    thread::yield_now();
                }
                let status = in_child(|| {
                    let before = vec.len();
                    assert!((0..1_100_000).all(|_| vec.push(2) >= before));
                    let seen = vec.as_slice();
                    assert!(seen[..before].iter().all(|&value| value == 1));
                    assert!(seen[before..].is_empty() || seen.ends_with(&[2]));
                    // SAFETY: the child has a copy of its own, and ends without another drop.
                    drop(unsafe { std::ptr::read(&raw const vec) });
                });
                is_over.store(true, Ordering::Relaxed);
                assert_eq!(status, 0);
                let count = appender.join().expect("no panic");
                assert_eq!(vec.len(), count);
                assert!(vec.iter().all(|&value| value == 1), "the child's are its own");
            });
        }
    });
}

type Element = [u32; 16];
static SHARED: OnceLock<SharedVec<Element>> = OnceLock::new();
static HANDLED: AtomicUsize = AtomicUsize::new(0);
static APPENDED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    let Some(vec) = SHARED.get() else { return };
    for _ in 0..100 {
        // An error: it has interrupted the growth, and there is no room.
        if vec.try_push([2; 16]).is_ok() {
            APPENDED.fetch_add(1, Ordering::Relaxed);
        }
    }
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_signal_handler_appends_to_what_it_has_interrupted() {
    in_own_process("a_signal_handler_appends_to_what_it_has_interrupted", &[], || {
        let vec = SHARED.get_or_init(SharedVec::new);
        // SAFETY: an action of zeros is one without flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as *const () as usize;
        // SAFETY: `action` is filled in and outlives the call.
        let done =
            unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
        assert_eq!(done, 0);
        // SAFETY: takes nothing and cannot fail.
        let appender = unsafe { libc::pthread_self() };
        let is_over = AtomicBool::new(false);
        let count = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let before = HANDLED.load(Ordering::Relaxed);
                    // SAFETY: that thread waits for this one.
                    assert_eq!(unsafe { libc::pthread_kill(appender, libc::SIGUSR1) }, 0);
                    while HANDLED.load(Ordering::Relaxed) == before {
                        thread::yield_now();
                    }
                }
            });
            let mut count = 0;
            while count < 2_000_000 && HANDLED.load(Ordering::Relaxed) < 500 {
                vec.push([1; 16]);
                count += 1;
            }
            is_over.store(true, Ordering::Relaxed);
            count
        });
        let of = |value| vec.iter().filter(|&&element| element == [value; 16]).count();
        assert_eq!((of(1), of(2)), (count, APPENDED.load(Ordering::Relaxed)));
        assert_eq!(vec.len(), of(1) + of(2));
        assert_ne!(of(2), 0, "a signal came");
    });
}
