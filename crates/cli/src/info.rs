//! `granule info`: what this machine offers, and what each fact means for the user.
#![forbid(unsafe_code)]

use crate::args::InfoArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::layers;
use crate::stomp::{LibraryPlace, library_place};
use granule::stomp::split_guards_max;
use granule::vm::{GuardKind, HugePages, Info};
use granule::win32::GetSystemInfo;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
/// Columns before the facts.
const NAME_COLUMNS: usize = 20;
/// Columns of the whole.
const COLUMNS: usize = 80;

/// The facts as `--json` prints them: one object, lengths in bytes, addresses as strings.
#[derive(Serialize)]
struct Facts<'a> {
    version: u32,
    page_len: usize,
    granularity: usize,
    guard: &'static str,
    guard_markers: bool,
    mappings_max: usize,
    split_guards_max: usize,
    overcommit: u8,
    huge_page_len: usize,
    huge_pages: &'static str,
    memory_len: usize,
    address_min: String,
    address_max: String,
    processors: usize,
    /// As in `wProcessorArchitecture`: 9 is x86-64, 12 is AArch64.
    processor_architecture: u16,
    /// "file", "memory" or "nowhere".
    library: &'static str,
    library_file: Option<&'a str>,
}

/// Prints the facts.
///
/// # Errors
/// When standard output cannot be written, other than because its reader has gone.
pub(crate) fn run(arguments: &InfoArguments) -> Result<ExitCode, Failure> {
    let info = granule::vm::info();
    let library = library_place();
    let text = if arguments.layers {
        layers::picture(&info).map_err(|error| Failure::cannot(error.to_string()))?
    } else if arguments.json {
        let facts = facts(&info, &library);
        serde_json::to_string(&facts)
            .map_err(|error| Failure::cannot(format!("the facts are no JSON: {error}")))?
            + "\n"
    } else {
        sentences(&info, &library)
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(ExitCode::Success),
    }
}

fn facts<'a>(info: &Info, library: &'a LibraryPlace) -> Facts<'a> {
    Facts {
        version: 1,
        page_len: info.page_len,
        granularity: info.granularity,
        guard: match info.guard {
            GuardKind::Marker => "marker",
            GuardKind::Split => "split",
        },
        guard_markers: info.guard_markers,
        mappings_max: info.mappings_max,
        split_guards_max: split_guards_max(info.mappings_max),
        overcommit: info.overcommit,
        huge_page_len: info.huge_page_len,
        huge_pages: match info.huge_pages {
            HugePages::Always => "always",
            HugePages::OnRequest => "on request",
            HugePages::Never => "never",
        },
        memory_len: info.memory_len,
        address_min: format!("{:#x}", info.address_min),
        address_max: format!("{:#x}", info.address_max),
        processors: processors(),
        processor_architecture: GetSystemInfo().wProcessorArchitecture,
        library: match library {
            LibraryPlace::File(_) => "file",
            LibraryPlace::Memory(_) => "memory",
            LibraryPlace::Nowhere(_) => "nowhere",
        },
        library_file: match library {
            LibraryPlace::File(path) => Some(path),
            _ => None,
        },
    }
}
fn sentences(info: &Info, library: &LibraryPlace) -> String {
    let rows = [
        ("GetSystemInfo", system_info()),
        ("page", page(info)),
        ("granularity", granularity(info)),
        ("guards", guards(info)),
        ("mappings", mappings(info)),
        ("overcommit", overcommit(info)),
        ("huge pages", huge_pages(info)),
        ("memory", memory(info)),
        ("addresses", addresses(info)),
        ("preload library", preload_library(library)),
    ];
    rows.iter().map(|(name, sentence)| row(name, sentence)).collect()
}

/// The fields with the names that Windows gives them.
fn system_info() -> String {
    let told = GetSystemInfo();
    format!(
        "dwPageSize {}, dwAllocationGranularity {:#x}, lpMinimumApplicationAddress {:#x}, \
         lpMaximumApplicationAddress {:#x}, dwNumberOfProcessors {}, wProcessorArchitecture {}.",
        told.dwPageSize,
        told.dwAllocationGranularity,
        told.lpMinimumApplicationAddress.addr(),
        told.lpMaximumApplicationAddress.addr(),
        processors(),
        told.wProcessorArchitecture
    )
}

/// How many processors this process may use; 0 when unknown.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn page(info: &Info) -> String {
    format!(
        "{}. The smallest piece of memory with access rights of its own; every block that \
         `granule stomp` guards takes at least one.",
        size(info.page_len)
    )
}

fn granularity(info: &Info) -> String {
    format!(
        "{}. Every reservation starts at a multiple of it, here as on Windows; a smaller one \
         wastes addresses, not memory.",
        size(info.granularity)
    )
}

fn guards(info: &Info) -> String {
    match (info.guard_markers, info.guard) {
        (true, GuardKind::Marker) => {
            "markers in the page table. A guard costs no mapping: millions \
             of blocks can be guarded at a time."
                .to_owned()
        }
        (true, GuardKind::Split) => {
            "split mappings, because GRANULE_GUARD=split forces them; this \
             kernel has markers, which are faster and have no limit."
                .to_owned()
        }
        (false, _) => format!(
            "split mappings: this kernel has no guard markers (Linux has them from 6.13 on). Every \
             guard costs mappings, so that about {} blocks can be guarded at a time.",
            split_guards_max(info.mappings_max)
        ),
    }
}

fn mappings(info: &Info) -> String {
    if info.mappings_max == 0 {
        return "the limit is not known (vm.max_map_count cannot be read).".to_owned();
    }
    format!(
        "at most {} in a process (vm.max_map_count). With split guards that is about {} guarded \
         blocks; more after `sysctl vm.max_map_count=1048576`.",
        info.mappings_max,
        split_guards_max(info.mappings_max)
    )
}

fn overcommit(info: &Info) -> String {
    match info.overcommit {
        0 => "heuristic (vm.overcommit_memory is 0). Large reservations succeed; a single commit \
             fails when it is obviously too large."
            .to_owned(),
        1 => {
            "always (vm.overcommit_memory is 1). Commits never fail; a promise that cannot be kept \
             ends in the out-of-memory killer."
                .to_owned()
        }
        2 => "never (vm.overcommit_memory is 2). A commit that cannot be kept fails at the call; \
             under `granule stomp` that comes sooner, because every block takes a page."
            .to_owned(),
        other => format!("mode {other}, which this granule does not know."),
    }
}

fn huge_pages(info: &Info) -> String {
    let policy = match info.huge_pages {
        HugePages::Always => "used wherever they fit",
        HugePages::OnRequest => "used where a program asks for them",
        HugePages::Never => {
            return "never used: large arrays cost a page table entry per page.".to_owned();
        }
    };
    format!(
        "{}, {policy}. They make large arrays faster; guarded blocks never use them.",
        size(info.huge_page_len)
    )
}

fn memory(info: &Info) -> String {
    if info.memory_len == 0 {
        return "its size is not known.".to_owned();
    }
    format!(
        "{}. Enough for about {:.1} million live guarded blocks of up to a page.",
        size(info.memory_len),
        (info.memory_len / info.page_len) as f64 / 1e6
    )
}

fn addresses(info: &Info) -> String {
    format!(
        "{:#x} to {:#x}: {} to reserve from. Addresses are plenty where memory is not.",
        info.address_min,
        info.address_max,
        size(info.address_max - info.address_min)
    )
}

fn preload_library(library: &LibraryPlace) -> String {
    match library {
        LibraryPlace::File(path) => {
            format!("{path}. `granule stomp` carries it inside and puts it there.")
        }
        LibraryPlace::Memory(why) => format!(
            "a memory file of `granule stomp`, which carries it inside. The cache directory cannot \
             be used: {why}."
        ),
        LibraryPlace::Nowhere(why) => format!("none: {why}."),
    }
}

/// "4 KiB", "23.4 GiB".
pub(crate) fn size(len: usize) -> String {
    let mut value = len as f64;
    let mut unit = "bytes";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let text = format!("{value:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// The name in its column, the words beside it, broken before the last column.
fn row(name: &str, sentence: &str) -> String {
    let mut text = format!("{name:NAME_COLUMNS$}");
    let mut column = NAME_COLUMNS;
    for word in sentence.split_whitespace() {
        if column > NAME_COLUMNS && column + 1 + word.len() > COLUMNS {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{:NAME_COLUMNS$}", "");
            column = NAME_COLUMNS;
        } else if column > NAME_COLUMNS {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_in_words_and_in_json() {
        let info = granule::vm::info();
        let text = sentences(&info, &LibraryPlace::File("/cache/library.so".to_owned()));
        assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
        assert!(text.contains("\npage                4 KiB") || info.page_len != 4096, "{text}");
        assert!(text.contains(&format!("dwPageSize {}", info.page_len)), "{text}");
        let nowhere = LibraryPlace::Nowhere("not Linux".to_owned());
        let facts = facts(&info, &nowhere);
        let json = serde_json::to_value(&facts).expect("plain data");
        assert_eq!(json["page_len"], info.page_len);
        assert_eq!(json["guard_markers"], info.guard_markers);
        assert_eq!(json["library"], "nowhere");
        assert!(json["library_file"].is_null());
    }

    #[test]
    fn every_guard_has_its_sentence() {
        let mut info = granule::vm::info();
        (info.guard, info.guard_markers) = (GuardKind::Marker, true);
        assert!(guards(&info).starts_with("markers"));
        info.guard = GuardKind::Split;
        assert!(guards(&info).contains("GRANULE_GUARD"));
        (info.guard_markers, info.mappings_max) = (false, 65_530);
        assert!(guards(&info).contains("about 30717 blocks"), "{}", guards(&info));
    }

    #[test]
    fn sizes_and_rows() {
        assert_eq!(size(100), "100 bytes");
        assert_eq!(size(4096), "4 KiB");
        assert_eq!(size(3 << 29), "1.5 GiB");
        let long = row("name", &"word ".repeat(40));
        assert!(long.lines().count() > 2);
        assert!(long.lines().all(|line| line.len() <= COLUMNS && line.ends_with("word")));
    }
}
