//! What has to be true of files before they are sorted, with a sentence for what is not.
#![forbid(unsafe_code)]

use crate::exit_code::Failure;
use granule_sort::external::names_of;
use granule_sort::{Error, open_to_sort};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The file that a path leads to, through symbolic links: that one is sorted, and they stay.
pub(super) fn target_of(path: &Path) -> Result<PathBuf, Failure> {
    let target = path.canonicalize().map_err(|error| cannot("open", path, &error))?;
    let facts = target.metadata().map_err(|error| cannot("open", path, &error))?;
    match facts.is_file() {
        true => Ok(target),
        false => {
            let what = if facts.is_dir() { "a directory" } else { "a device or a pipe" };
            let file = path.display();
            Err(Failure::cannot(format!("{file} is {what}, and only regular files are sorted")))
        }
    }
}

/// Bytes of a file.
pub(super) fn len_of(path: &Path) -> Result<u64, Failure> {
    let facts = path.metadata().map_err(|error| cannot("look at", path, &error))?;
    Ok(facts.len())
}

/// Opens a file that is sorted where it is.
pub(super) fn open_for_writing(path: &Path) -> Result<File, Failure> {
    open_to_sort(path).map_err(|error| match error {
        Error::Io { source, .. } if is_refusal(&source) => Failure::cannot(format!(
            "{} may not be written ({}); --output OUT writes the sorted elements elsewhere",
            path.display(),
            reason(&source)
        )),
        Error::Io { source, .. } => cannot("open", path, &source),
        other => Failure::cannot(other.to_string()),
    })
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Refuses to replace a file that may not be written: renaming would not ask. Warns if a file has
/// other names, which stay with the old content.
pub(super) fn check_target(path: &Path) -> Result<(), Failure> {
    if !path.exists() {
        return Ok(());
    }
    if path.is_file() {
        open_for_writing(path)?;
    }
    let names = names_of(path).map_err(|error| Failure::cannot(error.to_string()))?;
    if names > 1 && path.is_file() {
        eprintln!(
            "granule: warning: {} has {names} names (hard links); this one gets the sorted file, \
             the others keep the old one. --in-place keeps them together",
            path.display()
        );
    }
    Ok(())
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::cannot(format!("cannot {verb} {}: {}", path.display(), reason(error)))
}

/// What the system said, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((sentence, _)) => sentence.to_lowercase(),
        None => text,
    }
}
