//! Where reservations come to lie, and what they are told to be: exact addresses, both directions
//! of the search, policies, memory nodes, core dumps.

mod vm_support;

use granule::vm::{self, Builder, CommitPolicy, Protection, Reservation, State};
use granule::{Error, ErrorKind, Op};
use vm_support::in_own_process;

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
/// Addresses that no system chooses by itself, and no search here comes to.
const NOBODYS: usize = 0x3_5800_0000;

fn kind_of(builder: Builder) -> ErrorKind {
    let error = builder.reserve().expect_err("this cannot be reserved");
    assert_eq!(error.op(), Op::Reserve, "{error}");
    error.kind()
}

#[test]
fn an_exact_address_is_met_or_refused_and_never_rounded() -> Result<(), Error> {
    let info = vm::info();
    let free = NOBODYS;
    let builder = Reservation::builder().exact(free).len(MIB + 1);
    let reservation = builder.reserve()?;
    assert_eq!(reservation.base(), free);
    assert_eq!(reservation.len(), MIB + info.page_len, "the end is covered, the start not moved");
    assert_eq!(kind_of(builder), ErrorKind::AddressTaken);

    let exact = |addr: usize| Reservation::builder().exact(addr).len(MIB);
    for addr in [free + info.page_len, free + 1, free + 0x1234] {
        assert_eq!(kind_of(exact(addr)), ErrorKind::Misaligned);
    }
    let odd = free + info.granularity;
    let aligned = 2 * info.granularity;
    let between = if odd.is_multiple_of(aligned) { free } else { odd };
    assert_eq!(kind_of(exact(between).align(aligned)), ErrorKind::Misaligned);
    let beyond = info.address_max.next_multiple_of(info.granularity);
    for addr in [0, beyond, usize::MAX - (info.granularity - 1)] {
        assert_eq!(kind_of(exact(addr)), ErrorKind::OutOfRange, "{addr:#x}");
    }
    // The last of the four wishes for a place holds.
    let moved = Reservation::builder().len(MIB).exact(free).top_down().reserve()?;
    assert_ne!(moved.base(), free);
    Ok(())
}

/// Whether a range of `len` bytes is free at a multiple of the granularity in `from..to`.
fn is_room(from: usize, to: usize, len: usize) -> bool {
    let granularity = vm::info().granularity;
    let mut addr = from.next_multiple_of(granularity);
    while addr < to {
        let region = vm::query(addr).expect("an address of the program");
        if region.state == State::Free && region.len >= len {
            return true;
        }
        addr = (addr + region.len).next_multiple_of(granularity);
    }
    false
}

/// Alone, because every range that another test frees above or below would move the outermost.
#[test]
fn both_directions_find_the_outermost_place() {
    in_own_process("both_directions_find_the_outermost_place", &[], || {
        for len in [1, MIB, 3 * GIB] {
            find_the_outermost(len).expect("addresses, and a page each");
        }
    });
}

fn find_the_outermost(len: usize) -> Result<(), Error> {
    let info = vm::info();
    let low = Reservation::builder().len(len).bottom_up().reserve()?;
    let high = Reservation::builder().len(len).top_down().reserve()?;
    assert!(low.base() < high.base());
    assert_eq!((low.base() % info.granularity, high.base() % info.granularity), (0, 0));
    // The threads of the process itself come and go meanwhile, though never that long.
    // Nor does Wine know what Linux has there.
    if len > GIB && !vm_support::system::is_wine() {
        assert!(!is_room(info.address_min, low.base(), len), "nothing lower is free");
    }
    let lower = Reservation::builder().len(len).top_down().reserve()?;
    // As above.
    assert!(len < GIB || lower.base() < high.base(), "from the top downwards");
    for reservation in [&low, &high, &lower] {
        reservation.commit(0..1, Protection::ReadWrite)?;
        vm_support::put(reservation, 0, 1);
    }
    Ok(())
}

#[test]
fn both_directions_keep_the_alignment() -> Result<(), Error> {
    for shift in [16, 21, 30, 38] {
        if !vm_support::means::has_addresses(1 << (shift + 1)) {
            continue;
        }
        for builder in [Reservation::builder().top_down(), Reservation::builder().bottom_up()] {
            let reservation = builder.len(3 * MIB).align(1 << shift).reserve()?;
            assert_eq!(reservation.base() % (1usize << shift), 0);
            assert_eq!(reservation.len(), 3 * MIB);
        }
    }
    Ok(())
}

#[test]
fn a_search_that_finds_nothing_says_so() {
    let info = vm::info();
    let nearly_all = info.address_max - info.address_min - MIB;
    for builder in [Reservation::builder().top_down(), Reservation::builder().bottom_up()] {
        let builder = builder.len(nearly_all);
        assert_eq!(kind_of(builder), ErrorKind::NoAddressSpace);
        assert_eq!(kind_of(builder.len(usize::MAX)), ErrorKind::OutOfRange);
    }
}

#[test]
fn threads_that_search_at_once_get_different_places() {
    const THREADS: usize = 4;
    let search = |thread: usize| -> Vec<Reservation> {
        let reserve = |round: usize| {
            let builder = Reservation::builder().len(MIB);
            let up = (thread + round).is_multiple_of(2);
            let builder = if up { builder.bottom_up() } else { builder.top_down() };
            builder.reserve().expect("a megabyte of addresses")
        };
        (0..20).map(reserve).collect()
    };
    let mut found: Vec<Reservation> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || search(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    found.sort_by_key(Reservation::base);
    assert_eq!(found.len(), THREADS * 20);
    for pair in found.windows(2) {
        assert!(pair[0].base() + pair[0].len() <= pair[1].base());
    }
}

/// A stack may grow into the room that it has: nobody is placed there who did not insist.
#[test]
#[cfg(target_os = "linux")]
fn the_room_of_the_stack_stays_free() -> Result<(), Error> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
    let line = maps.lines().find(|line| line.ends_with("[stack]")).expect("the main thread's");
    let start = line.split('-').next().and_then(|hex| usize::from_str_radix(hex, 16).ok());
    let start = start.expect("an address");
    // Long enough to fit nowhere above the stack.
    let reservation = Reservation::builder().len(64 * GIB).top_down().reserve()?;
    let end = reservation.base() + reservation.len();
    assert!(end + 100 * MIB <= start, "{end:#x} is too near to {start:#x}");
    Ok(())
}

#[test]
fn auto_is_what_the_machine_is_set_to() -> Result<(), Error> {
    let reservation = Reservation::builder().len(MIB).policy(CommitPolicy::Auto).reserve()?;
    let always = vm::info().overcommit == 1;
    let expected = if always { CommitPolicy::Lazy } else { CommitPolicy::Strict };
    assert_eq!(reservation.policy(), expected);
    reservation.commit(0..MIB, Protection::ReadWrite)
}

#[test]
fn a_node_is_kept_through_decommit_and_a_bad_one_refused() -> Result<(), Error> {
    let builder = Reservation::builder().len(MIB).numa_node(0);
    let reservation = match builder.reserve() {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("skipped: no memory nodes here, {error}");
            return Ok(());
        }
        done => done?,
    };
    reservation.commit(0..MIB, Protection::ReadWrite)?;
    reservation.decommit(0..MIB / 2)?;
    reservation.commit(0..MIB, Protection::ReadWrite)?;
    vm_support::put(&reservation, 0, 1);
    #[cfg(target_os = "linux")]
    for offset in [0, MIB - 1] {
        assert_eq!(node_policy(reservation.base() + offset), libc::MPOL_PREFERRED);
    }
    for placed in [builder.top_down(), builder.bottom_up(), builder.align(2 * MIB)] {
        placed.reserve()?;
    }
    if cfg!(target_os = "linux") {
        for node in [63, 1023, 1024, u16::MAX] {
            let builder = Reservation::builder().len(MIB).numa_node(node);
            assert_eq!(kind_of(builder), ErrorKind::Unsupported, "node {node}");
        }
    }
    Ok(())
}

/// The memory policy of the page at `addr`.
#[cfg(target_os = "linux")]
fn node_policy(addr: usize) -> i32 {
    let mut policy = -1;
    const BY_ADDRESS: i32 = 2; // MPOL_F_ADDR
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: the kernel writes one number.
    let done = unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut policy, none, 0usize, addr, BY_ADDRESS)
    };
    assert_eq!(done, 0, "the policy of a mapped page");
    policy
}

#[test]
fn what_is_left_out_of_core_dumps_stays_out() -> Result<(), Error> {
    let reservation = match Reservation::builder().len(MIB).no_dump().reserve() {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            println!("skipped: this system dumps everything, {error}");
            return Ok(());
        }
        done => done?,
    };
    reservation.commit(0..MIB, Protection::ReadWrite)?;
    reservation.decommit(0..MIB / 2)?;
    #[cfg(target_os = "linux")]
    for offset in [0, MIB - 1] {
        if !vm_support::means::advice_shows() {
            break;
        }
        let flags = vm_support::mapping_flags(reservation.base() + offset);
        assert!(flags.iter().any(|flag| flag == "dd"), "{flags:?}");
    }
    Ok(())
}

/// Reservations that could not be made as wished are not made at all.
#[test]
#[cfg(target_os = "linux")]
fn a_wish_that_the_system_refuses_leaves_nothing_behind() {
    use vm_support::filters::{Refused, with_refused};
    use vm_support::mapping_flags;
    let free = NOBODYS + GIB;
    let builder = Reservation::builder().exact(free).len(MIB);
    let filter = [
        Refused { call: libc::SYS_madvise, argument: None, errno: libc::EINVAL },
        Refused { call: libc::SYS_mbind, argument: None, errno: libc::ENOSYS },
    ];
    let told = with_refused(&filter, || {
        [builder.no_dump(), builder.numa_node(0)].map(|builder| {
            let error = builder.reserve().expect_err("refused");
            assert!(mapping_flags(free).is_empty(), "given back");
            (error.op(), error.kind())
        })
    });
    let Some(told) = told else { return };
    assert_eq!(told[0], (Op::Reserve, ErrorKind::Unsupported));
    assert_eq!(told[1], (Op::Reserve, ErrorKind::Unsupported));
}
