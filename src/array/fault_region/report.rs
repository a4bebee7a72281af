//! Floor 4, uses floors 0 and 1. What is said when a touch is refused, on standard error.

use crate::ds::name::Name;
use crate::ds::text::Text;
use crate::error::Error;
use crate::sys;
use crate::vm::Access;
use core::fmt;

/// In what words a region is spoken of.
#[derive(Clone, Copy, Debug)]
pub(in crate::array) struct Words {
    /// The type of the elements; empty for a region of bytes.
    pub(in crate::array) element: &'static str,
    /// Bytes of an element.
    pub(in crate::array) element_len: usize,
    /// How many there are; 0 for a region of bytes.
    pub(in crate::array) count: usize,
}

impl Words {
    pub(super) const BYTES: Words = Words { element: "", element_len: 1, count: 0 };
}

/// Why a touch was refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    /// So many pages are committed, and no more are allowed.
    Limit(usize),
    /// The program's callback.
    Callback,
    /// The system.
    System(Error),
}

/// All that a report says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) name: Option<Name>,
    pub(super) words: Words,
    pub(super) len: usize,
    pub(super) offset: usize,
    pub(super) addr: usize,
    pub(super) page: usize,
    pub(super) access: Option<Access>,
    pub(super) reason: Reason,
}

impl Refusal {
    /// Two lines: what was touched, and why it cannot be.
    pub(super) fn print(&self) {
        sys::write_error(Text::of(format_args!("{self}")).as_bytes());
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Words { element, element_len, count } = self.words;
        let access = match self.access {
            Some(Access::Read) => "read of",
            Some(Access::Write) => "write to",
            None => "touch of",
        };
        if count == 0 {
            write!(out, "granule: {access} byte {} of a FaultRegion of {}", self.offset, self.len)?;
        } else {
            let index = self.offset / element_len;
            write!(out, "granule: {access} element {index} of a FaultVec of {count} {element}")?;
        }
        if let Some(name) = self.name {
            write!(out, ", {name:?}")?;
        }
        write!(out, ", at {:#x}, page {}: ", self.addr, self.page)?;
        match self.reason {
            Reason::Limit(committed) => writeln!(
                out,
                "out of pages\n  {committed} pages are committed, and no more are allowed: raise \
                 pages_max, or give pages back with reset"
            ),
            Reason::Callback => writeln!(out, "refused by the callback of the array"),
            Reason::System(error) => writeln!(out, "refused by the system\n  {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_refusal_says_what_where_and_what_to_do() {
        let mut refusal = Refusal {
            name: Some(Name::new(b"numbers")),
            words: Words { element: "u32", element_len: 4, count: 6144 },
            len: 24576,
            offset: 20484,
            addr: 0x5678_5004,
            page: 5,
            access: Some(Access::Write),
            reason: Reason::Limit(5),
        };
        assert_eq!(
            refusal.to_string(),
            "granule: write to element 5121 of a FaultVec of 6144 u32, \"numbers\", at 0x56785004, \
             page 5: out of pages\n  5 pages are committed, and no more are allowed: raise \
             pages_max, or give pages back with reset\n"
        );
        refusal.words = Words::BYTES;
        refusal.name = None;
        refusal.access = None;
        refusal.reason = Reason::Callback;
        assert_eq!(
            refusal.to_string(),
            "granule: touch of byte 20484 of a FaultRegion of 24576, at 0x56785004, page 5: \
             refused by the callback of the array\n"
        );
    }
}
