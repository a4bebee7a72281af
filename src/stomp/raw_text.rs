//! Floor 4. The report when no supervisor listens: plain text to standard error, without names.

use super::record::{Access, Notice, Record, Side, Stack};
use crate::ds::text::Text;
use crate::sys;
use core::fmt;

fn print(arguments: fmt::Arguments<'_>) {
    sys::write_error(Text::of(arguments).as_bytes());
}

/// Prints a broken invariant of our own.
pub(crate) fn broken(info: &core::panic::PanicInfo<'_>) {
    print(format_args!("granule: the finder itself is broken, please report it: {info}\n"));
}

/// Prints a crime.
pub(crate) fn report(record: &Record) {
    let access = match record.access {
        Some(Access::Read) => " (read)",
        Some(Access::Write) => " (write)",
        None => "",
    };
    let kind = record.kind.word();
    print(format_args!(
        "granule: {kind}{access} at {:#x}, thread {}\n",
        record.address, record.tid
    ));
    if let Some(block) = record.block {
        let side = match record.side {
            Side::After => "bytes after",
            Side::Before => "bytes before",
            Side::Inside => "bytes inside",
        };
        let (distance, size, start) = (record.distance, block.size, block.address);
        print(format_args!("  {distance} {side} the {size}-byte block at {start:#x}\n"));
    }
    stack("access", &record.accessed);
    stack("freed", &record.freed);
    stack("allocated", &record.allocated);
    print(format_args!("  for names and lines, run it under: granule stomp -- PROGRAM\n"));
}

fn stack(title: &str, stack: &Stack) {
    if stack.frames().is_empty() {
        return;
    }
    print(format_args!("  {title}:\n"));
    for &frame in stack.frames() {
        print_frame(frame);
    }
}

/// A frame as `module+offset`, which symbolising tools take.
fn print_frame(frame: u64) {
    let mut name = [0u8; 512];
    let file = sys::file_at(frame as usize, &mut name).map(|len| &name[..len]);
    let file = file.and_then(|file| core::str::from_utf8(file).ok());
    match (file, sys::module_offset(frame)) {
        (Some(file), Some(offset)) => print(format_args!("    {file}+{offset:#x}\n")),
        _ => print(format_args!("    {frame:#x}\n")),
    }
}

/// Prints a sentence.
pub(crate) fn notice(notice: Notice, [one, two]: [u64; 2]) {
    match notice {
        Notice::SplitGuards => print(format_args!(
            "granule: guards are made by protection changes: slower, and at most half of the \
             {one} mappings (vm.max_map_count)\n"
        )),
        Notice::GuardingStops => print(format_args!(
            "granule: {one} live blocks use up the guards that {two} mappings allow; blocks beyond \
             are not guarded: raise vm.max_map_count\n"
        )),
        Notice::GuardedOf => print(format_args!("granule: guarded {one} of {two} blocks\n")),
        Notice::OwnAllocator => {
            print(format_args!("granule: the program brings its own malloc: nothing is guarded\n"))
        }
        Notice::NoRegion => print(format_args!(
            "granule: cannot reserve address space (os error {one}): raise `ulimit -v`\n"
        )),
        Notice::OutOfMemory => {
            print(format_args!(
                "granule: no memory for a block of {one} bytes: malloc gives null\n"
            ));
        }
        Notice::FreedNotHidden => print(format_args!(
            "granule: a freed block could not be made inaccessible (os error {one})\n"
        )),
    }
}
