//! Floor 0, pure. The one error of the library: what was tried, on which range, and why it failed.
//!
//! `Error` is `Copy` and allocates nothing, so that it can be made inside `malloc` and in a fault
//! handler. The code is the operating system's own number (`errno`, or a Win32 code on Windows);
//! the kind is the same on every system.
#![forbid(unsafe_code)]

mod call;
mod holds;
mod processes;

pub(crate) use call::Call;
use core::fmt;

/// What was being tried. The words are the notes' verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Free -> Reserved.
    Reserve,
    /// Reserved -> Committed.
    Commit,
    /// Committed -> Reserved.
    Decommit,
    /// Any state -> Free.
    Release,
    /// New access rights for committed pages.
    Protect,
    /// The content may be lost, the access stays.
    Discard,
    /// Make pages fault, whoever touches them.
    Guard,
    /// Take guards away again.
    Unguard,
    /// Ask for the state of a page.
    Query,
    /// Tell the system how a range will be used.
    Advise,
    /// Keep pages in memory.
    Lock,
    /// Let locked pages be swapped again.
    Unlock,
    /// Bring pages into memory in the background.
    Prefetch,
    /// Bring pages into memory now.
    Populate,
    /// Take a discard back.
    Undiscard,
    /// Make the next touch of a page fault, once.
    Arm,
    /// Take such a tripwire away.
    Disarm,
    /// Begin to note which pages are written.
    Watch,
    /// Ask which pages were written.
    Written,
    /// Make two reservations of one.
    Split,
    /// Make one reservation of two neighbours.
    Join,
    /// Map the same memory twice, side by side.
    Mirror,
    /// Make room for more elements in an array.
    Grow,
    /// Open a file as memory, or lay a view of it into the addresses.
    Map,
    /// Bring what was written to a view to the disk.
    Flush,
    /// Give a file another length.
    Resize,
    /// Read or write bytes of a view that others may change.
    Access,
    /// See the bytes of a view as values of another type.
    Cast,
    /// Make sure that nobody changes a file, or that nobody else has it.
    Hold,
    /// Make, find or give up memory that has a name, or a seat in it.
    Share,
    /// Wait for another process, or wake one.
    Wait,
    /// Hand a message to another process.
    Send,
    /// Take a message of another process.
    Receive,
    /// Take a block from a heap, or make one longer.
    Allocate,
}

impl Op {
    /// The verb in lower case, as it stands in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Reserve => "reserve",
            Op::Commit => "commit",
            Op::Decommit => "decommit",
            Op::Release => "release",
            Op::Protect => "protect",
            Op::Discard => "discard",
            Op::Guard => "guard",
            Op::Unguard => "unguard",
            Op::Query => "query",
            Op::Advise => "advise",
            Op::Lock => "lock",
            Op::Unlock => "unlock",
            Op::Prefetch => "prefetch",
            Op::Populate => "populate",
            Op::Undiscard => "undiscard",
            Op::Arm => "arm",
            Op::Disarm => "disarm",
            Op::Watch => "watch",
            Op::Written => "written",
            Op::Split => "split",
            Op::Join => "join",
            Op::Mirror => "mirror",
            Op::Grow => "grow",
            Op::Map => "map",
            Op::Flush => "flush",
            Op::Resize => "resize",
            Op::Access => "access",
            Op::Cast => "cast",
            Op::Hold => "hold",
            Op::Share => "share",
            Op::Wait => "wait",
            Op::Send => "send",
            Op::Receive => "receive",
            Op::Allocate => "allocate",
        }
    }
}

/// Why it failed: the same kinds on every operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No free range of addresses is long enough, or `ulimit -v` forbids it.
    NoAddressSpace,
    /// The system will not promise so much memory (commit limit, `RLIMIT_DATA`).
    NoMemory,
    /// The process has as many mappings as the kernel allows (`vm.max_map_count`).
    TooManyMappings,
    /// An address, length or alignment that is not a multiple of what it must be.
    Misaligned,
    /// A range that is empty, inverted, overflows, or leaves the reservation.
    OutOfRange,
    /// Somebody else has pages at the exact address asked for.
    AddressTaken,
    /// The system forbids it (permissions, security policy, locked memory).
    Denied,
    /// This system cannot do it.
    Unsupported,
    /// The pages are in a state that does not allow this verb.
    BadState,
    /// No place is left on the disk, or the file would be longer than it may be.
    DiskFull,
    /// The file has become shorter than what is mapped of it.
    Truncated,
    /// Somebody else has the file open.
    InUse,
    /// Somebody else wanted the file, and the view has it no more.
    Detached,
    /// The name has a character that no system takes, or is empty or too long.
    BadName,
    /// There is nothing of that name.
    NotFound,
    /// The name, or the seat, belongs to somebody who lives.
    AlreadyExists,
    /// The process on the other side has ended, or has closed its side.
    PeerGone,
    /// What another process has written there is not what it must be.
    Corrupt,
    /// The time is over, and what was waited for has not come.
    TimedOut,
    /// The heap has as much as it may have.
    LimitReached,
    /// Anything else; `code` has the system's number.
    Other,
}

/// An operating failure: which verb, on which bytes, and why; and where the system was asked, which
/// of its calls refused and with what number.
///
/// ```
/// use granule::vm::Reservation;
/// use granule::{ErrorKind, Op};
/// let error = Reservation::reserve(0).unwrap_err();
/// assert_eq!((error.op(), error.kind()), (Op::Reserve, ErrorKind::OutOfRange));
/// println!("{error}");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error {
    op: Op,
    kind: ErrorKind,
    addr: usize,
    len: usize,
    code: i32,
    call: Call,
}

impl Error {
    /// An error of `op` on `len` bytes at `addr`; `code` is the system's number, 0 if it was not
    /// asked.
    pub const fn new(op: Op, kind: ErrorKind, addr: usize, len: usize, code: i32) -> Self {
        Error { op, kind, addr, len, code, call: Call::None }
    }

    /// The same error, of a verb that this one was a step of.
    pub(crate) const fn as_part_of(mut self, op: Op) -> Self {
        self.op = op;
        self
    }

    /// The same error, of a verb on a part of a file that this one was a step of.
    pub(crate) const fn as_part_of_file(self, op: Op, offset: u64, len: usize) -> Self {
        Error { op, addr: offset as usize, len, ..self }
    }

    /// The same error, of the system call that refused.
    pub(crate) const fn of_call(mut self, call: Call) -> Self {
        self.call = call;
        self
    }

    /// The verb that failed.
    pub const fn op(&self) -> Op {
        self.op
    }

    /// Why it failed.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The first address of the range (0 when the system was to choose it); of
    /// [`Map`](Op::Map), [`Flush`](Op::Flush), [`Resize`](Op::Resize),
    /// [`Access`](Op::Access), [`Cast`](Op::Cast) and [`Hold`](Op::Hold) the offset in the file, of
    /// the verbs between processes the offset in the memory.
    pub const fn addr(&self) -> usize {
        self.addr
    }

    /// The length of the range in bytes, as the caller gave it.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True when the range of the failed verb was empty.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The operating system's error number; 0 when the request was refused before asking it.
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// The system call that refused, by the name that the system's manual has for it; `None` when
    /// the request was refused before asking the system.
    pub const fn call(&self) -> Option<&'static str> {
        self.call.name()
    }

    /// Of these verbs `addr` is an offset in a file.
    const fn is_about_a_file(&self) -> bool {
        matches!(self.op, Op::Map | Op::Flush | Op::Resize | Op::Access | Op::Cast | Op::Hold)
    }

    const fn reason(&self) -> &'static str {
        if let Some(reason) = processes::reason(self.op, self.kind) {
            return reason;
        }
        match self.kind {
            _ if self.is_about_a_file() => self.reason_of_file(),
            ErrorKind::OutOfRange if matches!(self.op, Op::Reserve) => {
                "the range is empty, overflows or leaves the addresses of programs"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Query) => {
                "the address lies behind the end"
            }
            ErrorKind::Misaligned if matches!(self.op, Op::Reserve) => {
                "the alignment is no power of two, or the address not a multiple of it"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Written) => {
                "the range is empty, inverted or leaves the reservation, or the answer has no room"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Mirror) => {
                "the length is 0, or more than half of all addresses"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Split) => {
                "one of the two would be empty"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Join) => {
                "the second one does not begin where the first one ends"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Grow) => {
                "that is more than the maximum the array was made with"
            }
            ErrorKind::Misaligned if matches!(self.op, Op::Split) => {
                "not a multiple of the granularity, or of the explicit huge page"
            }
            ErrorKind::BadState if matches!(self.op, Op::Join) => {
                "they differ in more than their addresses, or were never one"
            }
            ErrorKind::BadState if matches!(self.op, Op::Written) => {
                "the writes to the pages are not watched"
            }
            _ => self.usual_reason(),
        }
    }

    /// Of verbs on files.
    const fn reason_of_file(&self) -> &'static str {
        match self.kind {
            ErrorKind::OutOfRange if matches!(self.op, Op::Cast) => {
                "the length of the view is no multiple of the size of the type"
            }
            ErrorKind::Misaligned if matches!(self.op, Op::Cast) => {
                "the view does not begin at a multiple of the alignment of the type"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Resize) => {
                "that is more than the maximum it was opened with"
            }
            ErrorKind::OutOfRange => {
                "the range is inverted or leaves the section, or the file is too long for addresses"
            }
            ErrorKind::BadState if matches!(self.op, Op::Resize) => {
                "a view of what the file would lose is open"
            }
            ErrorKind::Denied if matches!(self.op, Op::Access) => "the section is for reading only",
            ErrorKind::Denied if matches!(self.op, Op::Map) => {
                "the file was not opened for it, or the system forbids it"
            }
            ErrorKind::Unsupported if matches!(self.op, Op::Map) => "this is no file of bytes",
            _ => self.usual_reason(),
        }
    }

    const fn usual_reason(&self) -> &'static str {
        match self.kind {
            ErrorKind::NoAddressSpace => "no free range of addresses is long enough",
            ErrorKind::NoMemory => "the system will not promise so much memory",
            ErrorKind::TooManyMappings => "too many mappings",
            ErrorKind::Misaligned => "not a multiple of the page or of the alignment",
            ErrorKind::OutOfRange => {
                "the range is empty, inverted, overflows or leaves the reservation"
            }
            ErrorKind::AddressTaken => "somebody else has pages there",
            ErrorKind::Denied => "the system forbids it",
            ErrorKind::Unsupported => "this system cannot do it",
            ErrorKind::BadState => "the pages are in another state",
            ErrorKind::LimitReached => "the heap has as much as it may have",
            ErrorKind::DiskFull => "no place is left for it on the disk, or the file may not grow",
            ErrorKind::Truncated => "the file has become shorter meanwhile",
            // The kinds of `holds`, which has their words, and:
            // The kinds of `processes`, which has their words, and:
            _ => "the system refused",
        }
    }

    const fn next_step(&self) -> &'static str {
        if let Some(step) = processes::next_step(self.op, self.kind) {
            return step;
        }
        match (self.op, self.kind) {
            (Op::Lock, ErrorKind::Denied) => {
                "lock less, or raise `ulimit -l` (Windows: the minimum working set)"
            }
            (Op::Discard, ErrorKind::BadState) => {
                "query the range, commit it first, and unlock what is locked"
            }
            (Op::Commit, ErrorKind::BadState) => {
                "query the range, and unguard or decommit it first"
            }
            (Op::Written, ErrorKind::BadState) => {
                "reserve with `write_watch`; after a fork call `forget_written` first"
            }
            (Op::Written, ErrorKind::OutOfRange) => {
                "give a range that lies inside the reservation, and room for one answer at least"
            }
            (Op::Mirror, ErrorKind::OutOfRange) => "give a length that fits twice",
            (Op::Cast, ErrorKind::OutOfRange) => "view whole values of the type only",
            (Op::Cast, ErrorKind::Misaligned) => {
                "begin the view at such an offset, or copy the bytes"
            }
            (Op::Resize, ErrorKind::OutOfRange) => "open it with a larger maximum",
            (Op::Map | Op::Flush | Op::Access, ErrorKind::OutOfRange) => {
                "give a range that lies inside the section, or map the file in parts"
            }
            (Op::Map | Op::Access, ErrorKind::Denied) => {
                "open the file for reading, and for writing if the view is to write"
            }
            (Op::Map, ErrorKind::Unsupported) => {
                "give a regular file; a directory, a pipe or a device cannot be mapped"
            }
            (Op::Resize, ErrorKind::BadState) => "drop the views first",
            (Op::Grow, ErrorKind::OutOfRange) => "make the array with a larger maximum",
            (Op::Split, ErrorKind::OutOfRange) => "cut inside the reservation",
            (Op::Split, ErrorKind::Misaligned) => {
                "cut at a multiple of the granularity, which `granule info` tells"
            }
            (Op::Join, ErrorKind::OutOfRange) => "give the lower one first, then its neighbour",
            (Op::Join, ErrorKind::BadState) => "join pieces of one reservation, advised alike",
            (Op::Reserve, ErrorKind::Unsupported) => {
                "leave a wish out: markers, watch, node and dumps are not to be had everywhere"
            }
            (Op::Undiscard, ErrorKind::Unsupported) => {
                "this system gives a discarded page up at any time; write to the pages \
                 that are to stay"
            }
            _ => self.usual_next_step(),
        }
    }

    const fn usual_next_step(&self) -> &'static str {
        match self.kind {
            ErrorKind::OutOfRange if matches!(self.op, Op::Reserve) => {
                "give a length, and an address between the two that `granule info` tells"
            }
            ErrorKind::OutOfRange if matches!(self.op, Op::Query) => {
                "ask inside the reservation, or below the last address of programs"
            }
            ErrorKind::Misaligned if matches!(self.op, Op::Reserve) => {
                "give an alignment of 2, 4, 8 .. and let the system choose the address"
            }
            ErrorKind::NoAddressSpace => "reserve less, or raise `ulimit -v`",
            ErrorKind::NoMemory => "commit less at a time, free memory, or raise the commit limit",
            ErrorKind::TooManyMappings => "raise vm.max_map_count, or use guard markers",
            ErrorKind::Misaligned => "round to the page or alignment first",
            ErrorKind::OutOfRange => "give a range that lies inside the reservation",
            ErrorKind::AddressTaken => "let the system choose the address, or pick another",
            ErrorKind::Denied => "check limits, locked pages and the security policy",
            ErrorKind::Unsupported => "`granule info` says what this machine offers",
            ErrorKind::BadState => "query the range, and commit it first",
            ErrorKind::LimitReached => "free blocks, or make the heap with a higher `max_len`",
            ErrorKind::DiskFull => "make room on the disk, or raise `ulimit -f`",
            ErrorKind::Truncated => "map the file again, with the length that it has now",
            _ => "look the number up in the system's manual",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {} bytes", self.op.name(), self.len)?;
        if self.is_about_a_file() {
            write!(out, " at offset {} of the file", self.addr)?;
        } else if self.addr != 0 {
            write!(out, " at {:#x}", self.addr)?;
        }
        let reason = holds::reason(self.op, self.kind).unwrap_or_else(|| self.reason());
        write!(out, ": {reason}")?;
        match (self.call(), self.code) {
            (Some(call), code) => write!(out, " ({call}: os error {code})")?,
            (None, 0) => {}
            (None, code) => write!(out, " (os error {code})")?,
        }
        let step = holds::next_step(self.op, self.kind).unwrap_or_else(|| self.next_step());
        write!(out, "; {step}")
    }
}

/// What a program says that returns it from `main`: all of it, the address in hexadecimal.
impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Error")
            .field("op", &self.op)
            .field("kind", &self.kind)
            .field("addr", &format_args!("{:#x}", self.addr))
            .field("len", &self.len)
            .field("code", &self.code)
            .field("call", &self.call())
            .finish()
    }
}

impl core::error::Error for Error {}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            _ if error.op == Op::Grow => std::io::ErrorKind::OutOfMemory,
            ErrorKind::NoAddressSpace
            | ErrorKind::NoMemory
            | ErrorKind::TooManyMappings
            | ErrorKind::LimitReached => std::io::ErrorKind::OutOfMemory,
            ErrorKind::Misaligned | ErrorKind::OutOfRange | ErrorKind::BadName => {
                std::io::ErrorKind::InvalidInput
            }
            ErrorKind::AddressTaken | ErrorKind::AlreadyExists => std::io::ErrorKind::AlreadyExists,
            ErrorKind::NotFound => std::io::ErrorKind::NotFound,
            ErrorKind::PeerGone => std::io::ErrorKind::BrokenPipe,
            ErrorKind::Corrupt => std::io::ErrorKind::InvalidData,
            ErrorKind::TimedOut => std::io::ErrorKind::TimedOut,
            ErrorKind::Denied => std::io::ErrorKind::PermissionDenied,
            ErrorKind::Unsupported => std::io::ErrorKind::Unsupported,
            ErrorKind::DiskFull => std::io::ErrorKind::StorageFull,
            ErrorKind::Truncated => std::io::ErrorKind::UnexpectedEof,
            ErrorKind::InUse => std::io::ErrorKind::ResourceBusy,
            ErrorKind::BadState | ErrorKind::Detached | ErrorKind::Other => {
                std::io::ErrorKind::Other
            }
        };
        std::io::Error::new(kind, error)
    }
}
