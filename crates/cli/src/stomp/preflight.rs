//! Looks at a program before it is run: what cannot be guarded is said in a sentence, not in a crash.
#![forbid(unsafe_code)]
use crate::exit_code::Failure;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A program that can be run.
#[derive(Debug)]
pub(crate) struct Program {
    /// The file to execute.
    pub(crate) path: PathBuf,
    /// Its name as the user gave it.
    pub(crate) name: OsString,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// What the user may want to know.
    pub(crate) notes: Vec<String>,
}

pub(crate) fn check(name: &OsStr, arguments: &[OsString]) -> Result<Program, Failure> {
    Ok(Program {
        path: name.into(),
        name: name.into(),
        arguments: arguments.to_vec(),
        notes: vec![],
    })
}
