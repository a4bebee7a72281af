//! The command line of the measuring verbs.

use crate::{Result, USAGE};
use std::time::Duration;

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    /// Measured runs of everything; what is slow gets fewer.
    pub(crate) rounds: usize,
    /// How long one run may take before it is killed.
    pub(crate) timeout: Duration,
    /// Only these programs; all if empty.
    only: Vec<String>,
    /// Only these tools, or peers; all if empty.
    tools: Vec<String>,
    /// The library of our own malloc, if it is not where it is made.
    pub(crate) ours: Option<String>,
    /// How much work the programs get: `small` or `full`.
    pub(crate) scale: String,
    /// The name of the result files.
    pub(crate) name: Option<String>,
}

impl Flags {
    /// Reads the words behind the verb; `rounds` unless they say how many.
    pub(crate) fn parse(words: &[String], rounds: usize) -> Result<Self> {
        let mut flags = Flags {
            rounds,
            timeout: Duration::from_secs(180),
            only: Vec::new(),
            tools: Vec::new(),
            ours: None,
            scale: "full".to_string(),
            name: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or(USAGE)?;
            match word.as_str() {
                "--rounds" => flags.rounds = value.parse::<usize>()?.max(1),
                "--timeout" => flags.timeout = Duration::from_secs(value.parse()?),
                "--only" => flags.only.push(value.clone()),
                "--ours" => flags.ours = Some(value.clone()),
                "--tools" | "--peers" => flags.tools.extend(value.split(',').map(String::from)),
                "--scale" => flags.scale.clone_from(value),
                "--name" => flags.name = Some(value.clone()),
                _ => return Err(format!("unknown option {word}\n{USAGE}").into()),
            }
        }
        Ok(flags)
    }

    /// Whether a program was asked for.
    pub(crate) fn wants_program(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Whether a tool was asked for.
    pub(crate) fn wants_tool(&self, name: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|tool| tool == name)
    }

    /// An error if a tool was asked for that is none of these.
    pub(crate) fn refuse_other_tools(&self, names: &[&str]) -> Result<()> {
        match self.tools.iter().find(|tool| !names.contains(&tool.as_str())) {
            Some(tool) => Err(format!("{tool:?} is none of {}", names.join(", ")).into()),
            None => Ok(()),
        }
    }

    /// The name for the result files: the one that was given, `whole` for a complete run, none
    /// for a part.
    pub(crate) fn result_name(&self, whole: &str) -> Option<String> {
        let is_whole = self.only.is_empty() && self.tools.is_empty();
        self.name.clone().or_else(|| is_whole.then(|| whole.to_string()))
    }
}
