//! Floor 4, uses floors 0 to 2. A core in the hands of one thread: everything that a heap does with
//! its slabs.

use super::class::{Class, GRANULE_LEN};
use super::core::{Core, Own};
use super::ground::Ground;
use super::place::Place;
use super::report::{Finding, broken};
use super::slab::{Field, Kind, Links, Slab};
use super::supply::Take;
use super::waiting;
use crate::ds::bits::BITS;
use crate::ds::primitive::AtomicPtr;
use crate::ds::primitive::Ordering::{AcqRel, Relaxed, SeqCst};
use crate::ds::returned::{self, EMPTIED, Told, WAITING};
use crate::error::Error;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::compiler_fence;

/// Blocks of the first batch of a class; each is twice as long as the one before.
const BATCH_MIN: u32 = 8;

/// Whoever has one is alone with the core's `Own`.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) ground: &'static Ground,
    pub(super) core: &'static Core,
}

/// Blocks of one word of a slab's bits.
#[derive(Clone, Copy)]
struct Found {
    slab: Place,
    word: usize,
    mask: u64,
}

impl Found {
    /// True if the other one is of the same word and another block.
    #[inline]
    const fn is_beside(&self, other: &Self) -> bool {
        self.slab.granule == other.slab.granule
            && self.word == other.word
            && self.mask & other.mask == 0
    }
}

impl Held {
    /// Takes hold of a core.
    ///
    /// # Safety
    /// 1. Nobody else holds it, and its last holder's work happened before.
    pub(super) const unsafe fn new(ground: &'static Ground, core: &'static Core) -> Self {
        Held { ground, core }
    }

    #[inline]
    pub(super) const fn own(&self) -> &'static Own {
        &self.core.own
    }

    pub(super) fn place(&self, granule: usize) -> Place {
        Place::at(self.ground, granule)
    }

    /// A block of a class; its content is anything.
    #[inline]
    pub(super) fn allocate(&self, class: Class) -> Result<NonNull<u8>, Error> {
        match self.at_hand(class) {
            Some(block) => Ok(block),
            None => self.allocate_slowly(class),
        }
    }

    /// A block from the cache, or one that is cut.
    #[inline(always)]
    fn at_hand(&self, class: Class) -> Option<NonNull<u8>> {
        let own = self.own();
        own.pop(class).or_else(|| if own.cuts_slabs() { own.cut(class) } else { None })
    }

    #[cold]
    #[inline(never)]
    pub(super) fn allocate_slowly(&self, class: Class) -> Result<NonNull<u8>, Error> {
        loop {
            let first = self.own().slabs[class.index()].get().checked_sub(1);
            let is_drawn = match first.map(|first| self.place(first as usize)) {
                Some(first) => self.begin_cut(class, first) || self.draw(class, first),
                None => self.draw_first(class),
            };
            if !is_drawn && self.collect() {
                continue;
            }
            if !is_drawn && !self.draw_behind(class) {
                self.add_slab(class)?;
            }
            if let Some(block) = self.at_hand(class) {
                return Ok(block);
            }
        }
    }

    /// Draws a batch from a slab into the cache, in the order of addresses; false if its memory is
    /// not ours at the moment.
    fn draw(&self, class: Class, from: Place) -> bool {
        let Place { granule, slab } = from;
        let batch = &self.own().batches[class.index()];
        let half = (self.own().capacity_max(class) as u32).div_ceil(2);
        let wanted = batch.get().max(BATCH_MIN).min(half);
        let free = slab.free.get();
        let count = wanted.min(free);
        // Before the look at who else has it: he asks in the other order (`waiting`, 2).
        slab.free.set(free - count);
        compiler_fence(SeqCst);
        if self.ground.has_shut() && returned::is_shut(slab.announced()) {
            slab.free.publish(free);
            return false;
        }
        batch.set(wanted * 2);
        let (bits, _) = self.ground.bits(slab);
        let (place, size) = (self.ground.place(granule), slab.size.get() as usize);
        let mut row = self.own().row_for(class, count as usize);
        let mut cursor = slab.cursor.get() as usize;
        while !row.is_empty() {
            let word = bits[cursor].load(Relaxed);
            let first = place.wrapping_add(cursor * BITS * size);
            let left = draw_word(word, first, size, &mut row);
            bits[cursor].store(left, Relaxed);
            cursor += usize::from(left == 0);
        }
        self.own().set_count(class, count as usize);
        slab.cursor.set(cursor.min(bits.len() - 1) as u32);
        if slab.free.get() == 0 {
            self.unlink_from_class(class, from);
        }
        true
    }

    /// Draws from a slab behind the first one, which somebody else has just now.
    fn draw_behind(&self, class: Class) -> bool {
        let mut next = self.own().slabs[class.index()].get();
        while let Some(granule) = next.checked_sub(1) {
            let from = self.place(granule as usize);
            next = from.slab.in_class.next.get();
            if self.draw(class, from) {
                return true;
            }
        }
        false
    }

    /// Takes what other threads have returned. False if there was nothing, or nothing yet.
    pub(super) fn collect(&self) -> bool {
        let ground = self.ground;
        let taken = self.core.handed().take(|granule| ground.slab(granule as usize).handed());
        taken.filter(|&granule| self.collect_from(self.place(granule as usize))).count() > 0
    }

    fn collect_from(&self, from: Place) -> bool {
        if from.slab.kind() == Kind::Run {
            self.drop_returned(from, from.slab.forget_announced());
            return true;
        }
        let (_, theirs) = self.ground.bits(from.slab);
        let (mut has_some, had_free) = (false, from.slab.free.get() != 0);
        let found = returned::collect(from.slab.announced(), theirs, |word, mask| {
            self.free_bits(from, word, mask);
            has_some = true;
        });
        if found.flags & EMPTIED != 0 {
            self.unlink_from_class(class_of(from.slab), from);
            if had_free {
                self.ground.open();
            }
            self.drop_returned(from, found.flags);
            return true;
        }
        if found.flags & WAITING != 0 {
            self.ground.wait_no_more(from.whole().len());
        }
        if found.more {
            self.core.handed().push(from.granule as u32, from.slab.handed());
        } else {
            self.settle(from);
        }
        has_some
    }

    /// A new slab, all of whose blocks are free, or are cut.
    fn add_slab(&self, class: Class) -> Result<(), Error> {
        let new = self.take_slab(class.granules(), Slab::words_of(class))?;
        new.slab.become_slab(self.core.tag(), class);
        self.mark_inside(new.whole(), Some(class));
        self.link_in_all(new);
        let (bits, theirs) = self.ground.bits(new.slab);
        // The words may have been those of smaller blocks.
        theirs.iter().for_each(|word| word.store(0, Relaxed));
        if self.own().cuts_slabs() {
            self.cut_whole(class, new);
            return Ok(());
        }
        bits.iter().for_each(|word| word.store(u64::MAX, Relaxed));
        let rest = class.blocks() % BITS;
        if rest != 0 {
            bits[bits.len() - 1].store((1 << rest) - 1, Relaxed);
        }
        new.slab.free.set(class.blocks() as u32);
        self.link(&self.own().slabs[class.index()], new, |slab| &slab.in_class);
        Ok(())
    }

    /// Granules that count, with so many words of bits, for something that the caller makes them.
    pub(super) fn take_slab(&self, granules: usize, words: u32) -> Result<Place, Error> {
        let (first, _) = self.obtain(granules, 1, Take::Plain)?;
        let new = self.place(first);
        let told = self.ground.words_for(new.slab, words);
        told.inspect_err(|_| self.give_granules(first..first + granules))?;
        new.slab.forget_announced();
        Ok(new)
    }

    fn mark_inside(&self, run: Range<usize>, class: Option<Class>) {
        for granule in run.clone().skip(1) {
            let distance = (granule - run.start) as u32;
            self.ground.slab(granule).become_inside(self.core.tag(), distance, class);
        }
    }

    /// Takes back a block of this core's.
    #[inline]
    pub(super) fn free(&self, class: Class, block: NonNull<u8>) {
        if !self.own().push(class, block.as_ptr()) {
            self.free_slowly(class, block);
        }
    }

    #[cold]
    #[inline(never)]
    fn free_slowly(&self, class: Class, block: NonNull<u8>) {
        if !self.own().make_room(class) {
            self.flush(class, self.own().count(class).div_ceil(2));
            // These may have been the last of slabs that others have freed the rest of.
            if !self.core.handed().is_empty() {
                self.collect();
            }
        }
        self.own().push(class, block.as_ptr());
    }

    /// Gives the `count` oldest blocks of a cache back to their slabs: neighbours, which came in a
    /// row as a rule, in one step for each word of bits.
    pub(super) fn flush(&self, class: Class, count: usize) {
        let mut found: Option<Found> = None;
        let uncut = self.own().uncut(class);
        self.own().take_oldest(class, count, |block| {
            let block = NonNull::new(block).expect("a block of the cache");
            if uncut.contains(&block.as_ptr()) {
                broken(Finding::FreedTwice, block);
            }
            let next = self.find(block, found.map(|found| found.slab));
            match &mut found {
                Some(found) if found.is_beside(&next) => found.mask |= next.mask,
                _ => {
                    if let Some(old) = found.replace(next) {
                        self.free_found(&old);
                    }
                }
            }
        });
        if let Some(last) = found {
            self.free_found(&last);
        }
    }

    /// Gives all free blocks of a class back to their slabs.
    pub(super) fn flush_whole(&self, class: Class) {
        self.flush(class, self.own().count(class));
        self.end_cut(class);
    }

    /// Gives all blocks in the caches back to their slabs.
    pub(super) fn flush_all(&self) {
        self.own().used().for_each(|class| self.flush_whole(class));
    }

    /// The bit of a block of ours, which probably lies where the last one did.
    #[inline]
    fn find(&self, block: NonNull<u8>, last: Option<Place>) -> Found {
        let here = Place::of(self.ground, block).expect("a block of a slab");
        let slab = match last {
            Some(last) if last.granule == here.granule => last,
            _ => here.first(self.ground),
        };
        let (word, mask) = slab.bit_of(self.ground, block);
        Found { slab, word, mask }
    }

    #[inline]
    fn free_found(&self, found: &Found) {
        let head = found.slab.slab.head();
        if head.owner() != self.core.mark() {
            if !head.is_common() {
                // The slab is gone, as it goes when its last block was given back.
                freed_twice(self.ground, found.slab, found.word, found.mask);
            }
            return self.gather_bits(found.slab, found.word, found.mask);
        }
        self.free_bits(found.slab, found.word, found.mask);
        let slab = found.slab.slab;
        if slab.free.get() == slab.blocks.get() {
            self.settle(found.slab);
        }
    }

    /// Takes back blocks of a word of bits; a slab that has none in use any more is given back.
    pub(super) fn free_word(&self, from: Place, word: usize, mask: u64) {
        self.free_bits(from, word, mask);
        if from.slab.free.get() == from.slab.blocks.get() {
            self.drop_slab(from);
        }
    }

    /// Sets bits of a slab; it stands in the list of its class from then on.
    #[inline]
    pub(super) fn free_bits(&self, from: Place, word: usize, mask: u64) {
        let slab = from.slab;
        let bits = self.ground.word(slab, word);
        let old = bits.load(Relaxed);
        if old & mask != 0 {
            freed_twice(self.ground, from, word, old & mask);
        }
        bits.store(old | mask, Relaxed);
        if slab.cursor.get() > word as u32 {
            slab.cursor.set(word as u32);
        }
        let before = slab.free.get();
        slab.free.publish(before + mask.count_ones());
        if before == 0 {
            self.link(&self.own().slabs[class_of(slab).index()], from, |slab| &slab.in_class);
        }
    }

    /// A slab all of whose blocks are free goes back to the ground, if its class has another one
    /// with free blocks; a starter in any case.
    pub(super) fn settle(&self, from: Place) {
        let Place { slab, .. } = from;
        if slab.free.get() < slab.blocks.get() {
            return;
        }
        let is_alone = slab.in_class.next.get() == 0
            && slab.in_class.previous.get() == 0
            && slab.class().is_none_or(|class| self.own().uncut_len(class) == 0);
        if !is_alone || slab.is_starter() {
            self.drop_slab(from);
        }
    }

    fn drop_slab(&self, from: Place) {
        match from.slab.class() {
            Some(class) => self.unlink_from_class(class, from),
            None => self.own().starter.end(),
        }
        self.drop_whole(from);
    }

    /// Gives the granules of a slab or a run back.
    pub(super) fn drop_whole(&self, from: Place) {
        self.unlink(&self.own().all, from, |slab| &slab.in_all);
        self.give_granules(from.whole());
    }

    /// The same with what somebody else has looked after, and with what he said at the end.
    fn drop_returned(&self, from: Place, flags: u32) {
        if flags == 0 {
            return self.drop_whole(from);
        }
        let whole = from.whole();
        self.unlink(&self.own().all, from, |slab| &slab.in_all);
        self.ground.give_returned(whole.clone(), flags);
        self.uncharge(whole.len());
    }

    /// A block too long for slabs, and whether it reads zero.
    pub(super) fn allocate_run(
        &self,
        len: usize,
        align: usize,
    ) -> Result<(NonNull<u8>, bool), Error> {
        self.allocate_run_by(len, align, Take::Plain)
    }

    /// The same, of granules that the ground gives in some way.
    pub(super) fn allocate_run_by(
        &self,
        len: usize,
        align: usize,
        take: Take,
    ) -> Result<(NonNull<u8>, bool), Error> {
        let granules = len.max(1).div_ceil(GRANULE_LEN);
        if !self.core.handed().is_empty() {
            self.collect();
        }
        let (first, is_zero) = self.obtain(granules, align.div_ceil(GRANULE_LEN), take)?;
        let new = self.place(first);
        new.slab.forget_announced();
        new.slab.become_run(self.core.tag(), granules as u32);
        self.mark_inside(first..first + granules, None);
        self.link_in_all(new);
        let block = NonNull::new(self.ground.place(first)).expect("not at address 0");
        Ok((block, is_zero))
    }

    /// Makes a run longer or shorter where it is; false if there is no room for that.
    pub(super) fn resize_run(&self, granule: usize, len: usize) -> Result<bool, Error> {
        let slab = self.ground.slab(granule);
        let (old, new) = (slab.granules.get() as usize, len.max(1).div_ceil(GRANULE_LEN));
        if new > old {
            if !self.obtain_behind(granule + old..granule + new)? {
                return Ok(false);
            }
            slab.granules.set(new as u32);
            self.mark_inside(granule..granule + new, None);
        } else if new < old {
            // The record first: in a process that is forked here it must not tell too much.
            slab.granules.set(new as u32);
            self.ground.cut_moved(self.place(granule), granule + new);
            self.give_granules(granule + new..granule + old);
        }
        Ok(true)
    }

    /// Gives everything back: the cost is one step for each slab and run. A slab of one granule
    /// stays with the core as its spare, if there are not many such: a heap for a moment then takes
    /// nothing from the ground, and gives nothing back.
    pub(super) fn drop_all(&self) {
        let mut next = self.own().all.get();
        while let Some(granule) = next.checked_sub(1) {
            let from = self.place(granule as usize);
            next = from.slab.in_all.next.get();
            let flags = from.slab.forget_announced();
            let is_shut = flags & EMPTIED != 0;
            if is_shut && from.slab.kind() == Kind::Slab && from.slab.free.get() != 0 {
                self.ground.open();
            }
            if self.stock().give(self.ground, &from.whole()) {
                continue;
            }
            let is_spare = flags == 0
                && self.own().spare.get() == 0
                && from.whole().len() == 1
                && from.slab.moved.get() == 0
                && self.ground.may_keep_spare();
            if is_spare {
                from.slab.become_free();
                self.own().spare.set(granule + 1);
            } else {
                self.ground.give_returned(from.whole(), flags);
            }
        }
        self.core.handed().forget();
        self.own().reset();
    }

    /// Gives everything in the caches back, and all slabs without a block in use.
    pub(super) fn trim(&self) {
        self.collect();
        for class in self.own().used() {
            self.flush_whole(class);
            self.own().batches[class.index()].set(0);
            self.own().shorten(class);
            let mut next = self.own().slabs[class.index()].get();
            while let Some(granule) = next.checked_sub(1) {
                let from = self.place(granule as usize);
                next = from.slab.in_class.next.get();
                if from.slab.free.get() == from.slab.blocks.get() {
                    self.drop_slab(from);
                }
            }
        }
    }

    pub(super) fn link_in_all(&self, new: Place) {
        self.link(&self.own().all, new, |slab| &slab.in_all);
    }

    pub(super) fn unlink_from_class(&self, class: Class, from: Place) {
        self.unlink(&self.own().slabs[class.index()], from, |slab| &slab.in_class);
    }

    fn link(&self, list: &Field, new: Place, links: impl Fn(&Slab) -> &Links) {
        let (mark, old) = (new.granule as u32 + 1, list.get());
        links(new.slab).previous.set(0);
        links(new.slab).next.set(old);
        if let Some(second) = old.checked_sub(1) {
            links(self.ground.slab(second as usize)).previous.set(mark);
        }
        list.set(mark);
    }

    fn unlink(&self, list: &Field, old: Place, links: impl Fn(&Slab) -> &Links) {
        let (next, previous) = (links(old.slab).next.get(), links(old.slab).previous.get());
        match previous.checked_sub(1) {
            Some(before) => links(self.ground.slab(before as usize)).next.set(next),
            None => list.set(next),
        }
        if let Some(behind) = next.checked_sub(1) {
            links(self.ground.slab(behind as usize)).previous.set(previous);
        }
        links(old.slab).next.set(0);
        links(old.slab).previous.set(0);
    }
}

/// Puts the addresses of the blocks of a word of bits into a row, from its end downwards, until
/// that is full; answers what is left of the word. `first` is the place of bit 0.
#[inline(always)]
fn draw_word(word: u64, first: *mut u8, size: usize, row: &mut &[AtomicPtr<u8>]) -> u64 {
    let mut left = word;
    while left != 0 && !row.is_empty() {
        // Neighbours at once.
        let start = left.trailing_zeros();
        let count = (left >> start).trailing_ones().min(row.len() as u32);
        let (rest, neighbours) = row.split_at(row.len() - count as usize);
        let mut block = first.wrapping_add(start as usize * size);
        for place in neighbours.iter().rev() {
            place.store(block, Relaxed);
            block = block.wrapping_add(size);
        }
        left &= !(u64::MAX >> (BITS as u32 - count) << start);
        *row = rest;
    }
    left
}

fn class_of(slab: &Slab) -> Class {
    slab.class().expect("a slab has a class")
}

/// Returns a block to the core that has its slab or run, from a thread that does not hold it.
pub(super) fn give_back(ground: &'static Ground, place: Place, block: NonNull<u8>) {
    let from = place.first(ground);
    if from.slab.kind() == Kind::Run {
        if ground.place(from.granule) != block.as_ptr() {
            broken(Finding::NotABlock, block);
        }
        match from.slab.announced().swap(1, AcqRel) {
            0 => {
                let flag = waiting::look_after_run(ground, from);
                from.slab.announced().store(1 | flag, Relaxed);
                return hand_over(ground, from);
            }
            _ => broken(Finding::FreedTwice, block),
        }
    }
    let (word, mask) = from.bit_of(ground, block);
    give_back_bits(ground, from, word, mask);
}

/// Returns blocks of a word of a slab in the same way.
pub(super) fn give_back_bits(ground: &'static Ground, from: Place, word: usize, mask: u64) {
    let (_, theirs) = ground.bits(from.slab);
    let count = mask.count_ones();
    let before = returned::announce(from.slab.announced(), count);
    if let Some(count) = before.plus(count)
        && count + from.slab.free.get() == from.slab.blocks.get()
    {
        waiting::look_after(ground, from, count, (word, mask));
    }
    match returned::put(theirs, word, mask, before) {
        Told::Nothing => {}
        Told::HandOver => hand_over(ground, from),
        Told::Twice => freed_twice(ground, from, word, mask),
    }
}

fn hand_over(ground: &'static Ground, from: Place) {
    from.owner(ground).handed().push(from.granule as u32, from.slab.handed());
}

/// Reports the first block of a word of bits.
#[cold]
pub(super) fn freed_twice(ground: &'static Ground, from: Place, word: usize, bits: u64) -> ! {
    broken(Finding::FreedTwice, block_of(ground, from, word, bits))
}

/// The first block of a word of bits.
pub(super) fn block_of(ground: &Ground, from: Place, word: usize, bits: u64) -> NonNull<u8> {
    let number = word * BITS + bits.trailing_zeros() as usize;
    let offset = number * from.slab.size.get() as usize;
    NonNull::new(ground.place(from.granule).wrapping_add(offset)).expect("not at address 0")
}
