//! Arrays that meet the limits of their process, and what the system says they have.
//!
//! The means are those of Linux.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::array::{StableVec, trim};
use granule::{ErrorKind, Op};
use vm_support::{charged_len, in_child, in_own_process, kernel_reads, limit};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

#[test]
fn without_addresses_an_array_says_so_and_a_smaller_one_works() {
    in_own_process("without_addresses_an_array_says_so_and_a_smaller_one_works", &[], || {
        limit(libc::RLIMIT_AS, 4 * GIB as u64);
        let mut array = StableVec::new();
        let refused = array.try_push(1_u64).expect_err("64 GiB are not allowed");
        let error = refused.error;
        assert_eq!((refused.value, array.len(), array.capacity()), (1, 0, 0));
        assert_eq!((error.op(), error.kind()), (Op::Reserve, ErrorKind::NoAddressSpace));
        assert!(error.to_string().contains("reserve less, or raise `ulimit -v`"), "{error}");
        let mut array = StableVec::with_max(GIB / 8);
        array.extend(0..MIB as u64);
        assert!(array.iter().copied().eq(0..MIB as u64));
    });
}

#[test]
fn an_array_that_finds_no_addresses_has_the_kept_ones_released() {
    in_own_process("an_array_that_finds_no_addresses_has_the_kept_ones_released", &[], || {
        drop((StableVec::from([1_u8]), StableVec::from([2_u8])));
        limit(libc::RLIMIT_AS, 200 * GIB as u64);
        let mut array = StableVec::with_max(150 * GIB);
        array.push(3_u8);
        assert_eq!(array, [3]);
    });
}

/// Allows this process no writable memory beyond what it has and a little.
fn forbid_more_data() {
    let text = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix("VmData:")).expect("a line");
    let kib: u64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("KiB");
    limit(libc::RLIMIT_DATA, (kib << 10) + (21 << 20));
}

#[test]
fn an_array_grows_to_the_last_page_and_goes_on_when_there_is_room_again() {
    in_own_process(
        "an_array_grows_to_the_last_page_and_goes_on_when_there_is_room_again",
        &[],
        || {
            let mut array = StableVec::with_max(GIB);
            array.push(0_u64);
            forbid_more_data();
            let refused = loop {
                if let Err(refused) = array.try_push(array.len() as u64) {
                    break refused;
                }
            };
            let error = refused.error;
            assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::NoMemory), "{error}");
            let len = array.len();
            assert_eq!(len, array.capacity());
            assert!(len * 8 > 19 * MIB, "{len}: the last pages are used, too");
            assert!(array.try_extend_from_slice(&[1, 2]).is_err());
            assert!(array.try_reserve(1).is_err());
            assert!(array.try_clone().is_err());
            assert_eq!(array.len(), len);
            assert!(array.iter().copied().eq(0..len as u64));
            array.truncate(MIB / 8);
            array.extend(0..MIB as u64);
            assert!(array.try_reserve(len).is_err());
            array.clear();
            array.resize(len - 1000, 7);
        },
    );
}

#[test]
fn what_cannot_be_kept_is_not_promised() {
    let text = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if text.trim() == "1" {
        println!("skipped: this system promises everything");
        return;
    }
    let mut array = StableVec::<u8>::with_max(1 << 42);
    if array.try_push(5).is_err() {
        println!("skipped: programs have no terabytes of addresses here");
        return;
    }
    let Err(error) = array.try_reserve(1 << 41) else {
        println!("skipped: this machine has 2 TiB of memory, or does not count");
        return;
    };
    assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::NoMemory));
    assert_eq!((array.as_slice(), array.capacity()), (&[5][..], 64 * KIB));
}

#[test]
fn the_system_is_charged_for_what_is_committed_and_no_more() {
    let mut array = StableVec::with_max(GIB);
    array.resize(40 * MIB, 1_u8);
    let range = || array.as_ptr().addr()..array.as_ptr().addr() + GIB;
    let (whole, range) = (array.committed_len(), range());
    assert_eq!(charged_len(range.clone()), whole);
    array.truncate(3 * MIB);
    let less = array.committed_len();
    assert!(less <= 6 * MIB && less < whole);
    assert_eq!(charged_len(range.clone()), less);
    assert!(!kernel_reads(range.start + less));
    array.truncate(5);
    array.shrink_to_fit();
    assert_eq!(charged_len(range.clone()), granule::vm::info().page_len);
    drop(array);
    assert_eq!(charged_len(range), 0);
}

#[test]
fn the_child_of_a_fork_has_arrays_and_kept_reservations_of_its_own() {
    in_own_process("the_child_of_a_fork_has_arrays_and_kept_reservations_of_its_own", &[], || {
        drop(StableVec::from([1_u8]));
        let mut array: StableVec<u64> = (0..100_000).collect();
        drop(StableVec::from([2_u8]));
        let status = in_child(|| {
            array.extend(0..1_000_000);
            assert!(array.iter().copied().take(100_000).eq(0..100_000));
            array.fill(7);
            let taken = StableVec::from([3_u8; 1000]);
            drop((array, taken));
            trim();
        });
        assert_eq!(status, 0);
    });
}
