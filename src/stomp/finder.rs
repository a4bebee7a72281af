//! Floor 4. The allocator: takes a slot, shows its pages, keeps the books, hides the pages again.
//!
//! No lock anywhere: a slot is owned by whoever moved it to Busy, fresh slots are handed out by a
//! counter, freed ones wait in a ring. So any thread may die, fork or be interrupted at any point,
//! No lock anywhere: a slot is owned by whoever moved it to Busy, fresh slots are handed out by a
//! counter, freed ones wait in a ring. So any thread may die, fork or be interrupted at any point,
//! and the others go on. The worst that is lost is addresses: a fork in the middle of a push leaves
//! the child a quarantine that takes and gives nothing more, so that its freed slots are not used
//! again.

use super::backend::{Backend, Before, batch_slots};
use super::layout::{Bank, CLASSES, Layout, SlotId};
use super::options::Options;
use super::record::{Notice, Stack};
use super::report;
use super::slack;
use super::slot::{Moment, Slot, Snapshot, State};
use super::table::Table;
use super::trace::Traces;
use crate::ds::batches::Batches;
use crate::ds::ready_stack::ReadyStack;
use crate::ds::ring::Ring;
use crate::error::Error;
use crate::sys::{self, Registers};
use crate::vm::GuardKind;
use core::array;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Mappings that guards by protection leave to the program.
const MAPPINGS_LEFT: usize = 4096;

/// Live blocks that can be guarded by protection where a process may have `mappings_max` mappings:
/// each parts its surroundings, which makes two more.
pub const fn split_guards_max(mappings_max: usize) -> usize {
    mappings_max.saturating_sub(MAPPINGS_LEFT) / 2
}

/// Numbers for the summary at exit.
#[derive(Debug)]
pub(crate) struct Counts {
    guarded: AtomicU64,
    plain: AtomicU64,
    /// Live guarded blocks; kept only where guards cost mappings.
    live: AtomicUsize,
}

impl Counts {
    fn of(&self, bank: Bank) -> &AtomicU64 {
        match bank {
            Bank::Guarded => &self.guarded,
            Bank::Plain => &self.plain,
        }
    }
}

/// What the system allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of memory and swap, above which no block is tried; the kernel's own heuristic refuses
    /// such a mapping too.
    pub(crate) size_max: usize,
    /// Mappings a process may have.
    pub(crate) mappings_max: usize,
}

/// A whole stomp finder.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) table: Table,
    pub(crate) traces: Traces,
    backend: Backend,
    quarantine: Ring<'static>,
    /// Address space of the blocks in quarantine, in bytes.
    quarantined: AtomicUsize,
    /// Freed slots whose addresses may be used again, by zone.
    ready: [ReadyStack; 2 * CLASSES],
    /// Slots that were never used, by zone.
    fresh: [Batches; 2 * CLASSES],
    counts: Counts,
    limits: Limits,
    /// Live guarded blocks that the system's mappings are enough for.
    live_max: AtomicUsize,
    stopped_guarding: AtomicBool,
}

/// When damage of slack was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// When the block was freed or reallocated: the process ends after the report.
    AtFree,
    /// By the sweep at exit: the process goes on to exit.
    AtExit,
}

/// What `free` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// A live block that starts exactly there.
    Live(SlotId),
    /// An address of the region, with the block of its slot, if that ever held one.
    Wrong(Option<Snapshot>),
    /// Not an address of ours.
    Foreign,
}

/// How often a thread that waits for another one's step looks again before it goes on without.
const PATIENCE: usize = 100_000;

fn zone(slot: SlotId) -> usize {
    slot.bank as usize * CLASSES + slot.class
}

impl Finder {
    pub(crate) fn new(
        options: Options,
        layout: Layout,
        backend: Backend,
        table: Table,
        traces: Traces,
        quarantine: Ring<'static>,
        limits: Limits,
    ) -> Self {
        Finder {
            options,
            layout,
            table,
            traces,
            backend,
            quarantine,
            quarantined: AtomicUsize::new(0),
            ready: array::from_fn(|_| ReadyStack::default()),
            fresh: array::from_fn(|zone| {
                Batches::new(batch_slots(layout.stride_pages(zone % CLASSES)))
            }),
            counts: Counts {
                guarded: AtomicU64::new(0),
                plain: AtomicU64::new(0),
                live: AtomicUsize::new(0),
            },
            limits,
            live_max: AtomicUsize::new(split_guards_max(limits.mappings_max)),
            stopped_guarding: AtomicBool::new(false),
        }
    }

    /// The offset of an address in the region, if it is in it.
    pub(crate) fn offset(&self, addr: usize) -> Option<usize> {
        let offset = addr.wrapping_sub(self.base());
        (offset < self.layout.region_len()).then_some(offset)
    }

    /// The first byte of the region.
    fn memory(&self) -> NonNull<u8> {
        self.backend.pointer(0)
    }

    /// The address the region starts at.
    pub(crate) fn base(&self) -> usize {
        self.backend.base()
    }

    /// Takes the region out of the program's locked memory, in one piece: unlocked block by block,
    /// it would fall apart into mappings.
    pub(crate) fn unlock(&self) {
        let len = self.layout.region_len();
        // SAFETY: (1) the region is a reservation of ours. Should the kernel refuse, guards unlock
        // their own pages.
        let _ = unsafe { sys::unlock(self.memory(), len) };
    }

    /// A block of `size` bytes at a multiple of `align` (a power of two), reading zero. `None` if
    /// there is no memory or address space for it.
    pub(crate) fn allocate(
        &self,
        size: usize,
        align: usize,
        from: &Registers,
    ) -> Option<NonNull<u8>> {
        if size > self.limits.size_max {
            return None;
        }
        let allocated = self.moment(from);
        let start = self
            .allocate_in(Bank::Guarded, size, align, allocated)
            .or_else(|| self.allocate_plain(size, align, allocated))?;
        Some(self.backend.pointer(start))
    }

    /// Beyond the system's limit of guards: an unguarded block, said aloud the first time.
    fn allocate_plain(&self, size: usize, align: usize, allocated: Moment) -> Option<usize> {
        if self.backend.kind() == GuardKind::Marker {
            return None;
        }
        let start = self.allocate_in(Bank::Plain, size, align, allocated)?;
        if !self.stopped_guarding.swap(true, Ordering::Relaxed) {
            let live = self.counts.live.load(Ordering::Relaxed) as u64;
            let numbers = [live, self.limits.mappings_max as u64];
            report::notice(self.options.socket(), Notice::GuardingStops, numbers);
        }
        Some(start)
    }

    fn allocate_in(
        &self,
        bank: Bank,
        size: usize,
        align: usize,
        allocated: Moment,
    ) -> Option<usize> {
        if bank == Bank::Guarded && !self.count_live() {
            return None;
        }
        let start = self.fill_slot(bank, size, align, allocated);
        match start {
            None => self.guards_are_used_up(bank),
            Some(_) => drop(self.counts.of(bank).fetch_add(1, Ordering::Relaxed)),
        }
        start
    }

    fn fill_slot(&self, bank: Bank, size: usize, align: usize, allocated: Moment) -> Option<usize> {
        let class = self.layout.class_of(size, align)?;
        let (id, before) = self.take(SlotId { bank, class, index: 0 })?;
        let start = self.layout.block_start(id, size, align, self.options.placement);
        let block = start..start + size;
        let pages = self.layout.pages_of(block.clone());
        let slot_range = self.layout.slot_range(id);
        if self.backend.show(bank, slot_range, pages.clone(), before).is_err() {
            // A slot whose surroundings may be accessible is never used again.
            if before != Before::FreshAlone {
                self.table.slot(id).retire();
                self.make_ready(id);
            }
            return None;
        }
        // SAFETY: the pages were just made accessible, and the slot is ours alone while Busy.
        unsafe { slack::fill(self.memory(), &block, &pages) };
        self.table.slot(id).publish(block, allocated);
        Some(start)
    }

    /// A slot for the caller alone, Busy.
    fn take(&self, of: SlotId) -> Option<(SlotId, Before)> {
        if let Some(id) = self.take_ready(of) {
            let claimed = self.table.slot(id).claim(State::Freed);
            assert!(claimed, "invariant 3: a slot on the ready stack is Freed");
            return Some((id, Before::Used));
        }
        let id = self.take_fresh(of)?;
        let claimed = self.table.slot(id).claim(State::Fresh);
        assert!(claimed, "each fresh slot is handed out once");
        let alone = self.fresh[zone(of)].batch_len() == 1;
        Some((id, if alone { Before::FreshAlone } else { Before::FreshInBatch }))
    }

    /// Lets the address of a freed slot be used again.
    fn make_ready(&self, id: SlotId) {
        self.ready[zone(id)].push(id.index as u32, self.table.slot(id).next_ready());
    }

    fn take_ready(&self, of: SlotId) -> Option<SlotId> {
        let at = |index: u32| SlotId { index: index as usize, ..of };
        self.ready[zone(of)].pop(|index| self.table.slot(at(index)).next_ready()).map(at)
    }

    fn take_fresh(&self, of: SlotId) -> Option<SlotId> {
        let index = self.fresh[zone(of)].take(|batch| self.prepare(of, batch))?;
        (index < self.layout.slots(of.class)).then_some(SlotId { index, ..of })
    }

    /// Makes a batch of fresh slots ready, as far as the zone has them.
    fn prepare(&self, of: SlotId, batch: Range<usize>) -> Option<()> {
        let slots = batch.start..batch.end.min(self.layout.slots(of.class));
        if slots.is_empty() {
            return None;
        }
        let first = SlotId { index: slots.start, ..of };
        self.backend.prepare(&self.layout, first, slots.len()).ok()
    }

    /// The block of an address given to `free`, `realloc` or `malloc_usable_size`.
    pub(crate) fn lookup(&self, addr: usize) -> Lookup {
        let Some(offset) = self.offset(addr) else { return Lookup::Foreign };
        let Some(id) = self.layout.slot_at(offset) else { return Lookup::Wrong(None) };
        let slot = self.table.slot(id);
        if slot.is_live() && slot.start() == offset {
            return Lookup::Live(id);
        }
        Lookup::Wrong(slot.snapshot())
    }

    /// Larger blocks are refused without a word, as any malloc does.
    pub(crate) fn size_max(&self) -> usize {
        self.limits.size_max
    }

    /// The size of a live block.
    pub(crate) fn size_of(&self, id: SlotId) -> usize {
        self.table.slot(id).size()
    }

    /// Frees a live block. `Err` if another thread was faster.
    pub(crate) fn free(&self, id: SlotId, from: &Registers) -> Result<(), ()> {
        let slot = self.table.slot(id);
        if !self.claim_live(slot) {
            return Err(());
        }
        if let Some(offset) = self.damage(slot) {
            report::damage(self, id, offset, from, Found::AtFree);
        }
        slot.note_free(self.moment(from));
        let hidden = self.backend.hide(id.bank, self.pages(slot));
        slot.retire();
        match hidden {
            Ok(()) => {
                self.uncount_live(id.bank);
                self.wait_in_quarantine(id);
            }
            Err(error) => self.cannot_hide(error),
        }
        Ok(())
    }

    /// Gives a thread that is freeing the block of this address the time to note its stack, which
    /// the report of a second free wants. One that does not end was left behind by a fork.
    pub(crate) fn settle(&self, addr: usize) {
        let Some(id) = self.offset(addr).and_then(|offset| self.layout.slot_at(offset)) else {
            return;
        };
        let busy = || self.table.slot(id).state() == State::Busy;
        (0..PATIENCE).take_while(|_| busy()).for_each(|_| sys::yield_now());
    }

    /// Live -> Busy, waiting for the sweep if that is reading the block. A looker that does not end
    /// was left behind by a fork, and is not waited for.
    fn claim_live(&self, slot: &Slot) -> bool {
        for _ in 0..PATIENCE {
            if slot.claim(State::Live) {
                return true;
            }
            if slot.state() != State::Looked {
                return false;
            }
            sys::yield_now();
        }
        slot.claim(State::Looked)
    }

    fn pages(&self, slot: &Slot) -> Range<usize> {
        self.layout.pages_of(slot.start()..slot.start() + slot.size())
    }

    /// A freed block that stays accessible is a gap: say so. Its slot is never used again, because
    /// its pages would not read zero.
    fn cannot_hide(&self, error: Error) {
        let numbers = [error.code() as u64, 0];
        report::notice(self.options.socket(), Notice::FreedNotHidden, numbers);
    }

    /// The first overwritten byte of the slack of a block that the caller keeps from being freed.
    pub(crate) fn damage(&self, slot: &Slot) -> Option<usize> {
        let (block, pages) = (slot.start()..slot.start() + slot.size(), self.pages(slot));
        // SAFETY: the block is not freed, so its pages are accessible and were filled.
        unsafe { slack::damage(self.memory(), &block, &pages) }
    }

    /// Freed slots wait here; when the budget is exceeded the oldest become ready for use again. A
    /// slot that finds no place in the ring is never used again, which is safe.
    fn wait_in_quarantine(&self, id: SlotId) {
        let charge = self.charge(id);
        let mut waiting = self.quarantined.fetch_add(charge, Ordering::Relaxed) + charge;
        if !self.quarantine.push(id.to_bits()) {
            self.quarantined.fetch_sub(charge, Ordering::Relaxed);
            return;
        }
        while waiting > self.options.quarantine_len {
            let Some(oldest) = self.quarantine.pop().map(SlotId::from_bits) else { return };
            let charge = self.charge(oldest);
            waiting = self.quarantined.fetch_sub(charge, Ordering::Relaxed) - charge;
            self.make_ready(oldest);
        }
    }

    /// What a slot takes of the quarantine's budget: its addresses, but never so much that a few
    /// large blocks drive out all the others.
    fn charge(&self, id: SlotId) -> usize {
        /// The smallest part of the budget that a single slot may take.
        const PARTS: usize = 64;
        let most = (self.options.quarantine_len / PARTS).max(self.layout.stride(0));
        self.layout.stride(id.class).min(most)
    }

    /// The calling thread and its stack, now.
    pub(crate) fn moment(&self, from: &Registers) -> Moment {
        Moment {
            tid: sys::thread_id_quick(),
            stack: self.traces.remember(from, self.options.depth),
        }
    }

    pub(crate) fn stack(&self, id: u32) -> Stack {
        self.traces.recall(id)
    }

    /// Counts one more live guarded block, unless that is more than guards may be.
    fn count_live(&self) -> bool {
        if self.backend.kind() == GuardKind::Marker {
            return true;
        }
        let before = self.counts.live.fetch_add(1, Ordering::Relaxed);
        if before >= self.live_max.load(Ordering::Relaxed) {
            self.uncount_live(Bank::Guarded);
            return false;
        }
        true
    }

    /// The system refused a guard before our own limit was reached: the program has many mappings
    /// too. What there is now is the limit from now on, so that not every call is refused anew.
    fn guards_are_used_up(&self, bank: Bank) {
        self.uncount_live(bank);
        if self.backend.kind() == GuardKind::Split && bank == Bank::Guarded {
            let live = self.counts.live.load(Ordering::Relaxed);
            self.live_max.fetch_min(live, Ordering::Relaxed);
        }
    }

    fn uncount_live(&self, bank: Bank) {
        if self.backend.kind() == GuardKind::Split && bank == Bank::Guarded {
            self.counts.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Blocks guarded so far, and blocks in all.
    pub(crate) fn guarded_of(&self) -> [u64; 2] {
        let guarded = self.counts.guarded.load(Ordering::Relaxed);
        [guarded, guarded + self.counts.plain.load(Ordering::Relaxed)]
    }

    /// Calls `visit` for every slot that was ever used, in order of address.
    pub(crate) fn for_each_slot(&self, mut visit: impl FnMut(SlotId, &Slot)) {
        for bank in Bank::ALL {
            for class in 0..CLASSES {
                let of = SlotId { bank, class, index: 0 };
                let used = self.fresh[zone(of)].end().min(self.layout.slots(class));
                for index in 0..used {
                    let id = SlotId { index, ..of };
                    visit(id, self.table.slot(id));
                }
            }
        }
    }
}
