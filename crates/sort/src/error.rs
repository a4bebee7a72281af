//! What can go wrong with a sort of a file.

use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// Somebody else has written to the file while it was sorted, or can have. It is as long as
    /// before, and has its elements, but for those that were written over.
    Written {
        /// The file.
        path: PathBuf,
        /// How it is known.
        evidence: Evidence,
    },
    /// Somebody else has waited for the file, and the sort has stopped for him before the system
    /// lets him in. The file is in some order.
    Wanted {
        /// The file.
        path: PathBuf,
        /// How long he has waited.
        waited: Duration,
    },
    /// Somebody else has the file open. Nothing was done.
    InUse {
        /// The file.
        path: PathBuf,
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

/// How it is known that somebody else has written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The system has told of a call: write, truncate, or the like.
    Call,
    /// The elements are not those that were there before.
    Elements,
    /// They are not in order although all were sorted: from this offset on.
    Order {
        /// Where the first element begins that comes before the one in front of it.
        offset: u64,
    },
    /// The process was stopped for so long that the system has let in who waited: he can have
    /// written.
    LeaseLost,
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
            Error::Written { path, evidence } => written(out, path, *evidence),
            Error::Wanted { path, waited } => write!(
                out,
                "stopped, because another program has waited for {} for {:.1} s; it has all of its \
                 elements, in no order; sort it again when nobody else needs it",
                path.display(),
                waited.as_secs_f64()
            ),
            Error::InUse { path } => write!(
                out,
                "another program has {} open, and can write to it; nothing was done; close it \
                 there, and sort it again",
                path.display()
            ),
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

fn written(out: &mut fmt::Formatter<'_>, path: &Path, evidence: Evidence) -> fmt::Result {
    let path = path.display();
    match evidence {
        Evidence::Call => write!(out, "another program has written to {path} while it was sorted"),
        Evidence::Elements => {
            write!(
                out,
                "{path} has other elements than before it was sorted: another program has \
                         written to it meanwhile, or its disk has failed"
            )
        }
        Evidence::Order { offset } => {
            write!(
                out,
                "another program has written to {path} while it was sorted: from offset \
                         {offset} on it has another order than it was brought into"
            )
        }
        Evidence::LeaseLost => {
            write!(
                out,
                "this process was stopped while it sorted {path}, for longer than the \
                         system lets others wait: they can have written to it"
            )
        }
    }?;
    out.write_str(
        "; it has all of its elements but what was written over; look whether these matter, and \
         sort it again when no other program has it open",
    )
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
