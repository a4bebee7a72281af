//! From addresses of a waiting process to functions, files and lines, seen from outside.
#![forbid(unsafe_code)]

use super::maps::Maps;
use blazesym::Pid;
use blazesym::symbolize::source::{Process, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolizer};
use granule::stomp::record::{Record, Stack};
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader};
use std::collections::HashMap;
use std::fs::File;

/// How the preload library is called in a list of mappings, in the cache and as a memory file.
const LIBRARY: &str = "libgranule_stomp";

/// One frame of a stack, as much as is known of it. Inlined functions have frames of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The instruction looked up: the guilty one, or the last byte of a call.
    pub(crate) address: u64,
    /// The function, demangled.
    pub(crate) function: Option<String>,
    /// The source file, as the compiler wrote it down.
    pub(crate) file: Option<String>,
    /// The line in it, from 1.
    pub(crate) line: Option<u32>,
    /// The column in it, from 1.
    pub(crate) column: Option<u16>,
    /// The executable or library.
    pub(crate) module: Option<String>,
    /// Where in the module: the address that `addr2line -e MODULE` takes.
    pub(crate) offset: Option<u64>,
}

/// The three stacks of a report, without the preload library's own frames.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    /// Of the access, of the free, or of the check.
    pub(crate) access: Vec<Frame>,
    /// Of the allocation.
    pub(crate) allocated: Vec<Frame>,
    /// Of the free.
    pub(crate) freed: Vec<Frame>,
}

/// Looks addresses up; remembers the files that it has read.
pub(crate) struct Symbols {
    symbolizer: Symbolizer,
    loaded: HashMap<String, Vec<LoadedPart>>,
}

/// A part of a file that the loader maps.
struct LoadedPart {
    file_offset: u64,
    len: u64,
    address: u64,
}

impl Symbols {
    /// Reads nothing yet.
    pub(crate) fn new() -> Self {
        Symbols { symbolizer: Symbolizer::new(), loaded: HashMap::new() }
    }

    /// Looks the stacks of `record` up in the process that waits.
    pub(crate) fn stacks(&mut self, record: &Record, maps: &Maps) -> Stacks {
        let addresses = instructions(record, maps);
        let all = addresses.concat();
        let mut frames = self.look_up(record.pid, &all, maps).into_iter();
        let mut take = |stack: &[u64]| frames.by_ref().take(stack.len()).flatten().collect();
        Stacks {
            access: take(&addresses[0]),
            allocated: take(&addresses[1]),
            freed: take(&addresses[2]),
        }
    }

    /// The frames of every address: one, or more where functions were inlined, innermost first.
    fn look_up(&mut self, pid: u32, addresses: &[u64], maps: &Maps) -> Vec<Vec<Frame>> {
        let mut by_debug = symbolize(&self.symbolizer, pid, addresses, true).into_iter();
        let mut by_table = symbolize(&self.symbolizer, pid, addresses, false).into_iter();
        let mut frames = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let (debug, table) = (by_debug.next().flatten(), by_table.next().flatten());
            let bare = place(&mut self.loaded, address, maps);
            frames.push(match debug {
                Some(debug) => unfold(&bare, &debug, table.as_ref()),
                None => vec![bare],
            });
        }
        frames
    }
}

/// One symbol an address, as far as there are any; from debug information where there is some, or
/// from the symbol tables alone.
fn symbolize<'a>(
    symbolizer: &'a Symbolizer,
    pid: u32,
    addresses: &[u64],
    debug: bool,
) -> Vec<Option<Sym<'a>>> {
    let mut process = Process::new(Pid::from(pid));
    process.debug_syms = debug;
    // The kernel opens /proc/PID/map_files to administrators only.
    process.map_files = false;
    let found = symbolizer.symbolize(&Source::Process(process), Input::AbsAddr(addresses));
    // Without symbols module and offset still stand.
    found.unwrap_or_default().into_iter().map(|symbol| symbol.into_sym()).collect()
}

/// The frame without its symbol: module and offset.
fn place(loaded: &mut HashMap<String, Vec<LoadedPart>>, address: u64, maps: &Maps) -> Frame {
    let Some(mapping) = maps.at(address).filter(|mapping| !mapping.name.is_empty()) else {
        return Frame { address, ..Frame::default() };
    };
    let module = mapping.name.clone();
    let in_file = address - mapping.range.start + mapping.offset;
    let parts = loaded.entry(module.clone()).or_insert_with(|| loaded_parts(&module));
    let part = parts.iter().find(|part| in_file.wrapping_sub(part.file_offset) < part.len);
    let offset = part.map_or(in_file, |part| in_file - part.file_offset + part.address);
    Frame { address, module: Some(module), offset: Some(offset), ..Frame::default() }
}

/// The instructions to look up: a return address belongs to the call before it.
fn instructions(record: &Record, maps: &Maps) -> [Vec<u64>; 3] {
    let is_ours = |&address: &u64| maps.at(address).is_some_and(|at| at.name.contains(LIBRARY));
    let look = |stack: &Stack, first_is_exact: bool| -> Vec<u64> {
        let of_call = |(depth, &address): (usize, &u64)| {
            if depth == 0 && first_is_exact { address } else { address.saturating_sub(1) }
        };
        stack.frames().iter().enumerate().map(of_call).filter(|at| !is_ours(at)).collect()
    };
    [
        look(&record.accessed, record.exact),
        look(&record.allocated, false),
        look(&record.freed, false),
    ]
}

/// A symbol's inlined functions, innermost first, then the function itself.
fn unfold(bare: &Frame, symbol: &Sym<'_>, table: Option<&Sym<'_>>) -> Vec<Frame> {
    let name = fuller_name(&symbol.name, table.map_or("", |table| table.name.as_ref()));
    let outer = std::iter::once((name, symbol.code_info.as_deref()));
    let inlined = symbol.inlined.iter().map(|call| (call.name.as_ref(), call.code_info.as_ref()));
    let calls: Vec<_> = outer.chain(inlined).collect();
    calls.into_iter().rev().map(|(name, code)| with_symbol(bare, name, code)).collect()
}

/// Line tables without the rest of the debug information have `close_text` where the symbol table
/// has `granule::demo::close_text`. But two functions of equal code share one symbol: only a name
/// that ends alike is taken.
fn fuller_name<'a>(of_debug: &'a str, of_table: &'a str) -> &'a str {
    let base = of_debug.split('<').next().unwrap_or_default();
    let ends_alike = of_table.split("::").any(|part| {
        part.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(['<', '(']))
    });
    let is_fuller = !base.is_empty() && !base.contains("::") && of_table.contains("::");
    if is_fuller && ends_alike { of_table } else { of_debug }
}

fn with_symbol(bare: &Frame, name: &str, code: Option<&CodeInfo<'_>>) -> Frame {
    Frame {
        function: Some(name.to_owned()),
        file: code.map(|code| code.to_path().to_string_lossy().into_owned()),
        line: code.and_then(|code| code.line),
        column: code.and_then(|code| code.column).filter(|&column| column > 0),
        ..bare.clone()
    }
}

/// The parts that the loader maps; none when the file cannot be read as ELF.
fn loaded_parts(path: &str) -> Vec<LoadedPart> {
    type Header = object::elf::FileHeader64<object::Endianness>;
    let read = || {
        let file = ReadCache::new(File::open(path).ok()?);
        let header = Header::parse(&file).ok()?;
        let endian = header.endian().ok()?;
        let parts = header.program_headers(endian, &file).ok()?.iter();
        let loads = parts.filter(|part| part.p_type(endian) == object::elf::PT_LOAD);
        let loads = loads.map(|part| LoadedPart {
            file_offset: part.p_offset(endian),
            len: part.p_filesz(endian),
            address: part.p_vaddr(endian),
        });
        Some(loads.collect())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_of_two_names_for_the_same() {
        assert_eq!(
            fuller_name("close_text", "granule::demo::close_text"),
            "granule::demo::close_text"
        );
        assert_eq!(
            fuller_name("fill<char>", "void ns::fill<char>(char*)"),
            "void ns::fill<char>(char*)"
        );
        assert_eq!(fuller_name("close_text", "granule::demo::open_text"), "close_text");
        assert_eq!(fuller_name("ns::fill(int)", "ns::fill(int)"), "ns::fill(int)");
        assert_eq!(fuller_name("main", "main"), "main");
        assert_eq!(fuller_name("main", ""), "main");
    }

    #[test]
    fn our_own_function_is_found_from_outside() {
        let here = the_fuller_of_two_names_for_the_same as fn() as usize as u64;
        let pid = std::process::id();
        let record = Record {
            pid,
            exact: true,
            accessed: Stack::from_frames([here, 0x10]),
            ..super::super::report::sample_record()
        };
        let stacks = Symbols::new().stacks(&record, &Maps::of(pid));
        let first = &stacks.access[0];
        let name = first.function.as_deref().expect("tests have symbols");
        assert!(name.contains("the_fuller_of_two_names_for_the_same"), "{name}");
        assert!(first.file.as_deref().expect("and lines").ends_with("symbols.rs"), "{first:?}");
        assert!(first.module.is_some() && first.line.is_some() && first.offset.is_some());
        assert_eq!(stacks.access[1], Frame { address: 0xf, ..Frame::default() });
        assert!(stacks.allocated.is_empty() && stacks.freed.is_empty());
    }
}
