//! `granule pages FILE`: which parts of a file are in memory.
#![forbid(unsafe_code)]

mod picture;

use crate::args::PagesArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::style::Style;
use granule::section::{Access, Section};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;

/// Cells in a row of the picture.
const ROW: u64 = 64;
/// Rows of the picture at most.
const ROWS: u64 = 16;

/// What `--json` prints: lengths and offsets in bytes. `null`: this system does not say.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    file: String,
    page_len: u64,
    #[serde(flatten)]
    whole: Cell,
    /// Bytes of each cell but the last.
    cell_len: u64,
    cells: Vec<Cell>,
}

/// A part of the file.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Cell {
    offset: u64,
    len: u64,
    resident: u64,
    dirty: Option<u64>,
    writeback: Option<u64>,
    huge: u64,
}

/// Prints the picture.
///
/// # Errors
/// When the file cannot be opened, or the system does not tell what its cache has.
pub(crate) fn run(arguments: &PagesArguments) -> Result<ExitCode, Failure> {
    let name = arguments.file.display().to_string();
    let cannot = |what: &dyn std::fmt::Display| Failure::cannot(format!("{name}: {what}"));
    let file = File::open(&arguments.file).map_err(|error| cannot(&error))?;
    let section = Section::of_file(&file, Access::Read).map_err(|error| cannot(&error))?;
    let report = look(&section, name.clone()).map_err(|error| cannot(&error))?;
    let text = if arguments.json {
        serde_json::to_string(&report)
            .map_err(|error| cannot(&format!("the pages are no JSON: {error}")))?
            + "\n"
    } else {
        picture::draw(&report, Style::of_standard_output(arguments.color))
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(ExitCode::Success),
    }
}

/// Asks for one cell after the other. The file may change meanwhile: the sums are the cells'.
fn look(section: &Section, file: String) -> Result<Report, granule::Error> {
    let page_len = granule::vm::info().page_len as u64;
    let len = section.len();
    let pages = len.div_ceil(page_len).div_ceil(ROW * ROWS).max(1);
    let cell_len = pages.next_power_of_two() * page_len;
    let cells = (0..len.div_ceil(cell_len))
        .map(|index| cell(section, index * cell_len..len.min((index + 1) * cell_len)))
        .collect::<Result<Vec<_>, _>>()?;
    let whole = cells.iter().fold(Cell { len, ..Cell::default() }, Cell::and);
    let whole = if cells.is_empty() { cell(section, 0..0)? } else { whole };
    Ok(Report { version: 1, file, page_len, whole, cell_len, cells })
}

fn cell(section: &Section, range: Range<u64>) -> Result<Cell, granule::Error> {
    let (offset, len) = (range.start, range.end - range.start);
    let state = section.cached(range.clone())?;
    let huge = if state.resident == 0 { 0 } else { section.cached_huge(range)? };
    let (dirty, writeback) = (state.dirty, state.writeback);
    Ok(Cell { offset, len, resident: state.resident, dirty, writeback, huge })
}

impl Cell {
    /// Both together; offset and length are those of `self`.
    fn and(self, other: &Cell) -> Cell {
        let sum = |left: Option<u64>, right: Option<u64>| Some(left.unwrap_or(0) + right?);
        Cell {
            resident: self.resident + other.resident,
            dirty: sum(self.dirty, other.dirty),
            writeback: sum(self.writeback, other.writeback),
            huge: self.huge + other.huge,
            ..self
        }
    }
}
