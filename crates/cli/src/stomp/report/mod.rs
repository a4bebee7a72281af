//! Reports
use super::maps::Maps;
use super::supervisor::Listener;
use super::symbols::Symbols;
use crate::args::StompArguments;
use crate::exit_code::Failure;
use granule::stomp::record::{Notice, Record};

pub(crate) struct Reporter {
    symbols: Symbols,
    verbose: bool,
}
impl Reporter {
    pub(crate) fn new(arguments: &StompArguments) -> Result<Self, Failure> {
        Ok(Reporter { symbols: Symbols::new(), verbose: arguments.verbose })
    }
}
impl Listener for Reporter {
    fn report(&mut self, record: &Record) {
        let maps = Maps::of(record.pid);
        let stacks = self.symbols.stacks(record, &maps);
        eprintln!("granule: {}: {:#?}", record.kind.word(), record.block);
        eprintln!("{:#x?}", stacks);
    }
    fn notice(&mut self, notice: Notice, pid: u32, numbers: [u64; 2]) {
        eprintln!("granule: notice {notice:?} {pid} {numbers:?}");
    }
    fn detail(&mut self, sentence: &str) {
        if self.verbose {
            eprintln!("granule: {sentence}")
        }
    }
}
