//! `granule info --layers`: the layers of memory as a picture, with the numbers of this process.
#![forbid(unsafe_code)]

use crate::info::size;
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
        addresses(info)?
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
        State::Tripwire => "T",
        _ => "?",
    }
}

fn words(region: &Region) -> String {
    match region.protection {
        Some(protection) => format!("{:?}, {protection:?}", region.state),
        None => format!("{:?}", region.state),
    }
}

/// A part of the picture of the address space.
struct Part {
    base: usize,
    len: usize,
    label: String,
}

/// All regions of the process with what they are, neighbours of one kind together.
fn addresses(info: &Info) -> Result<String, Error> {
    let on_heap = Box::new(0_u8);
    let on_stack = 0_u8;
    let known = [
        ((&raw const *on_heap).addr(), "heap"),
        ((&raw const on_stack).addr(), "stack"),
        (page_states as *const () as usize, "program"),
    ];
    let mut parts = vec![Part { base: 0, len: info.address_min, label: "NULL partition".into() }];
    for region in vm::regions() {
        let region = region?;
        let inside = |addr: usize| addr >= region.base && addr - region.base < region.len;
        let known = known.iter().find(|(addr, _)| inside(*addr)).map(|(_, label)| *label);
        let name = region.name.as_ref().map(|name| file_name(name.as_str()));
        let label = match (known, name) {
            (Some(label), Some(name)) => format!("{label}, {name}"),
            (Some(label), None) => label.to_owned(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => words(&region),
        };
        match parts.last_mut() {
            Some(last) if last.label.ends_with(&label) => last.len += region.len,
            Some(last) if label.ends_with(&last.label) && name.is_some() => {
                last.len += region.len;
                last.label = label;
            }
            _ => parts.push(Part { base: region.base, len: region.len, label }),
        }
    }
    let mut text = format!("  {:>18}            the kernel, and what nobody may use\n", "");
    for Part { base, len, label } in parts.iter().rev() {
        let _ = writeln!(text, "  {base:#18x}  {:>9}  {label}", size(*len));
    }
    Ok(text)
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
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
        let parts = ["the kernel", "stack", "heap", "program", "NULL partition"];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
