//! Runs a row and compares.

use super::api::{Api, Expect, Told};
use super::catch::{self, Caught, RETURN};
use super::step::{Answer, Call, Len, Place, Region, Row, Step};
use granule::win32::{MEM_COMMIT, MEM_RELEASE, PAGE_READWRITE};
use std::cell::Cell;

/// What a call has given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Error(u32),
    Address(usize),
    Old(u32),
    Told(Told),
    Byte(u8),
    Caught(Caught),
    Mended(usize),
    Pages(Vec<usize>),
    System(u32, u32, usize),
}

/// One run of a row.
struct Run {
    api: &'static dyn Api,
    slots: Vec<Option<usize>>,
}

/// The sentences about all steps that were answered otherwise.
pub(crate) fn row(api: &'static dyn Api, row: &Row) -> Vec<String> {
    if let Some(obstacle) = row.obstacle.and_then(|obstacle| obstacle()) {
        println!("skipped: {}: {obstacle}", row.name);
        return Vec::new();
    }
    let mut run = Run { api, slots: Vec::new() };
    let mut wrong = Vec::new();
    for (number, step) in row.steps.iter().enumerate() {
        if let Err(sentence) = run.step(step) {
            wrong.push(format!("  {} [{}], step {}: {sentence}", row.name, row.source, number + 1));
        }
    }
    for base in run.slots.into_iter().flatten() {
        // Most rows have released it; that is their business.
        let _ = api.free(base, 0, MEM_RELEASE);
    }
    wrong
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let outcome = self.call(step.call);
        if self.matches(step.documented, &outcome) {
            return Ok(());
        }
        let is_either = step.is_systems || self.api.expect() == Expect::DocumentedOrWine;
        if let (true, Some((answer, source))) = (is_either, step.wine)
            && self.matches(answer, &outcome)
        {
            let name = self.api.name();
            println!("{name} differs: {:x?}: {outcome:x?}, Windows: {source}", step.call);
            return Ok(());
        }
        let expected = step.documented;
        Err(format!("{:x?}\n    expected {expected:x?}\n    got      {outcome:x?}", step.call))
    }

    fn call(&self, call: Call) -> Outcome {
        let done = |answer: Result<(), u32>| answer.map_or_else(Outcome::Error, |()| Outcome::Done);
        let api = self.api;
        match call {
            Call::SystemInfo => {
                let system = api.system();
                Outcome::System(system.page_len, system.granularity, system.address_min)
            }
            Call::Alloc(place, size, kind, protect) => {
                let answer = api.alloc(self.addr(place), size, kind, protect);
                answer.map_or_else(Outcome::Error, Outcome::Address)
            }
            Call::Free(place, size, kind) => done(api.free(self.addr(place), size, kind)),
            Call::Protect(place, size, protect) => {
                let answer = api.protect(self.addr(place), size, protect, true);
                answer.map_or_else(Outcome::Error, Outcome::Old)
            }
            Call::ProtectBlind(place, size, protect) => {
                let answer = api.protect(self.addr(place), size, protect, false);
                answer.map_or_else(Outcome::Error, Outcome::Old)
            }
            Call::Query(place) => {
                api.query(self.addr(place), None).map_or_else(Outcome::Error, Outcome::Told)
            }
            Call::QueryShort(place) => {
                api.query(self.addr(place), Some(8)).map_or_else(Outcome::Error, Outcome::Told)
            }
            Call::Lock(place, size) => done(api.lock(self.addr(place), size)),
            Call::Unlock(place, size) => done(api.unlock(self.addr(place), size)),
            Call::Forget(place, size) => done(api.forget(self.addr(place), size)),
            Call::Written(place, size, flags, room) => {
                match api.written(self.addr(place), size, flags, room) {
                    Err(code) => Outcome::Error(code),
                    Ok((addresses, granularity)) => {
                        assert_eq!(granularity, 4096);
                        let base = self.addr(Place::In(0, 0));
                        let page = |addr| (addr - base) / 4096;
                        Outcome::Pages(addresses.into_iter().map(page).collect())
                    }
                }
            }
            touch => self.touch(touch),
        }
    }

    fn touch(&self, call: Call) -> Outcome {
        let done =
            |answer: Result<(), Caught>| answer.map_or_else(Outcome::Caught, |()| Outcome::Done);
        match call {
            Call::Read(place) => {
                catch::read(self.addr(place)).map_or_else(Outcome::Caught, Outcome::Byte)
            }
            Call::Write(place, value) => done(catch::write(self.addr(place), value)),
            Call::WriteOn(place, value) => {
                let tries = Cell::new(0);
                let once = |_| tries.replace(tries.get() + 1) == 0;
                match catch::mending(&once, || catch::write(self.addr(place), value)) {
                    (Ok(()), mended) => Outcome::Mended(mended),
                    (Err(caught), _) => Outcome::Caught(caught),
                }
            }
            Call::Execute(place) => done(catch::execute(self.addr(place))),
            Call::Store(place, text) => {
                let bytes = text.bytes().chain([0]).zip(self.addr(place)..);
                done({ bytes }.try_for_each(|(byte, addr)| catch::write(addr, byte)))
            }
            Call::WriteReturn(place) => {
                let bytes = RETURN.iter().zip(self.addr(place)..);
                done({ bytes }.try_for_each(|(&byte, addr)| catch::write(addr, byte)))
            }
            Call::Fill(place, len) => self.fill(self.addr(place), len, false),
            Call::FillFromEnd(place, len) => self.fill(self.addr(place), len, true),
            Call::SystemWrite(place) => {
                let (answer, mended) = self.committing(|| catch::system_write(self.addr(place)));
                assert_eq!(mended, 0, "the system calls no handler of ours");
                answer.map_or_else(Outcome::Error, |()| Outcome::Done)
            }
            other => unreachable!("{other:?} does not touch"),
        }
    }

    fn fill(&self, start: usize, len: usize, last_first: bool) -> Outcome {
        let fill = || {
            if last_first {
                catch::write(start + len - 1, 0xff)?;
            }
            (start..start + len).try_for_each(|addr| catch::write(addr, addr as u8))
        };
        match self.committing(fill) {
            (Ok(()), mended) => Outcome::Mended(mended),
            (Err(caught), _) => Outcome::Caught(caught),
        }
    }

    /// Runs `body` with a handler that commits the page of each fault.
    fn committing<T>(&self, body: impl FnOnce() -> T) -> (T, usize) {
        let commit = |addr| self.api.alloc(addr, 1, MEM_COMMIT, PAGE_READWRITE).is_ok();
        catch::mending(&commit, body)
    }

    fn addr(&self, place: Place) -> usize {
        match place {
            Place::Null => 0,
            Place::At(addr) => addr,
            Place::In(slot, offset) => {
                let base = self.slots.get(slot).copied().flatten();
                // A step before has failed: an address that is free on every system.
                base.unwrap_or(0x5000_0000) + offset
            }
            Place::Highest(offset) => self.api.system().address_max + offset,
            Place::Code => row as *const () as usize,
            Place::Stack => (&raw const place).addr(),
        }
    }

    fn matches(&mut self, answer: Answer, outcome: &Outcome) -> bool {
        match (answer, outcome.clone()) {
            (Answer::Done, Outcome::Done) => true,
            (Answer::Error(code), Outcome::Error(got)) => code == got,
            (Answer::Address(place), Outcome::Address(got)) => self.addr(place) == got,
            (Answer::New(slot), Outcome::Address(got)) => {
                self.slots.resize(self.slots.len().max(slot + 1), None);
                self.slots[slot] = Some(got);
                got != 0 && got.is_multiple_of(0x1_0000)
            }
            (Answer::Old(protect), Outcome::Old(got)) => protect == got,
            (Answer::Region(region), Outcome::Told(told)) => self.region_matches(region, told),
            (Answer::Byte(byte), Outcome::Byte(got)) => byte == got,
            (Answer::Bytes(one, other), Outcome::Byte(got)) => got == one || got == other,
            (Answer::Fault(code, access, place), Outcome::Caught(caught)) => {
                let same_access = caught.access.is_none_or(|got| got == access);
                caught.code == code && same_access && caught.addr == self.addr(place)
            }
            (Answer::Faults(count), Outcome::Mended(got)) => count == got,
            (Answer::Pages(pages), Outcome::Pages(got)) => got == pages,
            (Answer::System(page, granularity, min), Outcome::System(a, b, c)) => {
                (page, granularity, min) == (a, b, c)
            }
            _ => false,
        }
    }

    fn region_matches(&self, region: Region, told: Told) -> bool {
        let same_base = matches!(region.base, Place::Null) || self.addr(region.base) == told.base;
        let same_len = match region.len {
            Len::Exactly(len) => told.len == len,
            Len::AtLeast(len) => told.len >= len,
        };
        let same_allocation = match region.allocation {
            Some((base, protect)) => {
                (self.addr(base), protect) == (told.allocation_base, told.allocation_protect)
            }
            None => told.allocation_base != 0 && told.allocation_base <= told.base,
        };
        let same_protect = region.protect.is_none_or(|protect| protect == told.protect);
        let same_state = (region.state, region.kind) == (told.state, told.kind);
        same_base && same_len && same_allocation && same_protect && same_state
    }
}
