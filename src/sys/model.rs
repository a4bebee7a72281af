//! Floor 1, tests only. A simulated page table: the contract of the folder as a program.
//!
//! This is the specification that the real verbs are compared with, page by page (`vm::tests`). It
//! has no ranges, no mappings and no system calls, only pages and the rules; where it and the
//! system disagree, one of the two is wrong. It is compiled for tests only, so nothing of it ships.
//!
//! The rules that floor 2 adds to the contract are here too: which states a verb may find, and that
//! one page in a wrong state refuses the whole range.

use super::{CommitPolicy, GuardKind, Protection};
use core::ops::Range;
use std::vec::Vec;

/// The state of a simulated page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simulated {
    Reserved,
    Committed(Protection),
    Guarded(Protection),
    Tripwire(Protection),
}

/// What a committed page reads as, all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Exactly(u8),
    /// Discarded and not yet written again.
    ZeroOr(u8),
}

/// A verb on a run of pages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    Commit(Protection),
    Decommit,
    Protect(Protection),
    Discard,
    Guard,
    Unguard,
    Arm,
    Disarm,
    /// The handler of a fault is told about it.
    Trip,
    /// The program writes this byte all over the pages. Only where it may write.
    Write(u8),
}

/// A page of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) state: Simulated,
    pub(crate) content: Content,
}

/// A verb was refused; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadState;

/// The page table of one reservation.
#[derive(Debug)]
pub(crate) struct Model {
    kind: GuardKind,
    policy: CommitPolicy,
    pages: Vec<Page>,
}

impl Model {
    /// Free -> Reserved.
    pub(crate) fn reserve(count: usize, kind: GuardKind, policy: CommitPolicy) -> Self {
        let page = Page { state: Simulated::Reserved, content: Content::Exactly(0) };
        Model { kind, policy, pages: std::vec![page; count] }
    }

    pub(crate) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Does `verb` on every page of the range, or refuses and does it on none.
    pub(crate) fn apply(&mut self, verb: Verb, range: Range<usize>) -> Result<(), BadState> {
        let mut changed = self.pages[range.clone()].to_vec();
        for page in &mut changed {
            *page = step(verb, *page)?;
        }
        self.pages[range].copy_from_slice(&changed);
        Ok(())
    }

    /// The pages from `page` on, as a model of their own.
    pub(crate) fn split_off(&mut self, page: usize) -> Self {
        Model { kind: self.kind, policy: self.policy, pages: self.pages.split_off(page) }
    }

    /// The pages of `upper` behind one's own.
    pub(crate) fn append(&mut self, mut upper: Self) {
        self.pages.append(&mut upper.pages);
    }

    /// A verb was refused that may have lost the content of these pages on its way.
    pub(crate) fn lose_content(&mut self, range: Range<usize>) {
        for page in &mut self.pages[range] {
            let (Content::Exactly(byte) | Content::ZeroOr(byte)) = page.content;
            page.content = Content::ZeroOr(byte);
        }
    }

    /// The rights that the system shows for a page.
    pub(crate) fn rights(&self, index: usize) -> Protection {
        match (self.pages[index].state, self.kind) {
            (Simulated::Committed(protection), _) => protection,
            (Simulated::Guarded(protection), GuardKind::Marker) => protection,
            (Simulated::Guarded(_), GuardKind::Split)
            | (Simulated::Reserved | Simulated::Tripwire(_), _) => Protection::NoAccess,
        }
    }

    /// Whether the system has promised memory for a page; `None` where it may do as it likes:
    /// Linux charges writable pages, and keeps the charge of a page that lost the right to write if
    /// its mapping was ever written to.
    pub(crate) fn is_charged(&self, index: usize) -> Option<bool> {
        use Protection::{ExecuteReadWrite, ReadWrite};
        if self.policy == CommitPolicy::Lazy {
            return Some(false);
        }
        match (self.pages[index].state, self.kind) {
            (Simulated::Reserved, _) | (Simulated::Guarded(_), GuardKind::Split) => Some(false),
            (Simulated::Tripwire(_), _) => None,
            (Simulated::Committed(protection) | Simulated::Guarded(protection), _) => {
                matches!(protection, ReadWrite | ExecuteReadWrite).then_some(true)
            }
        }
    }

    /// Whether a read of a page succeeds; `None` where it depends on the processor, or must not be
    /// tried.
    pub(crate) fn is_readable(&self, index: usize) -> Option<bool> {
        match self.pages[index].state {
            Simulated::Committed(Protection::Execute) => None,
            Simulated::Committed(protection) => Some(protection != Protection::NoAccess),
            Simulated::Reserved | Simulated::Guarded(_) => Some(false),
            // To ask is a touch, which takes the tripwire away on some systems.
            Simulated::Tripwire(_) => None,
        }
    }

    /// Whether a write to a page succeeds.
    pub(crate) fn is_writable(&self, index: usize) -> bool {
        use Protection::{ExecuteReadWrite, ReadWrite};
        matches!(self.pages[index].state, Simulated::Committed(ReadWrite | ExecuteReadWrite))
    }
}

/// One page, one verb: the whole specification.
fn step(verb: Verb, page: Page) -> Result<Page, BadState> {
    use Simulated::{Committed, Guarded, Reserved, Tripwire};
    let Page { state, content } = page;
    let empty = Content::Exactly(0);
    let (state, content) = match (verb, state) {
        (Verb::Commit(new), Reserved) => (Committed(new), empty),
        (Verb::Commit(new), Committed(_) | Tripwire(_)) => (Committed(new), content),
        (Verb::Decommit, _) => (Reserved, empty),
        (Verb::Protect(new), Committed(_) | Tripwire(_)) => (Committed(new), content),
        (Verb::Discard, Committed(_)) => match content {
            Content::Exactly(byte) | Content::ZeroOr(byte) => (state, Content::ZeroOr(byte)),
        },
        (Verb::Guard, Committed(old) | Guarded(old) | Tripwire(old)) => (Guarded(old), empty),
        (Verb::Unguard, Guarded(old)) => (Committed(old), empty),
        (Verb::Unguard, Committed(_) | Tripwire(_)) => (state, content),
        (Verb::Arm, Committed(Protection::NoAccess)) => return Err(BadState),
        (Verb::Arm, Committed(old) | Tripwire(old)) => (Tripwire(old), content),
        (Verb::Disarm | Verb::Trip, Tripwire(old)) => (Committed(old), content),
        (Verb::Disarm, Committed(_)) | (Verb::Trip, _) => (state, content),
        (Verb::Write(byte), Committed(_)) => (state, Content::Exactly(byte)),
        _ => return Err(BadState),
    };
    Ok(Page { state, content })
}
