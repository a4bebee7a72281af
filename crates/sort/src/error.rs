//! What can go wrong with a sort of a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file was not sorted. Unless it says otherwise the file has all of its elements.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something about a file.
    Io {
        /// What was tried, as in "cannot open".
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be mapped into memory.
    Map {
        /// The file.
        path: PathBuf,
        /// What granule said.
        source: granule::Error,
    },
    /// The file ends with a part of an element.
    NotWhole {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        len: u64,
        /// Bytes of an element.
        width: usize,
    },
    /// Another sort of this file is running.
    Busy {
        /// Its journal, which is locked.
        journal: PathBuf,
    },
    /// The sort was asked to stop. The file is in some order.
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// Somebody has changed the length of the file while it was sorted.
    Changed {
        /// The file.
        path: PathBuf,
        /// Its bytes at the start.
        before: u64,
        /// Its bytes now.
        now: u64,
    },
    /// A journal lies beside the file and is another file's: this one has taken its name.
    Foreign {
        /// The file.
        path: PathBuf,
        /// The journal.
        journal: PathBuf,
    },
    /// The journal of a sort that died cannot be understood. Some elements may be in it alone.
    Damaged {
        /// The journal.
        journal: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::Io { what, path, source }
    }

    pub(crate) fn map(path: &Path) -> impl FnOnce(granule::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::Map { path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { what, path, source } => write!(out, "{what} {}: {source}", path.display()),
            Error::Map { path, source } => write!(out, "cannot map {}: {source}", path.display()),
            Error::NotWhole { path, len, width } => write!(
                out,
                "{} is no whole number of elements of {width} bytes: {len} bytes, {} too many at \
                 offset {}; check the width",
                path.display(),
                len % *width as u64,
                len - len % *width as u64
            ),
            Error::Busy { journal } => write!(
                out,
                "another sort of this file is running: it holds {}; wait for it",
                journal.display()
            ),
            Error::Stopped { path } => write!(
                out,
                "stopped; {} has all of its elements, in no order; sort it again",
                path.display()
            ),
            Error::Changed { path, before, now } => write!(
                out,
                "{} was changed by somebody else: {before} bytes before, {now} now; keep others \
                 away from it and sort it again",
                path.display()
            ),
            Error::Foreign { path, journal } => write!(
                out,
                "{} belongs to another file than {}, whose sort died; give that file its name back \
                 and recover it, or move the journal away",
                journal.display(),
                path.display()
            ),
            Error::Damaged { journal } => write!(
                out,
                "{} is damaged, and may have elements that are nowhere else; keep it, and take the \
                 file from a copy",
                journal.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Map { source, .. } => Some(source),
            _ => None,
        }
    }
}
