//! What can go wrong with a sort of a file.

use std::cmp::Ordering;
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
    /// Somebody else has changed the file while it was sorted, or its disk has lost a part of it.
    /// What became of its elements: see [`sort_file_in_place`](crate::sort_file_in_place).
    Changed {
        /// The file.
        path: PathBuf,
        /// Its bytes at the start.
        before: u64,
        /// Its bytes now; as many as before, if only its content is another.
        now: u64,
    },
    /// The file has another length than when the sort died that has left the journal. Nothing was
    /// put back.
    Resized {
        /// The file.
        path: PathBuf,
        /// The journal, which stays.
        journal: PathBuf,
        /// Bytes of the file when it was sorted.
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
            Error::Changed { path, before, now } => changed(out, path, *before, *now),
            Error::Resized { path, journal, before, now } => write!(
                out,
                "{} has {now} bytes, and had {before} when a sort of it died, whose journal is {}: \
                 make it {before} bytes long again and recover it, or remove the journal, and the \
                 elements in it",
                path.display(),
                journal.display()
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

fn changed(out: &mut fmt::Formatter<'_>, path: &Path, before: u64, now: u64) -> fmt::Result {
    let path = path.display();
    match now.cmp(&before) {
        Ordering::Less => write!(
            out,
            "{path} was made shorter by somebody else while it was sorted: {before} bytes before, \
             {now} now. What lay behind offset {now} is lost; the rest has no order"
        ),
        Ordering::Equal => write!(
            out,
            "{path} was changed by somebody else while it was sorted, or its disk has failed: some \
             of its {now} bytes may be lost, and it has no order"
        ),
        Ordering::Greater => write!(
            out,
            "{path} was made longer by somebody else while it was sorted: what lies behind offset \
             {before} was left as it is"
        ),
    }?;
    out.write_str("; keep others away from it and sort it again")
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
