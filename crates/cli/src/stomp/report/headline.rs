//! The first line of a report, and the advice at its end: one function per kind of sentence.
#![forbid(unsafe_code)]

use super::Finding;
use granule::stomp::options::Placement;
use granule::stomp::record::{Access, Block, Kind, Record, Side};

/// What happened, in a line: `overflow: write, 3 bytes after a 48-byte block`.
pub(crate) fn headline(finding: &Finding<'_>) -> String {
    let record = finding.record;
    let rest = match record.kind {
        Kind::Overflow | Kind::Underflow | Kind::UseAfterFree => touched(record),
        Kind::DoubleFree => freed_again(record),
        Kind::InvalidFree => freed_no_block(finding),
        Kind::SlackOverwrite => damaged(record),
    };
    format!("{}: {rest}", record.kind.word())
}

fn touched(record: &Record) -> String {
    let access = match record.access {
        Some(Access::Read) => "read",
        Some(Access::Write) => "write",
        None => "access",
    };
    match &record.block {
        Some(block) => format!("{access}, {} {}", where_from(record), named(block)),
        None => format!("{access}, at {:#x}", record.address),
    }
}

fn freed_again(record: &Record) -> String {
    match &record.block {
        Some(block) => {
            format!("{} {}-byte block is freed a second time", article(block.size), block.size)
        }
        None => format!("{:#x} is freed a second time", record.address),
    }
}

fn freed_no_block(finding: &Finding<'_>) -> String {
    let record = finding.record;
    match &record.block {
        Some(block) => {
            format!("what is freed is no block, it lies {} {}", where_from(record), named(block))
        }
        None => format!("what is freed is no block, it lies {}", finding.place),
    }
}

fn damaged(record: &Record) -> String {
    let when = if record.at_exit { "at the program's end" } else { "when it was freed or resized" };
    format!("{}, found {when}", touched(record))
}

/// "a 48-byte block", "a freed 48-byte block".
fn named(block: &Block) -> String {
    let freed = if block.freed_tid == 0 { article(block.size) } else { "a freed" };
    format!("{freed} {}-byte block", block.size)
}

/// "an" before what is spoken "eight", "eleven" or "eighteen", "a" before any other number.
fn article(number: u64) -> &'static str {
    let leading = |base: u64| {
        let shorter = |&number: &u64| Some(number / base).filter(|&number| number > 0);
        std::iter::successors(Some(number), shorter).last().unwrap_or(number)
    };
    match (leading(10), leading(1000)) {
        (8, _) | (_, 11 | 18) => "an",
        _ => "a",
    }
}

/// "3 bytes after", "right after", "24 bytes inside", "at the start of".
fn where_from(record: &Record) -> String {
    let bytes = counted(record.distance, "byte");
    match (record.side, record.distance) {
        (Side::After, 0) => "right after".to_owned(),
        (Side::After, _) => format!("{bytes} after"),
        (Side::Before, _) => format!("{bytes} before"),
        (Side::Inside, 0) => "at the start of".to_owned(),
        (Side::Inside, _) => format!("{bytes} inside"),
    }
}

/// "1 byte", "2 bytes".
pub(crate) fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// What to do next, where the report alone does not show the guilty line.
pub(crate) fn advice(record: &Record) -> Option<String> {
    if record.kind != Kind::SlackOverwrite {
        return None;
    }
    let option = match (record.side, record.placement) {
        (Side::Before, _) => "--start",
        (_, Placement::End) => "--align 1",
        (_, Placement::Start) => "--end --align 1",
    };
    Some(format!("the write itself was not seen; to catch its line, run again with {option}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::stomp::symbols::Stacks;
    use granule::stomp::record::Stack;

    pub(crate) fn record(kind: Kind, side: Side, distance: u64) -> Record {
        Record {
            kind,
            access: Some(Access::Write),
            pid: 71,
            tid: 72,
            address: 0x7f00_0000_1003,
            side,
            distance,
            block: Some(Block {
                address: 0x7f00_0000_0fd0,
                size: 48,
                pages_address: 0x7f00_0000_0000,
                pages_len: 4096,
                allocated_tid: 71,
                freed_tid: 0,
            }),
            placement: Placement::End,
            exact: true,
            at_exit: false,
            accessed: Stack::EMPTY,
            allocated: Stack::EMPTY,
            freed: Stack::EMPTY,
        }
    }

    pub(crate) fn freed(mut record: Record) -> Record {
        record.block = record.block.map(|block| Block { freed_tid: 72, ..block });
        record
    }

    fn say(record: &Record) -> String {
        let place = "on the stack of the first thread".to_owned();
        let stacks = Stacks::default();
        headline(&Finding { record, stacks: &stacks, place, threads: Default::default() })
    }

    #[test]
    fn touches() {
        let mut overflow = record(Kind::Overflow, Side::After, 3);
        assert_eq!(say(&overflow), "overflow: write, 3 bytes after a 48-byte block");
        overflow.distance = 1;
        assert_eq!(say(&overflow), "overflow: write, 1 byte after a 48-byte block");
        overflow.distance = 0;
        overflow.access = Some(Access::Read);
        assert_eq!(say(&overflow), "overflow: read, right after a 48-byte block");
        overflow.block = None;
        assert_eq!(say(&overflow), "overflow: read, at 0x7f0000001003");
        let underflow = record(Kind::Underflow, Side::Before, 1);
        assert_eq!(say(&underflow), "underflow: write, 1 byte before a 48-byte block");
        let stale = freed(record(Kind::UseAfterFree, Side::Inside, 24));
        assert_eq!(say(&stale), "use-after-free: write, 24 bytes inside a freed 48-byte block");
    }

    #[test]
    fn articles_are_as_spoken() {
        for number in [8, 11, 18, 80, 85, 89, 800, 8192, 11_000, 18_500, 80_000, 11_000_000] {
            assert_eq!(article(number), "an", "{number}");
        }
        for number in [0, 1, 7, 10, 12, 48, 81_u64.pow(2), 110, 118, 180, 1100, 1800, 110_000] {
            assert_eq!(article(number), "a", "{number}");
        }
        let mut record = record(Kind::Overflow, Side::After, 0);
        record.block = record.block.map(|block| Block { size: 80, ..block });
        assert_eq!(say(&record), "overflow: write, right after an 80-byte block");
    }

    #[test]
    fn frees() {
        let double = freed(record(Kind::DoubleFree, Side::Inside, 0));
        assert_eq!(say(&double), "double-free: a 48-byte block is freed a second time");
        let mut invalid = record(Kind::InvalidFree, Side::Inside, 8);
        assert_eq!(
            say(&invalid),
            "invalid-free: what is freed is no block, it lies 8 bytes inside a 48-byte block"
        );
        invalid.block = None;
        assert_eq!(
            say(&invalid),
            "invalid-free: what is freed is no block, it lies on the stack of the first thread"
        );
    }

    #[test]
    fn damage() {
        let mut slack = record(Kind::SlackOverwrite, Side::After, 2);
        assert_eq!(
            say(&slack),
            "slack-overwrite: write, 2 bytes after a 48-byte block, found when it was freed or \
             resized"
        );
        slack.at_exit = true;
        assert!(say(&slack).ends_with("found at the program's end"));
        assert!(advice(&slack).expect("advice").ends_with("--align 1"));
        slack.side = Side::Before;
        assert!(advice(&slack).expect("advice").ends_with("--start"));
        slack.side = Side::After;
        slack.placement = Placement::Start;
        assert!(advice(&slack).expect("advice").ends_with("--end --align 1"));
        assert_eq!(advice(&record(Kind::Overflow, Side::After, 2)), None);
    }
}
