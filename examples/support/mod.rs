//! Shared by the examples: words and pictures for what `query` says, and touches that no program
//! dies of.
#![allow(dead_code, reason = "every example uses another part of it")]

pub(crate) mod cells;
pub(crate) mod kernel;

use granule::vm::{Protection, Region, State, query};

/// What the stories are told with; `tests/vm_examples.rs` skips them elsewhere.
pub(crate) const PAGE: usize = 4096;

/// State and rights in words.
pub(crate) fn words(region: &Region) -> String {
    let rights = match region.protection {
        None => "",
        Some(Protection::NoAccess) => ", no access",
        Some(Protection::ReadWrite) => ", read and write",
        Some(Protection::Read) => ", read",
        Some(Protection::ExecuteRead) => ", execute and read",
        Some(_) => ", other rights",
    };
    format!("{:?}{rights}", region.state)
}

/// The pages from `addr` on, a letter each: F free, R reserved, C committed, G guarded, T armed.
pub(crate) fn picture(addr: usize, pages: usize) -> String {
    let letter = |page| match query(addr + page * PAGE).map(|region| region.state) {
        Ok(State::Free) => 'F',
        Ok(State::Reserved) => 'R',
        Ok(State::Committed) => 'C',
        Ok(State::Guarded) => 'G',
        Ok(State::Tripwire) => 'T',
        _ => '?',
    };
    format!("|{}|", (0..pages).map(letter).collect::<String>())
}

/// A step of a story: what is done, and the pages before and after it.
pub(crate) fn step<T>(words: &str, addr: usize, pages: usize, action: impl FnOnce() -> T) -> T {
    let before = picture(addr, pages);
    let done = action();
    println!("   {before} -> {}  {words}", picture(addr, pages));
    done
}
