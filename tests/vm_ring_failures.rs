//! Mirrored rings on Linux: what is left after the system refused one, and what the child of a fork
//! has of one. Linux only, for its limits, filters on system calls, and fork.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::vm::Ring;
use granule::{ErrorKind, Op};
use vm_support::{in_child, in_own_process, limit, mapping_flags, means, refuse_call};

const GIB: usize = 1 << 30;

fn refused(len: usize) -> (ErrorKind, Option<&'static str>) {
    let error = Ring::new(len).map(drop).expect_err("the system must refuse this");
    assert_eq!((error.op(), error.len()), (Op::Mirror, len), "{error}");
    assert_ne!(error.code(), 0, "{error}");
    (error.kind(), error.call())
}

/// Addresses in use, and open files.
fn held() -> (String, usize) {
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = status.lines().find(|line| line.starts_with("VmSize")).expect("a line");
    let files = std::fs::read_dir("/proc/self/fd").expect("readable").count();
    (line.to_owned(), files)
}

#[test]
fn a_ring_gives_everything_back() {
    in_own_process("a_ring_gives_everything_back", &[], || {
        if !means::sees_all_mappings() {
            return;
        }
        drop(Ring::new(1).expect("a small ring"));
        let before = held();
        let ring = Ring::new(10 << 20).expect("ten megabytes");
        assert_ne!(held().0, before.0);
        assert_eq!(held().1, before.1, "a ring keeps no file open");
        let addr = ring.filled().as_ptr().addr();
        assert!(mapping_flags(addr).iter().any(|flag| flag == "sh"));
        drop(ring);
        assert_eq!(held(), before);
        assert!(mapping_flags(addr).is_empty());
    });
}

#[test]
fn a_ring_longer_than_the_memory_is_an_error_and_no_kill() {
    if !means::has_addresses(1 << 46) {
        return;
    }
    assert_eq!(refused(1 << 45), (ErrorKind::NoMemory, None));
}

#[test]
fn limits_are_errors_and_leave_nothing_behind() {
    in_own_process("limits_are_errors_and_leave_nothing_behind", &[], || {
        drop(Ring::new(1).expect("a small ring"));
        let before = held();
        limit(libc::RLIMIT_AS, 2 * GIB as u64);
        assert_eq!(refused(2 * GIB), (ErrorKind::NoAddressSpace, Some("mmap")));
        assert_eq!(held(), before);
        limit(libc::RLIMIT_FSIZE, 1 << 20);
        assert_eq!(refused((1 << 20) + 1), (ErrorKind::Denied, None));
        assert_eq!(held(), before);
        Ring::new(1 << 20).expect("exactly the limit");
        limit(libc::RLIMIT_NOFILE, 3);
        assert_eq!(refused(1), (ErrorKind::Denied, Some("memfd_create")));
    });
}

#[test]
fn every_refused_call_leaves_nothing_behind() {
    in_own_process("every_refused_call_leaves_nothing_behind", &[], || {
        drop(Ring::new(1).expect("a small ring"));
        let calls = [
            (libc::SYS_memfd_create, "memfd_create", libc::ENOSYS, ErrorKind::Unsupported),
            (libc::SYS_fallocate, "fallocate", libc::ENOSPC, ErrorKind::NoMemory),
            (libc::SYS_mmap, "mmap", libc::ENOMEM, ErrorKind::NoAddressSpace),
            (libc::SYS_madvise, "madvise", libc::EPERM, ErrorKind::Denied),
        ];
        for (number, name, errno, kind) in calls {
            let before = held();
            let attempt = move || refuse_call(number, errno).then(|| refused(1));
            let found = std::thread::spawn(attempt).join().expect("no panic");
            let Some(found) = found else {
                println!("skipped: no filters on system calls here");
                return;
            };
            assert_eq!(found, (kind, Some(name)));
            assert_eq!(held().1, before.1, "files, after {name}");
        }
        Ring::new(1).expect("other threads can still make rings");
    });
}

#[test]
fn the_child_of_a_fork_has_no_part_in_a_ring() {
    in_own_process("the_child_of_a_fork_has_no_part_in_a_ring", &[], || {
        const PANICKED: i32 = 1 << 8;
        if !means::advice_shows() {
            return;
        }
        let mut ring = Ring::new(1).expect("a small ring");
        ring.write(b"ours");
        let addr = ring.filled().as_ptr().addr();
        assert_eq!(in_child(|| assert!(mapping_flags(addr).is_empty())), 0);
        assert_eq!(in_child(|| assert_eq!(ring.filled(), b"ours")), PANICKED);
        assert_eq!(in_child(|| assert_eq!(ring.split().0.write(b"x"), 1)), PANICKED);
        assert_eq!(in_child(|| ring.split().1.consume(1)), PANICKED);
        assert_eq!(in_child(|| ring.fill(0)), PANICKED);
        // A drop in the child takes nothing away from whoever has the addresses by then.
        let status = in_child(|| {
            let hint = std::ptr::with_exposed_provenance_mut(addr);
            let (rights, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let fixed = flags | libc::MAP_FIXED_NOREPLACE;
            // SAFETY: takes free addresses only.
            let taken = unsafe { libc::mmap(hint, 4096, rights, fixed, -1, 0) };
            assert_eq!(taken, hint, "the child has nothing there");
            // SAFETY: the child has a copy of the ring of its own, and ends without another drop.
            drop(unsafe { std::ptr::read(&raw const ring) });
            assert!(!mapping_flags(addr).is_empty());
            let mut own = Ring::new(1).expect("the child can make rings of its own");
            own.write(b"theirs");
            assert_eq!(own.filled(), b"theirs");
        });
        assert_eq!(status, 0);
        assert_eq!(ring.filled(), b"ours");
    });
}
