//! `granule info --layers`: the layers of memory as a picture, with the numbers of this process.
#![forbid(unsafe_code)]

use granule::Error;
use granule::vm::{self, Info, Protection, Region, Reservation, State};
use std::fmt::Write as _;

/// Pages in the picture of a reservation.
const PAGES: usize = 16;

/// The whole text.
///
/// # Errors
/// When the system has no addresses or no memory left for a few pages.
pub(crate) fn picture(info: &Info) -> Result<String, Error> {
    Ok(format!(
        "The layers of memory, each built on the one below:\n\n{}\n\
         Pages of a reservation in this process, as they are now:\n\n{}\n\
         The addresses of this process, from the top:\n\n{}",
        layers(info),
        page_states(info)?,
        addresses(info)
    ))
}

fn layers(info: &Info) -> String {
    let Info { page_len, granularity, .. } = info;
    let pages = format!("vm: {page_len} bytes of memory, {granularity} of addresses");
    let rows = [
        ("new, Box", "a value", "constructed in a block, dropped with its owner"),
        ("malloc", "a block", "any size; `granule stomp` takes its place"),
        ("HeapAlloc", "a heap", "blocks that go all at once (planned)"),
        ("VirtualAlloc", "pages", &pages),
        ("memory manager", "the kernel", "page tables, files, sharing, copy on write"),
    ];
    let rule = format!("  +{}+{}+\n", "-".repeat(16), "-".repeat(59));
    let mut text = rule.clone();
    for (name, what, words) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  | {name:<14} | {what:<10} {words:<46} |");
        text += &rule;
    }
    text
}

/// A reservation in all its states, drawn by `query`.
fn page_states(info: &Info) -> Result<String, Error> {
    let page = info.page_len;
    let reservation = Reservation::reserve(PAGES * page)?;
    reservation.commit(0..8 * page, Protection::ReadWrite)?;
    reservation.protect(0..2 * page, Protection::Read)?;
    reservation.guard(7 * page..8 * page)?;
    let mut strip = String::new();
    let mut list = String::new();
    let mut offset = 0;
    while offset < reservation.len() {
        let region = reservation.query(offset)?;
        let pages = region.len / page;
        strip += &letter(region.state).repeat(pages);
        let (first, last) = (offset / page, (offset + region.len) / page - 1);
        let place = format!("{:#x}  page {first:2} to {last:2}", region.base);
        let _ = writeln!(list, "  {place}  {}", words(&region));
        offset += region.len;
    }
    Ok(format!("  |{strip}|  C committed, G guarded, R reserved\n\n{list}"))
}

fn letter(state: State) -> &'static str {
    match state {
        State::Free => "F",
        State::Reserved => "R",
        State::Committed => "C",
        State::Guarded => "G",
        _ => "?",
    }
}

fn words(region: &Region) -> String {
    match region.protection {
        Some(protection) => format!("{:?}, {protection:?}", region.state),
        None => format!("{:?}", region.state),
    }
}

/// One address of each part of the address space, and what the system says of it.
fn addresses(info: &Info) -> String {
    let on_heap = Box::new(0_u8);
    let on_stack = 0_u8;
    let parts = [
        ("kernel", 1 << (usize::BITS - 1)),
        ("forbidden", info.address_max + 1),
        ("last", info.address_max),
        ("stack", (&raw const on_stack).addr()),
        ("heap", (&raw const *on_heap).addr()),
        ("program", picture as *const () as usize),
        ("first", info.address_min),
        ("NULL partition", 0),
    ];
    let mut text = String::new();
    for (part, addr) in parts {
        let answer = match vm::query(addr) {
            Ok(region) => words(&region),
            Err(_) => "no program's".to_owned(),
        };
        let _ = writeln!(text, "  {addr:#18x}  {part:<14}  {answer}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_layers_states_and_addresses() {
        let info = vm::info();
        let text = picture(&info).expect("a few pages");
        let layers = ["new, Box", "malloc", "HeapAlloc", "VirtualAlloc", "memory manager"];
        let places = layers.map(|layer| text.find(&format!("| {layer}")).expect(layer));
        assert!(places.is_sorted(), "{text}");
        assert!(text.contains("|CCCCCCCGRRRRRRRR|"), "{text}");
        assert!(text.contains("Committed, Read\n"), "{text}");
        let kernel = text.lines().find(|line| line.contains("kernel  ")).expect("the kernel");
        assert!(kernel.ends_with("no program's"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
