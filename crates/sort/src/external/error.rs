//! Why a file was not sorted.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file was not sorted. The file itself is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something.
    System {
        /// What was tried: `read`, `write` ..
        verb: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There is no room for a copy of the file.
    DiskFull {
        /// The directory that the room was wanted in.
        directory: PathBuf,
        /// The bytes that the whole copy takes.
        wanted: u64,
    },
    /// What is there is no regular file.
    NoFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The file has not a whole number of elements.
    NotWhole {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        len: u64,
        /// Bytes of an element.
        width: usize,
    },
    /// Somebody else wrote to the file meanwhile.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// One line has no room in memory.
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
        /// Bytes that there was room for.
        room: usize,
    },
    /// The elements are so wide that too few have room in memory.
    TooLittleMemory {
        /// Bytes that there may be.
        memory: usize,
        /// Bytes that there must be.
        needed: usize,
    },
    /// The system had no memory for a buffer.
    Memory(granule::Error),
    /// The watch said so.
    Stopped,
}

impl Error {
    /// What the system said while it did `verb` with `path`.
    pub(crate) fn system(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::System { verb, path, source }
    }

    /// The same for writing a copy of `wanted` bytes into `directory`.
    pub(crate) fn writing(directory: &Path, wanted: u64) -> impl FnOnce(io::Error) -> Error {
        let directory = directory.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::DiskFull { directory, wanted }
            }
            _ => Error::System { verb: "write to a new file in", path: directory, source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { verb, path, source } => {
                write!(out, "cannot {verb} {}: {}", path.display(), reason(source))
            }
            Error::DiskFull { directory, wanted } => write!(
                out,
                "the disk is full: sorting needs {wanted} bytes in {}; the file is as it was. \
                 Make room, or name another place with --temp-dir or --output",
                directory.display()
            ),
            Error::NoFile { path, what } => {
                write!(out, "{} is {what}, and only regular files are sorted", path.display())
            }
            Error::NotWhole { path, len, width } => write!(
                out,
                "{} has {len} bytes, which is no multiple of {width}: behind offset {} there are \
                 {} bytes that are no whole element. Give the right --record or --type, or cut \
                 the file",
                path.display(),
                len - len % *width as u64,
                len % *width as u64
            ),
            Error::Changed { path } => write!(
                out,
                "{} was changed by somebody else meanwhile; it is as they left it. Try it again \
                 when it is at rest",
                path.display()
            ),
            Error::LineTooLong { path, offset, room } => write!(
                out,
                "{}: the line at offset {offset} is longer than the {room} bytes that there is \
                 room for: give more --memory",
                path.display()
            ),
            Error::TooLittleMemory { memory, needed } => write!(
                out,
                "{memory} bytes of memory are too few for elements of this length: give --memory \
                 {needed} or more"
            ),
            Error::Memory(error) => {
                write!(out, "no memory for a buffer: {error}. Give less --memory")
            }
            Error::Stopped => out.write_str("stopped; the file is as it was"),
        }
    }
}

/// What the system said, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((sentence, _)) => sentence.to_lowercase(),
        None => text,
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::System { source, .. } => Some(source),
            Error::Memory(error) => Some(error),
            _ => None,
        }
    }
}
