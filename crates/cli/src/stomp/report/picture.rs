//! A line that shows the block on its pages, between what is inaccessible, with a caret at the
//! fault.
#![forbid(unsafe_code)]

use crate::style::{Ink, Style};
use granule::stomp::record::{Block, Record};

/// Cells for the pages of the block; with the guards, the bars and the indent below 80 columns.
const PAGES_CELLS: u64 = 56;
/// Cells for what is inaccessible, on either side.
const GUARD_CELLS: u64 = 7;
/// Bytes that the cells of a guard stand for, as far as the caret is concerned.
const GUARD_LEN: u64 = 4096;
/// Cells of anything that is there at all.
const ZONE_CELLS_MIN: u64 = 3;
const INDENT: usize = 2;
const COLUMNS: usize = 80;

/// What a run of bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Guard,
    Slack,
    Block,
    Freed,
}

impl Zone {
    fn character(self, unicode: bool) -> char {
        match (self, unicode) {
            (Zone::Guard, false) => 'X',
            (Zone::Guard, true) => '\u{2573}',
            (Zone::Slack, false) => '.',
            (Zone::Slack, true) => '\u{b7}',
            (Zone::Block, false) => '#',
            (Zone::Block, true) => '\u{2588}',
            (Zone::Freed, false) => 'f',
            (Zone::Freed, true) => '\u{2592}',
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Zone::Guard => Ink::Red,
            Zone::Slack | Zone::Freed => Ink::Dim,
            Zone::Block => Ink::Green,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Zone::Guard => "inaccessible",
            Zone::Slack => "slack",
            Zone::Block => "block",
            Zone::Freed => "freed block",
        }
    }
}

/// A zone with its addresses and its cells.
struct Part {
    zone: Zone,
    start: u64,
    len: u64,
    cells: u64,
}

/// The picture: a bar, a caret and a legend, each line ended; only the legend for a block without
/// pages.
pub(crate) fn draw(record: &Record, block: &Block, style: Style) -> String {
    let parts = parts(block);
    let mut text = String::new();
    if block.pages_len > 0 {
        text += &bar(&parts, style);
        text += &caret(&parts, record.address, style);
    }
    text += &legend(&parts, block, style);
    text
}

/// From the guard before the pages to the guard behind them.
fn parts(block: &Block) -> Vec<Part> {
    let pages_end = block.pages_address + block.pages_len;
    let block_end = block.address + block.size;
    let is_freed = block.freed_tid != 0;
    let (body, around) =
        if is_freed { (Zone::Freed, Zone::Guard) } else { (Zone::Block, Zone::Slack) };
    let before = block.address.saturating_sub(block.pages_address);
    let inner = [
        (around, block.pages_address, before),
        (body, block.address, block.size),
        (around, block_end, pages_end.saturating_sub(block_end)),
    ];
    let guard = |start| Part { zone: Zone::Guard, start, len: GUARD_LEN, cells: GUARD_CELLS };
    let lens = inner.map(|(_, _, len)| len);
    let inner = inner.into_iter().zip(share_cells(lens));
    let inner = inner.map(|((zone, start, len), cells)| Part { zone, start, len, cells });
    let mut parts = vec![guard(block.pages_address.saturating_sub(GUARD_LEN))];
    parts.extend(inner.filter(|part| part.cells > 0));
    parts.push(guard(pages_end));
    parts
}

/// Cells in proportion, but a few for whatever is not empty; the longest gives what is missing.
fn share_cells(lens: [u64; 3]) -> [u64; 3] {
    let total: u64 = lens.iter().sum();
    if total == 0 {
        return [0; 3];
    }
    let proportional = |len| (u128::from(len) * u128::from(PAGES_CELLS) / u128::from(total)) as u64;
    let mut cells =
        lens.map(|len| if len == 0 { 0 } else { proportional(len).max(ZONE_CELLS_MIN) });
    let longest = (0..3).max_by_key(|&position| lens[position]).unwrap_or(0);
    cells[longest] = 0;
    cells[longest] = PAGES_CELLS - cells.iter().sum::<u64>();
    cells
}

fn bar(parts: &[Part], style: Style) -> String {
    let mut text = " ".repeat(INDENT) + "|";
    for (position, part) in parts.iter().enumerate() {
        let run = part.zone.character(style.unicode).to_string().repeat(part.cells as usize);
        let is_edge = position == 0 || position + 2 == parts.len();
        text += &style.paint(part.zone.ink(), run).to_string();
        text += if is_edge { "|" } else { "" };
    }
    text + "|\n"
}

/// The column of the bar under which the caret stands.
fn caret_column(parts: &[Part], address: u64) -> usize {
    let mut column = INDENT + 1;
    for (position, part) in parts.iter().enumerate() {
        let is_last = position + 1 == parts.len();
        if address < part.start + part.len || is_last {
            let inside = address.saturating_sub(part.start).min(part.len.saturating_sub(1));
            let cell = u128::from(inside) * u128::from(part.cells) / u128::from(part.len.max(1));
            return column + cell as usize;
        }
        let is_edge = position == 0 || position + 2 == parts.len();
        column += part.cells as usize + usize::from(is_edge);
    }
    column
}

fn caret(parts: &[Part], address: u64, style: Style) -> String {
    let column = caret_column(parts, address);
    let is_left = parts.first().is_some_and(|part| address < part.start);
    let is_right = parts.last().is_some_and(|part| address - part.start.min(address) >= part.len);
    let far = match (is_left, is_right) {
        (true, _) => " ... far to the left",
        (_, true) => " ... far to the right",
        _ => "",
    };
    let label = format!("{address:#x}{far}");
    let caret = style.paint(Ink::Bold, "^");
    if column + 2 + label.len() <= COLUMNS {
        return format!("{}{caret} {label}\n", " ".repeat(column));
    }
    format!("{}{label} {caret}\n", " ".repeat(column - label.len() - 1))
}

fn legend(parts: &[Part], block: &Block, style: Style) -> String {
    let body = if block.freed_tid != 0 { Zone::Freed } else { Zone::Block };
    let sign = |zone: Zone| style.paint(zone.ink(), zone.character(style.unicode)).to_string();
    let indent = " ".repeat(INDENT);
    let mut text = if block.size > 0 { format!("{indent}{} ", sign(body)) } else { indent };
    text += &format!("{}, {} at {:#x}", body.word(), bytes(block.size), block.address);
    for zone in [Zone::Slack, Zone::Guard] {
        if block.pages_len > 0 && parts.iter().any(|part| part.zone == zone) {
            text += &format!("   {} {}", sign(zone), zone.word());
        }
    }
    text + "\n"
}

fn bytes(number: u64) -> String {
    super::headline::counted(number, "byte")
}

#[cfg(test)]
mod tests {
    use super::super::headline::tests::{freed, record};
    use super::*;
    use granule::stomp::record::{Kind, Side};

    const PLAIN: Style = Style { color: false, unicode: false };

    fn picture(record: &Record) -> Vec<String> {
        let block = record.block.expect("a block");
        draw(record, &block, PLAIN).lines().map(str::to_owned).collect()
    }

    fn at_end(size: u64, slack: u64, address: u64) -> Record {
        let mut record = record(Kind::Overflow, Side::After, 0);
        let block = record.block.as_mut().expect("a block");
        (block.pages_address, block.pages_len) = (0x10_0000, 0x1000);
        (block.address, block.size) = (0x10_1000 - slack - size, size);
        record.address = address;
        record
    }

    #[test]
    fn an_overflow() {
        let lines = picture(&at_end(48, 0, 0x10_1003));
        assert_eq!(
            lines,
            [
                "  |XXXXXXX|.....................................................###|XXXXXXX|",
                "                                                                    ^ 0x101003",
                "  # block, 48 bytes at 0x100fd0   . slack   X inaccessible",
            ]
        );
    }

    #[test]
    fn slack_behind_the_block() {
        let lines = picture(&at_end(45, 3, 0x10_0ffe));
        assert!(lines[0].ends_with(".###...|XXXXXXX|"), "{}", lines[0]);
        assert_eq!(lines[1].find('^'), Some(lines[0].len() - 11), "{lines:#?}");
    }

    #[test]
    fn a_freed_block_has_nothing_accessible() {
        let lines = picture(&freed(at_end(0x800, 0, 0x10_0800)));
        let (inaccessible, freed) = ("X".repeat(28), "f".repeat(28));
        assert_eq!(lines[0], format!("  |XXXXXXX|{inaccessible}{freed}|XXXXXXX|"));
        let caret = lines[1].find('^').expect("a caret");
        assert_eq!(&lines[0][caret - 1..=caret], "Xf");
        assert!(lines[2].starts_with("  f freed block, 2048 bytes at 0x100800"), "{}", lines[2]);
    }

    #[test]
    fn far_away_is_at_the_edge_and_never_too_wide() {
        for address in [0, 0x0f_ffff, 0x10_0000, 0x10_1fff, 0x7fff_ffff_ffff, u64::MAX] {
            let lines = picture(&at_end(1, 15, address));
            assert!(lines.iter().all(|line| line.len() <= COLUMNS), "{lines:#?}");
            let caret = lines[1].find('^').expect("a caret");
            assert_eq!(lines[1].contains("far to the right"), address > 0x10_1fff, "{lines:#?}");
            assert_eq!(lines[1].contains("far to the left"), address == 0, "{lines:#?}");
            let expected = if (0x10_0000..=0x10_0fff).contains(&address) { b'.' } else { b'X' };
            assert_eq!(lines[0].as_bytes()[caret], expected, "{lines:#?}");
        }
    }

    #[test]
    fn a_block_without_bytes_has_a_legend_only() {
        let mut empty = at_end(0, 0, 0x10_1000);
        empty.block.as_mut().expect("a block").pages_len = 0;
        assert_eq!(picture(&empty), ["  block, 0 bytes at 0x101000"]);
    }
}
