//! The pages of a file as a picture, and in numbers.
#![forbid(unsafe_code)]

use super::{Cell, ROW, Report};
use crate::info::size;
use crate::style::{Ink, Style};
use std::fmt::Write as _;

/// Columns of the offsets, and of the names of the sums.
const LEFT: usize = 12;

/// How a cell looks. A cell may be several of these; the first one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Dirty,
    Writeback,
    Huge,
    Whole,
    Half,
    Some,
    None,
}

impl Look {
    const ALL: [Look; 7] =
        [Look::Whole, Look::Half, Look::Some, Look::None, Look::Dirty, Look::Writeback, Look::Huge];

    fn of(cell: &Cell, page_len: u64) -> Look {
        let pages = cell.len.div_ceil(page_len);
        match cell.resident / page_len {
            _ if cell.dirty.is_some_and(|len| len > 0) => Look::Dirty,
            _ if cell.writeback.is_some_and(|len| len > 0) => Look::Writeback,
            _ if cell.huge > 0 => Look::Huge,
            0 => Look::None,
            resident if resident >= pages => Look::Whole,
            resident if resident * 2 >= pages => Look::Half,
            _ => Look::Some,
        }
    }

    const fn character(self, unicode: bool) -> char {
        match (self, unicode) {
            (Look::Dirty, false) => 'd',
            (Look::Writeback, false) => 'w',
            (Look::Huge, false) => 'H',
            (Look::Whole, false) => '#',
            (Look::Half, false) => '+',
            (Look::Some, false) => '-',
            (Look::None, false) => '.',
            (Look::Dirty, true) => '\u{25c6}',
            (Look::Writeback, true) => '\u{25b2}',
            (Look::Huge, true) => '\u{25a0}',
            (Look::Whole, true) => '\u{2588}',
            (Look::Half, true) => '\u{2593}',
            (Look::Some, true) => '\u{2591}',
            (Look::None, true) => '\u{b7}',
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Look::Dirty => Ink::Red,
            Look::Writeback => Ink::Yellow,
            Look::Huge => Ink::Cyan,
            Look::Whole | Look::Half | Look::Some => Ink::Green,
            Look::None => Ink::Dim,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Look::Dirty => "to be written",
            Look::Writeback => "being written",
            Look::Huge => "huge pages",
            Look::Whole => "in memory",
            Look::Half => "half of it or more",
            Look::Some => "some of it",
            Look::None => "not",
        }
    }
}

/// The file in one line, the cells, what they mean, and the sums.
pub(super) fn draw(report: &Report, style: Style) -> String {
    let page_len = report.page_len;
    let looks: Vec<Look> = report.cells.iter().map(|cell| Look::of(cell, page_len)).collect();
    let sign = |look: Look| style.paint(look.ink(), look.character(style.unicode)).to_string();
    let mut text = format!("{}\n", style.paint(Ink::Bold, &report.file));
    let pages = report.whole.len.div_ceil(page_len);
    text += &format!("{}, {pages} pages of {}", of_len(report.whole.len), of_len(page_len));
    if !looks.is_empty() {
        text += &format!("; a cell is {}", of_len(report.cell_len));
    }
    text += "\n\n";
    for (index, row) in looks.chunks(ROW as usize).enumerate() {
        let offset = of_len(index as u64 * ROW * report.cell_len);
        let cells: String = row.iter().copied().map(sign).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:>LEFT$} |{cells}|", style.paint(Ink::Dim, offset));
    }
    let meant: Vec<String> = Look::ALL
        .into_iter()
        .filter(|look| looks.contains(look))
        .map(|look| format!("{} {}", sign(look), look.words()))
        .collect();
    for few in meant.chunks(4) {
        let _ = writeln!(text, "{:LEFT$}  {}", "", few.join("   "));
    }
    if !meant.is_empty() {
        text.push('\n');
    }
    text + &sums(&report.whole)
}

fn sums(whole: &Cell) -> String {
    let mut text = String::new();
    let mut line = |name: &str, len: Option<u64>, words: &str| {
        let told = len.map_or_else(|| "this system does not tell".to_owned(), of_len);
        let part = len.filter(|_| whole.len > 0);
        let percent = part.map_or_else(String::new, |len| {
            format!("{:3.0} %", 100.0 * len.min(whole.len) as f64 / whole.len as f64)
        });
        let _ = writeln!(
            text,
            "{}",
            format!("{name:>14}  {told:>12}  {percent:>5}  {words}").trim_end()
        );
    };
    line("in memory", Some(whole.resident), "");
    line("to be written", whole.dirty, "the disk does not have it yet");
    line("being written", whole.writeback, "");
    line("in huge pages", Some(whole.huge), "of what is in memory");
    text
}

fn of_len(len: u64) -> String {
    size(len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { color: false, unicode: false };

    fn report(cells: Vec<Cell>) -> Report {
        let len = cells.iter().map(|cell| cell.len).sum();
        let whole = cells.iter().fold(Cell { len, ..Cell::default() }, Cell::and);
        Report {
            version: 1,
            file: "a file".to_owned(),
            page_len: 4096,
            whole,
            cell_len: 16384,
            cells,
        }
    }

    fn cell(resident: u64) -> Cell {
        let told = Some(0);
        Cell { offset: 0, len: 16384, resident, dirty: told, writeback: told, huge: 0 }
    }

    #[test]
    fn every_state_has_its_sign() {
        let cells = vec![
            cell(16384),
            cell(8192),
            cell(4096),
            cell(0),
            Cell { dirty: Some(4096), writeback: Some(4096), ..cell(16384) },
            Cell { writeback: Some(4096), ..cell(4096) },
            Cell { huge: 16384, ..cell(16384) },
            Cell { len: 100, ..cell(4096) },
        ];
        let text = draw(&report(cells), PLAIN);
        assert!(
            text.starts_with("a file\n112.1 KiB, 29 pages of 4 KiB; a cell is 16 KiB\n"),
            "{text}"
        );
        assert!(text.contains("     0 bytes |#+-.dwH#|\n"), "{text}");
        for look in Look::ALL {
            assert!(text.contains(look.words()), "{text}");
        }
        assert!(text.contains("     in memory        68 KiB   61 %\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn what_is_not_told_is_no_zero() {
        let untold = Cell { dirty: None, writeback: None, ..cell(16384) };
        let text = draw(&report(vec![cell(0), untold]), PLAIN);
        assert!(text.contains("to be written  this system does not tell"), "{text}");
    }

    #[test]
    fn a_long_file_has_rows() {
        let text = draw(&report(vec![cell(0); 130]), PLAIN);
        assert!(text.contains(&format!("{:>12} |{}|\n", "2 MiB", "..")), "{text}");
    }

    #[test]
    fn an_empty_file_has_no_picture() {
        let text = draw(&report(Vec::new()), PLAIN);
        assert!(!text.contains('|') && text.contains("0 bytes, 0 pages"), "{text}");
    }
}
