//! Reserve and release, commit and decommit, guard and unguard, against the bare system calls.

use super::bare::{Mapping, region_commit, thread_time};
use super::contest::{Contest, Line, Target, there_and_back};
use super::{BARE, GRANULE, MEMMAP2, MMAP_RS, REGION, VIRTUAL_BUFFER};
use crate::Result;
use crate::statistics::Random;
use granule::vm::{GuardKind, Protection, Reservation};
use std::hint::black_box;
use std::ops::Range;

const GIB: usize = 1 << 30;
const SIZES: [(&str, usize); 3] = [("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("2 MiB", 2 << 20)];

/// All of it, one contest after the other.
pub(super) fn run(rounds: usize, random: &mut Random) -> Result<Vec<Line>> {
    let mut lines = reserve_and_release().run(rounds, random)?;
    for (name, len) in SIZES.into_iter().chain([("1 GiB", GIB)]) {
        lines.extend(commit_and_decommit(name, len)?.run(rounds, random)?);
    }
    if !granule::vm::info().guard_markers {
        eprintln!("this kernel has no guard markers: guards are not measured");
        return Ok(lines);
    }
    for (name, len) in SIZES {
        lines.extend(guard_and_unguard(name, len)?.run(rounds, random)?);
    }
    Ok(lines)
}

/// 1 GiB of addresses, taken and given back.
fn reserve_and_release<'a>() -> Contest<'a> {
    let call = "reserve + release 1 GiB".to_string();
    let mut contest = Contest::new([(call, Target::TimesBare(1.2))]);
    contest.add_call(GRANULE, |_| Ok(black_box(Reservation::reserve(GIB)?).release()?));
    add_owner(&mut contest, BARE, || Ok(Mapping::new(GIB)?));
    add_owner(&mut contest, REGION, || Ok(region::alloc(GIB, region::Protection::NONE)?));
    add_owner(&mut contest, MMAP_RS, || Ok(mmap_rs::MmapOptions::new(GIB)?.reserve_none()?));
    add_owner(&mut contest, MEMMAP2, || {
        Ok(memmap2::MmapOptions::new().len(GIB).no_reserve_swap().map_anon()?)
    });
    add_owner(&mut contest, VIRTUAL_BUFFER, || {
        Ok(virtual_buffer::Allocation::new(GIB).map_err(in_words)?)
    });
    contest
}

/// Someone who takes addresses, and gives them back when it is dropped.
fn add_owner<T>(contest: &mut Contest, name: &'static str, take: impl Fn() -> Result<T> + 'static) {
    contest.add_call(name, move |_| {
        drop(black_box(take()?));
        Ok(())
    });
}

fn in_words(error: virtual_buffer::Error) -> String {
    error.to_string()
}

/// Places of equal length with gaps between them, so that each call splits a mapping, or joins
/// what was split.
#[derive(Clone, Copy)]
struct Places {
    len: usize,
    count: usize,
}

impl Places {
    fn new(len: usize) -> Self {
        Places { len, count: if len >= GIB { 1 } else { 64 } }
    }

    fn place(self, index: usize) -> Range<usize> {
        let start = (2 * index + 1) * self.len;
        start..start + self.len
    }

    fn whole(self) -> usize {
        (2 * self.count + 1) * self.len
    }
}

/// Commit and decommit, of pages that nobody has touched.
///
/// A call splits or joins mappings, and how long the kernel takes for that depends by a quarter on
/// where among the other mappings they lie. So we and the bare calls work at the same addresses,
/// each after the other has gone.
fn commit_and_decommit<'a>(name: &str, len: usize) -> Result<Contest<'a>> {
    let places = Places::new(len);
    let calls = ["commit", "decommit"];
    let target = Target::TimesBare(1.2);
    let mut contest = Contest::new(calls.map(|call| (format!("{call} {name}"), target)));

    let buffer = virtual_buffer::Allocation::new(places.whole()).map_err(in_words)?;
    let first = Reservation::reserve(places.whole())?;
    let base = first.base();
    first.release()?;
    contest.add(GRANULE, move || {
        let ours = Reservation::builder().len(places.whole()).exact(base).reserve()?;
        let commit = |index| Ok(ours.commit(places.place(index), Protection::ReadWrite)?);
        let decommit = |index| Ok(ours.decommit(places.place(index))?);
        (0..places.count).try_for_each(commit)?;
        (0..places.count).try_for_each(decommit)?;
        there_and_back(places.count, commit, decommit)
    });
    contest.add(BARE, move || {
        let bare = Mapping::at(base, places.whole())?;
        let commit = |index| Ok(bare.commit(places.place(index))?);
        let decommit = |index| Ok(bare.decommit(places.place(index))?);
        (0..places.count).try_for_each(commit)?;
        (0..places.count).try_for_each(decommit)?;
        there_and_back(places.count, commit, decommit)
    });
    // It has no decommit: a new allocation for each sample, and only the way there counts.
    contest.add(REGION, move || {
        let memory = region::alloc(places.whole(), region::Protection::NONE)?;
        let begin = thread_time();
        (0..places.count).try_for_each(|index| region_commit(&memory, places.place(index)))?;
        let spent = thread_time() - begin;
        Ok(vec![Some(spent.as_secs_f64() * 1e9 / places.count as f64), None])
    });
    contest.add(VIRTUAL_BUFFER, move || {
        let place = |index| buffer.ptr().cast::<u8>().wrapping_add(places.place(index).start);
        there_and_back(
            places.count,
            |index| Ok(buffer.commit(place(index), places.len).map_err(in_words)?),
            |index| Ok(buffer.decommit(place(index), places.len).map_err(in_words)?),
        )
    });
    Ok(contest)
}

/// Guard markers set and taken away, in committed pages that nobody has touched.
fn guard_and_unguard<'a>(name: &str, len: usize) -> Result<Contest<'a>> {
    let places = Places::new(len);
    let calls = ["guard", "unguard"];
    let target = Target::TimesBare(1.2);
    let mut contest = Contest::new(calls.map(|call| (format!("{call} {name}"), target)));

    let ours = Reservation::builder().len(places.whole()).guard_kind(GuardKind::Marker);
    let ours = ours.reserve()?;
    ours.commit(0..places.whole(), Protection::ReadWrite)?;
    contest.add(GRANULE, move || {
        there_and_back(
            places.count,
            |index| Ok(ours.guard(places.place(index))?),
            |index| Ok(ours.unguard(places.place(index))?),
        )
    });
    let bare = Mapping::new(places.whole())?;
    bare.commit(0..places.whole())?;
    contest.add(BARE, move || {
        there_and_back(
            places.count,
            |index| Ok(bare.guard(places.place(index))?),
            |index| Ok(bare.unguard(places.place(index))?),
        )
    });
    Ok(contest)
}
