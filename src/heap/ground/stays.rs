//! Floor 4, uses floors 0 to 2. What of the memory that nobody uses stays with the process, and
//! what goes back to the system: rules 3 and 4 of the ground.
//!
//! # What stays
//! At most 16 MiB of free memory or an eighth of what is taken, whichever is more, stays with the
//! process, and an allowance; above that memory goes back until three quarters of it are left. No
//! clock, no thread. What waits for its owner may be as much as free memory leaves of 16 MiB, or
//! half of that, whichever is more, and the allowance.
//!
//! The allowance is for programs that take the same memory again and again, as those that work with
//! a few long blocks: a page that was given back and is touched again costs the system ten times
//! what it costs to keep it. It begins with nothing, grows by four for every granule that was given
//! back and is taken again, to at most half of the ground that was ever used. Whenever memory goes
//! back it loses half, but no more than is still away from the times before: a program that takes
//! everything again keeps it all, one that frees what it has and does not come again has none.

use super::super::class::GRANULE_LEN;
use super::Ground;
use crate::ds::bits::{self, BITS};
use crate::ds::primitive::Ordering::{Relaxed, SeqCst};
use crate::ds::returned::{EMPTIED, WAITING};
use core::ops::Range;

/// Free memory that stays in any case, in granules.
pub(super) const KEPT_MIN: usize = (16 << 20) / GRANULE_LEN;
/// The part of what is taken that may stay as well.
const KEPT_PART: usize = 8;
/// How much the allowance grows for each granule that should have been kept.
const REGRET: usize = 4;
/// What may wait in any case for owners who do not come; more, as far as free memory leaves it.
const WAITING_MIN: usize = KEPT_MIN / 2;

impl Ground {
    /// Some of what was emptied is taken again: it should have been kept. The numbers need not be
    /// exact.
    #[cold]
    pub(super) fn regret(&self, clean: usize) {
        let missed = self.missed.load(Relaxed);
        let count = clean.min(missed);
        self.missed.store(missed - count, Relaxed);
        let most = self.high.load(Relaxed) * BITS / 2;
        let allowance = self.allowance.load(Relaxed) + REGRET * count;
        self.allowance.store(allowance.min(most), Relaxed);
    }

    /// Gives granules of the caller's back, whose records are his last word on them.
    pub(in super::super) fn give(&self, run: Range<usize>) {
        for granule in run.clone() {
            self.slab(granule).become_free();
        }
        let taken = self.taken_count.fetch_sub(run.len(), Relaxed).wrapping_sub(run.len());
        let more = if self.end_move(&run) { 0 } else { run.len() };
        if more > 0 {
            bits::set(self.dirty, &run);
        }
        let idle = self.idle.fetch_add(more, Relaxed) + more;
        // The child of a fork that came while another thread emptied something may count it twice.
        let taken = taken.cast_signed().max(0).cast_unsigned();
        self.taken.give(run);
        let allowance = self.allowance.load(Relaxed);
        let kept = KEPT_MIN.max(taken / KEPT_PART) + allowance;
        if idle > kept {
            let lost = (allowance / 2).min(self.missed.load(Relaxed));
            self.allowance.store(allowance - lost, Relaxed);
            self.empty_idle(kept / 4 * 3);
        }
    }

    /// True if so many more granules may wait for their owner with their memory; they do then.
    pub(in super::super) fn let_wait(&self, count: usize) -> bool {
        // Not an eighth of what is taken: nobody comes again when that has become less.
        let left = KEPT_MIN.saturating_sub(self.idle.load(Relaxed));
        let limit = left.max(WAITING_MIN) + self.allowance.load(Relaxed);
        let may_wait = self.waiting.load(Relaxed) + count <= limit;
        if may_wait {
            self.waiting.fetch_add(count, Relaxed);
            self.taken_count.fetch_sub(count, Relaxed);
        }
        may_wait
    }

    /// Their owner has come.
    pub(in super::super) fn wait_no_more(&self, count: usize) {
        self.waiting.fetch_sub(count, Relaxed);
        self.taken_count.fetch_add(count, Relaxed);
    }

    /// Empties granules whose owner does not come, for the caller who has them in his place.
    pub(in super::super) fn empty_for_owner(&self, run: Range<usize>) {
        let count = run.len();
        self.taken_count.fetch_sub(count, Relaxed);
        if self.discard(&run) {
            self.missed.fetch_add(count, Relaxed);
            let allowance = self.allowance.load(Relaxed);
            self.allowance.store(allowance.saturating_sub(count.div_ceil(4)), Relaxed);
            return;
        }
        // As it is with those that are free.
        bits::set(self.dirty, &run);
        self.idle.fetch_add(count, Relaxed);
    }

    /// Gives granules back that waited for their owner, or were emptied meanwhile (`flags` of
    /// `ds::returned`), or neither.
    pub(in super::super) fn give_returned(&self, run: Range<usize>, flags: u32) {
        if flags & WAITING != 0 {
            self.wait_no_more(run.len());
        }
        if flags & EMPTIED == 0 {
            return self.give(run);
        }
        for granule in run.clone() {
            self.slab(granule).become_free();
        }
        self.end_move(&run);
        self.taken.give(run);
    }

    /// How many granules wait, and how many slabs are shut: about.
    #[cfg(test)]
    pub(in super::super) fn waiting(&self) -> (usize, usize) {
        (self.waiting.load(Relaxed), self.shut.load(Relaxed))
    }

    /// A slab with free blocks must not be drawn from.
    pub(in super::super) fn shut(&self) {
        self.shut.fetch_add(1, SeqCst);
    }

    /// It may be again, or is gone.
    pub(in super::super) fn open(&self) {
        self.shut.fetch_sub(1, Relaxed);
    }

    /// True if there may be one.
    #[inline]
    pub(in super::super) fn has_shut(&self) -> bool {
        self.shut.load(Relaxed) != 0
    }

    /// Gives the memory of free granules back to the system until `kept` of them still have some;
    /// from the top, because the lowest are the next to be used.
    pub(in super::super) fn empty_idle(&self, kept: usize) {
        for word in (0..self.high.load(Relaxed).min(self.dirty.len())).rev() {
            while self.idle.load(Relaxed) > kept {
                let dirty = self.dirty[word].load(Relaxed);
                let Some(run) = self.take_idle(word, dirty) else { break };
                if !self.empty(run) {
                    return;
                }
            }
        }
    }

    /// Takes the highest run of granules of a word that are dirty and free.
    fn take_idle(&self, word: usize, mut dirty: u64) -> Option<Range<usize>> {
        while dirty != 0 {
            let end = BITS - dirty.leading_zeros() as usize;
            let len = (dirty << (BITS - end)).leading_ones() as usize;
            let run = word * BITS + end - len..word * BITS + end;
            if self.taken.take_at(run.clone()) {
                return Some(run);
            }
            // A part of it is somebody's: one by one.
            let single = run.end - 1..run.end;
            if self.taken.take_at(single.clone()) {
                return Some(single);
            }
            dirty &= !(1 << (end - 1));
        }
        None
    }

    /// Empties granules that were taken for that, and gives them back; false if the system does not
    /// take their memory. Then they stay dirty, and are committed again before they are used.
    fn empty(&self, run: Range<usize>) -> bool {
        let is_done = self.discard(&run);
        if is_done {
            let count = bits::clear(self.dirty, &run);
            self.idle.fetch_sub(count, Relaxed);
            self.missed.fetch_add(count, Relaxed);
        }
        self.taken.give(run);
        is_done
    }

    /// Has the system take the memory of granules; false if it does not. Then they are committed
    /// again before they are used, where that is counted.
    fn discard(&self, run: &Range<usize>) -> bool {
        let is_done = self.memory.empty(Self::bytes(run)).is_ok();
        if is_done {
            self.huge.forget(&self.memory, run);
        } else if let Some(ready) = self.ready {
            bits::clear(ready, run);
        }
        is_done
    }
}
