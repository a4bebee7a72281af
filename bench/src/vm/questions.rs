//! What is at this address? Asked in a process with few, with many, and with very many mappings.

use super::bare::{Mapping, MappingList};
use super::contest::{Contest, Line, Target};
use super::{BARE, GRANULE, MMAP_RS, REGION};
use crate::Result;
use crate::statistics::Random;
use granule::vm::{self, Protection, Reservation, State};
use std::fs;
use std::hint::black_box;
use std::ptr::without_provenance;

const OWN_GOAL: Target = Target::Nanoseconds(20.0);
const FOREIGN_GOAL: Target = Target::Nanoseconds(1500.0);

/// Addresses that are asked about, one after the other.
const ASKED: usize = 1024;

/// The whole list takes its time.
const WHOLE_ROUNDS: usize = 11;

/// Pages by turns with and without rights: half of them ours, half of them nobody's we know.
struct Islands {
    own: Reservation,
    foreign: Mapping,
    pages: usize,
    page_len: usize,
}

impl Islands {
    /// As many as bring the process to about `mappings`.
    fn new(mappings: usize) -> Result<Self> {
        let page_len = vm::info().page_len;
        let pages = (mappings.saturating_sub(mappings_now()?) / 2).max(4);
        let own = Reservation::reserve(pages * page_len)?;
        let foreign = Mapping::new(pages * page_len)?;
        for page in (0..pages).step_by(2) {
            let range = page * page_len..(page + 1) * page_len;
            own.commit(range.clone(), Protection::ReadWrite)?;
            foreign.commit(range)?;
        }
        Ok(Islands { own, foreign, pages, page_len })
    }

    /// Offsets of bytes somewhere in the islands.
    fn offsets(&self, random: &mut Random) -> Vec<usize> {
        let len = (self.pages * self.page_len) as u64;
        (0..ASKED).map(|_| (random.next() % len) as usize).collect()
    }

    /// Only those with rights: the peers call the others unmapped, and that is another way.
    fn mapped(&self, offsets: &[usize]) -> Vec<usize> {
        let is_mapped = |offset: usize| (offset / self.page_len).is_multiple_of(2);
        offsets.iter().copied().filter(|&offset| is_mapped(offset)).collect()
    }
}

fn mappings_now() -> Result<usize> {
    Ok(fs::read_to_string("/proc/self/maps")?.lines().count())
}

/// The whole process told from end to end: about `mappings` mappings.
fn whole<'a>(count: usize) -> Contest<'a> {
    let call = format!("vm::regions, {count} mappings");
    let mut contest = Contest::new([(call, Target::None)]);
    let enough = move |told: usize| {
        if told * 10 >= count * 9 {
            Ok(())
        } else {
            Err(format!("{told} of {count} are told").into())
        }
    };
    contest.add_call(GRANULE, move |_| {
        let regions = vm::regions().map(|region| region.map(|region| region.state));
        let told = regions.filter(|state| *state != Ok(State::Free));
        enough(told.collect::<std::result::Result<Vec<_>, _>>()?.len())
    });
    contest.add_call(REGION, move |_| {
        let all = region::query_range(without_provenance::<u8>(4096), 1 << 47)?;
        enough(all.collect::<std::result::Result<Vec<_>, _>>()?.len())
    });
    contest.add_call(MMAP_RS, move |_| {
        let all = mmap_rs::MemoryAreas::open(None)?;
        enough(all.collect::<std::result::Result<Vec<_>, _>>()?.len())
    });
    contest
}

/// All questions in a process with about `mappings` mappings.
pub(super) fn run(mappings: usize, rounds: usize, random: &mut Random) -> Result<Vec<Line>> {
    let islands = Islands::new(mappings)?;
    let count = mappings_now()?;
    let mut lines = own(&islands, count, random)?.run(rounds, random)?;
    lines.extend(foreign(&islands, count, random)?.run(rounds, random)?);
    lines.extend(whole(count).run(rounds.min(WHOLE_ROUNDS), random)?);
    Ok(lines)
}

fn own<'a>(islands: &'a Islands, count: usize, random: &mut Random) -> Result<Contest<'a>> {
    let offsets = islands.offsets(random);
    let own = &islands.own;
    let call = format!("Reservation::query, {count} mappings");
    let mut contest = Contest::new([(call, OWN_GOAL)]);
    contest.add_call(GRANULE, move |number| {
        black_box(own.query(black_box(offsets[number % ASKED]))?);
        Ok(())
    });
    let addresses: Vec<usize> =
        islands.offsets(random).iter().map(|offset| own.base() + offset).collect();
    let list = MappingList::open()?;
    contest.add_call(BARE, move |number| {
        black_box(list.len_at(black_box(addresses[number % ASKED]))?);
        Ok(())
    });
    Ok(contest)
}

fn foreign<'a>(islands: &'a Islands, count: usize, random: &mut Random) -> Result<Contest<'a>> {
    let base = islands.foreign.base();
    let offsets = islands.offsets(random);
    let addresses: Vec<usize> =
        islands.mapped(&offsets).into_iter().map(|offset| base + offset).collect();
    let address = move |number: usize| black_box(addresses[number % addresses.len()]);
    let call = format!("vm::query of foreign pages, {count} mappings");
    let mut contest = Contest::new([(call, FOREIGN_GOAL)]);
    let ask = address.clone();
    contest.add_call(GRANULE, move |number| match vm::query(ask(number))?.state {
        State::Committed => Ok(()),
        other => Err(format!("a page with rights is {other:?}").into()),
    });
    let list = MappingList::open()?;
    let ask = address.clone();
    contest.add_call(BARE, move |number| {
        black_box(list.len_at(ask(number))?);
        Ok(())
    });
    let ask = address.clone();
    contest.add_call(REGION, move |number| {
        black_box(region::query(without_provenance::<u8>(ask(number)))?);
        Ok(())
    });
    contest.add_call(MMAP_RS, move |number| match mmap_rs::MemoryAreas::query(address(number))? {
        Some(_) => Ok(()),
        None => Err("a mapped page is told to be none".into()),
    });
    Ok(contest)
}
