//! Floor 4, uses floors 0 and 1. What a heap says when it is used wrongly; the process ends then.

use crate::ds::text::Text;
use crate::sys;
use core::fmt;
use core::ptr::NonNull;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// An address that no block begins at.
    NotABlock,
    /// A block that is free already.
    FreedTwice,
    /// A block of another heap, or of none that lives.
    OtherHeap,
    /// An address that is in no heap.
    Foreign,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Finding::NotABlock => "no block begins there",
            Finding::FreedTwice => "the block was freed before",
            Finding::OtherHeap => "it belongs to another heap, or to one that was dropped",
            Finding::Foreign => "no heap has it",
        })
    }
}

/// Reports and aborts: what the program believes of its memory is wrong. Allocates nothing.
#[cold]
#[inline(never)]
pub(super) fn broken(finding: Finding, block: NonNull<u8>) -> ! {
    let text = Text::of(format_args!(
        "granule: heap: free of {block:?}: {finding}; \
         `granule stomp -- PROGRAM` finds out where it went wrong\n"
    ));
    sys::write_error(text.as_bytes());
    sys::abort()
}
