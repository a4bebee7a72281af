//! The report for people: headline, stacks, picture, advice. Calm and short.
#![forbid(unsafe_code)]

use super::Finding;
use super::fold::{self, Line};
use super::headline::{advice, headline};
use super::picture;
use crate::stomp::symbols::Frame;
use crate::style::{Ink, Style};
use granule::stomp::record::{Access, Kind, Record};
use std::path::PathBuf;

/// Function names are padded to the longest of a stack, up to this.
const FUNCTION_COLUMNS: usize = 32;
/// Longer function names (templates) are cut.
const FUNCTION_LEN_MAX: usize = 96;
/// Columns of a quoted source line.
const QUOTE_COLUMNS: usize = 100;

/// The whole report, with an empty line before and after.
pub(crate) fn render(finding: &Finding<'_>, style: Style, full_stacks: bool) -> String {
    let record = finding.record;
    let render = Render { finding, style, full_stacks };
    let mut text = format!("\ngranule: {}\n", style.paint(Ink::Red, headline(finding)));
    // What the sweep at exit finds was not done by whoever ends the program.
    if !record.at_exit {
        text += &render.stack(access_label(record), record.tid, &finding.stacks.access, true);
    }
    if let Some(block) = &record.block {
        if block.freed_tid != 0 {
            text += &render.stack("freed by", block.freed_tid, &finding.stacks.freed, false);
        }
        let allocated = &finding.stacks.allocated;
        text += &render.stack("allocated by", block.allocated_tid, allocated, false);
        text += "\n";
        text += &picture::draw(record, block, style);
    } else {
        text += &format!("\n  address {:#x}\n", record.address);
    }
    if let Some(advice) = advice(record) {
        text += &format!("  {}\n", style.paint(Ink::Bold, advice));
    }
    text + "\n"
}

fn access_label(record: &Record) -> &'static str {
    match (record.kind, record.access) {
        (Kind::DoubleFree, _) => "freed again by",
        (Kind::InvalidFree, _) => "freed by",
        (Kind::SlackOverwrite, _) => "found by",
        (_, Some(Access::Read)) => "read by",
        (_, Some(Access::Write)) => "written by",
        (_, None) => "touched by",
    }
}

struct Render<'a> {
    finding: &'a Finding<'a>,
    style: Style,
    full_stacks: bool,
}

impl Render<'_> {
    /// A heading and the frames; the source line under the first frame of the program if `quoted`.
    fn stack(&self, label: &str, tid: u32, frames: &[Frame], quoted: bool) -> String {
        let heading = format!("{label} {}", self.thread(tid));
        let mut text = format!("\n  {}\n", self.style.paint(Ink::Bold, heading));
        let lines = if self.full_stacks { fold::unfolded(frames) } else { fold::folded(frames) };
        if lines.is_empty() {
            text += "    (its stack is not known)\n";
        }
        let width = lines.iter().filter_map(name_len).max().unwrap_or(0).min(FUNCTION_COLUMNS);
        let mut to_quote = quoted;
        for line in &lines {
            match line {
                Line::Folded(count, whose) => {
                    let fold = format!("... {count} frames of {whose}");
                    text += &format!("    {}\n", self.style.paint(Ink::Dim, fold));
                }
                Line::Other(frame, whose) if !self.full_stacks => {
                    let name = frame.function.as_deref().map_or_else(|| "?".to_owned(), cut);
                    text += &format!("    {name:width$}  in {whose}\n");
                }
                Line::Other(frame, _) => text += &format!("    {}\n", frame_line(frame, width)),
                Line::Own(frame) => {
                    text += &format!("    {}\n", frame_line(frame, width));
                    if std::mem::take(&mut to_quote) {
                        text += &self.quote(frame).unwrap_or_default();
                    }
                }
            }
        }
        text
    }

    /// `thread 72 "worker"`, with the process where it is another number.
    fn thread(&self, tid: u32) -> String {
        let mut text = format!("thread {tid}");
        if let Some(name) = self.finding.threads.get(&tid) {
            text += &format!(" \"{}\"", name.escape_default());
        }
        let pid = self.finding.record.pid;
        if tid == self.finding.record.tid && tid != pid {
            text += &format!(" of process {pid}");
        }
        text
    }

    /// The line of source, if the file is there.
    fn quote(&self, frame: &Frame) -> Option<String> {
        let number = frame.line?;
        let source = std::fs::read(frame.file.as_deref()?).ok()?;
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let line = String::from_utf8_lossy(source.split(|&byte| byte == b'\n').nth(index)?);
        let column = frame.column.map_or(0, |column| usize::from(column).saturating_sub(1));
        let line = excerpt(&line, column);
        let margin = self.style.paint(Ink::Dim, format!("{number} |"));
        Some(format!("      {margin} {}\n", self.style.paint(Ink::Bold, line)))
    }
}

/// The line without its indent; of a long one what lies around `column`, counted from 0.
fn excerpt(line: &str, column: usize) -> String {
    let trimmed = line.trim_start();
    let indent = line.chars().count() - trimmed.chars().count();
    let characters: Vec<char> = trimmed.trim_end().replace('\t', " ").chars().collect();
    let last_start = characters.len().saturating_sub(QUOTE_COLUMNS);
    let start = column.saturating_sub(indent + QUOTE_COLUMNS / 2).min(last_start);
    let end = characters.len().min(start + QUOTE_COLUMNS);
    let before = if start > 0 { "..." } else { "" };
    let after = if end < characters.len() { "..." } else { "" };
    format!("{before}{}{after}", characters[start..end].iter().collect::<String>())
}

fn name_len(line: &Line<'_>) -> Option<usize> {
    match line {
        Line::Own(frame) | Line::Other(frame, _) => {
            frame.function.as_deref().map(|name| name.chars().count())
        }
        Line::Folded(..) => None,
    }
}

/// `function  file:line:column`, or as much of it as is known.
fn frame_line(frame: &Frame, width: usize) -> String {
    let place = match (&frame.file, &frame.module) {
        (Some(file), _) => Some(source_place(file, frame)),
        (None, Some(module)) => Some(format!("{module}+{:#x}", frame.offset.unwrap_or_default())),
        (None, None) => None,
    };
    match (&frame.function, place) {
        (Some(function), Some(place)) => format!("{:width$}  {place}", cut(function)),
        (Some(function), None) => cut(function),
        (None, Some(place)) => place,
        (None, None) => format!("{:#x}", frame.address),
    }
}

fn source_place(file: &str, frame: &Frame) -> String {
    let mut path = PathBuf::from(file);
    if file.contains("/../")
        && let Ok(straight) = path.canonicalize()
    {
        path = straight;
    }
    // Below the root directory everything is; there the path stays whole.
    let here = std::env::current_dir().ok().filter(|here| here.parent().is_some());
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    let mut text = below.unwrap_or(&path).display().to_string();
    if let Some(line) = frame.line {
        text += &format!(":{line}");
        if let Some(column) = frame.column {
            text += &format!(":{column}");
        }
    }
    text
}

fn cut(function: &str) -> String {
    match function.char_indices().nth(FUNCTION_LEN_MAX) {
        Some((end, _)) => format!("{}...", &function[..end]),
        None => function.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::headline::tests::{freed, record};
    use super::*;
    use crate::stomp::symbols::Stacks;
    use granule::stomp::record::Side;
    use std::collections::HashMap;

    const PLAIN: Style = Style { color: false, unicode: false };

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame {
            function: Some(function.to_owned()),
            file: Some(file.to_owned()),
            line: Some(line),
            ..Frame::default()
        }
    }

    #[test]
    fn a_report_has_headline_stacks_picture_in_this_order() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stomp/report/text.rs");
        let stacks = Stacks {
            access: vec![frame("store", own, 1), frame("main", "/no/such/main.c", 9)],
            allocated: vec![Frame { function: Some("make".to_owned()), ..Frame::default() }],
            freed: vec![],
        };
        let record = freed(record(Kind::UseAfterFree, Side::Inside, 3));
        let threads = HashMap::from([(72, "worker".to_owned())]);
        let finding = Finding { record: &record, stacks: &stacks, place: String::new(), threads };
        let text = render(&finding, PLAIN, false);
        let parts = [
            "\ngranule: use-after-free: write, 3 bytes inside a freed 48-byte block\n",
            "\n  written by thread 72 \"worker\" of process 71\n    store  ",
            "text.rs:1\n      1 | //! The report for people",
            "\n    main   /no/such/main.c:9\n",
            "\n  freed by thread 72",
            "    (its stack is not known)\n",
            "\n  allocated by thread 71\n    make\n",
            "\n  |XXXXXXX|",
            "freed block, 48 bytes at 0x7f0000000fd0",
        ];
        let mut rest = text.as_str();
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} in order in {text}"));
            rest = &rest[at + part.len()..];
        }
        assert!(!text.contains('\x1b'), "no colour was asked for");
    }

    #[test]
    fn long_lines_are_quoted_around_the_column() {
        assert_eq!(excerpt("\t a =\tb; ", 3), "a = b;");
        let long = format!("    {}@{}", "x".repeat(300), "y".repeat(300));
        assert_eq!(excerpt(&long, 0), format!("{}...", "x".repeat(100)));
        let around = format!("...{}@{}...", "x".repeat(50), "y".repeat(49));
        assert_eq!(excerpt(&long, 304), around);
        assert_eq!(excerpt(&long, 9999), format!("...{}", "y".repeat(100)));
    }

    #[test]
    fn damage_found_at_exit_has_no_stack_of_its_finding() {
        let stacks = Stacks { access: vec![frame("exit", "/e.c", 1)], ..Stacks::default() };
        let mut record = record(Kind::SlackOverwrite, Side::After, 1);
        for at_exit in [false, true] {
            record.at_exit = at_exit;
            let threads = HashMap::new();
            let place = String::new();
            let finding = Finding { record: &record, stacks: &stacks, place, threads };
            let text = render(&finding, PLAIN, false);
            assert_eq!(text.contains("found by"), !at_exit, "{text}");
            assert!(text.contains("allocated by"), "{text}");
        }
    }

    #[test]
    fn as_much_of_a_frame_as_is_known() {
        let mut bare = Frame { address: 0x1234, ..Frame::default() };
        assert_eq!(frame_line(&bare, 0), "0x1234");
        bare.module = Some("/bin/x".to_owned());
        bare.offset = Some(0x34);
        assert_eq!(frame_line(&bare, 0), "/bin/x+0x34");
        bare.function = Some("f".to_owned());
        assert_eq!(frame_line(&bare, 3), "f    /bin/x+0x34");
        bare.file = Some("/a/b.c".to_owned());
        (bare.line, bare.column) = (Some(7), Some(9));
        assert_eq!(frame_line(&bare, 3), "f    /a/b.c:7:9");
        let long = frame(&"t".repeat(200), "/a", 1);
        assert!(frame_line(&long, 0).contains("t...  /a:1"));
    }
}
