//! The whole process, region by region, and what single addresses are.

use granule::vm::{self, Kind, Name, Protection, Region, Reservation, State};
use granule::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

fn page_len() -> usize {
    vm::info().page_len
}

/// All regions, which have to lie side by side from the first address to the last.
fn tiles() -> Result<Vec<Region>, Error> {
    let info = vm::info();
    let regions: Vec<Region> = vm::regions().collect::<Result<_, _>>()?;
    let mut next = info.address_min;
    for region in &regions {
        assert_eq!(region.base, next, "{region:?}");
        assert!(region.len > 0 && region.len.is_multiple_of(page_len()), "{region:?}");
        assert_eq!(region.kind.is_none(), region.state == State::Free, "{region:?}");
        next += region.len;
    }
    assert_eq!(next, info.address_max + 1);
    Ok(regions)
}

fn at(regions: &[Region], addr: usize) -> Region {
    let found =
        regions.iter().find(|region| (region.base..region.base + region.len).contains(&addr));
    *found.expect("the regions have no gaps")
}

#[test]
fn regions_tile_the_address_space() -> Result<(), Error> {
    let page = page_len();
    let name = Name::new(b"tiles");
    let ours = Reservation::builder().len(GIB).name(name).reserve()?;
    ours.commit(0..MIB, Protection::ReadWrite)?;
    ours.protect(page..2 * page, Protection::Read)?;
    ours.guard(5 * page..7 * page)?;
    let regions = tiles()?;

    let told = |offset: usize| {
        let region = at(&regions, ours.base() + offset);
        assert_eq!(region.allocation_base, ours.base());
        assert_eq!((region.kind, region.name), (Some(Kind::Private), Some(name)));
        (region.base - ours.base(), region.len, region.state, region.protection)
    };
    let write = Some(Protection::ReadWrite);
    assert_eq!(told(0), (0, page, State::Committed, write));
    assert_eq!(told(page), (page, page, State::Committed, Some(Protection::Read)));
    assert_eq!(told(2 * page), (2 * page, 3 * page, State::Committed, write));
    assert_eq!(told(5 * page), (5 * page, 2 * page, State::Guarded, write));
    assert_eq!(told(7 * page), (7 * page, MIB - 7 * page, State::Committed, write));
    assert_eq!(told(MIB), (MIB, GIB - MIB, State::Reserved, None));

    let code = at(&regions, tiles as *const () as usize);
    assert_eq!((code.protection, code.kind), (Some(Protection::ExecuteRead), Some(Kind::Image)));
    let stack = at(&regions, (&raw const code).addr());
    assert_eq!((stack.state, stack.protection), (State::Committed, write));
    assert!(regions.iter().any(|region| region.state == State::Free));
    Ok(())
}

/// The system joins neighbours into one mapping. We do not.
#[test]
fn neighbours_are_told_apart() -> Result<(), Error> {
    let builder = Reservation::builder().len(MIB);
    let lower = builder.hint(0x6a00_0000).name(Name::new(b"lower")).reserve()?;
    let untracked = builder.hint(0x6a10_0000).untracked().reserve()?;
    let upper = builder.hint(0x6a20_0000).reserve()?;
    let regions = tiles()?;
    for reservation in [&lower, &untracked, &upper] {
        let region = at(&regions, reservation.base());
        assert_eq!((region.base, region.len), (reservation.base(), MIB), "{region:?}");
        assert_eq!(region.state, State::Reserved);
        assert_eq!(region.name, reservation.name().filter(|_| region.base == lower.base()));
        assert_eq!(vm::query(region.base + MIB / 2)?.len, MIB / 2);
    }
    drop(lower);
    let region = vm::query(0x6a00_0000 + MIB / 2)?;
    assert_eq!((region.state, region.len), (State::Free, MIB / 2));
    Ok(())
}

#[test]
fn a_program_is_named_after_its_file() -> Result<(), Error> {
    let region = vm::query(tiles as *const () as usize)?;
    let Some(name) = region.name else {
        println!("skipped: this system does not tell names");
        return Ok(());
    };
    assert!(name.as_str().contains("vm_regions"), "{name}");
    Ok(())
}

#[test]
fn addresses_that_no_program_has_are_refused() {
    for addr in [vm::info().address_max + 1, usize::MAX, usize::MAX / 2 + 1] {
        let error = vm::query(addr).expect_err("the system's");
        assert_eq!((error.kind(), error.code()), (ErrorKind::OutOfRange, 0));
    }
}

/// Whoever asks while others come and go gets an answer that was true: a reservation as it was, or
/// what the system says of the page.
#[test]
fn questions_and_releases_may_meet() -> Result<(), Error> {
    const BASE: usize = 0x6c00_0000;
    let page = page_len();
    let name = |number: usize| Name::new(format!("a rather long name, number {number}").as_bytes());
    let names = [name(0), name(1)];
    let is_done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asker = scope.spawn(move || {
            let mut ours = 0;
            while !is_done.load(Ordering::Relaxed) {
                let region = vm::query(BASE + page)?;
                let Some(name) = region.name else { continue };
                let number = names.iter().position(|known| *known == name).expect("one of ours");
                // Number 0 has two pages, number 1 three, each as it was asked for.
                assert!(region.len <= (1 + number) * page, "{region:?}");
                assert_eq!((region.base, region.allocation_base), (BASE + page, BASE));
                ours += 1;
            }
            Ok::<usize, Error>(ours)
        });
        for round in 0..20_000 {
            let number = round % 2;
            let builder = Reservation::builder().hint(BASE).len((2 + number) * page);
            let reservation = builder.name(names[number]).reserve()?;
            if number == 0 {
                reservation.commit(page..2 * page, Protection::Read)?;
            }
        }
        is_done.store(true, Ordering::Relaxed);
        let ours = asker.join().expect("no panic")?;
        println!("{ours} answers were about ours");
        Ok(())
    })
}
