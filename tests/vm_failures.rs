//! System calls that fail: every verb says so with the right kind, and the states it tells
//! afterwards are the kernel's. Limits and exhaustion stay in processes of their own.
//!
//! The means to make calls fail are those of Linux; what fails on Windows is in
//! `vm_failures_windows.rs`.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::vm::{self, Advice, GuardKind, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use std::ops::Range;
use vm_support::{byte_at, in_child, in_own_process, kernel_reads, limit, mapping_flags, means};
use vm_support::{put, refuse_call, region_at, state_at};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

fn page_len() -> usize {
    vm::info().page_len
}

fn page_range(range: Range<usize>) -> Range<usize> {
    range.start * page_len()..range.end * page_len()
}

fn split_guards(len: usize) -> Reservation {
    let builder = Reservation::builder().len(len).guard_kind(GuardKind::Split);
    builder.reserve().expect("addresses")
}

/// What the system refused: the verb, why, and that the system was asked, by which call.
fn refusal(done: Result<(), Error>) -> (Op, ErrorKind) {
    let error = done.expect_err("the system must refuse this");
    let call = error.call().expect("a call of the system refused");
    assert_ne!(error.code(), 0, "{error}");
    assert!(error.to_string().contains(&format!("({call}: os error {})", error.code())));
    (error.op(), error.kind())
}

/// Allows this process no writable memory beyond what it has.
fn forbid_more_data() {
    let text = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix("VmData:")).expect("a line");
    let kib: u64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("KiB");
    limit(libc::RLIMIT_DATA, (kib << 10) + (8 << 20));
}

#[test]
fn without_addresses_nothing_is_reserved() {
    in_own_process("without_addresses_nothing_is_reserved", &[], || {
        limit(libc::RLIMIT_AS, 4 << 30);
        let done = Reservation::reserve(16 * GIB).map(drop);
        assert_eq!(refusal(done), (Op::Reserve, ErrorKind::NoAddressSpace));
        let done = Reservation::builder().hint(1 << 40).len(16 * GIB).reserve().map(drop);
        assert_eq!(refusal(done), (Op::Reserve, ErrorKind::NoAddressSpace));
        Reservation::reserve(GIB).expect("a gigabyte of addresses is left");
    });
}

/// The table of page states is memory too: pages that differ from their neighbours take 4 KiB for
/// each 2 MiB that has such pages.
#[test]
fn without_memory_for_the_table_a_verb_does_nothing() {
    in_own_process("without_memory_for_the_table_a_verb_does_nothing", &[], || {
        let range = split_guards(64 * GIB);
        forbid_more_data();
        let commit = |offset| range.commit(offset..offset + 1, Protection::Read);
        let refused = (0..64 * GIB).step_by(2 * MIB).find_map(|offset| {
            let error = commit(offset + MIB).err()?;
            Some((offset + MIB, error))
        });
        let (offset, error) = refused.expect("there is no memory for so many differences");
        assert!(offset > GIB, "a megabyte was allowed");
        assert_eq!(refusal(Err(error)), (Op::Commit, ErrorKind::NoMemory));
        assert_eq!(state_at(&range, offset), State::Reserved);
        assert!(!kernel_reads(range.base() + offset));
        assert_eq!(state_at(&range, MIB), State::Committed);
        range.commit(MIB..MIB + 1, Protection::NoAccess).expect("what differs has its table");
        range.decommit(0..64 * GIB).expect("whole reservations need none");
        assert_eq!(region_at(&range, 0).len, 64 * GIB);
        range.release().expect("nor does this");
    });
}

#[test]
fn memory_that_is_refused_changes_no_state() {
    in_own_process("memory_that_is_refused_changes_no_state", &[], || {
        let range = split_guards(4 * GIB);
        range.commit(0..GIB, Protection::Read).expect("nothing is charged yet");
        range.commit(GIB..2 * GIB, Protection::ReadWrite).expect("a gigabyte");
        put(&range, GIB, 1);
        range.guard(GIB..2 * GIB).expect("a guard");
        forbid_more_data();

        let done = range.commit(3 * GIB..4 * GIB, Protection::ReadWrite);
        assert_eq!(refusal(done), (Op::Commit, ErrorKind::NoMemory));
        assert_eq!(state_at(&range, 3 * GIB), State::Reserved);
        let done = range.protect(0..GIB, Protection::ReadWrite);
        assert_eq!(refusal(done), (Op::Protect, ErrorKind::NoMemory));
        assert_eq!(region_at(&range, 0).protection, Some(Protection::Read));
        assert_eq!(byte_at(&range, 0), 0);
        let done = range.unguard(GIB..2 * GIB);
        assert_eq!(refusal(done), (Op::Unguard, ErrorKind::NoMemory));
        assert_eq!(state_at(&range, GIB), State::Guarded);
        for offset in [GIB, 3 * GIB] {
            assert!(!kernel_reads(range.base() + offset));
        }
        // A little is still allowed, and giving back always is.
        range.commit(3 * GIB..3 * GIB + 1, Protection::ReadWrite).expect("one page");
        range.decommit(0..4 * GIB).expect("everything goes back");
    });
}

/// mprotect walks from mapping to mapping and keeps what it did before the one it stumbles over.
#[test]
fn a_commit_that_fails_half_way_is_taken_back() {
    in_own_process("a_commit_that_fails_half_way_is_taken_back", &[], || {
        let range = split_guards(GIB);
        range.commit(page_range(1..2), Protection::Read).expect("a page");
        range.commit(page_range(3..4), Protection::ReadWrite).expect("a page");
        put(&range, 3 * page_len(), 8);
        forbid_more_data();
        let done = range.commit(0..GIB, Protection::ReadWrite);
        assert_eq!(refusal(done), (Op::Commit, ErrorKind::NoMemory));
        let states = [0, 1, 2, 3, 4].map(|page| {
            let region = region_at(&range, page * page_len());
            (region.state, region.protection)
        });
        let reserved = (State::Reserved, None);
        let read = (State::Committed, Some(Protection::Read));
        let write = (State::Committed, Some(Protection::ReadWrite));
        assert_eq!(states, [reserved, read, reserved, write, reserved]);
        let readable = |page: usize| kernel_reads(range.base() + page * page_len());
        assert_eq!([0, 1, 2, 3, 4].map(readable), [false, true, false, true, false]);
        let flags = mapping_flags(range.base() + page_len());
        assert!(!flags.iter().any(|flag| flag == "wr"), "page 1 is read-only again: {flags:?}");
        assert_eq!(byte_at(&range, 3 * page_len()), 8);
    });
}

/// Guards every other page until the process has no mapping left. Returns the page refused.
fn use_up_mappings(range: &Reservation) -> usize {
    let pages = range.len() / page_len();
    let refused = (1..pages).step_by(2).find_map(|page| {
        let error = range.guard(page_range(page..page + 1)).err()?;
        Some((page, error))
    });
    let (page, error) = refused.expect("the limit of mappings is reached");
    assert_eq!(refusal(Err(error)), (Op::Guard, ErrorKind::TooManyMappings), "{error}");
    page
}

fn has_usual_mapping_limit() -> bool {
    let usual = (1..=200_000).contains(&vm::info().mappings_max);
    if !usual {
        println!("skipped: vm.max_map_count is too high to be used up here");
    }
    usual && means::sees_all_mappings()
}

#[test]
fn without_mappings_every_verb_says_so_and_changes_nothing() {
    in_own_process("without_mappings_every_verb_says_so_and_changes_nothing", &[], || {
        if !has_usual_mapping_limit() {
            return;
        }
        // Three neighbours: the kernel makes one mapping of them.
        let neighbours = [0usize, 1, 2].map(|index| {
            let hint = 0x5678_0000 + index * MIB;
            Reservation::builder().hint(hint).len(MIB).reserve().expect("free addresses")
        });
        let other = split_guards(16 * MIB);
        other.commit(0..8 * MIB, Protection::ReadWrite).expect("eight megabytes");
        put(&other, 4 * MIB, 4);
        let range = split_guards((vm::info().mappings_max + 100) * page_len());
        range.commit(0..range.len(), Protection::ReadWrite).expect("some hundred megabytes");
        let page = use_up_mappings(&range);

        let offset = page * page_len();
        assert_eq!(state_at(&range, offset), State::Committed);
        assert!(kernel_reads(range.base() + offset));
        assert_eq!(state_at(&range, offset - 2 * page_len()), State::Guarded);
        assert!(!kernel_reads(range.base() + offset - 2 * page_len()));

        let inner = 4 * MIB..4 * MIB + 1;
        let full = |op| (op, ErrorKind::TooManyMappings);
        assert_eq!(refusal(other.decommit(inner.clone())), full(Op::Decommit));
        assert_eq!(refusal(other.guard(inner.clone())), full(Op::Guard));
        assert_eq!(refusal(other.protect(inner, Protection::Read)), full(Op::Protect));
        let done = other.commit(12 * MIB..12 * MIB + 1, Protection::ReadWrite);
        assert_eq!(refusal(done), full(Op::Commit));
        other.discard(0..MIB).expect("needs no mapping");
        assert_eq!(region_at(&other, 0).len, 8 * MIB);
        assert_eq!(region_at(&other, 0).protection, Some(Protection::ReadWrite));
        assert_eq!(state_at(&other, 12 * MIB), State::Reserved);
        assert!(!kernel_reads(other.base() + 12 * MIB));
        assert_eq!(byte_at(&other, 4 * MIB), 4);

        // Cutting the middle out of one mapping needs another one. The addresses stay taken.
        let [first, middle, last] = neighbours;
        let (kept, error) = take_single_mappings();
        assert_eq!(refusal(Err(error)), full(Op::Reserve));
        assert_eq!(refusal(first.advise(Advice::NoDump)), full(Op::Advise));
        assert_eq!(refusal(middle.release()), full(Op::Release));
        let region = vm::query(0x5678_0000 + MIB).expect("it is in the table again");
        assert_eq!((region.state, region.len), (State::Reserved, MIB));
        // Reading smaps needs mappings, too.
        drop((kept, range));
        assert!(!mapping_flags(0x5678_0000 + MIB).is_empty());
        first.release().expect("an end can be cut off");
        last.release().expect("an end can be cut off");
    });
}

/// Makes mappings, each by itself, until the system refuses one.
fn take_single_mappings() -> (Vec<Reservation>, Error) {
    let mut kept = Vec::new();
    loop {
        match Reservation::builder().len(page_len()).untracked().reserve() {
            Ok(reservation) => {
                let done = reservation
                    .commit(0..1, [Protection::Read, Protection::ReadWrite][kept.len() % 2]);
                done.expect("a whole mapping needs no other");
                kept.push(reservation);
            }
            Err(error) => return (kept, error),
        }
    }
}

#[test]
fn decommit_without_mappings_keeps_the_charge_but_not_the_content() {
    let name = "decommit_without_mappings_keeps_the_charge_but_not_the_content";
    in_own_process(name, &[], || {
        if !has_usual_mapping_limit() {
            return;
        }
        let markers = vm::info().guard_markers;
        let kind = if markers { GuardKind::Marker } else { GuardKind::Split };
        let builder = Reservation::builder().len(16 * MIB).guard_kind(kind);
        let other = builder.reserve().expect("addresses");
        other.commit(4 * MIB..8 * MIB, Protection::ReadWrite).expect("four megabytes");
        if markers {
            // Emptying in place has to take markers along, or the next commit would still fault.
            other.commit(9 * MIB..10 * MIB, Protection::ReadWrite).expect("a megabyte");
            other.guard(9 * MIB..10 * MIB).expect("a guard");
        } else {
            println!("skipped: guard markers, this kernel has none");
        }
        put(&other, 4 * MIB, 4);
        let range = split_guards((vm::info().mappings_max + 100) * page_len());
        range.commit(0..range.len(), Protection::ReadWrite).expect("some hundred megabytes");
        use_up_mappings(&range);
        let kept = take_single_mappings();

        let whole_mappings = [4 * MIB..8 * MIB, 9 * MIB..10 * MIB];
        for whole in whole_mappings.into_iter().take(1 + usize::from(markers)) {
            let first = whole.start;
            other.decommit(whole.clone()).expect("a whole mapping can be emptied in place");
            assert_eq!(state_at(&other, first), State::Reserved);
            assert!(!kernel_reads(other.base() + first));
            other.commit(whole, Protection::ReadWrite).expect("and used again");
            assert_eq!(byte_at(&other, first), 0);
        }
        drop(kept);
        drop(range);
        other.decommit(0..16 * MIB).expect("mappings are free again");
        assert!(!mapping_flags(other.base() + 4 * MIB).iter().any(|flag| flag == "ac"));
    });
}

/// From now on the calling thread, and no other, may take no access away: `mprotect(PROT_NONE)` and
/// `mmap(MAP_FIXED)` are refused. False if the system does not let us do this.
fn refuse_to_take_access_away() -> bool {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const NUMBER: u32 = 0; // offsets into the kernel's struct seccomp_data, low halves
    const THIRD: u32 = 32;
    const FOURTH: u32 = 40;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD, NUMBER, 0, 0),
        step(IF_EQUAL, libc::SYS_mprotect as u32, 0, 2),
        step(LOAD, THIRD, 0, 0),
        step(IF_EQUAL, libc::PROT_NONE as u32, 4, 3),
        step(IF_EQUAL, libc::SYS_mmap as u32, 0, 2),
        step(LOAD, FOURTH, 0, 0),
        step(IF_ANY_BIT, libc::MAP_FIXED as u32, 1, 0),
        step(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0),
        step(ANSWER, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: plain numbers.
    let may = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the kernel copies the filter, which lives until after the call.
    may && unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) } == 0
}

/// The one case in which the table cannot tell: half of a verb was done, and the system refuses to
/// take it back.
#[test]
fn what_cannot_be_taken_back_is_unknown_until_it_is_decommitted() {
    let name = "what_cannot_be_taken_back_is_unknown_until_it_is_decommitted";
    in_own_process(name, &[], || {
        let range = split_guards(GIB);
        range.commit(page_range(1..2), Protection::ReadWrite).expect("a page");
        put(&range, page_len(), 1);
        forbid_more_data();
        let attempt = || {
            let refusing = refuse_to_take_access_away();
            refusing.then(|| {
                let commit = range.commit(0..GIB, Protection::ReadWrite);
                (refusal(commit), refusal(range.decommit(page_range(1..2))))
            })
        };
        let refused = std::thread::scope(|scope| scope.spawn(attempt).join()).expect("no panic");
        let Some((commit, decommit)) = refused else {
            println!("skipped: no filters on system calls here");
            return;
        };
        assert_eq!(commit, (Op::Commit, ErrorKind::NoMemory));
        assert_eq!(decommit, (Op::Decommit, ErrorKind::Denied));
        let region = region_at(&range, 0);
        assert_eq!((region.state, region.protection), (State::Unknown, None));
        assert_eq!(region.len, page_len());
        assert_eq!(
            (state_at(&range, page_len()), byte_at(&range, page_len())),
            (State::Committed, 1)
        );
        assert_eq!(state_at(&range, 2 * page_len()), State::Reserved);
        assert!(!kernel_reads(range.base() + 2 * page_len()));
        for done in [
            range.commit(0..1, Protection::Read),
            range.protect(0..1, Protection::Read),
            range.discard(0..1),
            range.guard(0..1),
            range.unguard(0..1),
        ] {
            let error = done.expect_err("it has to be settled first");
            assert_eq!((error.kind(), error.code()), (ErrorKind::BadState, 0));
        }
        range.decommit(0..1).expect("this thread may");
        assert_eq!(state_at(&range, 0), State::Reserved);
        range.commit(0..1, Protection::ReadWrite).expect("a page");
        assert_eq!(byte_at(&range, 0), 0);
    });
}

/// Begins a numbering of processes of its own; false if the system does not let us do this.
fn number_processes_anew() -> bool {
    // SAFETY: concerns children to come, and touches no memory.
    let done = |flags| unsafe { libc::unshare(flags) } == 0;
    done(libc::CLONE_NEWPID) || done(libc::CLONE_NEWUSER | libc::CLONE_NEWPID)
}

#[test]
fn a_child_with_the_number_of_its_parent_is_not_told_the_parents_mappings() {
    // Both are the first process of a numbering.
    let answer = in_child(|| {
        let state_of = |addr: usize| vm::query(addr).expect("an address").state;
        if !number_processes_anew() {
            println!("skipped: no numbering of processes of our own");
            return;
        }
        let first = in_child(|| {
            let base = Reservation::reserve(1).expect("addresses").base();
            assert_eq!((std::process::id(), state_of(base)), (1, State::Free));
            assert!(number_processes_anew(), "a second time");
            let second = in_child(|| {
                let builder = Reservation::builder().exact(base).len(1).untracked();
                let _page = builder.reserve().expect("free addresses");
                assert_eq!((std::process::id(), state_of(base)), (1, State::Reserved));
            });
            assert_eq!(second, 0);
        });
        assert_eq!(first, 0);
    });
    assert_eq!(answer, 0);
}

#[test]
fn locked_pages_keep_their_content_but_not_from_guards() {
    in_own_process("locked_pages_keep_their_content_but_not_from_guards", &[], || {
        let locked = |range: &Reservation| {
            // SAFETY: locking changes no content and no right.
            unsafe { libc::mlock(range.as_ptr().cast(), 2 * page_len()) == 0 }
        };
        let range = Reservation::reserve(4 * page_len()).expect("addresses");
        range.commit(page_range(0..2), Protection::ReadWrite).expect("two pages");
        if !locked(&range) {
            println!("skipped: this process may lock no memory");
            return;
        }
        put(&range, 0, 1);
        if means::advice_shows() {
            let done = range.discard(page_range(0..2));
            assert_eq!(refusal(done), (Op::Discard, ErrorKind::BadState));
            assert_eq!((state_at(&range, 0), byte_at(&range, 0)), (State::Committed, 1));
        }
        range.guard(page_range(0..1)).expect("a guard unlocks the page");
        assert!(!kernel_reads(range.base()));
        range.decommit(page_range(0..2)).expect("locked pages too");
        assert!(!kernel_reads(range.base() + page_len()));
    });
}

#[test]
fn a_tripwire_that_stays_takes_the_guards_behind_it_back() {
    in_own_process("a_tripwire_that_stays_takes_the_guards_behind_it_back", &[], || {
        if !vm::info().guard_markers {
            println!("skipped: this kernel has no guard markers");
            return;
        }
        let builder = Reservation::builder().len(4 * page_len()).guard_kind(GuardKind::Marker);
        let reservation = builder.reserve().expect("addresses");
        reservation.commit(page_range(0..4), Protection::ReadWrite).expect("four pages");
        reservation.arm(page_range(0..1)).expect("a committed page");
        if !refuse_call(libc::SYS_mprotect, libc::ENOMEM) {
            println!("skipped: this system refuses no calls on demand");
            return;
        }
        let error = reservation.guard_all(&[page_range(0..1), page_range(2..3)]);
        let error = error.expect_err("the rights of page 0 are not given back");
        assert_eq!((error.op(), error.addr()), (Op::Guard, reservation.base()), "{error}");
        let states = [0, 2].map(|page| state_at(&reservation, page * page_len()));
        assert_eq!(states, [State::Tripwire, State::Committed]);
        assert!(kernel_reads(reservation.base() + 2 * page_len()), "it is plain memory");
    });
}
