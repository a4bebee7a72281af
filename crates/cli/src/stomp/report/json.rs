//! The report for programs: one JSON object a line.
#![forbid(unsafe_code)]

use super::Finding;
use crate::exit_code::Failure;
use crate::stomp::symbols::Frame;
use granule::stomp::record::{Access, Side};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The version of the form below; it grows when a key changes its meaning or goes away.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct JsonReport<'a> {
    version: u32,
    kind: &'static str,
    access: Option<&'static str>,
    address: String,
    block: Option<JsonBlock>,
    distance: Option<u64>,
    side: Option<&'static str>,
    pid: u32,
    tid: u32,
    at_exit: bool,
    stacks: JsonStacks<'a>,
}

/// Addresses are strings: they do not fit into the numbers of every JSON reader.
#[derive(Serialize)]
struct JsonBlock {
    address: String,
    size: u64,
}

#[derive(Serialize)]
struct JsonStacks<'a> {
    access: Vec<JsonFrame<'a>>,
    allocated: Vec<JsonFrame<'a>>,
    freed: Vec<JsonFrame<'a>>,
}

#[derive(Serialize)]
struct JsonFrame<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    module: Option<&'a str>,
    offset: Option<u64>,
}

/// Where the lines go.
pub(crate) struct JsonLines {
    out: Box<dyn Write>,
}

impl JsonLines {
    /// Opens `path` and empties it; `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(JsonLines { out: Box::new(io::stdout()) });
        }
        let file = File::create(path).map_err(|error| {
            Failure::cannot(format!("the JSON file {} cannot be opened: {error}", path.display()))
        })?;
        Ok(JsonLines { out: Box::new(file) })
    }

    /// Writes one line.
    pub(crate) fn write(&mut self, finding: &Finding<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(&json_report(finding))?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

fn json_report<'a>(finding: &Finding<'a>) -> JsonReport<'a> {
    let record = finding.record;
    let block = record.block.as_ref();
    JsonReport {
        version: VERSION,
        kind: record.kind.word(),
        access: record.access.map(|access| match access {
            Access::Read => "read",
            Access::Write => "write",
        }),
        address: hex(record.address),
        block: block.map(|block| JsonBlock { address: hex(block.address), size: block.size }),
        distance: block.map(|_| record.distance),
        side: block.map(|_| match record.side {
            Side::After => "after",
            Side::Before => "before",
            Side::Inside => "inside",
        }),
        pid: record.pid,
        tid: record.tid,
        at_exit: record.at_exit,
        stacks: JsonStacks {
            access: json_frames(&finding.stacks.access),
            allocated: json_frames(&finding.stacks.allocated),
            freed: json_frames(&finding.stacks.freed),
        },
    }
}

fn json_frames(frames: &[Frame]) -> Vec<JsonFrame<'_>> {
    frames.iter().map(JsonFrame::from).collect()
}

impl<'a> From<&'a Frame> for JsonFrame<'a> {
    fn from(frame: &'a Frame) -> Self {
        JsonFrame {
            function: frame.function.as_deref(),
            file: frame.file.as_deref(),
            line: frame.line,
            module: frame.module.as_deref(),
            offset: frame.offset,
        }
    }
}

fn hex(address: u64) -> String {
    format!("{address:#x}")
}

#[cfg(test)]
mod tests {
    use super::super::headline::tests::record;
    use super::*;
    use crate::stomp::symbols::Stacks;
    use granule::stomp::record::{Kind, Record};
    use serde_json::{Value, json};

    fn value(record: &Record, stacks: &Stacks) -> Value {
        let finding = Finding { record, stacks, place: String::new(), threads: Default::default() };
        serde_json::to_value(json_report(&finding)).expect("plain data")
    }

    #[test]
    fn the_shape() {
        let frame = Frame {
            address: 0x5555_0000_1111,
            function: Some("close_text".to_owned()),
            file: Some("/a/demo.c".to_owned()),
            line: Some(7),
            column: Some(3),
            module: Some("/a/demo".to_owned()),
            offset: Some(0x1111),
        };
        let stacks = Stacks {
            access: vec![frame],
            allocated: vec![Frame { address: 1, ..Frame::default() }],
            freed: vec![],
        };
        let nothing = json!({"function": null, "file": null, "line": null, "module": null,
            "offset": null});
        let expected = json!({
            "version": 1, "kind": "overflow", "access": "write", "address": "0x7f0000001003",
            "block": {"address": "0x7f0000000fd0", "size": 48}, "distance": 3, "side": "after",
            "pid": 71, "tid": 72, "at_exit": false,
            "stacks": {
                "access": [{"function": "close_text", "file": "/a/demo.c", "line": 7,
                    "module": "/a/demo", "offset": 0x1111}],
                "allocated": [nothing],
                "freed": [],
            },
        });
        assert_eq!(value(&record(Kind::Overflow, Side::After, 3), &stacks), expected);
    }

    #[test]
    fn what_is_not_known_is_null() {
        let mut free = record(Kind::InvalidFree, Side::Inside, 0);
        (free.block, free.access) = (None, None);
        let value = value(&free, &Stacks::default());
        for key in ["access", "block", "distance", "side"] {
            assert!(value[key].is_null(), "{key}");
        }
    }
}
