//! Floor 0, pure. The words for what goes wrong between processes.
#![forbid(unsafe_code)]

use super::{ErrorKind, Op};

/// True for the verbs of shared memory.
const fn is_between_processes(op: Op) -> bool {
    matches!(op, Op::Share | Op::Wait | Op::Send | Op::Receive)
}

/// Why it failed; `None` where the words for memory fit.
pub(super) const fn reason(op: Op, kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::BadName => "the name is empty, too long, or has a character that no name has",
        ErrorKind::NotFound => "there is no memory of that name, or it is still being made",
        ErrorKind::AlreadyExists => "the name or the seat belongs to somebody who lives",
        ErrorKind::PeerGone => "the process on the other side has ended or closed its side",
        ErrorKind::Corrupt => "another process has written what must not be there",
        ErrorKind::TimedOut => "the time is over",
        ErrorKind::OutOfRange if matches!(op, Op::Send) => {
            "a message of that length has no room in the ring, however empty it is"
        }
        ErrorKind::OutOfRange if matches!(op, Op::Receive) => {
            "the message is longer than the place for it"
        }
        ErrorKind::OutOfRange if is_between_processes(op) => {
            "the length is 0 or too large, or the place leaves the memory"
        }
        ErrorKind::Misaligned if is_between_processes(op) => "not a multiple of 64 bytes",
        ErrorKind::Truncated if is_between_processes(op) => {
            "another process has made the memory shorter"
        }
        ErrorKind::Denied if matches!(op, Op::Share) => {
            "it is another user's, or no memory, or the system forbids it"
        }
        _ => return None,
    })
}

/// What to do about it; `None` where the words for memory fit.
pub(super) const fn next_step(op: Op, kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::BadName => {
            "give 1 to 200 bytes, with no slash, backslash or NUL among them, and not `.` or `..`"
        }
        ErrorKind::NotFound => "start the process that makes it, and try again",
        ErrorKind::AlreadyExists => "open it instead, or choose another name or seat",
        ErrorKind::PeerGone => "drop this side, and let both processes make a new one",
        ErrorKind::Corrupt => "drop it; see that both sides are programs that you trust",
        ErrorKind::TimedOut => "wait again, or longer",
        ErrorKind::OutOfRange if matches!(op, Op::Send) => {
            "send it in parts, or make the ring four times as long as the longest message"
        }
        ErrorKind::OutOfRange if matches!(op, Op::Receive) => {
            "give a place that is as long as the message, which `len` tells"
        }
        ErrorKind::OutOfRange if is_between_processes(op) => {
            "give a length of at least 1, and a place inside the memory"
        }
        ErrorKind::Misaligned if is_between_processes(op) => "round the offset up to 64 bytes",
        ErrorKind::Truncated if is_between_processes(op) => "make it anew under another name",
        ErrorKind::Denied if matches!(op, Op::Share) => {
            "choose another name, or allow other users' memory in the options"
        }
        _ => return None,
    })
}
