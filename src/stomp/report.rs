//! Floor 4. Tells the supervisor, or standard error if there is none, and ends the process.
//!
//! Runs in the broken process, in a signal handler or inside `free`: no allocation, no lock, plain
//! data on the stack. Names and lines are the supervisor's work, outside.

use super::diagnose::{self, Verdict};
use super::finder::{Finder, Found};
use super::layout::SlotId;
use super::raw_text;
use super::record::{Access, Block, Kind, Message, Notice, Record, Stack};
use super::slot::Snapshot;
use super::trace;
use crate::sys::{self, Registers};

/// Says one sentence.
pub(crate) fn notice(socket: &[u8], notice: Notice, numbers: [u64; 2]) {
    let message = Message::Notice(notice, sys::process_id(), numbers);
    if socket.is_empty() || sys::tell(socket, &message.to_bytes(), false).is_err() {
        raw_text::notice(notice, numbers);
    }
}

/// Sends a record and waits until the supervisor has printed it.
fn send(finder: &Finder, record: &Record) {
    let socket = finder.options.socket();
    let packet = Message::Report(*record).to_bytes();
    if socket.is_empty() || sys::tell(socket, &packet, true).is_err() {
        raw_text::report(record);
    }
}

/// What is known before the verdict: who, where, when.
struct Scene {
    addr: usize,
    access: Option<Access>,
    accessed: Stack,
    exact: bool,
    at_exit: bool,
}

fn record(finder: &Finder, scene: Scene, verdict: Verdict, block: Option<&Snapshot>) -> Record {
    Record {
        kind: verdict.kind,
        access: scene.access,
        pid: sys::process_id(),
        tid: sys::thread_id(),
        address: scene.addr as u64,
        side: verdict.side,
        distance: verdict.distance as u64,
        block: block.map(|block| block_of(finder, block)),
        placement: finder.options.placement,
        exact: scene.exact,
        at_exit: scene.at_exit,
        accessed: scene.accessed,
        allocated: block.map_or(Stack::EMPTY, |block| finder.stack(block.allocated.stack)),
        freed: block.map_or(Stack::EMPTY, |block| finder.stack(block.freed.stack)),
    }
}

fn block_of(finder: &Finder, block: &Snapshot) -> Block {
    let pages = finder.layout.pages_of(block.block());
    Block {
        address: (finder.base() + block.start) as u64,
        size: block.size as u64,
        pages_address: (finder.base() + pages.start) as u64,
        pages_len: pages.len() as u64,
        allocated_tid: block.allocated.tid,
        freed_tid: block.freed.tid,
    }
}

/// An access faulted at `offset`; the thread stood at `from`. False if it is none of our business.
pub(crate) fn access(
    finder: &Finder,
    offset: usize,
    access: Option<Access>,
    from: &Registers,
) -> bool {
    let Some(block) = nearest(finder, offset) else { return false };
    let Some(verdict) = diagnose::access(offset, &block) else { return false };
    let scene = Scene {
        addr: finder.base() + offset,
        access,
        accessed: trace::of_fault(from),
        exact: true,
        at_exit: false,
    };
    send(finder, &record(finder, scene, verdict, Some(&block)));
    true
}

/// How many slots away the block of a wild access is looked for.
const SLOTS_NEAR: usize = 256;

/// The block that an address is nearest to, if one is near.
pub(crate) fn nearest(finder: &Finder, offset: usize) -> Option<Snapshot> {
    let id = finder.layout.slot_at(offset)?;
    let at = |index: Option<usize>| {
        let index = index.filter(|&index| index < finder.layout.slots(id.class))?;
        finder.table.slot(SlotId { index, ..id }).snapshot()
    };
    (0..SLOTS_NEAR).find_map(|away| {
        let left = at(id.index.checked_sub(away));
        // The neighbours on both sides compete with the slot's own block.
        let near = [left, at(id.index.checked_add(away)), at(id.index.checked_add(away + 1))];
        let left_again = at(id.index.checked_sub(away + 1));
        near.into_iter()
            .chain([left_again])
            .flatten()
            .reduce(|one, other| diagnose::nearer(offset, one, other))
    })
}

/// A pointer that is no live block's start was given to `free` or `realloc`. Does not return.
pub(crate) fn wrong_free(
    finder: &Finder,
    addr: usize,
    block: Option<&Snapshot>,
    from: &Registers,
) -> ! {
    let offset = addr.wrapping_sub(finder.base());
    let verdict = block.and_then(|block| diagnose::free(offset, block));
    let nothing_known =
        Verdict { kind: Kind::InvalidFree, side: super::record::Side::Inside, distance: 0 };
    let scene =
        Scene { addr, access: None, accessed: trace::now(from), exact: false, at_exit: false };
    send(finder, &record(finder, scene, verdict.unwrap_or(nothing_known), block));
    sys::die_by(sys::ABORT)
}

/// The byte of slack at `offset` was overwritten. Returns only for the sweep at exit.
pub(crate) fn damage(finder: &Finder, id: SlotId, offset: usize, from: &Registers, found: Found) {
    let Some(block) = finder.table.slot(id).snapshot() else { return };
    let (side, distance) = diagnose::place(offset, &block);
    let verdict = Verdict { kind: Kind::SlackOverwrite, side, distance };
    let scene = Scene {
        addr: finder.base() + offset,
        access: Some(Access::Write),
        accessed: trace::now(from),
        exact: false,
        at_exit: found == Found::AtExit,
    };
    send(finder, &record(finder, scene, verdict, Some(&block)));
    if found == Found::AtFree {
        sys::die_by(sys::ABORT);
    }
}
