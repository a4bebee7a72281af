//! What the user sees of a crime or a notice: text on standard error, JSON lines on demand.
#![forbid(unsafe_code)]

mod fold;
mod headline;
mod json;
mod notices;
mod picture;
mod text;

use super::maps::Maps;
use super::supervisor::Listener;
use super::symbols::{Stacks, Symbols};
use crate::args::StompArguments;
use crate::exit_code::Failure;
use crate::style::Style;
use granule::stomp::record::{Notice, Record};
use json::JsonLines;
use std::collections::HashMap;
use std::io::Write;

/// A record with all that was read from the waiting process.
pub(crate) struct Finding<'a> {
    pub(crate) record: &'a Record,
    pub(crate) stacks: &'a Stacks,
    /// What lies at the address, in words; for the frees of what is no block.
    pub(crate) place: String,
    /// Names of the threads that still live.
    pub(crate) threads: HashMap<u32, String>,
}

/// Turns what the supervisor hears into text and JSON.
pub(crate) struct Reporter {
    symbols: Symbols,
    json: Option<JsonLines>,
    style: Style,
    full_stacks: bool,
    verbose: bool,
}

impl Reporter {
    /// Opens the JSON file, if there is to be one.
    ///
    /// # Errors
    /// When that file cannot be opened.
    pub(crate) fn new(arguments: &StompArguments) -> Result<Self, Failure> {
        Ok(Reporter {
            symbols: Symbols::new(),
            json: arguments.json.as_deref().map(JsonLines::open).transpose()?,
            style: Style::of_standard_error(arguments.color),
            full_stacks: arguments.full_stacks,
            verbose: arguments.verbose,
        })
    }
}

impl Listener for Reporter {
    fn report(&mut self, record: &Record) {
        let maps = Maps::of(record.pid);
        let stacks = self.symbols.stacks(record, &maps);
        let place = maps.describe(record.address);
        let threads = thread_names(record);
        let finding = Finding { record, stacks: &stacks, place, threads };
        print(&text::render(&finding, self.style, self.full_stacks));
        if let Some(json) = &mut self.json
            && let Err(error) = json.write(&finding)
        {
            print(&format!("granule: the JSON line cannot be written: {error}\n"));
        }
    }

    fn notice(&mut self, notice: Notice, pid: u32, numbers: [u64; 2]) {
        print(&format!("granule: {}\n", notices::sentence(notice, pid, numbers)));
    }

    fn remark(&mut self, sentence: &str) {
        print(&format!("granule: {sentence}\n"));
    }

    fn detail(&mut self, sentence: &str) {
        if self.verbose {
            self.remark(sentence);
        }
    }
}

#[cfg(test)]
pub(crate) fn sample_record() -> Record {
    use granule::stomp::record::{Kind, Side};
    headline::tests::record(Kind::Overflow, Side::After, 3)
}

/// One write, so that the program's own output does not come between. A standard error that is
/// closed has no reader.
fn print(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn thread_names(record: &Record) -> HashMap<u32, String> {
    let block = record.block.iter().flat_map(|block| [block.allocated_tid, block.freed_tid]);
    let named = |tid| {
        let name = std::fs::read(format!("/proc/{}/task/{tid}/comm", record.pid)).ok()?;
        Some((tid, String::from_utf8_lossy(name.trim_ascii_end()).into_owned()))
    };
    block.chain([record.tid]).filter_map(named).collect()
}
