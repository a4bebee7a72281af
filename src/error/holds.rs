//! Floor 0, pure. The words of errors about files that are held: frozen, or for oneself.
#![forbid(unsafe_code)]

use super::{ErrorKind, Op};

/// Why it failed; `None` where another list has the words.
pub(super) const fn reason(op: Op, kind: ErrorKind) -> Option<&'static str> {
    Some(match (op, kind) {
        (_, ErrorKind::InUse) => "somebody else has the file open, or a view of it",
        (_, ErrorKind::Detached) => {
            "somebody else wanted the file, and the view was detached from it"
        }
        (Op::Hold, ErrorKind::Unsupported) => "nothing here keeps others from changing the file",
        (Op::Hold, ErrorKind::Denied) => "the file is another user's, or too many files are open",
        _ => return None,
    })
}

/// What to do next.
pub(super) const fn next_step(op: Op, kind: ErrorKind) -> Option<&'static str> {
    Some(match (op, kind) {
        (_, ErrorKind::InUse) => "close it there, or allow a copy where that will do",
        (_, ErrorKind::Detached) => {
            "what was written since then is in this view only: copy it, and open the file again"
        }
        (Op::Hold, ErrorKind::Unsupported) => {
            "put the file on a local disk, seal it, or allow a copy where that will do"
        }
        (Op::Hold, ErrorKind::Denied) => {
            "run as the owner of the file or with CAP_LEASE, or allow a copy where that will do"
        }
        _ => return None,
    })
}
