//! The table of verdicts, and the marks in the sources.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rows by source, by kind of report.
type Kinds = BTreeMap<String, BTreeMap<String, Row>>;

/// `verdicts.toml`; its own head says what the words mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    libraries: BTreeMap<String, String>,
    optimised: Vec<String>,
    end: Kinds,
    start: Kinds,
    both: Kinds,
    unaligned: Kinds,
    none: BTreeMap<String, Ending>,
}

/// What a report must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) access: Option<String>,
    after: Option<Distance>,
    before: Option<Distance>,
    inside: Option<Distance>,
    pub(crate) size: Option<u64>,
    #[serde(default)]
    pub(crate) other_thread: bool,
    #[serde(default)]
    pub(crate) at_exit: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Distance {
    Exactly(u64),
    Between(u64, u64),
}

impl Row {
    /// The side of the block, and the least and greatest distance; `None` where the table leaves it
    /// open.
    pub(crate) fn place(&self) -> Option<(&'static str, u64, u64)> {
        let sides = [("after", self.after), ("before", self.before), ("inside", self.inside)];
        let (side, distance) = sides.into_iter().find_map(|(side, at)| Some((side, at?)))?;
        Some(match distance {
            Distance::Exactly(at) => (side, at, at),
            Distance::Between(least, most) => (side, least, most),
        })
    }
}

/// How a program ends that granule must not mix with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ending {
    /// The status as a shell shows it.
    pub(crate) exit: i32,
    /// Words that stderr holds.
    pub(crate) stderr: Option<String>,
}

/// Where the guard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Behind the block and its slack.
    End,
    /// Before the block.
    Start,
    /// Behind the block, which has no slack.
    Unaligned,
}

impl Placement {
    pub(crate) const ALL: [Placement; 3] = [Placement::End, Placement::Start, Placement::Unaligned];

    /// The options that ask for it.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Placement::End => &["--end"],
            Placement::Start => &["--start"],
            Placement::Unaligned => &["--align", "1"],
        }
    }
}

/// A report that must come.
pub(crate) struct Verdict {
    pub(crate) placement: Placement,
    pub(crate) kind: String,
    pub(crate) row: Row,
}

/// What is known of a source.
pub(crate) enum Case {
    Crime(Vec<Verdict>),
    NotOurs(Ending),
}

/// A program of the corpus.
pub(crate) struct Program {
    pub(crate) source: String,
    pub(crate) library: Option<String>,
    pub(crate) optimised: bool,
    pub(crate) case: Case,
}

impl Program {
    /// The files that belong to it.
    pub(crate) fn files(&self) -> Vec<&str> {
        [Some(self.source.as_str()), self.library.as_deref()].into_iter().flatten().collect()
    }

    /// Where `word` is marked in its files: file names and line numbers.
    pub(crate) fn marks(&self, word: &str) -> Vec<(String, u32)> {
        let mut marks = Vec::new();
        for file in self.files() {
            let text = fs::read_to_string(folder().join(file)).expect("a source can be read");
            for (number, line) in (1..).zip(text.lines()) {
                let comment = line.rsplit_once("// ").map_or("", |(_, comment)| comment);
                if comment.split(", ").any(|mark| mark == word) {
                    marks.push((file.to_string(), number));
                }
            }
        }
        marks
    }
}

/// Where the corpus is.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/crimes")
}

/// All programs of the table.
pub(crate) fn programs() -> Vec<Program> {
    let text = fs::read_to_string(folder().join("verdicts.toml")).expect("the verdicts are there");
    let table: Table = toml::from_str(&text).expect("the verdicts can be read");
    let mut cases: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
    let sections: [(_, &[_]); 4] = [
        (&table.end, &[Placement::End]),
        (&table.start, &[Placement::Start]),
        (&table.both, &[Placement::End, Placement::Start]),
        (&table.unaligned, &[Placement::Unaligned]),
    ];
    for (kinds, placements) in sections {
        for (kind, rows) in kinds {
            for (source, row) in rows {
                let verdicts = placements.iter().map(|&placement| Verdict {
                    placement,
                    kind: kind.clone(),
                    row: row.clone(),
                });
                cases.entry(source.clone()).or_default().extend(verdicts);
            }
        }
    }
    let crimes = cases.into_iter().map(|(source, verdicts)| (source, Case::Crime(verdicts)));
    let others = table.none.into_iter().map(|(source, ending)| (source, Case::NotOurs(ending)));
    crimes
        .chain(others)
        .map(|(source, case)| Program {
            library: table.libraries.get(&source).cloned(),
            optimised: table.optimised.contains(&source),
            source,
            case,
        })
        .collect()
}
