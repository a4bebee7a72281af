//! Huge pages: what is asked for, what is given, and what is really there. The explicit ones need
//! a pool; as root this test fills one for itself, and empties it again.
#![cfg(target_os = "linux")]

mod vm_support;

use granule::vm::{
    self, Access, GuardKind, HugePages, HugeReason, HugeReport, HugeWish, Protection, Reservation,
    State,
};
use granule::{Error, ErrorKind, Op};
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vm_support::filters::{Refused, with_refused};
use vm_support::{byte_at, in_own_process, kernel_reads, put, refuse_call, region_at, state_at};

const POOL: &str = "/proc/sys/vm/nr_hugepages";

fn pool_len() -> usize {
    let text = fs::read_to_string(POOL).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The machine's pool of huge pages belongs to one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More huge pages in the pool, until the drop.
struct Pool {
    before: usize,
}

impl Pool {
    fn with(count: usize) -> Option<Self> {
        let before = pool_len();
        let pool = Pool { before };
        let wanted = before + count;
        let filled = fs::write(POOL, wanted.to_string()).is_ok() && pool_len() >= wanted;
        if !filled || !maps_huge_pages() {
            println!("skipped: no pool of huge pages can be made on this machine");
            return None;
        }
        Some(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Err(error) = fs::write(POOL, self.before.to_string()) {
            println!("the pool of huge pages stays larger: {error}");
        }
    }
}

/// True if the system maps pages of a pool that has some.
fn maps_huge_pages() -> bool {
    let (len, rights) = (huge_len(), libc::PROT_READ | libc::PROT_WRITE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
    // SAFETY: fresh pages.
    let pages = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, -1, 0) };
    // SAFETY: the pages made above, which nobody uses.
    pages != libc::MAP_FAILED && unsafe { libc::munmap(pages, len) } == 0
}

fn huge_len() -> usize {
    vm::info().huge_page_len
}

fn has_huge_pages() -> bool {
    let has = huge_len() != 0 && vm::info().huge_pages != HugePages::Never;
    if !has {
        println!("skipped: this machine uses no huge pages");
    }
    has
}

fn wishing(wish: HugeWish, count: usize) -> Result<Reservation, Error> {
    Reservation::builder().len(count * huge_len()).huge_pages(wish).reserve()
}

fn told(report: HugeReport) -> (Option<HugeWish>, Option<HugeWish>, HugeReason) {
    (report.asked, report.given, report.reason)
}

#[test]
fn who_does_not_ask_is_told_so() -> Result<(), Error> {
    let report = Reservation::reserve(1 << 20)?.huge_pages()?;
    assert_eq!(told(report), (None, None, HugeReason::NotAsked));
    assert_eq!((report.len, report.page_len), (0, huge_len()));
    Ok(())
}

#[test]
fn advised_pages_are_counted_where_they_are() -> Result<(), Error> {
    if !has_huge_pages() {
        return Ok(());
    }
    let reservation = wishing(HugeWish::Advised, 4)?;
    let wish = Some(HugeWish::Advised);
    assert_eq!(reservation.base() % huge_len(), 0);
    assert_eq!(told(reservation.huge_pages()?), (wish, wish, HugeReason::AsAsked));
    assert_eq!(reservation.huge_pages()?.len, 0, "nothing is committed");

    reservation.commit(0..reservation.len(), Protection::ReadWrite)?;
    reservation.populate(0..2 * huge_len(), Access::Write)?;
    let len = reservation.huge_pages()?.len;
    if len == 0 {
        println!("skipped: the machine has no huge page free just now");
        return Ok(());
    }
    assert!(len % huge_len() == 0 && len <= 2 * huge_len(), "{len}");
    // Verbs still work on pages, and the wish outlives a decommit.
    reservation.decommit(0..1)?;
    assert!(reservation.huge_pages()?.len <= len - huge_len());
    reservation.decommit(0..reservation.len())?;
    assert_eq!(reservation.huge_pages()?.len, 0);
    reservation.commit(0..reservation.len(), Protection::ReadWrite)?;
    let flags = vm_support::mapping_flags(reservation.base() + huge_len());
    assert!(flags.iter().any(|flag| flag == "hg"), "{flags:?}");
    Ok(())
}

/// Before Linux 6.7 smaps is asked: a filter makes the kernel that old.
#[test]
fn the_count_needs_no_young_kernel() -> Result<(), Error> {
    if !has_huge_pages() {
        return Ok(());
    }
    let reservation = wishing(HugeWish::Advised, 4)?;
    reservation.commit(0..reservation.len(), Protection::ReadWrite)?;
    reservation.populate(0..reservation.len(), Access::Write)?;
    let filter = [Refused { call: libc::SYS_ioctl, argument: None, errno: libc::ENOTTY }];
    let counted = with_refused(&filter, || reservation.huge_pages());
    let Some(counted) = counted else { return Ok(()) };
    assert_eq!(counted?.len, reservation.huge_pages()?.len);
    Ok(())
}

#[test]
fn a_count_that_the_system_refuses_is_an_error() -> Result<(), Error> {
    let reservation = Reservation::reserve(1 << 20)?;
    let filter = [Refused { call: libc::SYS_openat, argument: None, errno: libc::EMFILE }];
    let Some(counted) = with_refused(&filter, || reservation.huge_pages()) else { return Ok(()) };
    let error = counted.expect_err("no file can be opened");
    assert_eq!((error.op(), error.code()), (Op::Query, libc::EMFILE));
    Ok(())
}

#[test]
fn a_machine_that_knows_no_advice_gives_none() {
    let filter = [Refused { call: libc::SYS_madvise, argument: None, errno: libc::EINVAL }];
    let builder = Reservation::builder().len(1 << 20).guard_kind(GuardKind::Split);
    let builder = builder.huge_pages(HugeWish::Advised);
    let Some(report) = with_refused(&filter, || builder.reserve()?.huge_pages()) else { return };
    let report = report.expect("a wish is no condition");
    assert_eq!(told(report), (Some(HugeWish::Advised), None, HugeReason::Unsupported));
}

#[test]
fn without_a_pool_the_explicit_wish_becomes_advice() -> Result<(), Error> {
    let _alone = alone();
    if !has_huge_pages() {
        return Ok(());
    }
    // More than any pool has, and more than the machine.
    let count = vm::info().memory_len.div_ceil(huge_len()) + 1;
    let reservation = wishing(HugeWish::Explicit, count)?;
    let expected = (Some(HugeWish::Explicit), Some(HugeWish::Advised), HugeReason::PoolTooSmall);
    assert_eq!(told(reservation.huge_pages()?), expected);
    // The usual rules: any range.
    reservation.commit(5..6, Protection::ReadWrite)?;
    put(&reservation, 0, 1);
    Ok(())
}

#[test]
fn explicit_pages_come_from_the_pool_and_go_back() -> Result<(), Error> {
    let _alone = alone();
    let Some(_pool) = Pool::with(4).filter(|_| has_huge_pages()) else { return Ok(()) };
    let huge = huge_len();
    let reservation =
        Reservation::builder().len(3 * huge + 1).huge_pages(HugeWish::Explicit).reserve()?;
    let wish = Some(HugeWish::Explicit);
    assert_eq!(told(reservation.huge_pages()?), (wish, wish, HugeReason::AsAsked));
    assert_eq!((reservation.len(), reservation.base() % huge), (4 * huge, 0));
    assert_eq!(reservation.guard_kind(), GuardKind::Split);
    assert!(!kernel_reads(reservation.base()));
    assert_eq!(wishing(HugeWish::Explicit, 1)?.huge_pages()?.given, Some(HugeWish::Advised));

    reservation.commit(0..2 * huge, Protection::ReadWrite)?;
    put(&reservation, 0, 7);
    put(&reservation, 2 * huge - 1, 8);
    assert_eq!(reservation.huge_pages()?.len, 2 * huge);
    assert_eq!(region_at(&reservation, 1).len, 2 * huge);
    reservation.protect(0..huge, Protection::Read)?;
    assert_eq!((byte_at(&reservation, 0), byte_at(&reservation, 2 * huge - 1)), (7, 8));

    reservation.decommit(0..huge)?;
    assert!(!kernel_reads(reservation.base()) && kernel_reads(reservation.base() + huge));
    reservation.commit(0..huge, Protection::ReadWrite)?;
    assert_eq!(byte_at(&reservation, 0), 0, "decommitted pages read zero again");
    reservation.guard(huge..2 * huge)?;
    assert!(!kernel_reads(reservation.base() + 2 * huge - 1));
    reservation.unguard_all(std::slice::from_ref(&(huge..2 * huge)))?;
    assert_eq!(byte_at(&reservation, 2 * huge - 1), 0);
    reservation.lock(0..huge)?;
    reservation.unlock(0..huge)?;
    reservation.populate(0..2 * huge, Access::Write)?;
    reservation.release()?;
    let again = wishing(HugeWish::Explicit, 4)?;
    assert_eq!(again.huge_pages()?.given, wish, "the pool has them again");
    Ok(())
}

#[test]
fn explicit_pages_want_whole_huge_pages() -> Result<(), Error> {
    let _alone = alone();
    let Some(_pool) = Pool::with(2).filter(|_| has_huge_pages()) else { return Ok(()) };
    let (huge, page) = (huge_len(), vm::info().page_len);
    let reservation = wishing(HugeWish::Explicit, 2)?;
    reservation.commit(0..huge, Protection::ReadWrite)?;
    for range in [0..1, 0..page, page..huge, 0..huge + page, huge - 1..huge] {
        let attempts = [
            (Op::Commit, reservation.commit(range.clone(), Protection::Read)),
            (Op::Decommit, reservation.decommit(range.clone())),
            (Op::Protect, reservation.protect(range.clone(), Protection::Read)),
            (Op::Discard, reservation.discard(range.clone())),
            (Op::Guard, reservation.guard(range.clone())),
            (Op::Lock, reservation.lock(range.clone())),
            (Op::Populate, reservation.populate(range.clone(), Access::Read)),
        ];
        for (op, done) in attempts {
            let error = done.expect_err("not whole huge pages");
            let told = (error.op(), error.kind(), error.code());
            assert_eq!(told, (op, ErrorKind::Misaligned, 0));
        }
    }
    let error = reservation.discard(0..huge).expect_err("they never go back alone");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(region_at(&reservation, 0).protection, Some(Protection::ReadWrite));
    assert_eq!(state_at(&reservation, huge + 1), State::Reserved);
    Ok(())
}

#[test]
fn explicit_pages_follow_every_wish_for_a_place() -> Result<(), Error> {
    let _alone = alone();
    let Some(_pool) = Pool::with(1).filter(|_| has_huge_pages()) else { return Ok(()) };
    let huge = huge_len();
    let builder = Reservation::builder().len(huge).huge_pages(HugeWish::Explicit);
    for builder in [builder.top_down(), builder.bottom_up(), builder.align(8 * huge)] {
        let reservation = builder.reserve()?;
        assert_eq!(reservation.huge_pages()?.given, Some(HugeWish::Explicit));
        assert_eq!(reservation.base() % huge, 0);
    }
    let place = builder.align(8 * huge).reserve()?.base();
    let reservation = builder.exact(place).numa_node(0).reserve()?;
    let given = reservation.huge_pages()?.given;
    assert_eq!((reservation.base(), given), (place, Some(HugeWish::Explicit)));
    let error = builder.exact(place).reserve().expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::AddressTaken);
    let error = builder.exact(place + vm::info().granularity).reserve().expect_err("between");
    assert_eq!(error.kind(), ErrorKind::Misaligned);
    Ok(())
}

#[test]
fn a_kernel_that_does_not_know_the_question_costs_no_files() {
    in_own_process("a_kernel_that_does_not_know_the_question_costs_no_files", &[], || {
        let count_files = || fs::read_dir("/proc/self/fd").expect("readable").count();
        let reservation = Reservation::reserve(1).expect("addresses");
        // As kernels before 6.7 answer.
        if !refuse_call(libc::SYS_ioctl, libc::ENOTTY) {
            println!("skipped: this system refuses no calls on demand");
            return;
        }
        let before = count_files();
        for _ in 0..5 {
            assert_eq!(reservation.huge_pages().expect("smaps tells").len, 0);
        }
        assert_eq!(count_files(), before);
    });
}
