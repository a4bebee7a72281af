//! Regions and slices that are committed where they are touched, with every engine.

mod vm_support;

use granule::array::{Decision, Engine, FaultRegion, FaultVec, Touch, Zeroable};
use granule::vm::{self, Name};
use granule::{Error, ErrorKind, Op};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
#[cfg(target_os = "linux")]
use vm_support::in_own_process;

const ENGINES: [Engine; 3] = [Engine::Demand, Engine::Guard, Engine::Mprotect];
/// Those that count.
const OURS: [Engine; 2] = [Engine::Guard, Engine::Mprotect];

fn page_len() -> usize {
    vm_support::system::page_len()
}

fn region(engine: Engine, pages: usize, chunk: usize) -> FaultRegion {
    let builder = FaultRegion::builder().len(pages * page_len()).engine(engine);
    builder.chunk_len(chunk * page_len()).make().expect("a region")
}

fn write(region: &FaultRegion, page: usize, byte: u8) {
    assert!(page * page_len() < region.len());
    // SAFETY: inside the region.
    let place = unsafe { region.as_ptr().add(page * page_len()) };
    // SAFETY: every byte of a region may be touched; the tests agree who writes where.
    unsafe { place.write_volatile(byte) };
}

fn read(region: &FaultRegion, page: usize) -> u8 {
    assert!(page * page_len() < region.len());
    // SAFETY: inside the region.
    let place = unsafe { region.as_ptr().add(page * page_len()) };
    // SAFETY: as above.
    unsafe { place.read_volatile() }
}

/// A fixed shuffle of `0..count`.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for index in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(index, (state >> 33) as usize % (index + 1));
    }
    order
}

#[test]
fn in_any_order_every_page_keeps_what_was_written() -> Result<(), Error> {
    for engine in ENGINES {
        for chunk in [1, 16, 1000] {
            let region = region(engine, 300, chunk);
            for page in shuffled(300) {
                assert_eq!(read(&region, page), 0);
                write(&region, page, page as u8 | 1);
            }
            for page in 0..300 {
                assert_eq!(read(&region, page), page as u8 | 1, "{engine:?}");
            }
            assert_eq!(region.committed_pages()?, 300);
        }
    }
    Ok(())
}

/// The notes' filter commits the next page, whichever was touched.
#[test]
fn the_chunk_of_the_touched_page_is_committed_and_no_other() -> Result<(), Error> {
    for engine in OURS {
        let region = region(engine, 100, 8);
        write(&region, 97, 1);
        assert_eq!(region.committed_pages()?, 4, "the last chunk is cut off by the end");
        read(&region, 42);
        write(&region, 47, 1);
        assert_eq!(region.committed_pages()?, 12);
        for page in [40, 47, 96, 99] {
            let told = vm::query(region.base() + page * page_len())?;
            assert_eq!(told.state, vm::State::Committed, "page {page}");
        }
        for page in [0, 39, 48, 95] {
            let told = vm::query(region.base() + page * page_len())?;
            assert_ne!(told.state, vm::State::Committed, "page {page}");
        }
    }
    Ok(())
}

#[test]
fn a_demand_region_counts_what_was_touched() -> Result<(), Error> {
    let region = region(Engine::Demand, 4096, 16);
    write(&region, 1, 1);
    write(&region, 4000, 1);
    let expected = if cfg!(target_os = "linux") { 2..=1024 } else { 4096..=4096 };
    assert!(expected.contains(&region.committed_pages()?), "{region:?}");
    Ok(())
}

#[test]
fn many_threads_on_the_same_pages_lose_nothing() {
    const THREADS: usize = 8;
    for engine in ENGINES {
        let region = region(engine, 256, 16);
        let barrier = Barrier::new(THREADS);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (region, barrier) = (&region, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for page in 0..256 {
                        // SAFETY: inside the region; each thread has a byte of its own there.
                        let place = unsafe { region.as_ptr().add(page * page_len() + number) };
                        // SAFETY: as above.
                        unsafe { place.write_volatile(number as u8 + 1) };
                    }
                });
            }
        });
        for page in 0..256 {
            for number in 0..THREADS {
                // SAFETY: inside the region, and the threads are gone.
                let place = unsafe { region.as_ptr().add(page * page_len() + number) };
                // SAFETY: as above.
                assert_eq!(unsafe { place.read_volatile() }, number as u8 + 1, "{engine:?}");
            }
        }
        assert_eq!(region.committed_pages().expect("counted"), 256);
    }
}

#[test]
fn a_callback_is_told_of_each_commit() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    fn told(touch: &Touch) -> Decision {
        assert_eq!((touch.committed, touch.wanted), (TOLD.load(Ordering::SeqCst), 1));
        TOLD.fetch_add(1, Ordering::SeqCst);
        Decision::Commit
    }
    let builder = FaultRegion::builder().len(10 * page_len()).chunk_len(1);
    let region = builder.on_touch(told).make().expect("a region");
    assert_ne!(region.engine(), Engine::Demand);
    for page in [3, 3, 9, 0, 9] {
        write(&region, page, 1);
    }
    assert_eq!(TOLD.load(Ordering::SeqCst), 3);
}

#[test]
fn the_limit_counts_pages_and_leaves_what_is_left_to_the_touched_one() -> Result<(), Error> {
    for engine in OURS {
        let builder = FaultRegion::builder().len(64 * page_len()).engine(engine);
        let mut region = builder.chunk_len(8 * page_len()).pages_max(11).make()?;
        write(&region, 3, 1);
        assert_eq!(region.committed_pages()?, 8);
        write(&region, 22, 1);
        assert_eq!(region.committed_pages()?, 10, "from the touched one to the end of its chunk");
        write(&region, 40, 1);
        assert_eq!(region.committed_pages()?, 11);
        let error = region.prepare_for_io(41 * page_len()..42 * page_len()).unwrap_err();
        assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::NoMemory));
        region.reset(0..8 * page_len())?;
        region.prepare_for_io(41 * page_len()..42 * page_len())?;
        assert_eq!(region.committed_pages()?, 3 + 7);
    }
    Ok(())
}

/// What a chunk cannot use is nobody's loss: another thread could have it at that moment.
#[test]
fn no_more_pages_are_counted_than_are_committed() -> Result<(), Error> {
    static WANTED: AtomicUsize = AtomicUsize::new(0);
    for engine in OURS {
        let builder = FaultRegion::builder().len(64 * page_len()).engine(engine);
        let builder = builder.chunk_len(8 * page_len()).pages_max(11);
        let region = builder.on_touch(|touch| {
            WANTED.store(touch.wanted, Ordering::SeqCst);
            Decision::Commit
        });
        let region = region.make()?;
        for (page, wanted) in [(3, 8), (22, 2), (40, 1)] {
            write(&region, page, 1);
            assert_eq!(WANTED.load(Ordering::SeqCst), wanted, "page {page}, {engine:?}");
        }
    }
    Ok(())
}

/// What nobody has touched is zero, and need not be written: there may be no page for it.
#[test]
fn a_reset_takes_no_memory() -> Result<(), Error> {
    let page = page_len();
    for engine in OURS {
        let builder = FaultVec::<u8>::builder().len(8 * page).engine(engine);
        let mut bytes = builder.chunk_len(page).pages_max(2).make()?;
        bytes[page + 5] = 1;
        bytes[4 * page] = 1;
        bytes[4 * page + 9] = 1;
        for range in [5..9, page - 1..page + 1, 2 * page + 1..4 * page + 1, 5 * page - 1..8 * page]
        {
            bytes.reset(range)?;
        }
        assert_eq!(bytes.committed_pages()?, 2);
        let ones = [page + 5, 4 * page, 4 * page + 9].map(|index| bytes[index]);
        assert_eq!(ones, [1, 0, 1], "{engine:?}");
    }
    Ok(())
}

/// Where the last access of a child says that it is not allowed.
fn dies(name: &str, body: fn()) -> Option<String> {
    const CHILD: &str = "GRANULE_TEST_DYING";
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        body();
        println!("it lives");
        return None;
    }
    let output = vm_support::start::output(
        vm_support::again()
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, name)
            .env(vm_support::CHILD, name),
    );
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = said.lines().find_map(|line| line.split_once("skipped: ")) {
        println!("skipped: {}", why.1);
        return None;
    }
    assert!(!output.status.success() && !said.contains("it lives"), "{said}");
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn beyond_the_limit_the_access_is_reported_and_ends_the_process() {
    let name = "beyond_the_limit_the_access_is_reported_and_ends_the_process";
    let said = dies(name, || {
        let per_page = page_len() / 4;
        let builder = FaultVec::<u32>::builder().len(6 * per_page).chunk_len(1).pages_max(5);
        let mut numbers = builder.name(Name::new(b"numbers")).make().expect("addresses");
        for index in 0..6 * per_page {
            numbers[index] = index as u32;
        }
    });
    let Some(said) = said else { return };
    let count = 6 * page_len() / 4;
    let start =
        format!("granule: write to element {} of a FaultVec of {count} u32, ", count / 6 * 5);
    let start_without_access = start.replace("write to", "touch of");
    assert!(said.contains(&start) || said.contains(&start_without_access), "{said}");
    for part in ["\"numbers\", at 0x", ", page 5: out of pages", "raise pages_max"] {
        assert!(said.contains(part), "{part} in: {said}");
    }
}

#[test]
fn a_callback_that_refuses_ends_the_process() {
    let said = dies("a_callback_that_refuses_ends_the_process", || {
        let builder = FaultRegion::builder().len(4 * page_len()).on_touch(|_| Decision::Refuse);
        write(&builder.make().expect("a region"), 2, 1);
    });
    let Some(said) = said else { return };
    assert!(said.contains("page 2: refused by the callback"), "{said}");
}

/// To commit a page does not make it a program: the jump is not tried for ever.
#[test]
fn a_jump_into_a_region_ends_the_process() {
    let said = dies("a_jump_into_a_region_ends_the_process", || {
        thread::spawn(|| {
            thread::sleep(std::time::Duration::from_secs(20));
            println!("it lives");
            std::process::exit(0);
        });
        let region = region(Engine::Mprotect, 4, 1);
        write(&region, 2, 1);
        // SAFETY: inside the region.
        let place = unsafe { region.as_ptr().add(2 * page_len()) };
        // SAFETY: none: it is no function, and the test is about what happens then.
        let function = unsafe { std::mem::transmute::<*mut u8, extern "C" fn()>(place) };
        function();
    });
    assert!(said.is_some());
}

/// Memory that the system does not give, by a limit of the process.
#[cfg(target_os = "linux")]
#[test]
fn what_the_system_refuses_is_reported() {
    let said = dies("what_the_system_refuses_is_reported", || {
        let region = region(Engine::Mprotect, 1 << 16, 1 << 16);
        vm_support::limit(libc::RLIMIT_DATA, 1 << 20);
        let error = region.prepare_for_io(0..1).expect_err("256 MiB");
        assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::NoMemory));
        assert_eq!(region.committed_pages(), Ok(0));
        write(&region, 77, 1);
    });
    let Some(said) = said else { return };
    assert!(said.contains("page 77: refused by the system"), "{said}");
}

/// 14 is `EFAULT`, 998 `ERROR_NOACCESS`.
#[test]
fn system_calls_see_only_what_is_committed() -> Result<(), Error> {
    let program = || File::open(std::env::current_exe().expect("a path")).expect("readable");
    for engine in ENGINES {
        let len = 64 * page_len();
        let mut bytes = FaultVec::<u8>::builder().len(len).engine(engine).make()?;
        let (part, rest) = (3 * page_len()..5 * page_len(), 40 * page_len());
        if engine != Engine::Demand {
            let refused = program().read(&mut bytes[part.clone()]).expect_err("nobody touched it");
            let number = if cfg!(windows) { 998 } else { 14 };
            assert_eq!(refused.raw_os_error(), Some(number), "{engine:?}");
            assert_eq!(bytes.committed_pages()?, 0, "no handler was called");
        }
        bytes.prepare_for_io(part.clone())?;
        let count = program().read(&mut bytes[part.clone()]).expect("memory");
        assert_eq!(count, part.len(), "{engine:?}");
        assert_eq!(bytes[rest], 0);
        for (start, end) in [(5, 5), (6, 5), (0, len + 1), (len, len + 1), (0, usize::MAX)] {
            let error = bytes.prepare_for_io(start..end).expect_err("no such elements");
            assert_eq!((error.op(), error.kind()), (Op::Commit, ErrorKind::OutOfRange));
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_made_is_an_error() {
    let refused = |builder: granule::array::FaultBuilder| {
        let error = builder.make().expect_err("no such region");
        assert_eq!(error.op(), Op::Reserve);
        error.kind()
    };
    let builder = FaultRegion::builder().len(1 << 20);
    assert_eq!(refused(builder.len(0)), ErrorKind::OutOfRange);
    assert_eq!(refused(builder.len(usize::MAX)), ErrorKind::OutOfRange);
    assert_eq!(refused(builder.chunk_len(0)), ErrorKind::OutOfRange);
    assert_eq!(refused(builder.chunk_len(usize::MAX)), ErrorKind::OutOfRange);
    assert_eq!(refused(builder.pages_max(0)), ErrorKind::OutOfRange);
    let limited = builder.engine(Engine::Demand).pages_max(7);
    assert_eq!(refused(limited), ErrorKind::Unsupported);
    let asked = builder.engine(Engine::Demand).on_touch(|_| Decision::Commit);
    assert_eq!(refused(asked), ErrorKind::Unsupported);
    for len in [0, usize::MAX, usize::MAX / 8] {
        let error = FaultVec::<u64>::new(len).expect_err("no such array");
        assert_eq!(error.kind(), ErrorKind::OutOfRange, "{len}");
    }
    assert_eq!(FaultVec::<()>::new(5).expect_err("no size").kind(), ErrorKind::OutOfRange);
}

#[test]
fn a_slice_of_elements_that_cross_pages() -> Result<(), Error> {
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Odd([u8; 4091]);
    // SAFETY: (1) bytes may be zero; (2) nothing to drop.
    unsafe impl Zeroable for Odd {}
    for engine in ENGINES {
        let mut cells = FaultVec::<Odd>::builder().len(100).engine(engine).chunk_len(1).make()?;
        assert!(cells.iter().skip(97).all(|cell| cell.0 == [0; 4091]));
        cells[50].0 = [7; 4091];
        cells[51].0[0] = 8;
        cells.reset(49..51)?;
        assert_eq!((cells[50].0[4090], cells[51].0[0], cells[49].0[0]), (0, 8, 0));
        cells.reset(51..51)?;
        cells.reset(0..100)?;
        assert_eq!(cells[51].0[0], 0);
        assert!(format!("{cells:?}").contains("len: 100"));
    }
    Ok(())
}

#[test]
fn a_whole_slice_can_be_sorted_and_lent() {
    let mut numbers = FaultVec::<u32>::new(10_000).expect("memory");
    for (index, number) in shuffled(10_000).into_iter().enumerate() {
        numbers[index] = number as u32;
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..10_000));
    for number in &mut numbers {
        *number += 1;
    }
    assert_eq!((&numbers).into_iter().sum::<u32>(), 10_000 * 10_001 / 2);
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&numbers);
}

#[test]
#[cfg(target_os = "linux")]
fn guards_split_no_mapping_in_any_order() {
    in_own_process("guards_split_no_mapping_in_any_order", &[], || {
        if vm::info().guard != vm::GuardKind::Marker {
            println!("skipped: no guard markers here");
            return;
        }
        let region = region(Engine::Guard, 1 << 14, 1);
        let range = region.base()..region.base() + region.len();
        for page in shuffled(1 << 13) {
            write(&region, 2 * page, 1);
        }
        assert_eq!(vm_support::mappings_in(range), 1);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn the_child_of_a_fork_goes_on_alone() -> Result<(), Error> {
    for engine in ENGINES {
        let region = region(engine, 64, 4);
        write(&region, 0, 1);
        // SAFETY: the child touches memory and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            write(&region, 0, 2);
            write(&region, 32, 2);
            let is_right = read(&region, 0) == 2 && read(&region, 63) == 0;
            // SAFETY: ends the child without the parent's destructors.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = -1;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!((status, read(&region, 0), read(&region, 32)), (0, 1, 0), "{engine:?}");
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Move {
    Write(usize, u8),
    Read(usize),
    Prepare(usize, usize),
    Reset(usize, usize),
}

fn moves(pages: usize) -> impl Strategy<Value = Vec<Move>> {
    let page = 0..pages;
    let one = prop_oneof![
        (page.clone(), any::<u8>()).prop_map(|(page, byte)| Move::Write(page, byte)),
        page.clone().prop_map(Move::Read),
        (page.clone(), 1..20usize).prop_map(|(page, count)| Move::Prepare(page, count)),
        (page, 1..20usize).prop_map(|(page, count)| Move::Reset(page, count)),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against bytes and a set of pages.
    #[test]
    fn a_region_is_its_model(
        engine in prop::sample::select(&OURS),
        chunk in 1..9usize,
        moves in moves(50),
    ) {
        const PAGES: usize = 50;
        let mut real = region(engine, PAGES, chunk);
        let (mut bytes, mut committed) = ([0u8; PAGES], BTreeSet::new());
        let touch = |committed: &mut BTreeSet<usize>, page: usize| {
            let start = page - page % chunk;
            let chunk_pages = start..PAGES.min(start + chunk);
            // The run of pages around it that are not committed.
            if !committed.contains(&page) {
                let first = (chunk_pages.start..page).rev().find(|page| committed.contains(page));
                let end = (page..chunk_pages.end).find(|page| committed.contains(page));
                let first = first.map_or(chunk_pages.start, |page| page + 1);
                committed.extend(first..end.unwrap_or(chunk_pages.end));
            }
        };
        for one in moves {
            match one {
                Move::Write(page, byte) => {
                    write(&real, page, byte);
                    bytes[page] = byte;
                    touch(&mut committed, page);
                }
                Move::Read(page) => {
                    prop_assert_eq!(read(&real, page), bytes[page]);
                    touch(&mut committed, page);
                }
                Move::Prepare(page, count) => {
                    let end = PAGES.min(page + count);
                    real.prepare_for_io(page * page_len()..end * page_len()).expect("memory");
                    (page..end).for_each(|page| touch(&mut committed, page));
                }
                Move::Reset(page, count) => {
                    let end = PAGES.min(page + count);
                    real.reset(page * page_len()..end * page_len()).expect("given back");
                    bytes[page..end].fill(0);
                    committed.retain(|committed| !(page..end).contains(committed));
                }
            }
            prop_assert_eq!(real.committed_pages(), Ok(committed.len()));
        }
    }
}
