//! The system's promise of memory: exact for a range, and as `Committed_AS` tells it. That figure
//! is that of the whole machine: so the tests take turns, use sizes far above the noise of others,
//! and try again when a figure was disturbed.
//!
//! Linux alone tells the charge of the whole machine; on Windows a page is charged exactly when it
//! is committed, which the property tests of the library compare.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::vm::{self, CommitPolicy, GuardKind, Protection, Reservation, State};
use granule::{Error, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vm_support::{byte_at, charged_len, kernel_reads, means, put, region_at, state_at};

const MIB: i64 = 1 << 20;
const GIB: usize = 1 << 30;
const TIB: usize = 1 << 40;

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `Committed_AS` in bytes.
fn charge() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("meminfo is readable");
    let line = text.lines().find_map(|line| line.strip_prefix("Committed_AS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).expect("a number of KiB");
    kib.parse::<i64>().expect("a number") * 1024
}

/// How the charge moved while `verb` ran, in MiB.
fn moved(verb: impl FnOnce() -> Result<(), Error>) -> i64 {
    let before = charge();
    verb().expect("the verb succeeds");
    (charge() - before) / MIB
}

/// Runs a story several times until every movement is within a quarter of a GiB of the wanted one.
fn expect_movements<const N: usize>(wanted: [i64; N], story: impl Fn() -> [i64; N]) {
    const TRIES: usize = 8;
    let mut told = Vec::new();
    for _ in 0..TRIES {
        let movements = story();
        if movements.iter().zip(wanted).all(|(moved, wanted)| (moved - wanted).abs() < 256) {
            return;
        }
        told.push(movements);
    }
    panic!("wanted {wanted:?} MiB, saw {told:?}");
}

fn overcommit_is_heuristic() -> bool {
    let heuristic = vm::info().overcommit == 0;
    if !heuristic {
        println!("skipped: vm.overcommit_memory is not 0, this is about the heuristic");
    }
    heuristic
}

fn reservation(policy: CommitPolicy, kind: GuardKind) -> Reservation {
    let builder = Reservation::builder().len(4 * GIB).policy(policy).guard_kind(kind);
    builder.reserve().expect("4 GiB of addresses")
}

/// Writes into every sixteenth page of `0..len`, which is committed.
fn touch(reservation: &Reservation, len: usize) {
    assert!(region_at(reservation, 0).len >= len);
    for offset in (0..len).step_by(1 << 16) {
        // SAFETY: the offset lies inside the reservation.
        let byte = unsafe { reservation.as_ptr().add(offset) };
        // SAFETY: the page is committed for writing and nobody else uses it.
        unsafe { byte.write_volatile(1) };
    }
}

#[test]
fn strict_is_charged_at_commit_and_gives_everything_back() {
    let _alone = alone();
    expect_movements([0, 1024, 0, 1024, -1024, -1024, 1024, -1024], || {
        let reserved = charge();
        let range = reservation(CommitPolicy::Strict, GuardKind::Split);
        let reserve = (charge() - reserved) / MIB;
        let first = moved(|| range.commit(0..GIB, Protection::ReadWrite));
        let again = moved(|| range.commit(0..GIB, Protection::ReadWrite));
        let second = moved(|| range.commit(GIB..2 * GIB, Protection::ReadWrite));
        touch(&range, GIB);
        let decommit = moved(|| range.decommit(0..GIB));
        let decommit_untouched = moved(|| range.decommit(GIB..2 * GIB));
        let recommit = moved(|| range.commit(0..GIB, Protection::ReadWrite));
        let release = moved(|| range.release());
        [reserve, first, again, second, decommit, decommit_untouched, recommit, release]
    });
}

#[test]
fn read_only_pages_are_charged_when_they_become_writable() {
    let _alone = alone();
    expect_movements([0, 1024], || {
        let range = reservation(CommitPolicy::Strict, GuardKind::Split);
        [
            moved(|| range.commit(0..GIB, Protection::Read)),
            moved(|| range.protect(0..GIB, Protection::ReadWrite)),
        ]
    });
}

#[test]
fn markers_keep_the_charge_and_split_guards_return_it() {
    let _alone = alone();
    let story = |kind| {
        move || {
            let range = reservation(CommitPolicy::Strict, kind);
            range.commit(0..GIB, Protection::ReadWrite).expect("a gigabyte");
            touch(&range, 1 << 24);
            [moved(|| range.guard(0..GIB)), moved(|| range.unguard(0..GIB))]
        }
    };
    expect_movements([-1024, 1024], story(GuardKind::Split));
    if vm::info().guard_markers {
        expect_movements([0, 0], story(GuardKind::Marker));
    } else {
        println!("skipped: guard markers, this kernel has none");
    }
}

#[test]
fn lazy_is_never_charged() {
    let _alone = alone();
    if !overcommit_is_heuristic() {
        return;
    }
    expect_movements([0, 0], || {
        let range = reservation(CommitPolicy::Lazy, GuardKind::Split);
        let commit = moved(|| range.commit(0..2 * GIB, Protection::ReadWrite));
        touch(&range, 1 << 24);
        [commit, moved(|| range.decommit(0..GIB))]
    });
}

/// To the page, from the kernel's list of what it charges for the range.
#[test]
fn the_charge_is_exactly_what_is_committed_for_writing() -> Result<(), Error> {
    if !means::advice_shows() {
        return Ok(());
    }
    let page = vm::info().page_len;
    for kind in [GuardKind::Split, GuardKind::Marker] {
        if kind == GuardKind::Marker && !vm::info().guard_markers {
            println!("skipped: guard markers, this kernel has none");
            continue;
        }
        let range = Reservation::builder().len(64 * page).guard_kind(kind).reserve()?;
        let whole = range.base()..range.base() + range.len();
        let charged = |pages: usize| assert_eq!(charged_len(whole.clone()), pages * page);
        charged(0);
        range.commit(3 * page..4 * page, Protection::ReadWrite)?;
        charged(1);
        range.commit(0..10 * page, Protection::ReadWrite)?;
        charged(10);
        range.commit(20 * page..30 * page, Protection::Read)?;
        charged(10);
        range.protect(20 * page..25 * page, Protection::ReadWrite)?;
        charged(15);
        for offset in (0..10 * page).chain(20 * page..25 * page).step_by(page) {
            put(&range, offset, 1);
        }
        range.guard(2 * page..4 * page)?;
        charged(if kind == GuardKind::Split { 13 } else { 15 });
        range.unguard(3 * page..4 * page)?;
        charged(if kind == GuardKind::Split { 14 } else { 15 });
        range.discard(5 * page..6 * page)?;
        charged(if kind == GuardKind::Split { 14 } else { 15 });
        range.decommit(2 * page..5 * page)?;
        charged(12);
        range.decommit(0..64 * page)?;
        charged(0);
        range.commit(0..64 * page, Protection::ReadWrite)?;
        charged(64);
        range.release()?;
        charged(0);
    }
    Ok(())
}

#[test]
fn a_promise_that_cannot_be_kept_is_refused_at_the_call() -> Result<(), Error> {
    let _alone = alone();
    let info = vm::info();
    if info.overcommit == 1 || info.memory_len >= TIB {
        println!("skipped: this system promises a terabyte, or has it");
        return Ok(());
    }
    if !means::has_addresses(2 * TIB) {
        return Ok(());
    }
    let range = Reservation::reserve(2 * TIB)?;
    range.commit(GIB..GIB + 100, Protection::ReadWrite)?;
    put(&range, GIB, 3);
    let before = charge();
    let error = range.commit(0..2 * TIB, Protection::ReadWrite).expect_err("too much to promise");
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error}");
    assert_ne!(error.code(), 0);
    assert!((charge() - before).abs() < GIB as i64, "the charge was taken back");
    assert_eq!(
        (state_at(&range, 0), state_at(&range, 2 * GIB)),
        (State::Reserved, State::Reserved)
    );
    assert!(!kernel_reads(range.base()) && !kernel_reads(range.base() + 2 * GIB));
    assert_eq!(region_at(&range, GIB).len, info.page_len);
    assert_eq!(byte_at(&range, GIB), 3);
    range.commit(0..GIB, Protection::ReadWrite)?;
    if info.overcommit == 0 {
        // Untracked: the table of a terabyte of committed pages would be 256 MiB.
        let builder = Reservation::builder().len(TIB).policy(CommitPolicy::Lazy);
        let lazy = builder.untracked().reserve()?;
        lazy.commit(0..TIB, Protection::ReadWrite)?;
    }
    Ok(())
}

/// A setting of the whole machine, put back when the value is dropped.
struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    /// As it is. `None` if this process may not change it.
    fn kept(path: &'static str) -> Option<Self> {
        let before = std::fs::read_to_string(path).ok()?;
        std::fs::write(path, &before).ok()?;
        Some(Setting { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(self.path, &self.before) {
            eprintln!("{} has to be set to {} again: {error}", self.path, self.before.trim());
        }
    }
}

/// What the kernel does where it keeps strict books itself. The limit is set far above what the
/// machine has promised, so that nobody else notices; still, it is the whole machine's, and so this
/// happens only where the variable allows it.
#[test]
fn under_strict_accounting_lazy_is_charged_too() -> Result<(), Error> {
    let _alone = alone();
    if std::env::var_os("GRANULE_TEST_MACHINE").is_none() {
        println!(
            "skipped: GRANULE_TEST_MACHINE=1 lets it change vm.overcommit_memory for a moment"
        );
        return Ok(());
    }
    // The limit is a length or a share of the memory; to set the one makes the other 0.
    const LENGTH: &str = "/proc/sys/vm/overcommit_kbytes";
    let length = std::fs::read_to_string(LENGTH).expect("readable");
    let share = "/proc/sys/vm/overcommit_ratio";
    let limit = Setting::kept(if length.trim() == "0" { share } else { LENGTH });
    let mode = Setting::kept("/proc/sys/vm/overcommit_memory");
    let (Some(limit), Some(mode)) = (limit, mode) else {
        println!("skipped: this process may not change vm.overcommit_memory");
        return Ok(());
    };
    let room = (charge() + (64 << 30)) >> 10;
    std::fs::write(LENGTH, room.to_string()).expect("writable");
    std::fs::write(mode.path, "2").expect("writable");
    let told = |policy| -> Result<[usize; 3], Error> {
        let range = reservation(policy, GuardKind::Split);
        let whole = range.base()..range.base() + range.len();
        let reserved = charged_len(whole.clone());
        range.commit(0..GIB, Protection::ReadWrite)?;
        let committed = charged_len(whole.clone());
        range.decommit(0..GIB)?;
        Ok([reserved, committed, charged_len(whole)])
    };
    let (strict, lazy) = (told(CommitPolicy::Strict), told(CommitPolicy::Lazy));
    let huge = |policy| {
        let builder = Reservation::builder().len(TIB).policy(policy).untracked();
        builder.reserve().and_then(|range| range.commit(0..TIB, Protection::ReadWrite))
    };
    let too_much = [CommitPolicy::Strict, CommitPolicy::Lazy].map(huge);
    drop((mode, limit)); // before anything can fail here
    assert_eq!((strict?, lazy?), ([0, GIB, 0], [0, GIB, 0]));
    for done in too_much {
        assert_eq!(done.expect_err("above the limit").kind(), ErrorKind::NoMemory);
    }
    Ok(())
}
